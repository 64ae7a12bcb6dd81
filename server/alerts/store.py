"""Rules, prices and firings in PostgreSQL: one method for each statement, one round trip each."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

import asyncpg
import orjson

from server.alerts.model import (
    AlertRule,
    AlertRuleInput,
    Direction,
    Firing,
    Hit,
    Logic,
    Operator,
    PriceState,
    Source,
    StoredRule,
)
from server.platform.postgres import Connection
from server.platform.queries import Queries

LOCK_CLASS: Final = 4712
"""First key of the advisory locks of shards; the second one is the shard."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_OPERATORS: Final = frozenset(Operator)
BEGINNING: Final = (UUID(int=0), "")
"""Before the first rule."""


@dataclass(frozen=True, slots=True)
class RuleChange:
    """A rule as it is now, and the instrument that it is on.

    Args:
        owner: the tenant whose own instrument it is; None for a global one.
    """

    owner: UUID | None
    symbol: str
    rule: StoredRule


@dataclass(frozen=True, slots=True)
class StoredPrice:
    """The price state of an instrument, as it was committed."""

    owner: UUID | None
    symbol: str
    state: PriceState


@dataclass(frozen=True, slots=True)
class Member:
    """A process that shares the shards."""

    address: str
    is_self: bool
    shards: frozenset[int]


@dataclass(frozen=True, slots=True)
class PendingFiring:
    """A firing whose decision is not recorded yet."""

    task_id: str
    source_event_id: str
    profile_id: str
    occurred_at: datetime
    attributes: bytes


