"""A table of PostgreSQL that is followed: what comes, what changes, what is bad, who goes, and what goes wrong."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from server.errors import InvalidInput
from server.sync.model import Health, SourceType
from tests.fixtures import planted
from tests.fixtures.tenants import Tenant
from tests.sync.conftest import MAPPING, Crm, Following, profiles_of
from tests.workers.conftest import until

POSTGRESQL = SourceType.POSTGRESQL
WRONG: list[tuple[dict[str, Any], str | None, Health, str]] = [
    ({"port": 1}, None, Health.DEGRADED, "can not be reached"),
    ({}, "wrong", Health.FAILING, "does not accept"),
    ({"table": "clients"}, None, Health.FAILING, "correct table"),
    ({"updated_column": "modified"}, None, Health.FAILING, "has no column modified"),
    ({"database": "none"}, None, Health.FAILING, "there is no database none"),
]
_CONSENT = "select c.status, c.source from consent_management c join cdp_profiles using (profile_id) where ext_id = $1"
_CHANGE_ALL = """
    update crm."Customers"
    set tier = $1, changed_at = now() - interval '9 hours' + $2::int * interval '1 hour' + id * interval '1 ms'
"""
_BLOCKED = (
    "select exists (select from pg_stat_activity"
    " where datname = current_database() and wait_event_type = 'Lock')"
)


@pytest.fixture
async def followed(following: Following, crm: Crm, tenant_a: Tenant) -> Following:
    """Tenant A follows the table."""
    await following.put(tenant_a, POSTGRESQL, crm.described, password=crm.password)
    return following


async def test_what_changed_is_taken_in_and_nothing_else_is_written(
    followed: Following, crm: Crm, proof: asyncpg.Connection, tenant_a: Tenant, tenant_b: Tenant
) -> None:
    await crm.add(1_203)

    first = (await followed.run(tenant_a)).condition

    assert (first.total.read, first.total.written, first.total.rejected) == (1_203, 1_203, 0)
    assert (first.health, first.failures, first.last_error) == (Health.HEALTHY, 0, None)
    assert first.last_success_at is not None
    assert first.cursor["key"] == "1203"
    profiles = await profiles_of(proof, tenant_a)
    assert len(profiles) == 1_203
    one = profiles["crm-7"]
    assert (one["primary_email"], one["mobile_number"]) == ("c7@example.com", "+84905000007")
    assert one["raw_attributes"]["tier"] == "gold"
    assert json.loads(one["segments"]) == ["crm"]
    assert not await profiles_of(proof, tenant_b)
    told = len(followed.told.changed)
    # What is in raw_attributes is found by it.
    plan = await proof.fetchval(
        'select count(*) from cdp_profiles where tenant_id = $1 and raw_attributes @> \'{"tier": "gold"}\'',
        tenant_a,
    )
    assert plan == 1_203

    again = (await followed.run(tenant_a)).condition
    assert again.total.read == 1_203, "nothing changed, and nothing was read again"

    await crm.execute("""update crm."Customers" set tier = 'black', changed_at = now() where id in (7, 8)""")
    await crm.add(1, first=2_000)
    after = await followed.run(tenant_a)
    assert (after.condition.last_run.read, after.condition.last_run.written) == (3, 3)
    assert (await profiles_of(proof, tenant_a))["crm-7"]["raw_attributes"]["tier"] == "black"
    assert len(followed.told.changed) == told + 3
    lag = after.lag_seconds(datetime.now(UTC))
    assert lag is not None
    assert 0 <= lag < 600


async def test_names_that_look_like_marks_of_a_query_are_names(
    following: Following, crm: Crm, proof: asyncpg.Connection, tenant_a: Tenant
) -> None:
    await crm.add(2)
    await crm.execute('create view crm."a :key" as select *, id as ":updated" from crm."Customers"')
    await crm.execute('grant select on crm."a :key" to public')
    odd = {**crm.described, "table": "a :key", "key_column": ":updated"}
    await following.put(tenant_a, POSTGRESQL, odd, password=crm.password)
    assert (await following.run(tenant_a)).condition.last_error is None
    assert set(await profiles_of(proof, tenant_a)) == {"crm-1", "crm-2"}


async def test_a_row_that_is_committed_late_is_not_lost(
    followed: Following, crm: Crm, database: Any, proof: asyncpg.Connection, tenant_a: Tenant
) -> None:
    """Its transaction began before the others' and ended after the source was asked."""
    slow = await asyncpg.connect(database.superuser_url)
    transaction = slow.transaction()
    await transaction.start()
    await slow.execute(
        """insert into crm."Customers" (id, email, changed_at) values (1, 'slow@example.com', now())"""
    )
    await crm.execute(
        """insert into crm."Customers" (id, email, changed_at) values (2, 'quick@example.com', now())"""
    )
    await followed.run(tenant_a)
    assert set(await profiles_of(proof, tenant_a)) == {"crm-2"}

    await transaction.commit()
    await slow.close()
    await followed.run(tenant_a)

    assert set(await profiles_of(proof, tenant_a)) == {"crm-1", "crm-2"}


