"""`leo token`: a token of the embedded stack's issuer."""

from __future__ import annotations

from typing import Annotated

import typer

from server.cli.environment import stack_options
from server.embedded.first_tenant import FIRST_TENANT
from server.embedded.token_issuer import TokenIssuer, issuer_directory

TENANT_SCOPES = (
    "catalog.read",
    "catalog.write",
    "profiles.read",
    "profiles.write",
    "profiles.export",
    "profiles.erase",
    "decisions.read",
    "decisions.write",
    "snapshots.read",
    "snapshots.write",
    "dispatch.read",
    "dispatch.write",
    "channels.read",
    "channels.write",
    "trace.read",
    "reports.read",
    "alerts.read",
    "alerts.write",
    "ticks.write",
    "news.read",
    "news.write",
    "embeddings.read",
    "embeddings.write",
)

_TENANT = typer.Option(
    help="Client id of the tenant; `leo up` registers the tenant 'demo' with client 'demo'."
)
_SCOPE = typer.Option(help="A right that the token gives, e.g. catalog.write or admin. May be repeated.")
_LIFETIME = typer.Option(min=1, help="Seconds until the token expires.")


def token(
    tenant: Annotated[str, _TENANT] = FIRST_TENANT,
    scope: Annotated[list[str] | None, _SCOPE] = None,
    lifetime_seconds: Annotated[int, _LIFETIME] = 3600,
) -> None:
    """Print a token; without --scope it has every right inside its tenant, but is no admin."""
    issuer = TokenIssuer(issuer_directory(stack_options().state_directory))
    typer.echo(
        issuer.issue(client_id=tenant, scopes=scope or TENANT_SCOPES, lifetime_seconds=lifetime_seconds)
    )