class AlertStore:
    """Statements of `db/queries/alerts.sql`."""

    def __init__(self) -> None:
        self._queries = Queries.load("alerts")

    async def find_instruments(
        self, connection: Connection, tenant_id: UUID, symbols: Collection[str]
    ) -> set[tuple[str, bool]]:
        """Active instruments of these symbols, each with whether it is the tenant's own."""
        rows = await connection.fetch(self._queries["find_instruments"], tenant_id, list(symbols))
        return {(row["symbol"], row["own_instrument"]) for row in rows}

    async def lock_alert_rules(
        self, connection: Connection, tenant_id: UUID, rule_ids: Collection[str]
    ) -> dict[str, asyncpg.Record]:
        """Status, generation, note and source of those that exist, held until the transaction ends."""
        rows = await connection.fetch(self._queries["lock_alert_rules"], tenant_id, list(rule_ids))
        return {row["rule_id"]: row for row in rows}

    async def put_alert_rules(
        self,
        connection: Connection,
        tenant_id: UUID,
        rules: Mapping[str, tuple[AlertRuleInput, bool]],
    ) -> dict[str, int]:
        """Make rules active; returns their generations.

        Args:
            rules: by rule id, each with whether it is on the tenant's own instrument.
        """
        given = [rule for rule, _ in rules.values()]
        rows = await connection.fetch(
            self._queries["put_alert_rules"],
            tenant_id,
            list(rules),
            [rule.profile_id for rule in given],
            [rule.symbol for rule in given],
            [own for _, own in rules.values()],
            [orjson.dumps(rule.logic.document()) for rule in given],
            [rule.source for rule in given],
            [rule.note for rule in given],
        )
        return {row["rule_id"]: row["generation"] for row in rows}

    async def list_alert_rules(
        self,
        connection: Connection,
        tenant_id: UUID,
        *,
        after: str,
        profile_id: str | None,
        symbol: str | None,
        status: str | None,
        limit: int,
    ) -> list[AlertRule]:
        """Rules after an id, by id."""
        rows = await connection.fetch(
            self._queries["list_alert_rules"], tenant_id, after, profile_id, symbol, status, limit
        )
        return [_rule(row) for row in rows]

    async def disable_alert_rule(
        self, connection: Connection, tenant_id: UUID, rule_id: str
    ) -> AlertRule | None:
        """Stop a rule; None where there is none."""
        row = await connection.fetchrow(self._queries["disable_alert_rule"], tenant_id, rule_id)
        return None if row is None else _rule(row)

    async def allow_global_ticks(self, connection: Connection) -> None:
        """Let the open transaction write prices of global instruments."""
        await connection.execute(self._queries["allow_global_ticks"])

    async def current_snapshot(self, connection: Connection) -> str:
        """Which transactions are over."""
        return str(await connection.fetchval(self._queries["current_snapshot"]))

    async def load_rules(
        self, connection: Connection, shard: int, after: tuple[UUID, str], limit: int
    ) -> tuple[list[RuleChange], tuple[UUID, str] | None]:
        """One page of a shard's active rules, and where to go on; None after the last page."""
        rows = await connection.fetch(self._queries["load_rules"], shard, *after, limit)
        last = (rows[-1]["tenant_id"], rows[-1]["rule_id"]) if len(rows) == limit else None
        return _changes(rows), last

    async def changed_rules(
        self, connection: Connection, shards: Collection[int], since: str
    ) -> tuple[str, list[RuleChange]]:
        """Rules that changed since a snapshot, and the snapshot to ask from the next time."""
        rows = await connection.fetch(self._queries["changed_rules"], list(shards), since)
        return str(rows[0]["snapshot"]), _changes(rows)

    async def next_epoch(self, connection: Connection) -> int:
        """A number above every one before."""
        return int(await connection.fetchval(self._queries["next_epoch"]))

    async def claim_prices(
        self, connection: Connection, shards: Collection[int], epoch: int
    ) -> list[StoredPrice]:
        """Take the prices of shards over: from then on no older epoch writes them."""
        rows = await connection.fetch(self._queries["claim_prices"], list(shards), epoch)
        return [_price(row) for row in rows]

    async def put_prices(
        self, connection: Connection, owner: UUID | None, prices: Mapping[str, tuple[int, PriceState]]
    ) -> int:
        """Write the last prices; returns how many were ours to write.

        Args:
            prices: by symbol, each with the epoch of its shard.
        """
        states = [state for _, state in prices.values()]
        rows = await connection.fetch(
            self._queries["put_prices"],
            owner,
            [epoch for epoch, _ in prices.values()],
            list(prices),
            [state.price_nanos for state in states],
            [_state_document(state) for state in states],
            [_moment(state.observed_at_us) for state in states],
        )
        return len(rows)

    async def fire_rules(
        self, connection: Connection, hits: Sequence[Hit], grace: timedelta
    ) -> dict[bytes, Firing]:
        """Claim firings; returns those that were still to be had, by key."""
        rows = await connection.fetch(
            self._queries["fire_rules"],
            [hit.tenant_id for hit in hits],
            [hit.rule_id for hit in hits],
            [hit.generation for hit in hits],
            [hit.price_nanos for hit in hits],
            [hit.previous_price_nanos for hit in hits],
            [_moment(hit.observed_at_us) for hit in hits],
            grace,
        )
        by_key = {hit.key: hit for hit in hits}
        claimed = {row["tenant_id"].bytes + bytes.fromhex(row["rule_id"]): row for row in rows}
        return {key: _firing(by_key[key], row) for key, row in claimed.items()}

    async def list_members(self, connection: Connection) -> list[Member]:
        """The processes that share the shards, the first to come first."""
        rows = await connection.fetch(self._queries["list_members"], LOCK_CLASS)
        return [Member(row["address"], row["is_self"], frozenset(row["shards"])) for row in rows]

    async def lock_shards(self, connection: Connection, shards: Collection[int]) -> set[int]:
        """Take locks for the session; returns those that were free."""
        rows = await connection.fetch(self._queries["lock_shards"], LOCK_CLASS, list(shards))
        return {row["shard"] for row in rows}

    async def unlock_shards(self, connection: Connection, shards: Collection[int]) -> None:
        """Give locks of the session back."""
        await connection.execute(self._queries["unlock_shards"], LOCK_CLASS, list(shards))

    async def claim_firings(
        self, connection: Connection, *, limit: int, lease: timedelta, claimant: str
    ) -> list[tuple[UUID, str]]:
        """Lease firings that no server has decided: tenant and task id of each."""
        rows = await connection.fetch(self._queries["claim_firings"], limit, lease, claimant)
        return [(row["tenant_id"], row["task_id"]) for row in rows]

    async def load_firings(
        self, connection: Connection, tenant_id: UUID, task_ids: Collection[str], claimant: str
    ) -> list[PendingFiring]:
        """What leased firings ask for."""
        rows = await connection.fetch(self._queries["load_firings"], tenant_id, list(task_ids), claimant)
        return [
            PendingFiring(
                row["task_id"],
                row["source_event_id"],
                row["profile_id"],
                row["occurred_at"],
                row["attributes"].encode(),
            )
            for row in rows
        ]

    async def end_firings(
        self, connection: Connection, tenant_id: UUID, ends: Mapping[str, tuple[str, bytes]]
    ) -> None:
        """Record what became of firings: status and result by task id."""
        ordered = sorted(ends.items())
        await connection.execute(
            self._queries["end_firings"],
            tenant_id,
            [task_id for task_id, _ in ordered],
            [status for _, (status, _) in ordered],
            [result for _, (_, result) in ordered],
        )


