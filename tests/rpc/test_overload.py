"""Past its bounds the server says so early, with a hint, does nothing for whom it refuses, and keeps its word
to everybody else. PostgreSQL hangs while a lock is held, so that tests decide when work goes on.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from itertools import count
from typing import Any

import asyncpg
import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2
from leo.activation.v1 import decision_service_pb2 as wire
from leo.activation.v1.decision_service_pb2_grpc import DecisionServiceStub
from prometheus_client import REGISTRY

from server.config import ServerSettings
from server.embedded.database_setup import DatabaseUrls
from server.rpc.in_flight import InFlight
from server.rpc.registry import ServiceRegistry
from server.rpc.server import RpcServer
from tests.decisions.shop import NOON, add_campaign, add_marketing_event, add_profile
from tests.decisions.waiting import locked, until, waiting_for_locks
from tests.fixtures.server import bearer
from tests.fixtures.tenants import Tenant
from tests.fixtures.tokens import TokenFor
from tests.rpc.conftest import BareServer
from tests.rpc.four_kinds import KINDS, FourKinds, Text, add_to_server, call

LIMIT_MS = 50
UNDER_WAY = {"event": 1, "batch": 3}
"""Batches that are decided at once: those that single events make, and those of callers."""
Metadata = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Ask:
    """Decides an event by its number, in a call of either shape; the raw stub repeats nothing."""

    shape: str
    stub: Any
    metadata: Metadata

    def __call__(self, number: int, timeout: float = 60) -> Awaitable[Any]:
        if self.shape == "event":
            request: Any = wire.DecideRequest(event=event(number))
            return self.stub.Decide(request, metadata=self.metadata, timeout=timeout)  # type: ignore[no-any-return]
        request = wire.DecideBatchRequest(events=[event(number)])
        return self.stub.DecideBatch(request, metadata=self.metadata, timeout=timeout)  # type: ignore[no-any-return]


@pytest.fixture
def settings(settings: ServerSettings) -> ServerSettings:
    """A server that lets nobody wait for long."""
    return settings.model_copy(update={"maximum_queue_ms": LIMIT_MS})


@pytest.fixture
async def shop(app: asyncpg.Connection, tenant_a: Tenant) -> None:
    """A customer who is thanked for every purchase."""
    await add_campaign(app, tenant_a, "loyalty")
    await add_profile(app, tenant_a, "ann")
    await add_marketing_event(app, tenant_a, "loyalty", "thanks")


@pytest.fixture
def metadata(token_for: TokenFor, tenant_a: Tenant) -> Metadata:
    """The shop's token."""
    return bearer(token_for(tenant_a, ["decisions.write", "decisions.read"]))


@pytest.fixture
async def watcher(database: DatabaseUrls) -> AsyncIterator[asyncpg.Connection]:
    """Sees every backend."""
    connection = await asyncpg.connect(database.superuser_url)
    yield connection
    await connection.close()


def event(number: int) -> wire.Event:
    """A purchase of ann's."""
    message = wire.Event(source_event_id=f"order-{number}", profile_id="ann", event_type="purchase")
    message.occurred_at.FromDatetime(NOON)
    return message


@pytest.fixture(params=["event", "batch"])
def ask(request: pytest.FixtureRequest, channel: grpc.aio.Channel, metadata: Metadata, shop: None) -> Ask:
    """Asks for decisions, one way or the other."""
    return Ask(request.param, DecisionServiceStub(channel), metadata)


@asynccontextmanager
async def hung(database: DatabaseUrls, watcher: asyncpg.Connection, ask: Ask) -> AsyncIterator[set[str]]:
    """PostgreSQL records nothing while the block runs, and all that can be under way is; its events."""
    await ask(-1)
    numbers = range(-1 - UNDER_WAY[ask.shape], -1)
    async with locked(database.superuser_url, "agent_task"):
        taken = []
        for position, number in enumerate(numbers, start=1):
            taken.append(asyncio.ensure_future(ask(number)))
            await waiting_for_locks(watcher, position)
        yield {f"order-{number}" for number in (*numbers, -1)}
    await asyncio.gather(*taken)


async def only_those_under_way_run(ask: Ask) -> bool:
    """Whether the server works on no call of this shape but those that it could begin."""
    method = "Decide" if ask.shape == "event" else "DecideBatch"
    labels = {"method": f"/leo.activation.v1.DecisionService/{method}"}
    running = REGISTRY.get_sample_value("leo_rpc_running", labels)
    return running == UNDER_WAY[ask.shape]


async def recorded(proof: asyncpg.Connection) -> set[str]:
    """The events that are decided."""
    rows = await proof.fetch("SELECT source_event_id FROM agent_task WHERE task_type = 'execute'")
    return {row["source_event_id"] for row in rows}


