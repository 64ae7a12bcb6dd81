"""`leo channels`: the tenant's accounts at providers, and the keys that they are encrypted with."""

from __future__ import annotations

import asyncio
import sys
from datetime import UTC
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer
from leo.activation.v1 import dispatch_service_pb2 as wire
from rich.console import Console
from rich.table import Table

from server.cli.calling import ServerOption, TokenOption, calling
from server.cli.environment import adopt, names_a_database, running_stack
from server.cli.failure import CommandFailed
from server.config import Settings, load_settings
from server.dispatch.channels.registry import CHANNEL_TYPES
from server.dispatch.credentials.model import Accounts
from server.dispatch.credentials.service import CredentialService, Rotation
from server.dispatch.credentials.store import CredentialStore
from server.platform.credential_keys import CredentialKeys
from server.platform.postgres import Database
from server.sync.rotation import SecretRotation
from server.sync.secrets import SourceSecrets
from server.sync.store import SourceStore

app = typer.Typer(help="Accounts at providers: put, list, delete, and encrypt anew.", no_args_is_help=True)

_CHANNEL = typer.Argument(help="The channel, e.g. zalo.")
_PROVIDER = typer.Argument(help="Its provider, e.g. zalo_zns; `leo channels providers` lists them.")
_FILE = typer.Argument(help='A JSON object {"field": "value"}; "-" reads it from standard input.')
_RATE = typer.Option(help="Messages a second that the account may send, where it differs from the usual.")


@app.command()
def providers() -> None:
    """What the account of each provider consists of."""
    console = Console(soft_wrap=True)
    for kind in sorted(CHANNEL_TYPES, key=lambda kind: (kind.name, kind.provider)):
        shared = f"  uses the account of {kind.account}" if kind.account != kind.name else ""
        console.print(f"[bold]{kind.name}[/bold] {kind.provider}{shared}")
        for field in kind.credential if not shared else ():
            needed = "required" if field.required else "optional"
            console.print(f"  {field.name} ({needed}): {field.comment}", markup=False)


@app.command()
def put(
    channel: Annotated[str, _CHANNEL],
    provider: Annotated[str, _PROVIDER],
    file: Annotated[str, _FILE] = "-",
    messages_per_second: Annotated[float | None, _RATE] = None,
    server: ServerOption = None,
    token: TokenOption = None,
) -> None:
    """Store the account of a channel, encrypted; workers use it within a second."""
    request = wire.PutChannelCredentialRequest(
        channel=channel, provider=provider, values=_values(file), messages_per_second=messages_per_second
    )
    with calling(server, token) as client:
        stored = client.dispatch.PutChannelCredential(request).credential
    typer.echo(f"{stored.channel} {stored.provider}: version {stored.version}, key {stored.key_id}")


@app.command(name="list")
def list_credentials(server: ServerOption = None, token: TokenOption = None) -> None:
    """The tenant's accounts, without their values."""
    with calling(server, token) as client:
        answer = client.dispatch.ListChannelCredentials(wire.ListChannelCredentialsRequest())
    columns = ("channel", "provider", "version", "key", "put", "token ends", "renewed", "last error")
    table = Table(*columns, box=None, pad_edge=False)
    for each in answer.credentials:
        table.add_row(*_row(each))
    Console(soft_wrap=True, markup=False, emoji=False).print(table)


@app.command()
def delete(channel: Annotated[str, _CHANNEL], server: ServerOption = None, token: TokenOption = None) -> None:
    """Remove the account of a channel."""
    request = wire.DeleteChannelCredentialRequest(channel=channel)
    with calling(server, token) as client:
        deleted = client.dispatch.DeleteChannelCredential(request).deleted
    typer.echo(f"{channel}: removed" if deleted else f"{channel}: there was none")


@app.command()
def rotate_keys() -> None:
    """Encrypt all tenants' accounts, and passwords of sources, under the newest of LEO_CREDENTIAL_KEYS.

    Afterwards the other keys may go.
    """
    if not names_a_database():
        adopt(running_stack().worker_environment())
    rotation = asyncio.run(_rotate(load_settings(Settings)))
    typer.echo(
        f"{rotation.rotated} encrypted anew, {rotation.current} were current,"
        f" {rotation.unreadable} unreadable with these keys"
    )
    if rotation.unreadable:
        raise CommandFailed("keep the keys of the unreadable ones, or put those accounts again")


async def _rotate(settings: Settings) -> Rotation:
    if settings.database_url is None or settings.credential_keys_text is None:
        raise CommandFailed("LEO_DATABASE_URL and LEO_CREDENTIAL_KEYS are needed")
    database = await Database.connect(
        settings.database_url.get_secret_value(),
        minimum_connections=1,
        maximum_connections=1,
        application_name="leo-rotate-keys",
    )
    try:
        service = CredentialService(
            database=database,
            store=CredentialStore(),
            accounts=Accounts.of(CHANNEL_TYPES),
            keys=CredentialKeys.of(settings.credential_keys_text),
        )
        rotation = await service.rotate_keys()
        sources = await SecretRotation(
            database=database,
            store=SourceStore(),
            secrets=SourceSecrets(keys=CredentialKeys.of(settings.credential_keys_text)),
        ).run()
        return Rotation(
            rotation.rotated + sources["rotated"],
            rotation.current + sources["current"],
            rotation.unreadable + sources["unreadable"],
        )
    finally:
        await database.close()


def _values(file: str) -> dict[str, str]:
    """The object of the file. What is wrong with it is said without a part of it."""
    try:
        content = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
    except OSError as error:
        raise CommandFailed(f"{file} can not be read: {error.strerror}") from None
    try:
        document = orjson.loads(content)
    except orjson.JSONDecodeError:
        document = None
    if not isinstance(document, dict) or not all(isinstance(value, str) for value in document.values()):
        raise CommandFailed('the account must be a JSON object of texts: {"field": "value"}')
    return document


def _row(each: wire.ChannelCredential) -> tuple[str, ...]:
    lost = " (authorise it again)" if each.authorisation_lost else ""
    return (
        each.channel,
        each.provider,
        str(each.version),
        each.key_id,
        _moment(each, "put_at"),
        _moment(each, "expires_at"),
        _moment(each, "refreshed_at"),
        f"{each.refresh_error}{lost}",
    )


def _moment(message: Any, field: str) -> str:
    if not message.HasField(field):
        return ""
    return f"{getattr(message, field).ToDatetime(UTC):%Y-%m-%d %H:%MZ}"
