"""The ids of `server/platform/ids.py` are those of the SQL functions, for any input."""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from hashlib import sha256
from uuid import UUID

import asyncpg
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from server.platform.ids import audience_sha256, canonical_json, content_id, key_id, symbol_shard

_against_database = settings(
    deadline=None, max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
_TENANT = UUID("6f1c2d1e-0000-4000-8000-0000000000aa")

# What text may hold: every code point but NUL and surrogates.
_texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=30)
_floats = st.floats(allow_nan=False, allow_infinity=False)
_decimals: st.SearchStrategy[Decimal] = st.decimals(
    allow_nan=False, allow_infinity=False, places=None
).filter(
    lambda number: abs(number.adjusted()) < 1000 and abs(number.as_tuple().exponent) < 1000  # type: ignore[arg-type]
)
_numbers = st.integers() | _floats | _decimals
_json_values = st.recursive(
    st.none() | st.booleans() | _numbers | _texts,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(_texts, inner, max_size=5),
    max_leaves=20,
)


def _json_text(value: object) -> str:
    """JSON as a caller might write it: any number format, members in any order."""
    if isinstance(value, dict):
        return "{" + ",".join(f"{json.dumps(key)}:{_json_text(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(_json_text, value)) + "]"
    return str(value) if isinstance(value, Decimal) else json.dumps(value)


@_against_database
@given(kind=_texts, tenant_id=st.uuids(), parts=st.lists(_texts, max_size=5))
async def test_key_ids_agree(app: asyncpg.Connection, kind: str, tenant_id: UUID, parts: list[str]) -> None:
    in_sql = await app.fetchval("select leo_key_id($1, $2, variadic $3::text[])", kind, tenant_id, parts)
    assert key_id(kind, tenant_id, *parts) == in_sql


@_against_database
@given(value=_json_values)
@example(value=[0.0, -0.0, 1e22, 1e-7, 5e-324, 1.7976931348623157e308, 1.0, 10**40, -(10**40)])
@example(value=[Decimal("0E+5"), Decimal("-0.00"), Decimal("1E+3"), Decimal("1.20"), Decimal("1E-9")])
@example(value={"bb": 1, "a": 2, "é": 3, "ab": 4, "": 5, "z": {"y": [], "x": {}}})
@example(value='"\\/\b\f\n\r\t\x01\x1f\x7f\u2028😀')
async def test_canonical_json_is_the_text_of_jsonb(app: asyncpg.Connection, value: object) -> None:
    assert canonical_json(value) == await app.fetchval("select ($1::text)::jsonb::text", _json_text(value))


@_against_database
@given(value=_json_values, tenant_id=st.uuids())
async def test_content_ids_agree(app: asyncpg.Connection, value: object, tenant_id: UUID) -> None:
    in_sql = await app.fetchval(
        "select leo_content_id('kind', $1, ($2::text)::jsonb)", tenant_id, _json_text(value)
    )
    assert content_id("kind", tenant_id, value) == in_sql


@_against_database
@given(members=st.lists(st.tuples(_texts, st.integers(0, 9)), min_size=2, max_size=6))
async def test_the_last_of_duplicate_keys_counts(
    app: asyncpg.Connection, members: list[tuple[str, int]]
) -> None:
    doubled = members + [(key, value + 1) for key, value in members[:2]]
    text = "{" + ",".join(f"{json.dumps(key)}:{value}" for key, value in doubled) + "}"
    assert canonical_json(json.loads(text)) == await app.fetchval("select ($1::text)::jsonb::text", text)


@_against_database
@given(members=st.lists(_texts, max_size=20))
async def test_audiences_agree(app: asyncpg.Connection, members: list[str]) -> None:
    assert audience_sha256(members) == await app.fetchval("select leo_audience_sha256($1)", members)


@pytest.mark.parametrize("count", [0, 9_999, 10_000, 10_001, 20_000, 25_000])
async def test_the_hash_of_a_large_audience_is_that_of_its_blocks(
    app: asyncpg.Connection, count: int
) -> None:
    members = [f"profile-{number:05}" for number in range(count)]
    digests = [
        sha256("".join(f"{len(member)}:{member}" for member in members[start : start + 10_000]).encode())
        for start in range(0, max(count, 1), 10_000)
    ]
    blocks = "".join(digest.hexdigest() for digest in digests)
    expected = blocks if len(digests) == 1 else sha256(f"blocks:{blocks}".encode()).hexdigest()
    assert audience_sha256(reversed(members)) == expected
    assert await app.fetchval("select leo_audience_sha256($1)", members[::-1]) == expected


@_against_database
@given(symbols=st.lists(_texts, min_size=1, max_size=20))
async def test_symbol_shards_agree(app: asyncpg.Connection, symbols: list[str]) -> None:
    rows = await app.fetch(
        "select leo_symbol_shard(symbol) as shard from unnest($1::text[]) as symbol", symbols
    )
    assert [symbol_shard(symbol) for symbol in symbols] == [row["shard"] for row in rows]


@given(parts=st.lists(_texts, min_size=1, max_size=4), others=st.lists(_texts, min_size=1, max_size=4))
def test_other_parts_give_another_id(parts: list[str], others: list[str]) -> None:
    assert (key_id("k", _TENANT, *parts) == key_id("k", _TENANT, *others)) == (parts == others)


async def test_null_parts_are_refused(app: asyncpg.Connection) -> None:
    for call in ("null, $1, 'a'", "'k', $1, 'a', null"):
        with pytest.raises(asyncpg.NullValueNotAllowedError):
            await app.fetchval(f"select leo_key_id({call})", _TENANT)
    with pytest.raises(asyncpg.NullValueNotAllowedError):
        await app.fetchval("select leo_key_id('k', null, 'a')")


@pytest.mark.parametrize("text", ["\0", "a\0b", "\ud800"])
async def test_text_that_postgresql_cannot_hold_is_refused(app: asyncpg.Connection, text: str) -> None:
    refused: list[Callable[[], str]] = [
        lambda: key_id(text, _TENANT),
        lambda: key_id("k", _TENANT, text),
        lambda: canonical_json(text),
        lambda: canonical_json({text: 1}),
        lambda: audience_sha256([text]),
    ]
    for call in refused:
        with pytest.raises(ValueError):
            call()
    with pytest.raises(asyncpg.PostgresError):
        await app.fetchval("select ($1::text)::jsonb", json.dumps(text))


@pytest.mark.parametrize(
    "text", ["1E+131072", "1E-16384", "0E-16384", "1E+131071", "1E-16383", "1.5E+131071", "0E+131072"]
)
async def test_numbers_are_bounded_like_numeric(app: asyncpg.Connection, text: str) -> None:
    try:
        in_sql = await app.fetchval("select ($1::text)::jsonb::text", text)
    except asyncpg.NumericValueOutOfRangeError:
        with pytest.raises(ValueError):
            canonical_json(Decimal(text))
    else:
        assert canonical_json(Decimal(text)) == in_sql


@pytest.mark.parametrize("value", [float("nan"), float("inf"), Decimal("NaN"), Decimal("-Infinity")])
def test_numbers_without_a_json_form_are_refused(value: float | Decimal) -> None:
    with pytest.raises(ValueError):
        canonical_json([value])


@pytest.mark.parametrize("value", [b"bytes", {1: 2}, object(), {"a": {1, 2}}])
def test_values_without_a_json_form_are_refused(value: object) -> None:
    with pytest.raises(TypeError):
        canonical_json(value)