def _moment(microseconds: int) -> datetime:
    return _EPOCH + timedelta(microseconds=microseconds)


def _state_document(state: PriceState) -> bytes:
    return orjson.dumps(
        {
            "previous_price_nanos": state.previous_price_nanos,
            "feed": state.feed,
            "sequence": state.sequence,
        }
    )


def _price(row: asyncpg.Record) -> StoredPrice:
    document = orjson.loads(row["state"])
    observed_at_us = (row["observed_at"] - _EPOCH) // timedelta(microseconds=1)
    state = PriceState(
        price_nanos=row["price_nanos"],
        previous_price_nanos=document.get("previous_price_nanos"),
        observed_at_us=observed_at_us,
        feed=document.get("feed", ""),
        sequence=document.get("sequence", 0),
    )
    return StoredPrice(row["tenant_id"], row["symbol"], state)


def _changes(rows: Sequence[asyncpg.Record]) -> list[RuleChange]:
    """The rules among the rows; logic that is none of this engine's is passed over."""
    return [_change(row) for row in rows if row["operator"] in _OPERATORS and row["price_nanos"] is not None]


def _change(row: asyncpg.Record) -> RuleChange:
    rule = StoredRule(
        tenant_id=row["tenant_id"],
        rule_id=row["rule_id"],
        operator=Operator(row["operator"]),
        direction=Direction(row["direction"]),
        price_nanos=row["price_nanos"],
        generation=row["generation"],
        active=row["active"],
    )
    return RuleChange(row["tenant_id"] if row["own_instrument"] else None, row["symbol"], rule)


def _rule(row: asyncpg.Record) -> AlertRule:
    document = orjson.loads(row["condition_logic"])
    operator = Operator(document["operator"])
    direction = Direction(document["direction"]) if operator is Operator.CROSSES else None
    return AlertRule(
        rule_id=row["rule_id"],
        profile_id=row["profile_id"],
        symbol=row["symbol"],
        own_instrument=row["own_instrument"],
        logic=Logic(operator, document["price_nanos"], direction),
        source=Source(row["source"]),
        note=row["note"],
        status=row["status"],
        generation=row["generation"],
        last_fired_at=row["last_triggered_at"],
        last_fired_price_nanos=row["last_fired_price_nanos"],
        created_at=row["created_at"],
    )


def _firing(hit: Hit, row: asyncpg.Record) -> Firing:
    return Firing(
        tenant_id=row["tenant_id"],
        rule_id=row["rule_id"],
        generation=row["generation"],
        profile_id=row["profile_id"],
        symbol=hit.symbol,
        price_nanos=hit.price_nanos,
        previous_price_nanos=hit.previous_price_nanos,
        fired_at=row["fired_at"],
        tick_index=hit.tick_index,
        task_id=row["task_id"],
        source_event_id=row["source_event_id"],
        attributes=row["attributes"].encode(),
    )
