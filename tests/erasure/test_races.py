"""Erasures against writers that began before them: whoever is first, nothing personal stays."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import orjson
import pytest
from leo.activation.v1 import profile_service_pb2 as profile

from server.decisions.assembly import running_decisions
from server.decisions.model import Reason
from server.embedded.database_setup import DatabaseUrls
from server.errors import Unavailable
from server.platform.clock import utc_now
from server.platform.credential_keys import NO_KEYS, CredentialKeys
from server.platform.months import EventMonths
from server.platform.postgres import Database
from server.platform.redis import RedisPool
from server.profiles.erasure import Person, ProfileErasure
from server.profiles.erasure_jobs import ErasureJobs
from server.profiles.erasure_store import Erased, ErasureStore
from server.profiles.events import IncomingEvent
from server.profiles.ingestion import EventIngestion
from server.profiles.store import ProfileStore
from server.profiles.suppression import SuppressionList
from server.workers.wake_ups import SweepOnly
from tests.decisions.shop import purchase
from tests.dispatch.conftest import Fleet, email_channel
from tests.dispatch.scripted_smtp import ScriptedSmtp
from tests.erasure.conftest import NOON, Everything, Shop
from tests.erasure.holding_proxy import HoldingProxy
from tests.fixtures.server import CREDENTIAL_KEYS
from tests.profiles.conftest import NobodyListens
from tests.workers.conftest import until

EMAIL = "racing.unique@leo-erase.example"
_BLOCKED = (
    "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"
)


@asynccontextmanager
async def held_pool(url: str, *, hold_at: bytes) -> AsyncIterator[tuple[Database, HoldingProxy]]:
    """A pool of another process's kind, whose next such request is held back once the proxy is armed."""
    proxy = HoldingProxy(url, hold_at=hold_at)
    pool = await Database.connect(
        await proxy.start(), minimum_connections=1, maximum_connections=4, application_name="test-held"
    )
    try:
        yield pool, proxy
    finally:
        proxy.released.set()
        await pool.close()
        await proxy.stop()


async def erase_crm_1(shop: Shop, pool: Database) -> Erased:
    """Whoever has this external id, by a process of its own kind."""
    store = ErasureStore()
    suppression = SuppressionList(keys=CredentialKeys.parse(CREDENTIAL_KEYS), store=store)
    erasure = ProfileErasure(database=pool, store=store, profiles=ProfileStore(), suppression=suppression)
    person = Person("ext_id", "crm-1")
    return await erasure.erase_profile(shop.tenant, person, asked_by="test", reason="ticket 7")


@pytest.mark.parametrize("is_sent", [True, False])
async def test_a_decision_that_was_loaded_before_and_is_recorded_after(
    shop: Shop, database: DatabaseUrls, redis: RedisPool, everything: Everything, *, is_sent: bool
) -> None:
    if is_sent:
        await shop.put("ann", primary_email=EMAIL)
    else:
        await shop.put("ann", raw_attributes=orjson.dumps({"mail": EMAIL}))
    async with (
        held_pool(database.app_url, hold_at=b"record_and_redact_decisions") as (pool, proxy),
        running_decisions(database=pool, redis=redis, wake_up=SweepOnly()) as decisions,
    ):
        proxy.armed = True
        deciding = asyncio.create_task(decisions.decide(shop.tenant, purchase("late", mail=EMAIL)))
        await asyncio.wait_for(proxy.held.wait(), 30)
        await shop.erase(profile_id="ann")
        proxy.released.set()
        decided = await deciding
    # One that would send meets the consent that is gone, and is decided again; another is emptied as it is recorded.
    assert decided.reason is (Reason.PROFILE_ERASED if is_sent else Reason.NO_ADDRESS)
    assert await everything.places([EMAIL]) == []
    rows = await everything.rows()
    assert len([line for line in rows["agent_task"] if ",rule_engine,execute," in line]) == 1
    assert rows["delivery_log"] == []


