"""The bulk writer: both of its roads write the same, and neither weakens what the table promises."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from server.embedded.database_setup import DatabaseUrls
from server.platform.bulk_writer import BadValue, BulkWriter, TableWrite
from server.platform.postgres import Database

SAMPLE = TableWrite(
    table="sample",
    columns=("tenant_id", "sample_key", "words", "document", "seen_at", "octets", "amount", "counted"),
    types=("uuid", "text", "text", "jsonb", "timestamptz", "bytea", "numeric", "integer"),
    key=("tenant_id", "sample_key"),
)
UPSERT = replace(SAMPLE, conflict="update")
ROADS = {"arrays": BulkWriter(copy_from_rows=10**9), "copy": BulkWriter(copy_from_rows=1)}

texts = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20)
documents = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
).map(orjson.dumps)
instants = st.datetimes(datetime(1990, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
payloads = st.tuples(
    st.none() | texts,
    st.none() | documents,
    st.none() | instants,
    st.none() | st.binary(max_size=20),
    st.none()
    | st.decimals(allow_nan=False, allow_infinity=False, places=9, min_value=-(10**12), max_value=10**12),
    st.none() | st.integers(0, 2**31 - 1),
)


@pytest.fixture(params=ROADS)
def writer(request: pytest.FixtureRequest) -> BulkWriter:
    """The writer, made to take one of its roads whatever the size of the batch."""
    return ROADS[request.param]


@pytest.fixture
async def two_connections(database: DatabaseUrls) -> AsyncIterator[Database]:
    opened = await Database.connect(
        database.app_url, minimum_connections=2, maximum_connections=2, application_name="tests"
    )
    yield opened
    await opened.close()


@given(rows=st.dictionaries(texts, payloads, min_size=1, max_size=12))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_both_roads_write_the_same_rows(
    rows: dict[str, tuple[Any, ...]], pool: Database, sample: str
) -> None:
    stored = []
    for road in ROADS.values():
        tenant = uuid4()
        async with pool.tenant_transaction(tenant) as connection:
            keys = await road.write(connection, SAMPLE, [(tenant, key, *rest) for key, rest in rows.items()])
            stored.append(
                await connection.fetch(f"select {', '.join(SAMPLE.columns[1:])} from sample order by 1")
            )
        assert {key for _, key in keys} == set(rows)
    assert stored[0] == stored[1]
    for record in stored[0]:
        words, document, seen_at, octets, amount, counted = rows[record["sample_key"]]
        assert (record["words"], record["seen_at"], record["octets"]) == (words, seen_at, octets)
        assert (record["amount"], record["counted"]) == (amount, counted)
        assert document is None or orjson.loads(record["document"]) == orjson.loads(document)


async def test_only_new_keys_come_back(pool: Database, sample: str, writer: BulkWriter) -> None:
    tenant = uuid4()
    async with pool.tenant_transaction(tenant) as connection:
        first = await writer.write(connection, SAMPLE, [_row(tenant, "b"), _row(tenant, "a", words="old")])
        second = await writer.write(connection, SAMPLE, [_row(tenant, k, words="new") for k in "cab"])
        assert sorted(first) == [(tenant, "a"), (tenant, "b")]
        assert second == [(tenant, "c")]
        assert await connection.fetchval("select words from sample where sample_key = 'a'") == "old"
        assert await writer.write(connection, SAMPLE, []) == []


async def test_a_key_that_stands_twice_is_written_once(
    pool: Database, sample: str, writer: BulkWriter
) -> None:
    tenant = uuid4()
    async with pool.tenant_transaction(tenant) as connection:
        keys = await writer.write(connection, SAMPLE, [_row(tenant, "a"), _row(tenant, "a")])
        assert keys == [(tenant, "a")]


async def test_an_upsert_touches_changed_rows_only(pool: Database, sample: str, writer: BulkWriter) -> None:
    tenant = uuid4()
    async with pool.tenant_transaction(tenant) as connection:
        await writer.write(connection, UPSERT, [_row(tenant, "same"), _row(tenant, "changed", words=None)])
        keys = await writer.write(
            connection,
            UPSERT,
            [_row(tenant, "new"), _row(tenant, "same"), _row(tenant, "changed", words="x")],
        )
        assert sorted(keys) == [(tenant, "changed"), (tenant, "new")]
        assert await connection.fetchval("select words from sample where sample_key = 'changed'") == "x"
        with pytest.raises(asyncpg.CardinalityViolationError):
            await writer.write(
                connection, UPSERT, [_row(tenant, "a", words="1"), _row(tenant, "a", words="2")]
            )
        await connection.execute("rollback; begin")


async def test_many_tenants_share_one_commit(
    pool: Database, sample: str, writer: BulkWriter, proof: asyncpg.Connection[asyncpg.Record]
) -> None:
    tenants = [uuid4() for _ in range(30)]
    rows = [_row(tenant, f"{n}") for n in range(3) for tenant in tenants]
    async with pool.tenant_transaction(tenants[7]) as connection:
        keys = await writer.write_tenants(connection, SAMPLE, rows)
        assert len(keys) == 90
        again = await writer.write_tenants(connection, SAMPLE, [*rows[:5], _row(tenants[3], "x")])
        assert again == [(tenants[3], "x")]
        assert await connection.fetchval("select count(*) from sample") == 3, "the context is as it was"
    assert await proof.fetchval("select count(distinct tenant_id) from sample") == 30
    assert await proof.fetchval("select count(*) from sample") == 91


async def test_a_transaction_without_a_tenant_is_without_one_afterwards(
    pool: Database, sample: str, writer: BulkWriter
) -> None:
    async with pool.transaction() as connection:
        await writer.write_tenants(connection, SAMPLE, [_row(uuid4(), "a"), _row(uuid4(), "a")])
        assert await connection.fetchval("select count(*) from sample") == 0


async def test_the_policy_refuses_a_row_of_another_tenant(
    pool: Database, sample: str, writer: BulkWriter, proof: asyncpg.Connection[asyncpg.Record]
) -> None:
    ours, theirs = uuid4(), uuid4()
    with pytest.raises(asyncpg.InsufficientPrivilegeError, match="row-level security"):
        async with pool.tenant_transaction(ours) as connection:
            await writer.write(connection, SAMPLE, [_row(ours, "a"), _row(theirs, "a")])
    assert await proof.fetchval("select count(*) from sample") == 0


async def test_an_upsert_can_not_reach_a_row_of_another_tenant(
    pool: Database, sample: str, writer: BulkWriter, proof: asyncpg.Connection[asyncpg.Record]
) -> None:
    ours, theirs = uuid4(), uuid4()
    async with pool.tenant_transaction(theirs) as connection:
        await writer.write(connection, UPSERT, [_row(theirs, "a", words="theirs")])
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        async with pool.tenant_transaction(ours) as connection:
            await writer.write(connection, UPSERT, [_row(theirs, "a", words="ours")])
    assert await proof.fetchval("select words from sample") == "theirs"


async def test_a_rollback_leaves_nothing_also_not_in_the_staging_table(
    pool: Database, sample: str, writer: BulkWriter, proof: asyncpg.Connection[asyncpg.Record]
) -> None:
    tenant, other = uuid4(), uuid4()
    for attempt in range(2):
        with pytest.raises(KeyError):
            async with pool.transaction() as connection:
                await writer.write_tenants(connection, SAMPLE, [_row(tenant, f"{attempt}"), _row(other, "a")])
                raise KeyError
    async with pool.transaction() as connection:
        keys = await writer.write_tenants(connection, SAMPLE, [_row(tenant, "kept")])
    assert keys == [(tenant, "kept")]
    async with pool.transaction() as connection:
        assert await writer.write_tenants(connection, SAMPLE, [_row(tenant, "next")]) == [(tenant, "next")]
    with pytest.raises(KeyError):
        async with pool.transaction() as connection:
            await writer.write_tenants(connection, SAMPLE, [_row(tenant, "gone")])
            raise KeyError
    async with pool.transaction() as connection:
        assert await writer.write_tenants(connection, SAMPLE, [_row(tenant, "last")]) == [(tenant, "last")]
    stored = await proof.fetch("select sample_key from sample order by 1")
    assert [record["sample_key"] for record in stored] == ["kept", "last", "next"]


@pytest.mark.parametrize("roads", [("arrays", "arrays"), ("copy", "copy"), ("arrays", "copy")])
async def test_overlapping_batches_in_opposite_order_never_deadlock(
    two_connections: Database, sample: str, roads: tuple[str, str]
) -> None:
    tenants = [uuid4() for _ in range(4)]
    rows = [_row(tenant, f"key-{n}") for tenant in tenants for n in range(100)]

    async def write(road: str, batch: Sequence[tuple[Any, ...]]) -> int:
        async with two_connections.transaction() as connection:
            return len(await ROADS[road].write_tenants(connection, SAMPLE, batch))

    for _ in range(10):
        written = await asyncio.gather(write(roads[0], rows), write(roads[1], rows[::-1]))
        assert sum(written) == len(rows)
        tenants = [uuid4() for _ in tenants]
        rows = [_row(tenant, f"key-{n}") for tenant in tenants for n in range(100)]


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("tenant_id", "not a uuid"),
        ("words", 5),
        ("words", "nul \0 inside"),
        ("words", "lone surrogate \ud800"),
        ("document", b"{broken"),
        ("document", {"a": "mapping"}),
        ("document", b'"\\u0000"'),
        ("seen_at", "yesterday"),
        ("octets", "text"),
        ("amount", "abc"),
        ("counted", 2**31),
        ("counted", "five"),
    ],
)
async def test_a_bad_value_is_named_by_its_column_and_not_repeated(
    pool: Database, sample: str, writer: BulkWriter, column: str, value: object
) -> None:
    tenant = uuid4()
    bad = list(_row(tenant, "b"))
    bad[SAMPLE.columns.index(column)] = value
    with pytest.raises(BadValue, match=rf"sample\.{column}:") as caught:
        async with pool.tenant_transaction(tenant) as connection:
            await writer.write(connection, SAMPLE, [_row(tenant, "a"), tuple(bad)])
    assert caught.value.column == column
    assert str(value) not in str(caught.value)
    assert caught.value.__suppress_context__
    await pool.ping()


async def test_other_constraints_name_themselves(pool: Database, sample: str, writer: BulkWriter) -> None:
    tenant = uuid4()
    with pytest.raises(asyncpg.CheckViolationError) as caught:
        async with pool.tenant_transaction(tenant) as connection:
            await writer.write(connection, SAMPLE, [(*_row(tenant, "a")[:-1], -1)])
    assert caught.value.constraint_name == "sample_counted_check"


async def test_a_row_of_the_wrong_width_is_refused(pool: Database, sample: str, writer: BulkWriter) -> None:
    async with pool.tenant_transaction(uuid4()) as connection:
        with pytest.raises(ValueError, match="2 values for 8 columns"):
            await writer.write(connection, SAMPLE, [(uuid4(), "a")])


@pytest.mark.parametrize(
    "change",
    [
        {"types": ("uuid",)},
        {"key": ("tenant_id", "missing")},
        {"columns": ("other", *SAMPLE.columns[1:]), "key": ("sample_key",)},
        {"types": ("uuid", "text[]", *SAMPLE.types[2:])},
        {"types": ("uuid", "text); drop table sample; --", *SAMPLE.types[2:])},
    ],
)
def test_a_table_write_that_can_not_be_right_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        replace(SAMPLE, **change)


def _row(tenant: UUID, key: str, words: str | None = "words") -> tuple[Any, ...]:
    seen_at = datetime(2026, 1, 2, tzinfo=UTC)
    return (tenant, key, words, b'{"a": 1}', seen_at, b"\0\xff", Decimal("1.5"), 3)
