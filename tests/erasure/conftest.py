"""A shop with customers who can be erased, and a search through everything that is stored."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import orjson
import pytest
from leo.activation.v1 import decision_service_pb2 as decision
from leo.activation.v1 import profile_service_pb2 as profile
from leo_client import LeoClient
from redis.asyncio import Redis

from server.embedded.database_setup import DatabaseUrls
from tests.alerts.conftest import Caller, add_instruments
from tests.dispatch.conftest import decisions, fleet, redis, smtp, worker_database
from tests.dispatch.decided import Decisions, Definitions
from tests.fixtures.server import ClientFor
from tests.fixtures.tenants import Tenant

__all__ = ["decisions", "fleet", "redis", "smtp", "worker_database"]

SCOPES = (
    *("profiles.read", "profiles.write", "profiles.erase", "decisions.read", "decisions.write", "trace.read"),
    *("dispatch.read", "dispatch.write", "alerts.read", "alerts.write", "catalog.write", "snapshots.write"),
)
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@dataclass(slots=True)
class Shop:
    """A tenant's client, and the one message that every event brings."""

    client: LeoClient
    tenant: Tenant
    definitions: Definitions

    async def put(self, profile_id: str, **fields: Any) -> int:
        """The outcome of a patch with an e-mail consent."""
        consent = profile.Consent(
            channel="email", status=profile.CONSENT_STATUS_GRANTED, legal_basis="consent", source="form"
        )
        patch = profile.ProfilePatch(profile_id=profile_id, consents=[consent], **fields)
        answer = await self.client.profiles.UpsertProfiles(profile.UpsertProfilesRequest(profiles=[patch]))
        assert not answer.results[0].faults or answer.results[0].outcome in (5, 6), answer
        return answer.results[0].outcome

    async def decide(self, source_event_id: str, profile_id: str, **attributes: Any) -> decision.Decision:
        """The decision on a purchase."""
        event = decision.Event(
            source_event_id=source_event_id,
            profile_id=profile_id,
            event_type="purchase",
            attributes=orjson.dumps(attributes),
        )
        event.occurred_at.FromDatetime(NOON + timedelta(hours=len(source_event_id)))
        request = decision.DecideRequest(event=event, include_candidates=True)
        return (await self.client.decisions.Decide(request)).decision

    async def ingest(
        self, source_event_id: str, profile_id: str, **fields: Any
    ) -> profile.IngestEventsResponse:
        """The answer to a fact."""
        event = profile.BehavioralEvent(
            source_event_id=source_event_id, profile_id=profile_id, event_type="view", **fields
        )
        event.occurred_at.FromDatetime(NOON)
        return await self.client.profiles.IngestEvents(profile.IngestEventsRequest(events=[event]))

    async def erase(self, *, reason: str = "ticket 7", **person: str) -> profile.EraseProfileResponse:
        """The answer to an erasure."""
        return await self.client.profiles.EraseProfile(profile.EraseProfileRequest(reason=reason, **person))


@pytest.fixture
async def shop(client_for: ClientFor, decisions: Decisions, database: DatabaseUrls, tenant_a: Tenant) -> Shop:
    """Tenant A, which has an instrument of its own."""
    await add_instruments(database, ["AAPL"], tenant_a)
    definitions = await decisions.define(tenant_a)
    return Shop(client_for(tenant_a, SCOPES), tenant_a, definitions)


@pytest.fixture
def alerts(shop: Shop) -> Caller:
    """The same tenant, in the words of alerts."""
    return Caller(shop.client)


@dataclass(slots=True)
class Everything:
    """Every row of every table and partition, and every key of Redis.

    Args:
        proof: a superuser, since nobody else has a grant on partitions.
    """

    proof: asyncpg.Connection
    redis_url: str

    async def tables(self) -> list[str]:
        """Those that hold rows themselves."""
        rows = await self.proof.fetch(
            "select relname from pg_class where relnamespace = 'public'::regnamespace and relkind = 'r' order by 1"
        )
        return [row["relname"] for row in rows]

    async def places(self, needles: Sequence[str]) -> list[str]:
        """Where any of these texts stands: `table.column`, or a key of Redis."""
        found = []
        for table in await self.tables():
            for row in await self.proof.fetch(
                f"select column_name.key, column_name.value from {table} as t,"
                " lateral jsonb_each_text(to_jsonb(t)) as column_name"
                " where exists (select from unnest($1::text[]) as needle"
                "   where position(lower(needle) in lower(column_name.value)) > 0)",
                list(needles),
            ):
                found.append(f"{table}.{row['key']}")
        return sorted(set(found)) + await self._keys(needles)

    async def rows(self, *, without: Sequence[str] = ()) -> Mapping[str, list[str]]:
        """All rows as text, by table, but those that hold one of these texts."""
        rows = {}
        for table in await self.tables():
            found = await self.proof.fetch(f"select t::text as line from {table} as t order by 1")
            rows[table] = [row["line"] for row in found if not any(text in row["line"] for text in without)]
        return rows

    async def ids(self, tenant: Tenant) -> Mapping[str, list[str]]:
        """What has to stay of each row: ids, codes, places and times of facts."""
        kept = {}
        for table, columns in _KEPT.items():
            rows = await self.proof.fetch(
                f"select ({columns})::text as line from {table} where tenant_id = $1 order by 1",
                UUID(int=tenant.int),
            )
            kept[table] = [row["line"] for row in rows]
        return kept

    async def _keys(self, needles: Sequence[str]) -> list[str]:
        """Keys of Redis that hold a text in their name or value."""
        found = []
        async with Redis.from_url(
            self.redis_url, decode_responses=True, encoding_errors="replace"
        ) as connection:
            async for key in connection.scan_iter():
                value = await _VALUES[str(await connection.type(key))](connection, key)
                text = f"{key!r} {value!r}".lower()
                found += [str(key) for needle in needles if needle.lower() in text]
        return sorted(set(found))


_VALUES = {
    "string": lambda connection, key: connection.get(key),
    "hash": lambda connection, key: connection.hgetall(key),
    "zset": lambda connection, key: connection.zrange(key, 0, -1, withscores=True),
    "set": lambda connection, key: connection.smembers(key),
    "list": lambda connection, key: connection.lrange(key, 0, -1),
}
_KEPT = {
    "cdp_profiles": "profile_id, segment_snapshots, created_at",
    "consent_management": "profile_id, channel, granted_at, created_at",
    "agent_task": "task_id, agent_name, task_type, campaign_id, marketing_event_id, snapshot_id, profile_id,"
    " parent_task_id, source_event_id, event_type, occurred_at, decided_at, rule_bundle_id, outcome, reason_code,"
    " output_sha256, created_at",
    "delivery_log": "delivery_id, delivery_key, attempt, task_id, marketing_event_id, profile_id, snapshot_id, channel,"
    " delivery_status, sent_at, created_at, series",
    "behavioral_events": "event_key, profile_id, source_event_id, event_type, occurred_at, created_at",
    "segment_snapshot_member": "snapshot_id, profile_id, created_at",
    "alert_rules": "rule_id, profile_id, symbol, generation, created_at",
    "embedding_job": "entity_type, entity_id, created_at",
}


@pytest.fixture
async def everything(database: DatabaseUrls, redis_url: str) -> AsyncIterator[Everything]:
    """A search through all that is stored."""
    connection = await asyncpg.connect(database.superuser_url)
    yield Everything(connection, redis_url)
    await connection.close()
