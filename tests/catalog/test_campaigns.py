"""Campaigns through the real server."""

from __future__ import annotations

from typing import Any

import asyncpg
import grpc
import orjson
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from leo.activation.v1 import catalog_service_pb2 as wire

from tests.catalog.conftest import SPENDERS, Catalog, audience, campaign


async def test_a_campaign_comes_back_as_it_was_put(catalog: Catalog) -> None:
    put = await catalog.put_campaign(
        start_at=Timestamp(seconds=1_700_000_000, nanos=123_456_000),
        end_at=Timestamp(seconds=1_800_000_000),
        audience=audience(),
        frequency_caps=[
            {"channel": "email", "window_seconds": 3600, "maximum": 1},
            {"topic": "offers", "window_seconds": 604_800, "maximum": 3},
            {"channel": "sms", "topic": "offers", "window_seconds": 86_400, "maximum": 1},
        ],
        quiet_hours={"start": "22:00", "end": "07:00", "days": [1, 5]},
    )
    assert put.changed
    stored = (await catalog.call("GetCampaign", campaign_id="spring")).campaign
    assert stored == put.campaign
    assert stored.start_at.nanos == 123_456_000
    assert orjson.loads(stored.audience.condition) == SPENDERS
    assert len(stored.audience.version) == 64
    assert stored.frequency_caps[0].channel == "email"


async def test_the_same_campaign_again_writes_nothing(
    catalog: Catalog, proof: asyncpg.Connection[Any]
) -> None:
    first = await catalog.put_campaign(audience=audience())
    before = await proof.fetchrow("select xmin::text, * from campaign")
    again = await catalog.put_campaign(audience=audience())
    assert (again.changed, again.campaign) == (False, first.campaign)
    assert await proof.fetchrow("select xmin::text, * from campaign") == before


async def test_equal_conditions_are_one_version_however_written(catalog: Catalog) -> None:
    spelled = b'{"value": 100.0, "operator": ">=",   "attribute": "profile.total_spent"}'
    first = await catalog.put_campaign("a", audience=audience())
    second = await catalog.put_campaign("b", audience={"name": "spenders", "condition": spelled})
    assert first.campaign.audience.version == second.campaign.audience.version


async def test_two_active_campaigns_share_no_segment_name_with_two_meanings(catalog: Catalog) -> None:
    await catalog.put_campaign("a", audience=audience())
    other = audience(condition={**SPENDERS, "value": 200})
    refused = await catalog.refusal("PutCampaign", campaign=campaign("b", audience=other))
    assert refused == grpc.StatusCode.FAILED_PRECONDITION
    assert await catalog.refusal("GetCampaign", campaign_id="b") == grpc.StatusCode.NOT_FOUND
    await catalog.put_campaign("b", audience=other, status=wire.CAMPAIGN_STATUS_DRAFT)
    await catalog.put_campaign("a", audience=audience(), status=wire.CAMPAIGN_STATUS_PAUSED)
    assert (await catalog.put_campaign("b", audience=other)).changed


async def test_a_code_belongs_to_one_campaign(catalog: Catalog) -> None:
    await catalog.put_campaign("a", campaign_code="X")
    refused = await catalog.refusal("PutCampaign", campaign=campaign("b", campaign_code="X"))
    assert refused == grpc.StatusCode.ALREADY_EXISTS


async def test_tenants_see_nothing_of_each_other(catalog: Catalog, other_catalog: Catalog) -> None:
    mine = (await catalog.put_campaign()).campaign
    theirs = (await other_catalog.put_campaign(campaign_name="Theirs")).campaign
    assert theirs.campaign_name == "Theirs"
    assert (await catalog.call("GetCampaign", campaign_id="spring")).campaign == mine
    assert len((await catalog.call("ListCampaigns")).campaigns) == 1


async def test_pages_and_filters(catalog: Catalog) -> None:
    for number in range(5):
        status = wire.CAMPAIGN_STATUS_DRAFT if number == 4 else wire.CAMPAIGN_STATUS_ACTIVE
        await catalog.put_campaign(f"c{number}", status=status)
    first = await catalog.call("ListCampaigns", page={"page_size": 3}, status=wire.CAMPAIGN_STATUS_ACTIVE)
    assert [item.campaign_id for item in first.campaigns] == ["c0", "c1", "c2"]
    page = {"page_size": 3, "page_token": first.page.next_page_token}
    second = await catalog.call("ListCampaigns", page=page, status=wire.CAMPAIGN_STATUS_ACTIVE)
    assert [item.campaign_id for item in second.campaigns] == ["c3"]
    assert second.page.next_page_token == ""
    for bad in (page, {"page_size": 1001}, {"page_size": -1}):
        assert await catalog.refusal("ListCampaigns", page=bad) == grpc.StatusCode.INVALID_ARGUMENT


BAD: list[dict[str, Any]] = [
    {"campaign_id": ""},
    {"campaign_id": "a b"},
    {"campaign_code": ""},
    {"campaign_name": "x" * 201},
    {"end_at": Timestamp(seconds=1), "start_at": Timestamp(seconds=2)},
    {"start_at": Timestamp(seconds=1_700_000_000), "end_at": Timestamp(seconds=1_700_000_000)},
    {"audience": {"name": "x"}},
    {"audience": audience(name="")},
    {"audience": audience(condition={"attribute": "event.amount", "operator": ">=", "value": 1})},
    {"audience": audience(condition={"all": [{"attribute": "profile.age", "operator": "??", "value": 1}]})},
    {"frequency_caps": [{"channel": "EMAIL", "window_seconds": 60, "maximum": 1}]},
    {"frequency_caps": [{"topic": " ", "window_seconds": 60, "maximum": 1}]},
    {"frequency_caps": [{"topic": "x" * 101, "window_seconds": 60, "maximum": 1}]},
    {"quiet_hours": {"start": "7:00", "end": "08:00"}},
    {"quiet_hours": {"start": "08:00", "end": "08:00"}},
    {"quiet_hours": {"start": "08:00", "end": "08:00", "days": [1, 2, 3, 4, 5, 6, 7]}},
    {"quiet_hours": {"start": "22:00", "end": "08:00", "days": [0]}},
    {"quiet_hours": {"start": "22:00", "end": "08:00", "days": [8]}},
    {"quiet_hours": {"start": "22:00", "end": "08:00", "days": [5, 5]}},
]


async def test_bad_campaigns_are_refused_and_change_nothing(catalog: Catalog) -> None:
    for fields in BAD:
        refused = await catalog.refusal("PutCampaign", campaign=campaign(**fields))
        assert refused == grpc.StatusCode.INVALID_ARGUMENT, fields
    assert await catalog.refusal("PutCampaign") == grpc.StatusCode.INVALID_ARGUMENT
    assert len((await catalog.call("ListCampaigns")).campaigns) == 0


async def test_faults_of_a_condition_have_their_path(catalog: Catalog) -> None:
    broken = {"all": [SPENDERS, {"attribute": "profile.age", "operator": "??", "value": 1}]}
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await catalog.put_campaign(audience=audience(condition=broken))
    assert "campaign.audience.condition.all[1]" in (caught.value.details() or "")
