"""JSON documents of callers: what is let through, PostgreSQL can hold."""

from __future__ import annotations

from typing import Any

import asyncpg
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.embedded.database_setup import DatabaseUrls
from server.validation import Violations

texts = st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), max_size=20)
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(-1e99, 1e99, allow_nan=False)
    | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=20,
)


def faults(data: bytes) -> list[str]:
    violations = Violations("item")
    violations.document("document", data)
    return [violation.field for violation in violations.found]


@given(document=st.dictionaries(texts, values, max_size=5))
def test_good_documents_come_back_as_they_are(document: dict[str, Any]) -> None:
    violations = Violations()
    assert violations.document("document", orjson.dumps(document)) == document
    assert not violations.found


BAD = [
    b"{",
    b"[]",
    b"1",
    b"null",
    b"\xff",
    b'{"a": NaN}',
    b'{"a": Infinity}',
    b'{"a": 1e400}',
    b'{"a": 1e101}',
    b'{"a": "\\u0000"}',
    b'{"\\u0000": 1}',
    b'{"a": "\\ud800"}',
    b'{"a":' * 33 + b"1" + b"}" * 33,
    b'{"a":' * 5000 + b"1" + b"}" * 5000,
    b'{"a": "' + b"x" * 65_536 + b'"}',
]


@pytest.mark.parametrize("data", BAD)
def test_bad_documents_are_named(data: bytes) -> None:
    assert faults(data) == ["item.document"]


@given(data=st.binary(max_size=60))
def test_no_bytes_get_past_as_an_error(data: bytes) -> None:
    assert faults(data) in ([], ["item.document"])


async def test_the_extremes_that_are_let_through_can_be_stored(database: DatabaseUrls) -> None:
    deepest = b'{"a":' * 32 + b"1" + b"}" * 32
    extremes = (
        deepest,
        b'{"a": 9.9e99, "b": -1e-300}',
        b'{"a": 18446744073709551615}',
        '{"é": "😀"}'.encode(),
    )
    connection = await asyncpg.connect(database.app_url)
    try:
        for data in extremes:
            assert faults(data) == []
            stored = await connection.fetchval("select $1::text::jsonb::text", data.decode())
            assert orjson.loads(stored) == orjson.loads(data)
    finally:
        await connection.close()
