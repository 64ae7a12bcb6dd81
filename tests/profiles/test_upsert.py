"""UpsertProfiles through the real server."""

from __future__ import annotations

import asyncio
import math
from typing import Any

import asyncpg
import grpc
import orjson
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from leo.activation.v1 import profile_service_pb2 as wire

from tests.profiles.conftest import CREATED, REFUSED, STALE, SUPPRESSED, UNCHANGED, UPDATED, Profiles

FULL: dict[str, Any] = {
    "profile_id": "c1",
    "ext_id": "crm-1",
    "identities": {"values": ["crm:1", "web:9"]},
    "primary_email": "Nam.Le@EXAMPLE.com",
    "mobile_number": "0912 345 678",
    "living_location": "Hà Nội",
    "latitude": 21.03,
    "longitude": 105.85,
    "job_titles": {"values": ["Investor"]},
    "interests": {"values": ["gold"]},
    "data_labels": {"values": ["verified"]},
    "segments": {"values": ["vip", "new"]},
    "portfolio_snapshot": b'{"cash": 10.5}',
    "portfolio_risk_score": 0.256,
    "raw_attributes": b'{"age": 41, "tags": ["a"]}',
    "channel_addresses": {"telegram": {"addresses": ["12345"]}},
    "language": "VI-vn",
    "time_zone": "Asia/Ho_Chi_Minh",
    "source_updated_at": Timestamp(seconds=1_700_000_000),
}


async def test_a_profile_comes_back_in_its_normal_form(profiles: Profiles) -> None:
    assert await profiles.upsert(FULL, region="VN") == [CREATED]
    stored = (await profiles.get()).profile
    assert stored.primary_email == "Nam.Le@example.com"
    assert stored.mobile_number == "+84912345678"
    assert (stored.latitude, stored.longitude, stored.portfolio_risk_score) == (21.03, 105.85, 0.26)
    assert (stored.language, stored.time_zone) == ("vi-VN", "Asia/Ho_Chi_Minh")
    assert list(stored.segments) == ["vip", "new"]
    assert list(stored.identities) == ["crm:1", "web:9"]
    assert list(stored.channel_addresses["telegram"].addresses) == ["12345"]
    assert orjson.loads(stored.raw_attributes) == {"age": 41, "tags": ["a"]}
    assert orjson.loads(stored.portfolio_snapshot) == {"cash": 10.5}
    assert stored.source_updated_at.seconds == 1_700_000_000
    assert (stored.ext_id, stored.living_location) == ("crm-1", "Hà Nội")


async def test_the_same_profile_again_writes_nothing(
    profiles: Profiles, proof: asyncpg.Connection[Any]
) -> None:
    await profiles.upsert(FULL, region="VN")
    before = await proof.fetchrow("select xmin::text, ctid::text from cdp_profiles")
    assert await profiles.upsert(FULL, region="VN") == [UNCHANGED]
    assert await proof.fetchrow("select xmin::text, ctid::text from cdp_profiles") == before


async def test_absent_fields_keep_their_value(profiles: Profiles) -> None:
    await profiles.upsert(FULL, region="VN")
    before = (await profiles.get()).profile
    assert await profiles.upsert({"profile_id": "c1"}) == [UNCHANGED]
    assert await profiles.upsert({"profile_id": "c1", "living_location": "Huế", "segments": {}}) == [UPDATED]
    after = (await profiles.get()).profile
    assert (after.living_location, list(after.segments)) == ("Huế", [])
    for changed in (before, after):
        for field in ("living_location", "segments", "updated_at"):
            changed.ClearField(field)
    assert after == before


async def test_attributes_are_merged_or_replaced(profiles: Profiles) -> None:
    await profiles.upsert({"profile_id": "c1", "raw_attributes": b'{"a": 1, "b": {"x": 1}}'})
    await profiles.upsert({"profile_id": "c1", "raw_attributes": b'{"b": {"y": 2}, "c": null}'})
    assert orjson.loads((await profiles.get()).profile.raw_attributes) == {"a": 1, "b": {"y": 2}, "c": None}
    replacing = {"profile_id": "c1", "replace_raw_attributes": True}
    assert await profiles.upsert(replacing) == [UNCHANGED]
    assert await profiles.upsert({**replacing, "raw_attributes": b'{"d": 1}'}) == [UPDATED]
    assert orjson.loads((await profiles.get()).profile.raw_attributes) == {"d": 1}


