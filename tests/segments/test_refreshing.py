"""A running server keeps profiles in their segments as their attributes and events arrive."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, timedelta
from typing import Any

import asyncpg
import orjson
from google.protobuf.timestamp_pb2 import Timestamp
from leo.activation.v1 import decision_service_pb2 as decisions
from leo.activation.v1 import profile_service_pb2 as profiles
from leo_client import LeoClient

from server.platform.clock import utc_now
from tests.fixtures.server import ClientFor
from tests.fixtures.tenants import Tenant
from tests.segments.test_evaluation import KEEN, RICH, VIETNAMESE, define
from tests.workers.conftest import until


async def test_attributes_and_events_move_a_profile_at_once(
    client_for: ClientFor, app: asyncpg.Connection, tenant_a: Tenant
) -> None:
    await define(app, tenant_a, rich=RICH, vietnamese=VIETNAMESE, keen=KEEN, other={"not": VIETNAMESE})
    client = client_for(tenant_a, ["profiles.read", "profiles.write", "decisions.write"])

    async def upsert(**fields: Any) -> None:
        if "attributes" in fields:
            fields["raw_attributes"] = orjson.dumps(fields.pop("attributes"))
        patch = profiles.ProfilePatch(profile_id="lan", **fields)
        await client.profiles.UpsertProfiles(profiles.UpsertProfilesRequest(profiles=[patch]))

    await upsert(attributes={"total_spent": 50})
    await until(_in(client, "other"))
    await upsert(attributes={"total_spent": 150}, segments=profiles.TextList(values=["vip"]))
    await until(_in(client, "vip", "other", "rich"))
    await upsert(language="vi")
    await until(_in(client, "vip", "rich", "vietnamese"))
    await client.profiles.IngestEvents(
        profiles.IngestEventsRequest(
            events=[
                profiles.BehavioralEvent(
                    source_event_id="v1", profile_id="lan", event_type="view", occurred_at=_ago(2)
                )
            ]
        )
    )
    event = decisions.Event(source_event_id="v2", profile_id="lan", event_type="view", occurred_at=_ago(1))
    await client.decisions.Decide(decisions.DecideRequest(event=event))
    await until(_in(client, "vip", "keen", "rich", "vietnamese"))
    await upsert(segments=profiles.TextList(values=["new"]))
    await until(_in(client, "new", "keen", "rich", "vietnamese"))


def _in(client: LeoClient, *names: str) -> Callable[[], Any]:
    """Whether the profile is in exactly these segments."""

    async def there() -> bool:
        answer = await client.profiles.GetProfile(profiles.GetProfileRequest(profile_id="lan"))
        return list(answer.profile.segments) == list(names)

    return there


def _ago(hours: int) -> Timestamp:
    moment = Timestamp()
    moment.FromDatetime((utc_now() - timedelta(hours=hours)).astimezone(UTC).replace(tzinfo=None))
    return moment
