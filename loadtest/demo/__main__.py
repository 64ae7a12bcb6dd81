"""`python -m loadtest.demo`: the main job on real purchases, from nothing to the mailbox.

It ends with status 1 when an orphan is found, or a message that is not the one its row says.
"""

from __future__ import annotations

import asyncio
import secrets
import sys
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Annotated, Final
from uuid import UUID

import typer
from leo.activation.v1 import tenant_service_pb2 as tenants
from leo.activation.v1 import trace_service_pb2 as trace
from leo.activation.v1 import types_pb2
from leo_client import LeoApiError, LeoClient
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from loadtest.demo.definitions import INVITATION, put_definitions
from loadtest.demo.finale import NotSettled, invite_vips, settle_deliveries
from loadtest.demo.loader import Loaded, Refused, load_purchases, register_customers
from loadtest.demo.persistence import persistently
from loadtest.demo.processes import Running, running_stack
from loadtest.demo.purchases import Purchase, read_purchases
from loadtest.demo.reconcile import reconcile
from loadtest.demo.report import (
    Times,
    last_line,
    most_telling,
    print_end,
    print_figures,
    print_journey,
    print_rules,
)
from server.cli.stopping import ends_on_signal
from server.cli.token import TENANT_SCOPES
from server.embedded.errors import StackError
from server.embedded.token_issuer import REALM

_TOKEN_SECONDS: Final = 3600
# The kernel spreads connections over the processes by chance: enough of them that each process gets some.
_CONNECTIONS_PER_PROCESS: Final = 4
_STOPPED: Final = 130

_LIMIT = typer.Option(min=1, envvar="LEO_DEMO_LIMIT", help="Only the first so many purchases.")
_PROCESSES = typer.Option(min=1, envvar="LEO_PROCESSES", help="Server processes that share the port.")
_PIDS = typer.Option(
    "--pids",
    envvar="LEO_DEMO_PIDS",
    help="Write the pids of all processes here, as one JSON object; what is killed is started again.",
)


def demo(
    limit: Annotated[int | None, _LIMIT] = None,
    processes: Annotated[int, _PROCESSES] = 1,
    pid_path: Annotated[Path | None, _PIDS] = None,
) -> None:
    """Decide on real purchases, send what was decided to a mailbox, and reconcile everything."""
    console = Console(soft_wrap=True)
    status = _STOPPED
    with ends_on_signal():
        started = time.perf_counter()
        purchases = read_purchases(limit)
        print_rules(console, len(purchases), len({purchase.profile_id for purchase in purchases}))
        with running_stack(processes=processes, pid_path=pid_path) as running:
            status = asyncio.run(_play(console, running, purchases, started))
    raise typer.Exit(status)


async def _play(console: Console, running: Running, purchases: list[Purchase], started: float) -> int:
    tenant_id, client_id = await _create_tenant(running)
    async with _connected(running, client_id) as clients:
        client = clients[0]
        ids = await put_definitions(client)
        await register_customers(client, sorted({purchase.profile_id for purchase in purchases}))
        ready = time.perf_counter()
        loaded = await _load(console, clients, purchases)
        with console.status("the VIPs are invited, and everything is sent"):
            await invite_vips(client, ids[INVITATION])
            await settle_deliveries(client)
        times = Times(ready - started, time.perf_counter() - ready, loaded.seconds, loaded.latencies)
        journey = await _journey(client, most_telling(loaded.reasons))
    mailbox = running.addresses.mailbox_directory
    figures = await reconcile(running.addresses.database.app_url, tenant_id, Path(mailbox))
    print_figures(console, figures, times)
    print_journey(console, journey)
    print_end(console, figures, running.keeper.restarts, mailbox, running.directory)
    print(last_line(figures, times), flush=True)
    return 1 if figures.mail_faults or any(figures.orphans.values()) else 0


async def _create_tenant(running: Running) -> tuple[UUID, str]:
    """A tenant of its own for each run, so that the figures are this run's on any database."""
    client_id = f"cdnow-{secrets.token_hex(4)}"
    request = tenants.CreateTenantRequest(
        tenant_name=client_id, keycloak_realm=REALM, keycloak_client_id=client_id
    )
    token = running.issuer.issue(client_id=client_id, scopes=["admin"], lifetime_seconds=_TOKEN_SECONDS)
    async with LeoClient(running.listen, token=token) as admin:
        answer = await persistently(lambda: admin.tenants.CreateTenant(request))
    return UUID(answer.tenant.tenant_id), client_id


@asynccontextmanager
async def _connected(running: Running, client_id: str) -> AsyncIterator[list[LeoClient]]:
    token = running.issuer.issue(client_id=client_id, scopes=TENANT_SCOPES, lifetime_seconds=_TOKEN_SECONDS)
    number = _CONNECTIONS_PER_PROCESS * running.processes if running.processes > 1 else 1
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(LeoClient(running.listen, token=token)) for _ in range(number)]


async def _load(console: Console, clients: list[LeoClient], purchases: list[Purchase]) -> Loaded:
    columns = (TextColumn("purchases"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as progress:
        bar = progress.add_task("purchases", total=len(purchases))
        return await load_purchases(clients, purchases, lambda number: progress.advance(bar, number))


async def _journey(client: LeoClient, profile_id: str) -> trace.Journey:
    request = trace.GetJourneyRequest(profile_id=profile_id, page=types_pb2.PageRequest(page_size=1000))
    return (await persistently(lambda: client.trace.GetJourney(request))).journey


def main() -> None:
    """Run the demo; what a user can cure is printed without a traceback."""
    app = typer.Typer(pretty_exceptions_enable=False, add_completion=False)
    app.command()(demo)
    try:
        app()
    except (StackError, LeoApiError, NotSettled, Refused) as error:
        Console(stderr=True, soft_wrap=True).print(f"demo: {error}", style="red", markup=False)
        sys.exit(1)


if __name__ == "__main__":
    main()
