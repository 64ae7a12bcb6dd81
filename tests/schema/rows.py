"""At least one row of a tenant in every table, and what the catalogue says about the tables."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from uuid import UUID, uuid4

import asyncpg
import pytest

from server.embedded.database_setup import DatabaseUrls

MONTHS = ("1997-01-01", "2025-06-01")

# In the order of their references. `$1` is the tenant; ids are equal for all tenants, to show that they may be.
_ROWS = """
insert into data_sources (tenant_id, source_id, source_name, source_type) values ($1, 'crm', 'CRM', 'csv');

insert into cdp_profiles (
    tenant_id, profile_id, ext_id, identities, primary_email, segments, segment_snapshots, interest_embedding
) values ($1, 'p1', 'x1', '["crm:1"]', 'a@example.com', '["vip"]', '["s1"]', null),
    ($1, 'p2', 'x2', '["crm:2"]', 'b@example.com', '[]', '[]', array_fill(0.5, array[1536])::vector);

insert into consent_management (tenant_id, profile_id, channel, status, legal_basis, source, granted_at)
values ($1, 'p1', 'email', 'granted', 'consent', 'form', now());

insert into campaign (tenant_id, campaign_id, campaign_code, campaign_name, objective, status)
values ($1, 'c1', 'SUMMER', 'Summer', 'CONVERSION', 'active');

insert into marketing_event (
    tenant_id, marketing_event_id, campaign_id, event_name, event_type, event_channel, channels, template_name
) values ($1, 'm1', 'c1', 'welcome', 'TRIGGER', 'email', '["email"]', 'hello');

insert into message_templates (tenant_id, template_id, template_name, channel, body_template, version, status)
values ($1, '00000000-0000-4000-8000-000000000001', 'hello', 'email', 'Hi', 1, 'active');

insert into activation_experiments (tenant_id, experiment_id, experiment_name, campaign_id)
values ($1, 'e1', 'first', 'c1');

insert into segment_snapshot (
    tenant_id, snapshot_id, segment_name, segment_version, audience_sha256, member_count
) values ($1, 's1', 'vip', 'v1', 'abc', 1);

insert into segment_snapshot_member (tenant_id, snapshot_id, profile_id) values ($1, 's1', 'p1');

insert into agent_task (
    tenant_id, task_id, agent_name, task_type, marketing_event_id, snapshot_id, profile_id, source_event_id,
    occurred_at, outcome, reason_code, reasoning_summary, inputs, status, queue, due_at
) values (
    $1, 't1', 'rules', 'execute', 'm1', 's1', 'p1', 'ev1',
    '2025-06-10', 'send', 'SELECTED', 'because', '{"a": 1}', 'pending', 'email', '2025-06-10'
);

insert into delivery_log (
    tenant_id, delivery_key, task_id, marketing_event_id, profile_id, snapshot_id, channel, destination,
    delivery_status, body
) values ($1, 'd1', 't1', 'm1', 'p1', 's1', 'email', 'a@example.com', 'queued', 'Hi');

insert into behavioral_events (
    tenant_id, event_key, profile_id, source_event_id, event_type, occurred_at, attributes
) values ($1, 'k1', 'p1', 'ev1', 'purchase', '1997-01-05', '{"amount": 1}'),
    ($1, 'k2', 'p1', 'ev2', 'purchase', '2025-06-10', '{"amount": 2}');

insert into activation_outcomes (
    tenant_id, outcome_id, delivery_id, task_id, profile_id, outcome_type, occurred_at, attribution_model, metadata
) select $1, 'o1', delivery_id, 't1', 'p1', 'conversion', now(), 'last_touch', '{"a": 1}' from delivery_log
where delivery_key = 'd1';

insert into instruments (tenant_id, symbol, instrument_name, type) values ($1, 'PRIV', 'Private fund', 'FUND');

insert into market_snapshot (tenant_id, symbol, price_nanos) values ($1, 'PRIV', 1500000000);

