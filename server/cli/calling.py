"""What commands share that call a running server: where it is, which token, and errors that a user can read."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, TypeAlias

import typer
from leo_client import LeoApiError, LeoSyncClient

from server.cli.environment import stack_options
from server.cli.failure import CommandFailed
from server.cli.token import TENANT_SCOPES
from server.config import Settings, load_settings
from server.embedded.first_tenant import FIRST_TENANT
from server.embedded.token_issuer import TokenIssuer, issuer_directory

_DEADLINE_SECONDS = 30.0
# Addresses that mean "every interface", and one that leads there.
_REACHED_BY = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}  # noqa: S104

ServerOption: TypeAlias = Annotated[
    str | None,
    typer.Option(help="host:port of the server; LEO_LISTEN, or 127.0.0.1:50051, where it is left out."),
]
TokenOption: TypeAlias = Annotated[
    str | None,
    typer.Option(
        envvar="LEO_TOKEN",
        help="The token to call with; one of the embedded stack's tenant where it is left out.",
    ),
]


@contextmanager
def calling(server: str | None, token: str | None) -> Iterator[LeoSyncClient]:
    """A client for one command.

    Raises:
        CommandFailed: a call failed; with what the server says.
    """
    try:
        with LeoSyncClient(
            server or reached_at(load_settings(Settings).listen),
            token=token or own_token(),
            deadline_seconds=_DEADLINE_SECONDS,
        ) as client:
            yield client
    except LeoApiError as error:
        raise CommandFailed(str(error)) from error


def reached_at(listen: str) -> str:
    """Where a server that listens here is called from this machine."""
    host, _, port = listen.rpartition(":")
    return f"{_REACHED_BY.get(host, host)}:{port}"


def own_token() -> str:
    """A token of the embedded stack's own tenant, good for a minute."""
    issuer = TokenIssuer(issuer_directory(stack_options().state_directory))
    return issuer.issue(
        client_id=FIRST_TENANT, scopes=TENANT_SCOPES, lifetime_seconds=int(_DEADLINE_SECONDS) * 2
    )