async def test_merged_attributes_stay_bounded(profiles: Profiles) -> None:
    outcomes = [
        (await profiles.upsert({"profile_id": "c1", "raw_attributes": orjson.dumps({key: "x" * 60_000})}))[0]
        for key in "abcde"
    ]
    assert outcomes == [CREATED, UPDATED, UPDATED, UPDATED, REFUSED]


async def test_addresses_are_replaced_by_channel(profiles: Profiles) -> None:
    def addresses(**channels: list[str]) -> dict[str, Any]:
        return {"profile_id": "c1", "channel_addresses": {k: {"addresses": v} for k, v in channels.items()}}

    await profiles.upsert(addresses(push=["t1", "t2"], telegram=["1"]))
    assert await profiles.upsert(addresses(push=["t3"], telegram=[])) == [UPDATED]
    stored = (await profiles.get()).profile.channel_addresses
    assert {channel: list(entry.addresses) for channel, entry in stored.items()} == {"push": ["t3"]}


async def test_fields_are_emptied_by_name(profiles: Profiles) -> None:
    await profiles.upsert(FULL, region="VN")
    names = ["ext_id", "primary_email", "mobile_number", "living_location", "latitude", "longitude",
             "portfolio_risk_score", "language", "time_zone"]  # fmt: skip
    assert await profiles.upsert({"profile_id": "c1", "clear_fields": names}) == [UPDATED]
    stored = (await profiles.get()).profile
    assert not any(stored.HasField(name) for name in ("latitude", "longitude", "portfolio_risk_score"))
    assert [stored.ext_id, stored.primary_email, stored.mobile_number, stored.time_zone] == [""] * 4


async def test_older_news_changes_nothing(profiles: Profiles) -> None:
    def at(seconds: int, place: str) -> dict[str, Any]:
        return {"profile_id": "c1", "living_location": place, "source_updated_at": Timestamp(seconds=seconds)}

    assert await profiles.upsert(at(1_700_000_100, "new")) == [CREATED]
    assert await profiles.upsert(at(1_700_000_000, "old")) == [STALE]
    assert await profiles.upsert(at(1_700_000_100, "same time")) == [UPDATED]
    assert (await profiles.get()).profile.living_location == "same time"


async def test_an_external_id_belongs_to_one_profile(profiles: Profiles) -> None:
    outcomes = await profiles.upsert(
        {"profile_id": "c1", "ext_id": "e1"}, {"profile_id": "c2", "ext_id": "e1"}, {"profile_id": "c3"}
    )
    assert outcomes == [CREATED, REFUSED, CREATED]
    results = await profiles.results(
        {"profile_id": "c3", "ext_id": "e1"}, {"profile_id": "c4", "ext_id": "e1"}, {"profile_id": "c5"}
    )
    assert [result.outcome for result in results] == [REFUSED, REFUSED, CREATED]
    assert results[1].faults[0].field == "profiles[1].ext_id"


async def test_writers_at_the_same_moment_lose_no_field(profiles: Profiles) -> None:
    ids = [f"c{number}" for number in range(50)]
    locations = [{"profile_id": key, "living_location": "here"} for key in ids]
    languages = [{"profile_id": key, "language": "vi"} for key in reversed(ids)]
    for _ in range(3):
        await asyncio.gather(profiles.upsert(*locations), profiles.upsert(*languages))
    for key in ids:
        stored = (await profiles.get(key)).profile
        assert (stored.living_location, stored.language) == ("here", "vi")


async def test_writers_at_the_same_moment_share_no_external_id(
    profiles: Profiles, proof: asyncpg.Connection[Any]
) -> None:
    batches = [[{"profile_id": f"p{writer}-{number}", "ext_id": f"e{number}"} for number in range(20)]
               for writer in range(4)]  # fmt: skip
    outcomes = await asyncio.gather(*(profiles.upsert(*batch) for batch in batches))
    assert sum(row.count(CREATED) for row in outcomes) == 20
    assert sum(row.count(REFUSED) for row in outcomes) == 60
    assert await proof.fetchval("select count(*) from cdp_profiles") == 20


async def test_tenants_see_and_change_nothing_of_each_other(
    profiles: Profiles, other_profiles: Profiles
) -> None:
    await profiles.upsert(FULL, region="VN")
    mine = (await profiles.get()).profile
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await other_profiles.get()
    assert caught.value.code() == grpc.StatusCode.NOT_FOUND
    assert await other_profiles.upsert({"profile_id": "c1", "ext_id": "crm-1"}) == [CREATED]
    assert (await profiles.get()).profile == mine
    assert (await other_profiles.get()).profile.primary_email == ""