async def test_an_erasure_waits_for_events_that_are_being_written(
    shop: Shop, database: DatabaseUrls, everything: Everything, app: asyncpg.Connection
) -> None:
    await shop.put("ann", primary_email="ann@example.com")
    event = IncomingEvent("e1", "ann", "view", NOON, "letter", EMAIL, None, orjson.dumps({"to": EMAIL}))
    async with held_pool(database.app_url, hold_at=b"COMMIT\0") as (pool, proxy):
        ingestion = EventIngestion(
            database=pool,
            store=ProfileStore(),
            erasures=ErasureStore(),
            months=EventMonths(pool),
            clock=utc_now,
            happenings=NobodyListens(),
        )
        await ingestion.ingest_events(shop.tenant, [event._replace(source_event_id="e0", profile_id="bob")])
        proxy.armed = True
        writing = asyncio.create_task(ingestion.ingest_events(shop.tenant, [event]))
        await asyncio.wait_for(proxy.held.wait(), 30)
        erasing = asyncio.create_task(shop.erase(profile_id="ann"))

        async def it_waits() -> bool:
            return bool(
                await everything.proof.fetchval(
                    "select count(*) from pg_stat_activity"
                    " where wait_event = 'PgSleep' and datname = current_database()"
                )
            )

        await until(it_waits)
        assert not erasing.done()
        proxy.released.set()
        assert (await writing).recorded == 1
        answer = await erasing
    assert answer.rows["behavioral_events"] == 1
    # Bob's stays.
    assert await everything.places([EMAIL]) == [
        f"behavioral_events_{NOON:%Y_%m}.attributes",
        f"behavioral_events_{NOON:%Y_%m}.entity_id",
    ]
    later = await shop.ingest("e2", "ann", attributes=orjson.dumps({"to": EMAIL}))
    assert (later.recorded, [fault.field for fault in later.refused[0].faults]) == (
        0,
        ["events[0].profile_id"],
    )


@pytest.mark.parametrize("patch", [{"ext_id": "crm-1"}, {"identities": profile.TextList(values=["web:1"])}])
async def test_a_patch_that_waits_for_the_erasure_brings_nobody_back(
    shop: Shop, database: DatabaseUrls, everything: Everything, patch: dict[str, str | profile.TextList]
) -> None:
    names = {"ext_id": "crm-1", "identities": profile.TextList(values=["web:1"])}
    await shop.put("ann", primary_email=EMAIL, **names)
    async with held_pool(database.app_url, hold_at=b"COMMIT\0") as (pool, proxy):
        store = ErasureStore()
        suppression = SuppressionList(keys=CredentialKeys.parse(CREDENTIAL_KEYS), store=store)
        erasure = ProfileErasure(database=pool, store=store, profiles=ProfileStore(), suppression=suppression)
        proxy.armed = True
        erasing = asyncio.create_task(
            erasure.erase_profile(shop.tenant, Person("ext_id", "crm-1"), asked_by="test", reason="ticket 7")
        )
        await asyncio.wait_for(proxy.held.wait(), 30)
        putting = asyncio.create_task(shop.put("", language="vi", **patch))

        async def it_waits() -> bool:
            return bool(await everything.proof.fetchval(_BLOCKED))

        await until(it_waits)
        proxy.released.set()
        assert await putting == profile.PROFILE_WRITE_OUTCOME_SUPPRESSED
        await erasing
    assert await everything.places([EMAIL, "crm-1", "web:1"]) == []
    assert await everything.proof.fetchval("select count(*) from cdp_profiles") == 1


async def test_a_name_that_is_moved_meanwhile_ends_nobody(
    shop: Shop, database: DatabaseUrls, everything: Everything
) -> None:
    await shop.put("ann", ext_id="crm-1", primary_email=EMAIL)
    async with held_pool(database.app_url, hold_at=b"for no key update") as (pool, proxy):
        proxy.armed = True
        erasing = asyncio.create_task(erase_crm_1(shop, pool))
        await asyncio.wait_for(proxy.held.wait(), 30)
        await everything.proof.execute("update cdp_profiles set ext_id = 'crm-2'")
        proxy.released.set()
        with pytest.raises(Unavailable):
            await erasing
    assert await everything.proof.fetchval("select count(*) from cdp_profiles where erased_at is null") == 1


