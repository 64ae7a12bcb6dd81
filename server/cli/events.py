"""`leo events`: the months of behavioural events, and what retention would drop."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from server.cli.environment import names_a_database, running_stack
from server.cli.failure import CommandFailed
from server.config import Settings, load_settings
from server.platform.clock import utc_now
from server.platform.postgres import Database

if TYPE_CHECKING:
    from server.workers.retention import RetentionPlan

app = typer.Typer(help="Behavioural events: their months.", no_args_is_help=True)

_MEBIBYTE = 1024 * 1024
_KEEP = typer.Option(
    "--keep-months",
    min=3,
    max=1200,
    help="As if so many months were kept; LEO_EVENT_RETENTION_MONTHS where it is left out.",
)


@app.callback()
def events() -> None:
    """Behavioural events: their months."""


@app.command()
def partitions(keep_months: Annotated[int | None, _KEEP] = None) -> None:
    """List the months of all tenants, with rows (about), size, and what retention does to each. Changes nothing.

    Reads the database of LEO_DATABASE_URL as its serving role, or that of the running stack.
    """
    settings = load_settings(Settings, {"event_retention_months": keep_months})
    plan = asyncio.run(_plan(_url(settings), settings.event_retention_months))
    console = Console(soft_wrap=True)
    console.print(_table(plan))
    console.print(_summary(plan), highlight=False)
    _name(console, plan)


async def _plan(url: str, kept_months: int | None) -> RetentionPlan:
    from server.workers.retention import EventRetention

    database = await Database.connect(
        url, minimum_connections=1, maximum_connections=1, application_name="leo-events"
    )
    try:
        return await EventRetention(database=database, kept_months=kept_months, clock=utc_now).plan()
    finally:
        await database.close()


def _url(settings: Settings) -> str:
    if settings.database_url is not None:
        return settings.database_url.get_secret_value()
    if names_a_database():
        raise CommandFailed("set LEO_DATABASE_URL: the database, as leo_worker or leo_app")
    return running_stack().database.worker_url


def _table(plan: RetentionPlan) -> Table:
    table = Table(box=None)
    table.add_column("month")
    table.add_column("rows, about", justify="right")
    table.add_column("MiB", justify="right")
    table.add_column("retention")
    for month in plan.months:
        table.add_row(
            f"{month.month:%Y-%m}",
            f"{month.rows:,}",
            f"{month.bytes / _MEBIBYTE:,.1f}",
            plan.fate(month).value,
        )
    return table


def _summary(plan: RetentionPlan) -> str:
    from server.workers.retention import Fate

    if plan.kept_months is None:
        return "Every month is kept: LEO_EVENT_RETENTION_MONTHS is not set."
    going = [*plan.of(Fate.DETACHED), *plan.of(Fate.DUE)]
    size = sum(month.bytes for month in going) / _MEBIBYTE
    return (
        f"The present month and {plan.kept_months} before it are kept; the next run drops {len(going)} with about"
        f" {sum(month.rows for month in going):,} rows, {size:,.1f} MiB."
    )


def _name(console: Console, plan: RetentionPlan) -> None:
    """Who holds months, and who will miss them."""
    for reader in plan.holding:
        console.print(
            f"held for {reader.definition} of tenant {reader.tenant_id}: {reader.reads}",
            markup=False,
            highlight=False,
        )
    for reader in plan.endless:
        console.print(
            f"{reader.definition} of tenant {reader.tenant_id} looks back without end, and will not see what is"
            f" dropped: {reader.reads}",
            markup=False,
            highlight=False,
        )
