"""Rules, prices and firings in PostgreSQL: one method for each statement, one round trip each."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import orjson

from server.alerts.model import AlertRule, AlertRuleInput
from server.alerts.rows import (
    Committed,
    HeldRule,
    InstrumentChange,
    Member,
    PendingFiring,
    RowKey,
    RuleChange,
    StoredPrice,
    Ticked,
    evidence_of,
    moment_of,
    to_calendar,
    to_changes,
    to_committed,
    to_instrument_change,
    to_price,
    to_rule,
    to_terms,
)
from server.platform.postgres import Connection, Database
from server.platform.queries import Queries
from server.trading_calendar import Calendar

LOCK_CLASS: Final = 4712
"""First key of the advisory locks of shards; the second one is the shard."""

BEGINNING: Final = (UUID(int=0), "")
"""Before the first rule."""


class AlertStore:
    """Statements of `db/queries/alerts.sql`."""

    def __init__(self) -> None:
        self._queries = Queries.load("alerts")

    async def find_instruments(
        self, connection: Connection, tenant_id: UUID, symbols: Collection[str]
    ) -> dict[tuple[str, bool], Calendar]:
        """Calendars of the active instruments of these symbols, by symbol and whether it is the tenant's own."""
        rows = await connection.fetch(self._queries["find_instruments"], tenant_id, list(symbols))
        return {(row["symbol"], row["own_instrument"]): to_calendar(row["calendar"]) for row in rows}

    async def lock_alert_rules(
        self, connection: Connection, tenant_id: UUID, rule_ids: Collection[str]
    ) -> dict[str, HeldRule]:
        """Status, generation and terms of those that exist, held until the transaction ends."""
        rows = await connection.fetch(self._queries["lock_alert_rules"], tenant_id, list(rule_ids))
        return {row["rule_id"]: HeldRule(row["status"], row["generation"], to_terms(row)) for row in rows}

    async def put_alert_rules(
        self,
        connection: Connection,
        tenant_id: UUID,
        rules: Mapping[str, tuple[AlertRuleInput, bool]],
    ) -> dict[str, int]:
        """Make rules active; returns their generations, but for those of people who were erased.

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
            [rule.terms.source for rule in given],
            [rule.terms.note for rule in given],
            [rule.terms.rearms for rule in given],
            [rule.terms.cooldown_seconds for rule in given],
            [rule.terms.expires_at for rule in given],
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
        return [to_rule(row) for row in rows]

    async def disable_alert_rule(
        self, connection: Connection, tenant_id: UUID, rule_id: str
    ) -> AlertRule | None:
        """Stop a rule; None where there is none."""
        row = await connection.fetchrow(self._queries["disable_alert_rule"], tenant_id, rule_id)
        return None if row is None else to_rule(row)

    async def current_snapshot(self, connection: Connection) -> str:
        """Which transactions are over."""
        return str(await connection.fetchval(self._queries["current_snapshot"]))

    async def load_rules(
        self, connection: Connection, shard: int, after: tuple[UUID, str], limit: int
    ) -> tuple[list[RuleChange], tuple[UUID, str] | None]:
        """One page of a shard's active rules, and where to go on; None after the last page."""
        rows = await connection.fetch(self._queries["load_rules"], shard, *after, limit)
        last = (rows[-1]["tenant_id"], rows[-1]["rule_id"]) if len(rows) == limit else None
        return to_changes(rows), last

    async def changed_rules(
        self, database: Database, shards: Collection[int], since: str, own: str | None
    ) -> tuple[str, list[RuleChange]]:
        """Rules that changed since a snapshot, and the snapshot to ask from the next time.

        Args:
            own: a transaction of this process, whose changes are left out.
        """
        rows = await database.fetch(self._queries["changed_rules"], list(shards), since, own)
        return str(rows[0]["snapshot"]), to_changes(rows)

    async def next_epoch(self, connection: Connection) -> int:
        """A number above every one before."""
        return int(await connection.fetchval(self._queries["next_epoch"]))

    async def claim_prices(
        self, connection: Connection, shards: Collection[int], epoch: int
    ) -> list[StoredPrice]:
        """Take the prices of shards over: from then on no older epoch writes them."""
        rows = await connection.fetch(self._queries["claim_prices"], list(shards), epoch)
        return [to_price(row) for row in rows]

    async def changed_instruments(
        self, connection: Connection, shards: Collection[int], since: datetime, known: Collection[RowKey]
    ) -> tuple[datetime, dict[RowKey, InstrumentChange | None]]:
        """The database's time, and the instruments of these shards that were changed since then.

        Args:
            known: rows that were answered before: they are named, and not read again.
        """
        rows = await connection.fetch(self._queries["changed_instruments"], list(shards), since)
        keyed = {tuple(row)[1:]: row for row in rows if row["symbol"] is not None}
        return rows[0]["asked_at"], {
            key: None if key in known else to_instrument_change(row) for key, row in keyed.items()
        }

    async def commit_ticks(self, database: Database, given: Ticked, grace: timedelta) -> Committed | None:
        """Write what became of ticks, in a transaction of its own; None where others changed rules: nothing is written.

        Raises:
            asyncpg.PostgresError: LE008 where another epoch wrote one of the prices; nothing is written.
            CommitOutcomeUnknown: it may have been written.
        """
        moves, hits, watches = given.moves, given.hits, given.watches
        runtimes = [watch.runtime.document() for watch in watches]
        rows = await database.write(
            self._queries["commit_ticks"],
            *(given.caller, given.owner, given.shards, given.seen, given.own_xid),
            *(moves.symbols, moves.epochs, moves.prices_nanos, moves.previous_nanos),
            *(moves.moments_us, moves.feeds, moves.sequences, moves.volumes_micros, moves.days_ago_nanos),
            [None if past is None else orjson.dumps(past.document()) for past in moves.pasts],
            [hit.tenant_id for hit in hits],
            [hit.rule_id for hit in hits],
            [hit.generation for hit in hits],
            [hit.price_nanos for hit in hits],
            [hit.previous_price_nanos for hit in hits],
            [moment_of(hit.observed_at_us) for hit in hits],
            [hit.after_restart for hit in hits],
            [evidence_of(hit) for hit in hits],
            grace,
            [watch.rule.tenant_id for watch in watches],
            [watch.rule.rule_id for watch in watches],
            [watch.generation for watch in watches],
            [None if runtime is None else orjson.dumps(runtime) for runtime in runtimes],
        )
        return to_committed(rows, hits)

    async def expire_rules(self, connection: Connection, limit: int) -> int:
        """End active rules, of every tenant, whose time is over; returns how many."""
        return int(await connection.fetchval(self._queries["expire_rules"], limit))

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