async def test_erasures_of_somebody_without_a_profile_do_not_wait_for_each_other(
    shop: Shop, database: DatabaseUrls, everything: Everything, app: asyncpg.Connection
) -> None:
    await shop.ingest("e1", "ghost", entity_id=EMAIL)
    erase = "select complete from erase_profile('ghost', 'somebody', 'ticket', '{}', 100)"
    context = "select set_config('app.current_tenant_id', $1, true)"

    async def erased() -> bool:
        other = await asyncpg.connect(database.app_url)
        async with other.transaction():
            await other.execute(context, str(shop.tenant))
            complete: bool = await other.fetchval(erase)
        await other.close()
        return complete

    async def both_wait() -> bool:
        return bool(await everything.proof.fetchval(_BLOCKED) == 2)

    async with app.transaction():
        await app.execute(context, str(shop.tenant))
        await app.execute(erase)
        others = [asyncio.create_task(erased()) for _ in range(2)]
        await until(both_wait)
    assert await asyncio.wait_for(asyncio.gather(*others), 30) == [False, False]
    await shop.erase(profile_id="ghost")
    assert await everything.places([EMAIL]) == []


async def test_what_a_provider_has_at_that_moment_is_told_without_the_person(
    shop: Shop, fleet: Fleet, smtp: ScriptedSmtp, everything: Everything
) -> None:
    await shop.put("ann", primary_email=EMAIL, raw_attributes=b'{"first_name": "Ann"}')
    in_flight = await shop.decide("in-flight", "ann", amount=120)
    smtp.hold = True
    sending = asyncio.create_task(fleet.runner({"email": email_channel(smtp.url)}).drain())
    await asyncio.to_thread(smtp.data_arrived.wait, 30)
    await shop.decide("waiting", "ann", amount=120)
    await shop.erase(profile_id="ann")
    statuses = "select delivery_status, reason from delivery_log where task_id = $1 order by delivery_id"
    stands = [tuple(row) for row in await everything.proof.fetch(statuses, in_flight.task_id)]
    assert stands == [("queued", None), ("sending", None), ("unknown", "PROFILE_ERASED")]
    smtp.release()
    await sending
    stands = [tuple(row) for row in await everything.proof.fetch(statuses, in_flight.task_id)]
    assert stands[-1] == ("sent", None)
    assert len(smtp.received) == 1
    assert await everything.places([EMAIL]) == []
    sent = await everything.proof.fetchrow(
        "select * from delivery_log where task_id = $1 and delivery_status = 'sent'", in_flight.task_id
    )
    assert sent is not None
    assert sent["provider_response"] in (None, '{"erased": true}')
    tasks = await everything.proof.fetch("select distinct status from agent_task where outcome = 'send'")
    assert [row["status"] for row in tasks] == ["cancelled"]


async def test_two_erasures_at_once_are_one(shop: Shop, everything: Everything) -> None:
    await shop.put("ann", primary_email=EMAIL)
    await shop.decide("o1", "ann", mail=EMAIL)
    answers = await asyncio.gather(*(shop.erase(profile_id="ann") for _ in range(4)))
    assert len({(one.task_id, one.erased_at.ToDatetime()) for one in answers}) == 1
    assert await everything.places([EMAIL]) == []
    audits = await everything.proof.fetchval("select count(*) from agent_task where agent_name = 'eraser'")
    assert audits == 1


async def test_workers_complete_what_was_cut_off(
    shop: Shop, database: DatabaseUrls, everything: Everything, app: asyncpg.Connection
) -> None:
    await shop.put("ann", primary_email=EMAIL)
    await shop.decide("o1", "ann", mail=EMAIL)
    async with app.transaction():
        await app.execute("select set_config('app.current_tenant_id', $1, true)", str(shop.tenant))
        await app.execute("select erase_profile('ann', 'somebody', 'ticket', '{}', 100)")
    assert await everything.places([EMAIL])
    due = "update agent_task set due_at = now() - interval '1 minute' where agent_name = 'eraser'"
    await everything.proof.execute(due)
    pool = await Database.connect(
        database.worker_url, minimum_connections=1, maximum_connections=2, application_name="test-worker"
    )
    store = ErasureStore()
    suppression = SuppressionList(keys=NO_KEYS, store=store)
    erasure = ProfileErasure(database=pool, store=store, profiles=ProfileStore(), suppression=suppression)
    jobs = ErasureJobs(database=pool, store=store, erasure=erasure, worker="host:1")
    await jobs.go_on()
    await pool.close()
    assert await everything.places([EMAIL]) == []
    status = await everything.proof.fetchval("select status from agent_task where agent_name = 'eraser'")
    assert status == "completed"
