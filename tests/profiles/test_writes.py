"""What an update of a profile costs: rows that stay the same are not written, and others spare the indexes."""

from __future__ import annotations

from typing import Any

import asyncpg
import orjson
from google.protobuf.timestamp_pb2 import Timestamp

from tests.profiles.conftest import UPDATED, Profiles

# The flag of a row version that no index points at.
_HEAP_ONLY = """
select (t_infomask2 & 32768) <> 0
from cdp_profiles, heap_page_items(get_raw_page('cdp_profiles', (ctid::text::point)[0]::int))
where profile_id = $1 and lp = (cdp_profiles.ctid::text::point)[1]::int
"""


async def test_only_a_change_of_an_indexed_column_reaches_the_indexes(
    profiles: Profiles, superuser: asyncpg.Connection[Any]
) -> None:
    await superuser.execute("create extension pageinspect")
    # Long enough to be compressed, and out of line: it must be left as it is stored.
    attributes = orjson.dumps({f"key{number}": f"value {number}" * 20 for number in range(200)})
    await profiles.upsert(
        {"profile_id": "c1", "ext_id": "e1", "segments": {"values": ["vip"]}, "raw_attributes": attributes,
         "source_updated_at": Timestamp(seconds=1_700_000_000)}
    )  # fmt: skip
    await superuser.execute(
        "update cdp_profiles set interest_embedding = array_fill(0.5, array[1536])::vector"
    )
    await superuser.execute("vacuum cdp_profiles")
    unindexed = {"portfolio_snapshot": b'{"cash": 1}', "interests": {"values": ["gold"]}, "living_location": "Huế",
                 "source_updated_at": Timestamp(seconds=1_700_000_100)}  # fmt: skip
    assert await profiles.upsert({"profile_id": "c1", **unindexed}) == [UPDATED]
    assert await superuser.fetchval(_HEAP_ONLY, "c1") is True
    assert await profiles.upsert({"profile_id": "c1", "segments": {"values": ["gold"]}}) == [UPDATED]
    assert await superuser.fetchval(_HEAP_ONLY, "c1") is False
