"""`leo sources`: where customers' data comes from, and how that fares."""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Iterator
from datetime import UTC
from pathlib import Path
from typing import Annotated, Any, Final

import orjson
import typer
from google.protobuf.json_format import MessageToDict
from leo.activation.v1 import catalog_service_pb2 as wire
from leo.activation.v1 import types_pb2
from rich.console import Console
from rich.table import Table

from server.cli.calling import ServerOption, TokenOption, calling
from server.cli.failure import CommandFailed

app = typer.Typer(
    help="Sources of customers' data: put, list, show, run, pause, resume and remove.", no_args_is_help=True
)

_TYPES: Final = {
    "arangodb": wire.DATA_SOURCE_TYPE_ARANGODB,
    "postgresql": wire.DATA_SOURCE_TYPE_POSTGRESQL,
    "file": wire.DATA_SOURCE_TYPE_FILE,
}
_NAMES: Final = {number: name for name, number in _TYPES.items()}
_TAKEN: Final = (
    *("source_id", "source_name", "type", "connection", "mapping", "sync_frequency_seconds"),
    *("stale_after_seconds", "paused"),
)
_COLUMNS: Final = (
    *("source", "type", "health", "lag", "last success", "read", "written", "rejected", "suppressed"),
    *("deleted", "last error"),
)

_FILE = typer.Argument(help="A .toml or .json file that describes the source (docs/sync.md).")
_ID = typer.Argument(help="Id of the source.")
_PASSWORD = typer.Option(
    help='File with the password on its first line; "-" reads it from standard input. Left out, the stored one stays.'
)
_JSON = typer.Option("--json", help="As JSON, one source a line.")


@app.command()
def put(
    file: Annotated[Path, _FILE],
    password_file: Annotated[str | None, _PASSWORD] = None,
    server: ServerOption = None,
    token: TokenOption = None,
) -> None:
    """Describe a source, anew or otherwise; workers follow it from then on."""
    request = wire.PutDataSourceRequest(data_source=_described(file), password=_password(password_file))
    with calling(server, token) as client:
        answer = client.catalog.PutDataSource(request)
    source = answer.data_source
    typer.echo(f"{source.source_id}: {'put' if answer.changed else 'as before'}, {state_word(source)}")


@app.command("list")
def list_(
    as_json: Annotated[bool, _JSON] = False, server: ServerOption = None, token: TokenOption = None
) -> None:
    """All sources, and how they fare."""
    table = Table(*_COLUMNS, box=None, pad_edge=False)
    with calling(server, token) as client:
        for source in _all_sources(client):
            if as_json:
                typer.echo(orjson.dumps(_document(source)).decode())
            else:
                table.add_row(*_row(source))
    if not as_json:
        # A cure names columns in brackets, which are no markup.
        Console(soft_wrap=True, markup=False, emoji=False).print(table)


@app.command()
def show(source_id: Annotated[str, _ID], server: ServerOption = None, token: TokenOption = None) -> None:
    """One source in full, as JSON."""
    with calling(server, token) as client:
        source = client.catalog.GetDataSource(wire.GetDataSourceRequest(source_id=source_id)).data_source
    typer.echo(orjson.dumps(_document(source), option=orjson.OPT_INDENT_2).decode())


@app.command()
def run(source_id: Annotated[str, _ID], server: ServerOption = None, token: TokenOption = None) -> None:
    """Have a source taken in as soon as a worker is free."""
    with calling(server, token) as client:
        client.catalog.SyncNow(wire.SyncNowRequest(source_id=source_id))
    typer.echo(f"{source_id}: due now")


@app.command()
def pause(source_id: Annotated[str, _ID], server: ServerOption = None, token: TokenOption = None) -> None:
    """Leave a source alone; a run that is under way stops before its next page."""
    _set_paused(source_id, server, token, paused=True)


@app.command()
def resume(source_id: Annotated[str, _ID], server: ServerOption = None, token: TokenOption = None) -> None:
    """Follow a paused source again, from where it stopped."""
    _set_paused(source_id, server, token, paused=False)


