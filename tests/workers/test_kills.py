"""Workers are killed at each step of a delivery: nothing is lost, and nothing unsafe is sent twice."""

from __future__ import annotations

import json
import signal
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field

import asyncpg
import grpc
import pytest
from leo.activation.v1 import dispatch_service_pb2 as wire
from leo.activation.v1.dispatch_service_pb2_grpc import DispatchServiceStub

from server.embedded.database_setup import DatabaseUrls
from tests.dispatch.channels.fakes.provider import FakeProvider, Handler, Received, Reply, never
from tests.dispatch.channels.fakes.push import DEVICE, FirebaseWire
from tests.dispatch.conftest import Log
from tests.dispatch.decided import Decided, Decisions, Definitions
from tests.fixtures.server import CREDENTIAL_KEYS, bearer
from tests.fixtures.tenants import Tenant
from tests.fixtures.tokens import TokenFor
from tests.workers.conftest import WorkerProcess, Workers, until
from tests.workers.holding_proxy import HoldingProxy

UNSAFE, SAFE = "sms", "push"
BEGIN = "destination, 'sending', subject, body"
RESULT = "SELECT record_and_redact_results("

QUEUED, FIRST = ("queued", 0, None), ("sending", 1, None)
LOST = ("unknown", 1, "WORKER_LOST")
SENT, AGAIN, SENT_AGAIN = ("sent", 1, None), ("sending", 2, None), ("sent", 2, None)
Facts = list[tuple[str, int, str | None]]


class Provider:
    """An SMS gateway and Firebase, which count what they take; while `silent`, they do not answer."""

    def __init__(self) -> None:
        self.fake = FakeProvider()
        self.fake.usual = self._answer
        self.taken: Counter[str] = Counter()
        self.silent = False

    @property
    def urls(self) -> dict[str, str]:
        return {
            "sms_gateway": f"{self.fake.url}/sms",
            "firebase": self.fake.url,
            "google_oauth": f"{self.fake.url}/token",
        }

    def times(self, decided: Decided) -> int:
        """How often a delivery came."""
        return self.taken[decided.delivery_key[:32]]

    def _answer(self, received: Received) -> Reply | Handler:
        if received.path == "/token":
            return Reply(200, {"access_token": "ya29.firebase", "expires_in": 3600})
        message = received.json()
        key = message.get("reference") or message["message"]["android"]["notification"]["tag"]
        self.taken[key[:32]] += 1
        return never if self.silent else Reply(200, {"id": key, "name": key})


@dataclass(frozen=True, slots=True)
class Step:
    """A step of a delivery at which a worker is killed, and what has to come of it.

    Args:
        hold: a part of the statement at which it is held; None for while the provider has the message.
        held: how many connections stand there; results wait for each other, so they have one.
        requests: how many messages the provider has got by then.
        times: how often it gets the message in the end, on the unsafe and on the safe channel.
        committed: whether what the statement belongs to is committed before.
    """

    name: str
    hold: str | None
    held: int
    requests: int
    times: tuple[int, int]
    unsafe: Facts
    safe: Facts
    committed: bool = False


ONCE = [QUEUED, FIRST, SENT]
NOBODY_KNOWS = [QUEUED, FIRST, LOST]
TWICE = [QUEUED, FIRST, AGAIN, SENT_AGAIN]
STEPS = (
    Step("before sending", BEGIN, 2, 0, (1, 1), ONCE, ONCE),
    Step("after sending", BEGIN, 2, 0, (0, 1), NOBODY_KNOWS, TWICE, committed=True),
    Step("after the provider got it", None, 0, 2, (1, 2), NOBODY_KNOWS, TWICE),
    Step("before the result", RESULT, 1, 2, (1, 2), NOBODY_KNOWS, TWICE),
)
OUTLIVED = Step("after the lease", None, 0, 2, (1, 2), NOBODY_KNOWS, TWICE)


