"""Plays the main job once, as a tenant of its own: definitions, customers, purchases, invitation, reconciliation."""

from __future__ import annotations

import secrets
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from uuid import UUID

from leo.activation.v1 import decision_service_pb2 as decisions
from leo.activation.v1 import tenant_service_pb2 as tenants
from leo.activation.v1 import trace_service_pb2 as trace
from leo.activation.v1 import types_pb2
from leo_client import LeoClient
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from loadtest.demo.definitions import INVITATION, put_definitions
from loadtest.demo.finale import invite_vips, settle_deliveries
from loadtest.demo.loader import Loaded, load_purchases, register_customers
from loadtest.demo.persistence import persistently
from loadtest.demo.processes import Running
from loadtest.demo.purchases import Purchase
from loadtest.demo.reconcile import Figures, reconcile
from loadtest.demo.report import Times, most_telling
from server.cli.token import TENANT_SCOPES
from server.embedded.token_issuer import REALM

_TOKEN_SECONDS: Final = 3600
# The kernel spreads connections over the processes by chance: enough of them that each process gets some.
_CONNECTIONS_PER_PROCESS: Final = 4

OnDecided = Callable[[decisions.Decision], None]


@dataclass(frozen=True, slots=True)
class Played:
    """What came of it.

    Args:
        tenant_id: the tenant that it was played as.
        journey: of the customer whose journey shows most.
    """

    tenant_id: UUID
    figures: Figures
    times: Times
    journey: trace.Journey


async def play(
    console: Console,
    running: Running,
    purchases: list[Purchase],
    *,
    started: float,
    on_decided: OnDecided | None = None,
) -> Played:
    """Play everything, to the last message, and reconcile it.

    Args:
        started: `time.perf_counter()` when the set-up began.
        on_decided: is told each decision on a purchase as it is acknowledged.

    Raises:
        NotSettled: workers did not finish within minutes.
        LeoApiError: the server refuses a call, or stayed away for a minute.
    """
    tenant_id, client_id = await _create_tenant(running)
    async with _connected(running, client_id) as clients:
        client = clients[0]
        ids = await put_definitions(client)
        await register_customers(client, sorted({purchase.profile_id for purchase in purchases}))
        ready = time.perf_counter()
        loaded = await _load(console, clients, purchases, on_decided)
        with console.status("the VIPs are invited, and everything is sent"):
            await invite_vips(client, ids[INVITATION])
            await settle_deliveries(client)
        times = Times(ready - started, time.perf_counter() - ready, loaded.seconds, loaded.latencies)
        journey = await _journey(client, most_telling(loaded.reasons))
    mailbox = Path(running.addresses.mailbox_directory)
    figures = await reconcile(running.addresses.database.app_url, tenant_id, mailbox)
    return Played(tenant_id, figures, times, journey)


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


async def _load(
    console: Console, clients: list[LeoClient], purchases: list[Purchase], on_decided: OnDecided | None
) -> Loaded:
    columns = (TextColumn("purchases"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as progress:
        bar = progress.add_task("purchases", total=len(purchases))

        def decided(decision: decisions.Decision) -> None:
            progress.advance(bar)
            if on_decided is not None:
                on_decided(decision)

        return await load_purchases(clients, purchases, decided)


async def _journey(client: LeoClient, profile_id: str) -> trace.Journey:
    request = trace.GetJourneyRequest(profile_id=profile_id, page=types_pb2.PageRequest(page_size=1000))
    return (await persistently(lambda: client.trace.GetJourney(request))).journey
