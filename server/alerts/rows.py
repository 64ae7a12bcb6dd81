"""What rows of `db/queries/alerts.sql` say, as models, and models as columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple, TypeAlias
from uuid import UUID

import asyncpg
import orjson

from server.alerts.model import (
    AlertRule,
    Direction,
    Firing,
    Hit,
    Logic,
    Moves,
    Operator,
    Past,
    PriceState,
    Runtime,
    Source,
    StoredRule,
    Terms,
    Watch,
)
from server.platform.logging import get_logger
from server.trading_calendar import ALWAYS_OPEN, Calendar

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_OPERATORS: Final = {operator.value: operator for operator in Operator}
_DIRECTIONS: Final = {direction.value: direction for direction in Direction}


RowKey: TypeAlias = tuple[Any, ...]
"""All columns of a row, when it was changed among them."""


class RuleChange(NamedTuple):
    """A rule as it is now, and the instrument that it is on.

    Args:
        owner: the tenant whose own instrument it is; None for a global one.
    """

    owner: UUID | None
    symbol: str
    rule: StoredRule


class HeldRule(NamedTuple):
    """A rule that is held until the transaction ends."""

    status: str
    generation: int
    terms: Terms


@dataclass(frozen=True, slots=True)
class StoredPrice:
    """The price state of an instrument, as it was committed."""

    owner: UUID | None
    symbol: str
    state: PriceState
    past: Past


@dataclass(frozen=True, slots=True)
class Ticked:
    """What became of ticks, to be committed.

    Args:
        caller: the tenant whose context it is written in.
        owner: the tenant whose own instruments these are; None for global ones.
        shards: rules of these may have changed.
        seen: the snapshot that the rules are up to date with; None where that was asked already.
        own_xid: the last transaction of this process, whose changes are known here.
    """

    caller: UUID
    owner: UUID | None
    shards: list[int]
    seen: str | None
    own_xid: str | None
    moves: Moves
    hits: Sequence[Hit]
    watches: Sequence[Watch]


class Committed(NamedTuple):
    """What was written of ticks.

    Args:
        seen: the snapshot that was looked at for changed rules; None where none was.
        own_xid: the transaction.
        firings: those that were still to be had, by key and generation.
    """

    seen: str | None
    own_xid: str
    firings: dict[tuple[bytes, int], Firing]


@dataclass(frozen=True, slots=True)
class InstrumentChange:
    """An instrument as it is now.

    Args:
        owner: the tenant whose own it is; None for a global one.
    """

    owner: UUID | None
    symbol: str
    active: bool
    calendar: Calendar


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


def moment_of(microseconds: int) -> datetime:
    """The instant of microseconds since 1970."""
    return _EPOCH + timedelta(microseconds=microseconds)


def evidence_of(hit: Hit) -> bytes | None:
    """What the firing's attributes tell beside prices and logic; None for nothing."""
    evidence = {}
    if hit.reference_price_nanos:
        evidence["reference_price_nanos"] = hit.reference_price_nanos
    if hit.day_volume_micros is not None:
        evidence["day_volume_micros"] = hit.day_volume_micros
    return orjson.dumps(evidence) if evidence else None


def to_price(row: asyncpg.Record) -> StoredPrice:
    """A row of `claim_market_shards`."""
    state = PriceState(
        price_nanos=row["price_nanos"],
        previous_price_nanos=row["previous_price_nanos"],
        observed_at_us=(row["observed_at"] - _EPOCH) // _MICROSECOND,
        feed=row["feed"],
        sequence=row["sequence"],
        volume_micros=row["volume_micros"],
    )
    past = Past(row["symbol"], orjson.loads(row["history"]))
    return StoredPrice(row["tenant_id"], row["symbol"], state, past)


def to_changes(rows: Sequence[asyncpg.Record]) -> list[RuleChange]:
    """The rules among the rows; logic that is none of this version's is passed over."""
    return [change for row in rows if (change := _change(row)) is not None]


def _change(row: asyncpg.Record) -> RuleChange | None:
    operator, details = _OPERATORS.get(row["operator"]), row["details"]
    if operator is None or (details is None and row["price_nanos"] is None):
        return None
    tenant_id, rule_id, generation = row["tenant_id"], row["rule_id"], row["generation"]
    watch = None
    if details is not None:
        key = tenant_id.bytes + bytes.fromhex(rule_id)
        try:
            watch = Watch.from_document(key, generation, orjson.loads(details))
        except (ValueError, KeyError, TypeError) as error:
            get_logger().error("alert_rule_unusable", exc_info=error)
            return None
    rule = StoredRule(
        tenant_id,
        rule_id,
        operator,
        _DIRECTIONS.get(row["direction"]),
        row["price_nanos"] or 0,
        generation,
        row["active"],
        watch,
    )
    return RuleChange(tenant_id if row["own_instrument"] else None, row["symbol"], rule)


def to_instrument_change(row: asyncpg.Record) -> InstrumentChange:
    """A row of `changed_instruments`."""
    return InstrumentChange(row["tenant_id"], row["symbol"], row["active"], to_calendar(row["calendar"]))


def to_calendar(document: str | None) -> Calendar:
    """The calendar of an instrument's metadata."""
    return ALWAYS_OPEN if document is None else Calendar.from_document(orjson.loads(document))


def to_rule(row: asyncpg.Record) -> AlertRule:
    """A row of `alert_rules`."""
    runtime = row["runtime"]
    return AlertRule(
        rule_id=row["rule_id"],
        profile_id=row["profile_id"],
        symbol=row["symbol"],
        own_instrument=row["own_instrument"],
        logic=Logic.from_document(orjson.loads(row["condition_logic"])),
        terms=to_terms(row),
        status=row["status"],
        generation=row["generation"],
        last_fired_at=row["last_triggered_at"],
        last_fired_price_nanos=row["last_fired_price_nanos"],
        created_at=row["created_at"],
        runtime=Runtime.from_document(None if runtime is None else orjson.loads(runtime)),
    )


def to_terms(row: asyncpg.Record) -> Terms:
    """The terms in a row of `alert_rules`."""
    return Terms(
        source=Source(row["source"]),
        note=row["note"],
        rearms=row["rearm"],
        cooldown_seconds=row["cooldown_seconds"],
        expires_at=row["expires_at"],
    )


def to_committed(rows: Sequence[asyncpg.Record], hits: Sequence[Hit]) -> Committed | None:
    """The rows of `commit_ticks`."""
    first, *claimed = rows
    if first["xid"] is None:
        return None
    by_name = {(hit.key, hit.generation): hit for hit in hits}
    named = {
        (row["tenant_id"].bytes + bytes.fromhex(row["rule_id"]), row["generation"]): row for row in claimed
    }
    firings = {name: _firing(by_name[name], row) for name, row in named.items()}
    return Committed(first["seen"], first["xid"], firings)


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
        after_restart=hit.after_restart,
        reference_price_nanos=hit.reference_price_nanos,
        silence_id=row["silence_id"],
    )
