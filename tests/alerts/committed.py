"""Rules that fire without a tick: as the owner of a shard claims them, in whatever transaction a test chooses."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import asyncpg

_RULES = """
    insert into alert_rules (tenant_id, rule_id, profile_id, symbol, condition_logic, source)
    select $1, rule_id, $3, $4, '{"operator": "above", "direction": "up", "price_nanos": 5}', 'USER_MANUAL'
    from unnest($2::text[]) as rule_id
"""
_FIRE = """
    select rule_id, source_event_id, silence_id, attributes from fire_alert_rules(
        array_fill($1::uuid, array[cardinality($2::text[])]), $2, array_fill(1::bigint, array[cardinality($2)]),
        array_fill(7::bigint, array[cardinality($2)]), array_fill(3::bigint, array[cardinality($2)]),
        array_fill(coalesce($3, now()), array[cardinality($2)]), array_fill(false, array[cardinality($2)]),
        array_fill(null::jsonb, array[cardinality($2)]), '0'
    ) order by rule_id
"""


def rule_ids(count: int, first: int = 1) -> list[str]:
    """Ids of rules that no PutAlertRules would give."""
    return [f"{number:064x}" for number in range(first, first + count)]


async def add_rules(
    proof: asyncpg.Connection,
    tenant_id: UUID,
    ids: Sequence[str],
    *,
    profile_id: str = "ann",
    symbol: str = "AAPL",
) -> None:
    """Insert active rules."""
    await proof.execute(_RULES, UUID(int=tenant_id.int), list(ids), profile_id, symbol)


async def fire(
    app: asyncpg.Connection, tenant_id: UUID, ids: Sequence[str], *, fired_at: datetime | None = None
) -> list[asyncpg.Record]:
    """Claim the firing of each rule, due for a worker at once."""
    return await app.fetch(_FIRE, UUID(int=tenant_id.int), list(ids), fired_at)