@dataclass(slots=True)
class Drill:
    """One tenant's deliveries, in pairs: one on a channel that may not send twice, one on a channel that may."""

    decisions: Decisions
    workers: Workers
    provider: Provider
    proxy: HoldingProxy
    definitions: dict[str, Definitions]
    pairs: list[tuple[Step, Decided, Decided]] = field(default_factory=list)

    async def reach(self, step: Step) -> WorkerProcess:
        """A worker that is at this step with a new pair."""
        before = sum(self.provider.taken.values())
        self.provider.silent = step.hold is None
        if step.hold is not None:
            self.proxy.hold(step.hold, committed=step.committed)
        self.pairs.append((step, await self._queue(UNSAFE, "0901234567"), await self._queue(SAFE, DEVICE)))
        worker = self.start(database_url=self.proxy.url)

        async def there() -> bool:
            assert worker.process.poll() is None, worker.log_path.read_text()
            at_provider = sum(self.provider.taken.values()) - before
            return at_provider == step.requests and self.proxy.held >= step.held

        await until(there)
        return worker

    def start(self, **variables: str) -> WorkerProcess:
        return self.workers.start(
            provider_urls=json.dumps(self.provider.urls), credential_keys=CREDENTIAL_KEYS, **variables
        )

    def release(self) -> None:
        """What comes from now on is neither held nor left without an answer."""
        self.proxy.let_pass()
        self.provider.silent = False

    async def _queue(self, channel: str, address: str) -> Decided:
        definitions = self.definitions[channel]
        profile_id = await self.decisions.profile(
            definitions.tenant_id,
            f"{channel}-{len(self.pairs)}",
            addresses={channel: address},
            consented=[channel],
        )
        return await self.decisions.send(definitions, profile_id, channels=[channel])


@pytest.fixture
def provider() -> Iterator[Provider]:
    """Both providers, over HTTP."""
    provider = Provider()
    provider.fake.start()
    yield provider
    provider.fake.end()


async def test_killed_at_any_step_nothing_is_lost_and_nothing_unsafe_is_sent_twice(
    workers: Workers,
    provider: Provider,
    decisions: Decisions,
    database: DatabaseUrls,
    channel: grpc.aio.Channel,
    token_for: TokenFor,
    log: Log,
    tenant_a: Tenant,
) -> None:
    """A worker is killed at each step; the last one outlives its lease. Another takes over whatever they held."""
    await _put_accounts(channel, token_for(tenant_a, ["channels.write"]))
    definitions = {name: await decisions.define(tenant_a, channels=[name]) for name in (UNSAFE, SAFE)}
    async with HoldingProxy(database.worker_url) as proxy:
        drill = Drill(decisions, workers, provider, proxy, definitions)
        for step in STEPS:
            worker = await drill.reach(step)
            worker.kill()
            drill.release()
        outliving = await drill.reach(OUTLIVED)
        # It stands still, as on a host that is out of breath: its message is at the provider, its lease runs out.
        outliving.process.send_signal(signal.SIGSTOP)
        drill.release()
        await log.proof.execute("update agent_task set lease_until = now() where status = 'pending'")
        survivor = drill.start()
        await until(_nothing_pending(log.proof))
        outliving.kill()

    for step, unsafe, safe in drill.pairs:
        assert (provider.times(unsafe), provider.times(safe)) == step.times, step.name
        assert await log.facts(unsafe) == step.unsafe, step.name
        assert await log.facts(safe) == step.safe, step.name
        assert {await log.task_status(one) for one in (unsafe, safe)} == {"completed"}
    assert await _taken_over(log.proof) == {str(survivor.pid)}
    assert survivor.stop() == 0


def _nothing_pending(proof: asyncpg.Connection) -> Callable[[], Awaitable[bool]]:
    async def done() -> bool:
        return not await proof.fetchval("select exists (select from agent_task where status = 'pending')")

    return done


async def _taken_over(proof: asyncpg.Connection) -> set[str]:
    """The processes that sent what another one had begun."""
    rows = await proof.fetch(
        "select distinct split_part(provider_response ->> 'claim', ':', 2) as pid from delivery_log"
        " where delivery_status = 'sending' and attempt > 1"
    )
    return {row["pid"] for row in rows}


async def _put_accounts(channel: grpc.aio.Channel, token: str) -> None:
    gateway = {"url": "https://sms.example/v1", "authorization": "Basic test"}
    firebase = dict(FirebaseWire().credential.values)
    for name, kind, values in ((UNSAFE, "sms_gateway", gateway), (SAFE, "firebase", firebase)):
        request = wire.PutChannelCredentialRequest(channel=name, provider=kind, values=values)
        await DispatchServiceStub(channel).PutChannelCredential(request, metadata=bearer(token))