async def test_bad_rows_are_counted_by_reason_and_the_others_go_on(
    followed: Following, crm: Crm, proof: asyncpg.Connection, tenant_a: Tenant
) -> None:
    await crm.add(10)
    await crm.execute("""update crm."Customers" set email = $1 || '@' where id = 3""", planted.EMAIL)
    await crm.execute("""update crm."Customers" set phone = 'none at all' where id = 4""")
    await crm.execute("""update crm."Customers" set labels = '{"a": 1}' where id = 5""")

    condition = (await followed.run(tenant_a)).condition

    assert condition.health is Health.HEALTHY
    assert condition.last_run.written == 7
    assert condition.last_run.reasons == {
        "REFUSED:primary_email": 1,
        "REFUSED:mobile_number": 1,
        "NOT_MAPPED:segments": 1,
    }
    assert set(await profiles_of(proof, tenant_a)) == {f"crm-{n}" for n in (1, 2, 6, 7, 8, 9, 10)}
    stored = await proof.fetchval("select data_sources::text from data_sources")
    assert planted.EMAIL not in stored

    await crm.execute("""update crm."Customers" set email = 'x', changed_at = now()""")
    spoiled = (await followed.run(tenant_a)).condition
    assert spoiled.health is Health.DEGRADED
    assert "all 10 documents were rejected" in str(spoiled.last_error)


async def test_who_is_deleted_there_is_marked_and_written_to_no_more_until_he_is_back(
    followed: Following, crm: Crm, proof: asyncpg.Connection, tenant_a: Tenant
) -> None:
    await crm.add(3)
    await crm.execute("""insert into crm."Customers" (id, gone, changed_at) values (99, true, now())""")
    await followed.run(tenant_a)
    await proof.execute("update cdp_profiles set data_labels = '[\"vip\"]' where ext_id = 'crm-2'")

    await crm.execute(
        """update crm."Customers" set gone = true, email = null, changed_at = now() where id = 2"""
    )
    condition = (await followed.run(tenant_a)).condition

    assert condition.last_run.deleted == 1
    profiles = await profiles_of(proof, tenant_a)
    assert set(profiles) == {"crm-1", "crm-2", "crm-3"}, "nobody is made of a deletion"
    gone = profiles["crm-2"]
    assert "deleted_at_source" in gone["raw_attributes"]
    assert (gone["primary_email"], json.loads(gone["data_labels"])) == ("c2@example.com", ["vip"])
    assert await _consent(proof, "crm-2") == ("withdrawn", "sync:crm")
    assert await _consent(proof, "crm-1") == ("granted", "crm")

    await followed.run(tenant_a)
    assert (await followed.get(tenant_a)).condition.total.deleted == 1, "it ends once"

    await crm.execute(
        """update crm."Customers" set gone = false, changed_at = now() + interval '1 minute' where id = 2"""
    )
    await followed.run(tenant_a)
    back = (await profiles_of(proof, tenant_a))["crm-2"]
    assert "deleted_at_source" not in back["raw_attributes"]
    assert await _consent(proof, "crm-2") == ("granted", "crm"), "he said so after that"


