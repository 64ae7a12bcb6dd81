"""`leo migrate`: the schema, forwards, backwards, or its state."""

from __future__ import annotations

import asyncio
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from server.cli.environment import running_stack, stack_options
from server.config import Settings, load_settings
from server.embedded.schema_dump import dump_schema
from server.platform import migrations

_ACTION = typer.Argument(
    help="up: apply all; down: take the last one back; status: list them; dump: write db/schema.sql from a"
    " scratch database."
)


class Action(StrEnum):
    """What to do with the schema."""

    UP = "up"
    DOWN = "down"
    STATUS = "status"
    DUMP = "dump"


def migrate(action: Annotated[Action, _ACTION] = Action.UP) -> None:
    """Change the schema of LEO_OWNER_DATABASE_URL, or of the running stack, as the role leo_owner."""
    if action is Action.DUMP:
        typer.echo(
            f"wrote {dump_schema(stack_options().state_directory / 'schema-dump', Path('db/schema.sql'))}"
        )
        return
    configured = load_settings(Settings).owner_database_url
    url = configured.get_secret_value() if configured else running_stack().database.owner_url
    typer.echo(asyncio.run(migrations.migrate(url, migrations.MigrationAction[action.name])), nl=False)
