"""Plays the main job once, as a tenant of its own: definitions, customers, purchases, invitation, prices, and at the
end the reconciliation.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import AsyncIterator, Callable, Sequence
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

from loadtest.demo.again import replay_everything
from loadtest.demo.alerts import Fired, decided_alerts, example_of, put_rules, stream_prices, write_firings
from loadtest.demo.definitions import INVITATION, put_definitions
from loadtest.demo.finale import invite_vips, settle_deliveries
from loadtest.demo.holders import holdings_of, read_prices
from loadtest.demo.loader import Loaded, load_purchases, register_customers
from loadtest.demo.persistence import persistently
from loadtest.demo.processes import Running
from loadtest.demo.purchases import Purchase
from loadtest.demo.reconcile import Figures, reconcile
from loadtest.demo.report import Times, most_telling
from server.cli.token import TENANT_SCOPES
from server.decisions.replay.span import SpanReport
from server.embedded.token_issuer import REALM

_TOKEN_SECONDS: Final = 3600
# The kernel spreads connections over the processes by chance: enough of them that each process gets some.
_CONNECTIONS_PER_PROCESS: Final = 4

OnDecided = Callable[[decisions.Decision], None]
OnTicks = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Played:
    """What came of it.

    Args:
        tenant_id: the tenant that it was played as.
        journey: of the customer whose journey shows most.
        fired: the alerts that fired, by time and profile.
        alert_step: the alert that the output tells of, as its customer's journey has it; None where none fired.
        replayed: what came of deciding everything again from what was recorded.
    """

    tenant_id: UUID
    figures: Figures
    times: Times
    journey: trace.Journey
    fired: Sequence[Fired]
    alert_step: trace.Journey | None
    replayed: SpanReport


async def play(
    console: Console,
    running: Running,
    purchases: list[Purchase],
    *,
    started: float,
    on_decided: OnDecided | None = None,
    on_ticks: OnTicks | None = None,
) -> Played:
    """Play everything, to the last message, and reconcile it.

    Args:
        started: `time.perf_counter()` when the set-up began.
        on_decided: is told each decision on a purchase as it is acknowledged.
        on_ticks: is told how many prices are acknowledged, as their number grows.

    Raises:
        NotSettled: workers did not finish within minutes.
        Refused: the server refuses a customer, a rule or a price.
        LeoApiError: the server refuses a call, or stayed away for a minute.
    """
    tenant_id, client_id = await _create_tenant(running)
    token = running.issuer.issue(client_id=client_id, scopes=TENANT_SCOPES, lifetime_seconds=_TOKEN_SECONDS)
    async with _connected(running, token) as clients:
        client, customers = clients[0], sorted({purchase.profile_id for purchase in purchases})
        ids = await put_definitions(client)
        await register_customers(client, customers)
        await put_rules(client, holdings_of(customers))
        ready = time.perf_counter()
        loaded = await _load(console, clients, purchases, on_decided)
        with console.status("the VIPs are invited"):
            await invite_vips(client, ids[INVITATION])
        streamed = await _stream(console, running, token, on_ticks)
        with console.status("everything is sent"):
            fired = await decided_alerts(client)
            await settle_deliveries(client)
        times = Times(
            setup_seconds=ready - started,
            seconds=time.perf_counter() - ready,
            deciding_seconds=loaded.seconds,
            latencies=loaded.latencies,
            ticks=streamed[0],
            streaming_seconds=streamed[1],
        )
        journey = await _journey(client, most_telling(loaded.reasons))
        alert_step = await _alert_step(client, fired)
    write_firings(running.directory / "firings.csv", fired)
    mailbox = Path(running.addresses.mailbox_directory)
    figures = await reconcile(running.addresses.database.app_url, tenant_id, mailbox)
    with console.status("everything is decided again"):
        replayed = await replay_everything(running.addresses.database.app_url, tenant_id)
    return Played(tenant_id, figures, times, journey, fired, alert_step, replayed)


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
async def _connected(running: Running, token: str) -> AsyncIterator[list[LeoClient]]:
    number = _CONNECTIONS_PER_PROCESS * running.processes if running.processes > 1 else 1
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(LeoClient(running.listen, token=token)) for _ in range(number)]


def _progress(console: Console, name: str) -> Progress:
    return Progress(TextColumn(name), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), console=console)


async def _load(
    console: Console, clients: list[LeoClient], purchases: list[Purchase], on_decided: OnDecided | None
) -> Loaded:
    with _progress(console, "purchases") as progress:
        bar = progress.add_task("purchases", total=len(purchases))

        def decided(decision: decisions.Decision) -> None:
            progress.advance(bar)
            if on_decided is not None:
                on_decided(decision)

        return await load_purchases(clients, purchases, decided)


async def _stream(
    console: Console, running: Running, token: str, on_ticks: OnTicks | None
) -> tuple[int, float]:
    """Stream all prices; how many there were, and how many seconds it took."""
    ticks = read_prices()
    started = time.perf_counter()
    with _progress(console, "prices") as progress:
        bar = progress.add_task("prices", total=len(ticks))

        def acknowledged(number: int) -> None:
            progress.update(bar, completed=number)
            if on_ticks is not None:
                on_ticks(number)

        await stream_prices(
            lambda address: LeoClient(address, token=token), running.listen, ticks, acknowledged
        )
    return len(ticks), time.perf_counter() - started


async def _alert_step(client: LeoClient, fired: Sequence[Fired]) -> trace.Journey | None:
    """The part of a customer's journey that follows from the alert which the output tells of."""
    example = example_of(fired)
    if example is None:
        return None
    journey = await _journey(client, example.profile_id)
    steps = [step for step in journey.steps if step.event.source_event_id == example.source_event_id]
    return trace.Journey(profile_id=example.profile_id, steps=steps)


async def _journey(client: LeoClient, profile_id: str) -> trace.Journey:
    request = trace.GetJourneyRequest(profile_id=profile_id, page=types_pb2.PageRequest(page_size=1000))
    return (await persistently(lambda: client.trace.GetJourney(request))).journey