async def _consent(proof: asyncpg.Connection[asyncpg.Record], ext_id: str) -> tuple[str, str]:
    row = await proof.fetchrow(_CONSENT, ext_id)
    assert row is not None
    return row["status"], row["source"]


async def test_another_mapping_reads_everything_again_under_it(
    followed: Following, crm: Crm, proof: asyncpg.Connection, tenant_a: Tenant
) -> None:
    await crm.add(5)
    await followed.run(tenant_a)

    other = {**MAPPING, "fields": {**MAPPING["fields"], "data_labels": "tier"}}
    await followed.put(tenant_a, POSTGRESQL, crm.described, mapping=other)
    await followed.jobs.sync_due()

    condition = (await followed.get(tenant_a)).condition
    assert (condition.last_run.read, condition.last_run.written) == (5, 5)
    assert json.loads((await profiles_of(proof, tenant_a))["crm-4"]["data_labels"]) == ["gold"]


async def test_what_goes_wrong_is_told_with_its_cure(followed: Following, crm: Crm, tenant_a: Tenant) -> None:
    followed.open("*:*")
    for change, password, health, says in WRONG:
        await followed.put(
            tenant_a, POSTGRESQL, {**crm.described, **change}, password=password or crm.password
        )
        condition = (await followed.run(tenant_a)).condition

        assert (condition.health, condition.failures) == (health, 1), says
        assert says in str(condition.last_error)
        assert crm.password not in str(condition.last_error)
        assert condition.due_at is not None
        waits = (condition.due_at - datetime.now(UTC)).total_seconds()
        assert waits < 60 if health is Health.DEGRADED else waits > 60

        await followed.put(tenant_a, POSTGRESQL, crm.described, password=crm.password)
        cured = (await followed.run(tenant_a)).condition
        assert (cured.health, cured.failures, cured.last_error) == (Health.HEALTHY, 0, None)


async def test_a_host_that_is_not_opened_any_more_is_not_connected_to(
    followed: Following, crm: Crm, tenant_a: Tenant
) -> None:
    followed.open()

    condition = (await followed.run(tenant_a)).condition

    assert condition.health is Health.FAILING
    assert "LEO_SYNC_HOSTS" in str(condition.last_error)
    with pytest.raises(InvalidInput, match="LEO_SYNC_HOSTS"):
        await followed.put(tenant_a, POSTGRESQL, crm.described)


async def test_a_source_that_is_changed_paused_or_removed_in_mid_run_is_fenced_out(
    followed: Following, crm: Crm, database: Any, proof: asyncpg.Connection, tenant_a: Tenant
) -> None:
    """The run waits for a profile of its second page, and its source is not its own any more when it goes on."""
    await crm.add(600)
    await followed.run(tenant_a)
    tenant_id = UUID(int=tenant_a.int)
    blocker = await asyncpg.connect(database.superuser_url)

    async def blocked() -> bool:
        return bool(await crm.connection.fetchval(_BLOCKED))

    for hour, stop in enumerate(("pause", "change", "remove")):
        await crm.execute(_CHANGE_ALL, stop, hour)
        transaction = blocker.transaction()
        await transaction.start()
        await blocker.execute("select from cdp_profiles where ext_id = 'crm-550' for update")
        running = asyncio.create_task(followed.run(tenant_a))
        await until(blocked)
        if stop == "pause":
            await followed.service.set_paused(tenant_id, "crm", paused=True)
        elif stop == "change":
            await followed.put(tenant_a, POSTGRESQL, {**crm.described, "overlap_seconds": 61})
        else:
            await followed.service.delete(tenant_id, "crm")
        read = await proof.fetchval("select read_count from data_sources")
        await transaction.rollback()
        if stop == "remove":
            with pytest.raises(Exception, match="no data source"):
                await running
            break
        await running
        if stop == "pause":
            assert await proof.fetchval("select read_count from data_sources") == read
            changed = 'select count(*) from cdp_profiles where raw_attributes @> \'{"tier": "pause"}\''
            assert await proof.fetchval(changed) == 500, "the second page was rolled back"
            await followed.service.set_paused(tenant_id, "crm", paused=False)
            await followed.run(tenant_a)
            assert await proof.fetchval(changed) == 600
    await blocker.close()