insert into alert_rules (tenant_id, rule_id, profile_id, symbol, condition_logic, source)
values ($1, 'r1', 'p1', 'PRIV', '{"operator": ">", "value": 2}', 'USER_MANUAL');

insert into news_feed (tenant_id, content_sha256, title, published_at) values ($1, 'n1', 'News', now());

insert into embedding_job (tenant_id, entity_type, entity_id) values ($1, 'profile', 'p1')
"""


@dataclass(frozen=True, slots=True)
class Table:
    """A tenant table or one of its partitions."""

    name: str
    is_partition: bool


async def enter(connection: asyncpg.Connection, tenant_id: UUID | None) -> None:
    """Set the context of the session."""
    value = "" if tenant_id is None else str(UUID(int=tenant_id.int))
    await connection.execute("select set_config('app.current_tenant_id', $1, false)", value)


async def fill(app: asyncpg.Connection, tenant_id: UUID) -> None:
    """Insert the rows as the servers' role, in the tenant's context; leaves no context."""
    for month in MONTHS:
        await app.execute(f"select ensure_month('{month}')")
    await enter(app, tenant_id)
    for statement in _ROWS.split(";\n"):
        await app.execute(statement, UUID(int=tenant_id.int))
    await enter(app, None)


async def fill_partitions(app: asyncpg.Connection, admin: asyncpg.Connection) -> dict[int, list[UUID]]:
    """Give two new tenants a marketing event in each hash partition; returns the tenants by remainder."""
    tenants: dict[int, list[UUID]] = {remainder: [] for remainder in range(16)}
    while any(len(found) < 2 for found in tenants.values()):
        tenant_id = uuid4()
        found = tenants[await remainder_of(app, tenant_id)]
        if len(found) == 2:
            continue
        found.append(tenant_id)
        await register(admin, tenant_id)
        await enter(app, tenant_id)
        for statement in _ROWS.split(";\n"):
            if "into campaign" in statement or "into marketing_event" in statement:
                await app.execute(statement, tenant_id)
    await enter(app, None)
    return tenants


async def register(admin: asyncpg.Connection, tenant_id: UUID) -> None:
    """Insert a tenant under a name of its own."""
    await admin.execute(
        "insert into tenant (tenant_id, tenant_name, keycloak_realm, keycloak_client_id)"
        " values ($1, $2, 'schema-tests', $2)",
        tenant_id,
        str(tenant_id),
    )


async def remainder_of(connection: asyncpg.Connection, tenant_id: UUID) -> int:
    """The hash partition of marketing_event that a tenant's rows belong to, as PostgreSQL computes it."""
    remainder: int = await connection.fetchval(
        "select r from generate_series(0, 15) as r"
        " where satisfies_hash_partition('marketing_event'::regclass, 16, r, $1::uuid)",
        tenant_id,
    )
    return remainder


async def tenant_tables(connection: asyncpg.Connection) -> list[Table]:
    """Every table that holds tenants' rows, and every partition, as the catalogue has them."""
    rows = await connection.fetch(
        """
        select c.relname as name, c.relispartition as is_partition
        from pg_class c
        where c.relnamespace = 'public'::regnamespace
            and c.relkind in ('r', 'p')
            and c.relname <> 'schema_migrations'
        order by c.relname
        """
    )
    return [Table(row["name"], row["is_partition"]) for row in rows]


@contextmanager
def refused(*sqlstates: str) -> Iterator[None]:
    """The block must fail with one of these SQLSTATEs."""
    with pytest.raises(asyncpg.PostgresError) as caught:
        yield
    assert caught.value.sqlstate in sqlstates, f"{caught.value.sqlstate}: {caught.value}"


async def connect_all(database: DatabaseUrls) -> dict[str, asyncpg.Connection]:
    """A connection for each role that logs in, by its name."""
    return {
        "leo_app": await asyncpg.connect(database.app_url),
        "leo_worker": await asyncpg.connect(database.worker_url),
        "leo_admin": await asyncpg.connect(database.admin_url),
        "leo_owner": await asyncpg.connect(database.owner_url),
        "leo_proof": await asyncpg.connect(database.proof_url),
    }
