"""The parts of the drill of decisions, which must be able to fail: plan, traps, its own rules, its judgement."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncpg
import pytest
from leo.activation.v1 import decision_service_pb2 as wire

from loadtest.faults.decisions.audit import Key, Row, ledger_faults, refusal_faults
from loadtest.faults.decisions.ledger import (
    Acknowledgement,
    Call,
    LedgerReader,
    LedgerWriter,
    Refusal,
    Told,
    told_of,
)
from loadtest.faults.decisions.limits import Send, expected_message, violations
from loadtest.faults.decisions.plan import CUTS, FAULT_POINTS, RECORD, FaultPoint, draw_plan
from loadtest.faults.decisions.proxy import Proxy, Traps
from loadtest.faults.decisions.shop import event_id, purchase_of
from loadtest.faults.decisions.unplanned import server_deaths
from loadtest.faults.decisions.wire import PostgresConversation, RedisConversation, check_steps
from server.embedded.database_setup import DatabaseUrls
from server.platform.queries import Queries
from server.platform.redis import RedisPool, Scripts

NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
TOLD = Told("task", "send", "SELECTED", "because", "event", ("email",), 1, 2)


def test_a_seed_always_draws_the_same_plan_and_thirty_kills_reach_everything() -> None:
    plan = draw_plan(7, 30)
    assert plan == draw_plan(7, 30) != draw_plan(8, 30)
    assert sum(fault.kills for fault in plan) == 30
    assert {fault.what for fault in plan} >= {*FAULT_POINTS, *CUTS, "server", "all servers", "caller"}
    targets = [fault.what for fault in plan if isinstance(fault.what, str)]
    assert {"PostgreSQL stopped", "PostgreSQL killed", "Redis killed", "Redis emptied"} <= {*targets}


def test_every_fault_point_is_a_step_of_the_servers() -> None:
    check_steps()


def test_an_event_is_the_same_for_whoever_asks() -> None:
    one = event_id("lane", 4, 2)
    assert purchase_of(1, one) == purchase_of(1, one) != purchase_of(2, one)
    assert purchase_of(1, one).message() != purchase_of(1, one).message(extra=1)


def send(message: str, hours: float) -> Send:
    """A message so many hours after noon."""
    return Send("tenant", "customer", message, NOON + hours * HOUR)


@pytest.mark.parametrize(
    ("sends", "broken"),
    [
        ([send("thanks", 0), send("thanks", 24)], 0),
        ([send("thanks", 23.9), send("thanks", 0)], 1),
        ([send("thanks", 0), send("digest", 1)], 0),
        ([send("thanks", 0), send("thanks", 24), send("thanks", 71.9)], 1),
        ([send("thanks", 0), send("thanks", 24), send("thanks", 72)], 0),
        ([send("thanks", 72 * n) for n in range(2)] + [send("digest", 48 * n + 1) for n in range(3)], 1),
    ],
)
def test_limits_are_computed_once_more(sends: list[Send], broken: int) -> None:
    assert len(violations(sends)) == broken


def test_limits_are_each_customers_own() -> None:
    first = send("thanks", 0)
    assert violations([first, first._replace(profile_id="another"), first._replace(tenant="another")]) == []


def test_what_the_rules_send_is_known_beforehand() -> None:
    best = expected_message(40, NOON, [])
    assert best is not None
    assert best.name == "thanks"
    second = expected_message(40, NOON + HOUR, [send("thanks", 0)])
    assert second is not None
    assert second.name == "digest"
    assert expected_message(40, NOON + HOUR, [send("thanks", 0), send("digest", 2)]) is None


def acknowledged(told: Told = TOLD, *, duplicate: bool = False) -> Acknowledgement:
    """An answer to the event "order"."""
    return Acknowledgement("tenant", "order", told, duplicate)


def test_every_acknowledgement_has_to_be_recorded_as_it_was_given() -> None:
    rows: dict[Key, Row] = {("tenant", "order"): Row(TOLD, None, "fingerprint")}
    assert ledger_faults([acknowledged(), acknowledged(duplicate=True)], rows) == []
    assert len(ledger_faults([acknowledged()], {})) == 1
    assert len(ledger_faults([acknowledged(TOLD._replace(decided_us=3))], rows)) == 1
    assert len(ledger_faults([acknowledged(), acknowledged()], rows)) == 1
    assert refusal_faults([Refusal("tenant", "order", "fingerprint")], rows) == []
    assert len(refusal_faults([Refusal("tenant", "order", "another")], rows)) == 1


def test_the_ledger_is_read_as_it_was_written_while_it_grows(tmp_path: Path) -> None:
    decision = wire.Decision(source_event_id="b", outcome=wire.DECISION_OUTCOME_SEND, channels=["email"])
    writer, reader = LedgerWriter(tmp_path / "ledger"), LedgerReader(tmp_path / "ledger")
    first, second = writer.asks("tenant", "lane", ["a"]), writer.asks("tenant", "lane", ["b"])
    reader.read()
    assert reader.open_calls.keys() == {first, second}
    writer.told(second, 1.0, [decision])
    writer.failed(first, "UNAVAILABLE")
    reader.read()
    reader.read()
    assert reader.open_calls == {first: Call("tenant", "lane", ("a",))}
    assert reader.acknowledged == [Acknowledgement("tenant", "b", told_of(decision), False)]
    assert reader.failures == {"UNAVAILABLE": 1}
    writer.refused(first, "a", "fingerprint")
    reader.read()
    assert (reader.open_calls, reader.refused) == ({}, [Refusal("tenant", "a", "fingerprint")])


def test_only_deaths_that_nobody_caused_are_faults() -> None:
    died = {"event": "process_died", "exit_code": -9}
    entries = [{**died, "pid": 1}, {**died, "pid": 2}, {**died, "pid": 3}, {"event": "serving", "pid": 4}]
    assert len(server_deaths(entries, killed={1}, committed={1, 2})) == 1
    assert len(server_deaths([{"event": "background_task_died", "task": "t"}], set(), set())) == 1


@asynccontextmanager
async def through_proxy(url: str, traps: Traps, pid: int) -> AsyncIterator[str]:
    """A proxy whose connections are all of one process."""
    proxy = Proxy("postgres" if url.startswith("postgres") else "redis", url, traps, lambda _port: pid)
    yield await proxy.start()
    proxy.stop()


async def test_a_trap_lets_postgresql_commit_and_loses_the_answer(
    database: DatabaseUrls, proof: asyncpg.Connection
) -> None:
    record = Queries.load("decisions")[RECORD]
    lost = next(point for point in CUTS if point.moment == "answer" and point.link == "postgres")
    traps = Traps()
    async with through_proxy(database.app_url, traps, 1) as url:
        connection = await asyncpg.connect(url)
        epoch = await connection.fetchval("SELECT last_value FROM reservation_epoch")
        assert await connection.fetch(record, NOON, epoch, "[]") == []
        sprung = asyncio.create_task(traps.spring(lost, 10))
        await asyncio.sleep(0)
        with pytest.raises((asyncpg.PostgresConnectionError, ConnectionError)):
            await connection.fetch(record, NOON, epoch, "[]")
        found = await sprung
    assert found is not None
    assert found.pid == 1
    assert traps.commits == {1: 2}
    assert not traps.killed


async def test_a_trap_kills_at_its_step_and_nothing_is_passed_on(
    database: DatabaseUrls, proof: asyncpg.Connection
) -> None:
    victim = await asyncio.create_subprocess_exec("sleep", "60")
    traps = Traps()
    point = FaultPoint("test", "postgres", "ensure_month", "request")
    async with through_proxy(database.app_url, traps, victim.pid) as url:
        connection = await asyncpg.connect(url)
        sprung = asyncio.create_task(traps.spring(point, 10))
        await asyncio.sleep(0)
        assert await connection.fetchval("SELECT 1") == 1
        with pytest.raises((asyncpg.PostgresConnectionError, ConnectionError)):
            await connection.fetch(Queries.load("decisions")["ensure_month"], NOON.date())
        assert await sprung is not None
    assert await victim.wait() == -9
    assert traps.killed == {victim.pid}
    months = "SELECT count(*) FROM pg_inherits WHERE inhparent = 'behavioral_events'::regclass"
    assert await proof.fetchval(months) == 0


async def test_a_trap_knows_the_scripts_of_the_reservations(redis_url: str) -> None:
    traps = Traps()
    point = FaultPoint("test", "redis", "begin_epoch", "answer", kills=False)
    script = Scripts.load("decisions/reservation")["begin_epoch"]
    async with through_proxy(redis_url, traps, 1) as url:
        pool = await RedisPool.connect(url, client_name="test")
        await pool.run(script, keys=["epoch"], arguments=[1])
        sprung = asyncio.create_task(traps.spring(point, 10))
        await asyncio.sleep(0)
        with pytest.raises(Exception, match="Redis"):
            await pool.run(script, keys=["epoch"], arguments=[3])
        assert await sprung is not None
        assert (await pool.command("GET", "epoch")).startswith(b"3:")
        await pool.close()


def test_a_statement_inside_a_transaction_is_committed_by_its_commit() -> None:
    record = Queries.load("decisions")[RECORD].encode()
    talk = PostgresConversation()
    steps = [piece.steps for piece in talk.requests(start() + query(record))]
    assert steps == [frozenset(), {RECORD, "commit"}]
    assert talk.answers(ready(b"T"))
    assert [piece.steps for piece in talk.requests(query(record))] == [{RECORD}]
    assert [piece.steps for piece in talk.requests(query(b"COMMIT")[:7])] == []
    assert [piece.steps for piece in talk.requests(query(b"COMMIT")[7:])] == [{"commit"}]
    assert talk.answers(ready(b"I"))
    assert [piece.steps for piece in talk.requests(query(b"COMMIT"))] == [frozenset()]


def start() -> bytes:
    """The first message of a connection."""
    return (8).to_bytes(4) + (196_608).to_bytes(4)


def query(text: bytes) -> bytes:
    """A simple query."""
    return b"Q" + (len(text) + 5).to_bytes(4) + text + b"\0"


def ready(state: bytes) -> bytes:
    """PostgreSQL is ready, in a transaction (T) or not (I)."""
    return b"Z" + (5).to_bytes(4) + state


def test_an_error_of_redis_is_no_answer() -> None:
    talk = RedisConversation()
    assert not talk.answers(b"-NOSCRIPT\r\n")
    assert talk.answers(b"*0\r\n")