async def test_a_thousand_profiles_in_one_batch(profiles: Profiles) -> None:
    batch = [{**FULL, "profile_id": f"c{n}", "ext_id": f"e{n}"} for n in range(1000)]
    assert await profiles.upsert(*batch, region="VN") == [CREATED] * 1000
    assert await profiles.upsert(*batch, region="VN") == [UNCHANGED] * 1000


BAD: list[tuple[str, dict[str, Any]]] = [
    ("profile_id", {"profile_id": ""}),
    ("profile_id", {"profile_id": "x" * 201}),
    ("profile_id", {"profile_id": "a\x00b"}),
    ("profile_id", {"profile_id": "nam@example.com"}),
    ("profile_id", {"profile_id": "+84912345678"}),
    ("profile_id", {"profile_id": "0912345678"}),
    ("ext_id", {"ext_id": ""}),
    ("primary_email", {"primary_email": "nobody"}),
    ("primary_email", {"primary_email": ""}),
    ("mobile_number", {"mobile_number": "12"}),
    ("mobile_number", {"mobile_number": "0912345678"}),
    ("latitude", {"latitude": 91.0, "longitude": 0.0}),
    ("longitude", {"latitude": 1.0}),
    ("latitude", {"clear_fields": ["longitude"]}),
    ("latitude", {"latitude": math.nan, "longitude": 0.0}),
    ("portfolio_risk_score", {"portfolio_risk_score": 1.01}),
    ("portfolio_risk_score", {"portfolio_risk_score": math.inf}),
    ("raw_attributes", {"raw_attributes": b"{"}),
    ("raw_attributes", {"raw_attributes": b"[1]"}),
    ("raw_attributes", {"raw_attributes": b'{"a": "\\u0000"}'}),
    ("raw_attributes", {"raw_attributes": b'{"a": 1e200}'}),
    ("raw_attributes", {"raw_attributes": orjson.dumps({"a": "x" * 65_536})}),
    ("portfolio_snapshot", {"portfolio_snapshot": b"nope"}),
    ("segments.values[1]", {"segments": {"values": ["a", ""]}}),
    ("segments.values", {"segments": {"values": ["a", "a"]}}),
    ("segments.values", {"segments": {"values": [str(n) for n in range(1001)]}}),
    ("channel_addresses['fax']", {"channel_addresses": {"fax": {"addresses": ["1"]}}}),
    ("channel_addresses['push'].addresses[0]", {"channel_addresses": {"push": {"addresses": [""]}}}),
    ("language", {"language": "klingon!"}),
    ("time_zone", {"time_zone": "Mars/Olympus"}),
    ("source_updated_at", {"source_updated_at": Timestamp(seconds=4_000_000_000)}),
    ("source_updated_at", {"source_updated_at": Timestamp(seconds=0)}),
    ("clear_fields[0]", {"clear_fields": ["profile_id"]}),
    ("clear_fields[0]", {"clear_fields": ["ext_id"], "ext_id": "x"}),
]


async def test_bad_items_fail_alone_and_name_their_field(profiles: Profiles) -> None:
    results = await profiles.results(
        *({"profile_id": f"c{place}", **fields} for place, (_, fields) in enumerate(BAD)),
        {"profile_id": "good"},
    )
    for place, (field, fields) in enumerate(BAD):
        assert results[place].outcome == REFUSED, fields
        assert f"profiles[{place}].{field}" in [fault.field for fault in results[place].faults], fields
    assert results[-1].outcome == CREATED
    assert (await profiles.get("good")).profile.profile_id == "good"


async def test_a_repeated_item_is_refused(profiles: Profiles) -> None:
    assert await profiles.upsert({"profile_id": "c1"}, {"profile_id": "c1"}) == [CREATED, REFUSED]


async def test_a_batch_that_is_none_is_refused(profiles: Profiles) -> None:
    for patches, region in (
        ((), ""),
        (({"profile_id": "c"},) * 1001, ""),
        (({"profile_id": "c"},), "Vietnam"),
    ):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await profiles.upsert(*patches, region=region)
        assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT


async def test_an_erased_profile_stays_erased(profiles: Profiles, proof: asyncpg.Connection[Any]) -> None:
    await profiles.upsert({"profile_id": "c1"})
    await proof.execute("update cdp_profiles set erased_at = now()")
    assert await profiles.upsert({"profile_id": "c1", "language": "vi"}) == [SUPPRESSED]
    granted = await profiles.consent({"profile_id": "c1", "channel": "email", "legal_basis": "consent",
                                      "source": "form", "status": wire.CONSENT_STATUS_GRANTED})  # fmt: skip
    assert granted[0].outcome == REFUSED