def details_of(
    error: grpc.aio.AioRpcError,
) -> tuple[error_details_pb2.ErrorInfo, error_details_pb2.RetryInfo]:
    """What the server says about a refusal."""
    trailers = dict(error.trailing_metadata() or ())
    status = status_pb2.Status.FromString(trailers["grpc-status-details-bin"])
    info, retry = error_details_pb2.ErrorInfo(), error_details_pb2.RetryInfo()
    assert status.details[0].Unpack(info)
    assert status.details[1].Unpack(retry)
    assert trailers["grpc-retry-pushback-ms"] == str(retry.retry_delay.ToMilliseconds())
    return info, retry


async def test_what_would_wait_too_long_is_refused_with_a_hint_and_leaves_nothing(
    ask: Ask, database: DatabaseUrls, watcher: asyncpg.Connection, proof: asyncpg.Connection
) -> None:
    calls: dict[int, asyncio.Future[Any]] = {}
    async with hung(database, watcher, ask) as begun:
        for number in count():
            calls[number] = asyncio.ensure_future(ask(number))
            refused, _ = await asyncio.wait(calls.values(), timeout=0.02, return_when=asyncio.FIRST_COMPLETED)
            if refused:
                break
    error = refused.pop().exception()
    assert isinstance(error, grpc.aio.AioRpcError)
    assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    info, retry = details_of(error)
    assert (info.reason, info.domain) == ("SERVER_OVERLOADED", "leo.activation.v1")
    assert 50 <= retry.retry_delay.ToMilliseconds() <= 7_500
    answers = await asyncio.gather(*calls.values(), return_exceptions=True)
    answered = {
        f"order-{n}" for n, answer in zip(calls, answers, strict=True) if not isinstance(answer, Exception)
    }
    assert answered, "whoever was let in is answered"
    assert await recorded(proof) == answered | begun


async def test_a_deadline_that_passed_is_not_worked_on(
    ask: Ask, database: DatabaseUrls, watcher: asyncpg.Connection, proof: asyncpg.Connection
) -> None:
    async with hung(database, watcher, ask) as begun:
        # The first to wait is always let in, so it is its deadline that ends it.
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await ask(1, timeout=0.2)
        # The caller's clock may tell it a moment before the server's does.
        await until(partial(only_those_under_way_run, ask))
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    await ask(2)
    assert await recorded(proof) == begun | {"order-2"}


async def test_streams_are_kept_waiting_instead(
    running_server: str,
    channel: grpc.aio.Channel,
    metadata: Metadata,
    shop: None,
    database: DatabaseUrls,
    watcher: asyncpg.Connection,
    proof: asyncpg.Connection,
) -> None:
    stub: Any = DecisionServiceStub(channel)

    async def stream(number: int) -> int:
        messages = (wire.DecideStreamRequest(events=[event(10 * number + n)]) for n in range(3))
        answers = [answer async for answer in stub.DecideStream(messages, metadata=metadata)]
        return sum(result.HasField("decision") for answer in answers for result in answer.results)

    async with locked(database.superuser_url, "agent_task"):
        streams = [asyncio.create_task(stream(number)) for number in range(UNDER_WAY["batch"] + 5)]
        await waiting_for_locks(watcher, 1)
        done, _ = await asyncio.wait(streams, timeout=4 * LIMIT_MS / 1000)
        assert not done
    assert await asyncio.gather(*streams) == [3] * len(streams)
    assert len(await recorded(proof)) == 3 * len(streams)


class TestBytes:
    """The bytes of requests that are worked on are bounded, whatever the kind of call."""

    @pytest.fixture
    def in_flight(self) -> InFlight:
        return InFlight(maximum_bytes=100)

    @pytest.mark.parametrize("kind", KINDS)
    async def test_requests_beyond_are_refused_until_others_are_answered(
        self, bare: BareServer, kind: str
    ) -> None:
        large = Text(text="x" * 200).SerializeToString()
        first = asyncio.ensure_future(
            call(bare.channel, "UnaryUnary", Text(text="wait").SerializeToString(), metadata=bare.metadata)
        )
        await bare.servicer.started.wait()
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call(bare.channel, kind, large, metadata=bare.metadata)
        assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert details_of(caught.value)[0].reason == "SERVER_OVERLOADED"
        bare.servicer.release.set()
        await first
        assert await call(bare.channel, kind, large, metadata=bare.metadata) == ["x" * 200]
        assert bare.in_flight.bytes == 0


async def test_calls_past_the_last_bound_are_refused_by_grpc(
    bare_registry: ServiceRegistry, bare: BareServer
) -> None:
    servicer = FourKinds(str)
    add_to_server(servicer, bare_registry)
    server = RpcServer(
        registry=bare_registry, max_message_bytes=1024 * 1024, share_port=False, maximum_calls=1
    )
    address = await server.start("127.0.0.1:0")
    request = Text(text="wait").SerializeToString()
    async with grpc.aio.insecure_channel(address) as channel:
        first = asyncio.ensure_future(call(channel, "UnaryUnary", request, metadata=bare.metadata))
        await servicer.started.wait()
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call(channel, "UnaryUnary", request, metadata=bare.metadata)
        assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        servicer.release.set()
        await first
    await server.drain(0)