@app.command()
def remove(source_id: Annotated[str, _ID], server: ServerOption = None, token: TokenOption = None) -> None:
    """Remove a source with its cursor and its password; the profiles that it brought stay."""
    with calling(server, token) as client:
        request = wire.DeleteDataSourceRequest(source_id=source_id)
        deleted = client.catalog.DeleteDataSource(request).deleted
    typer.echo(f"{source_id}: removed" if deleted else f"{source_id}: there was none")


def state_word(source: wire.DataSource) -> str:
    """How it fares, in a few words."""
    if source.paused:
        return "paused"
    words = [wire.DataSourceHealth.Name(source.state.health).removeprefix("DATA_SOURCE_HEALTH_").lower()]
    words += ["stale"] if source.state.stale else []
    words += ["running"] if source.state.running else []
    return ", ".join(words)


def _set_paused(source_id: str, server: str | None, token: str | None, *, paused: bool) -> None:
    with calling(server, token) as client:
        request = wire.SetDataSourcePausedRequest(source_id=source_id, paused=paused)
        source = client.catalog.SetDataSourcePaused(request).data_source
    typer.echo(f"{source_id}: {state_word(source)}")


def _all_sources(client: Any) -> Iterator[wire.DataSource]:
    page_token = ""
    while True:
        page = types_pb2.PageRequest(page_token=page_token)
        answer = client.catalog.ListDataSources(wire.ListDataSourcesRequest(page=page))
        yield from answer.data_sources
        page_token = answer.page.next_page_token
        if not page_token:
            return


def _described(file: Path) -> wire.DataSource:
    try:
        data = file.read_bytes()
        given = orjson.loads(data) if file.suffix == ".json" else tomllib.loads(data.decode())
    except OSError as error:
        raise CommandFailed(f"{file} can not be read: {error.strerror}") from None
    except ValueError as error:
        raise CommandFailed(
            f"{file} is not {'JSON' if file.suffix == '.json' else 'TOML'}: {error}"
        ) from None
    unknown = sorted(set(given) - set(_TAKEN)) if isinstance(given, dict) else ["…"]
    if unknown:
        raise CommandFailed(f"{file}: {', '.join(unknown)}: no such entry; there are {', '.join(_TAKEN)}")
    if given.get("type") not in _TYPES:
        raise CommandFailed(f"{file}: type must be one of {', '.join(_TYPES)}")
    documents = {name: orjson.dumps(given.get(name, {})) for name in ("connection", "mapping")}
    try:
        return wire.DataSource(**{**given, **documents, "type": _TYPES[given["type"]]})
    except (TypeError, ValueError) as error:
        raise CommandFailed(f"{file}: {error}") from None


def _password(file: str | None) -> str | None:
    """The first line. What is wrong with the file is said without a part of it."""
    if file is None:
        return None
    try:
        text = sys.stdin.read() if file == "-" else Path(file).read_text("utf-8")
    except (OSError, UnicodeError):
        raise CommandFailed(f"{file} can not be read") from None
    return text.partition("\n")[0].rstrip("\r")


def _row(source: wire.DataSource) -> tuple[str, ...]:
    state, total = source.state, source.state.total
    since = (
        f"{state.last_success_at.ToDatetime(UTC):%Y-%m-%d %H:%M:%SZ}"
        if state.HasField("last_success_at")
        else ""
    )
    counts = (total.read, total.written, total.rejected, total.suppressed, total.deleted)
    return (
        source.source_id,
        _NAMES.get(source.type, ""),
        state_word(source),
        f"{state.lag_seconds:,.0f} s" if state.HasField("lag_seconds") else "",
        since,
        *(f"{count:,}" for count in counts),
        state.last_error,
    )


def _document(source: wire.DataSource) -> dict[str, Any]:
    """As the contract names things, with JSON where the contract has bytes of it."""
    document: dict[str, Any] = MessageToDict(source, preserving_proto_field_name=True)
    for name in ("connection", "mapping"):
        document[name] = orjson.loads(getattr(source, name))
    document["type"] = _NAMES.get(source.type, "")
    document["state"]["cursor"] = orjson.loads(source.state.cursor)
    return document
