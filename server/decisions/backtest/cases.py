"""From the rows of a span to the cases of a simulation: what was recorded, completed by what is known now."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Any, Final, NamedTuple
from uuid import UUID

import asyncpg
import orjson

from server.conditions import Window, measure
from server.conditions.windows import PastEvent
from server.decisions.arms.assignment import draw_arms, draw_holdout
from server.decisions.backtest.simulation import NOTHING_HAPPENED, Case, Happened, message_of
from server.decisions.backtest.store import BacktestStore
from server.decisions.facts_loader import event_spans
from server.decisions.intake import task_id
from server.decisions.model import Bundle, Columns, DecisionInputs, Event, ProfileState
from server.decisions.recorded_inputs import decode_inputs
from server.decisions.state import facts_of, profile_state
from server.decisions.store import DecisionStore
from server.platform.postgres import Connection

_WHOLE_PROFILE: Final = "profile.*"
_Market = Mapping[str, Mapping[str, object]]


class Rules(NamedTuple):
    """The rules of a moment, without the draft and with it."""

    base: Bundle
    drafted: Bundle


class Needs(NamedTuple):
    """What the draft reads and the rules of the time did not, so that it was not recorded."""

    columns: frozenset[str]
    raw_attributes: frozenset[str]
    windows: frozenset[Window]
    symbols: frozenset[str]

    @classmethod
    def of(cls, rules: Rules) -> Needs:
        """The difference of what the two read."""
        base, drafted = rules
        return cls(
            drafted.profile_columns - base.profile_columns,
            drafted.raw_attributes - base.raw_attributes,
            drafted.windows - base.windows,
            drafted.symbols - base.symbols,
        )

    @property
    def names(self) -> set[str]:
        """What is read as it is now, as conditions name it. Windows are not: they end at the event's own time."""
        inside = (f"profile.{name}" for name in self.columns | self.raw_attributes)
        return {*inside, *(f"market.{symbol}" for symbol in self.symbols)}


@dataclass(frozen=True, slots=True)
class Known:
    """What is known now of the profiles of a chunk."""

    profiles: Mapping[str, Columns]
    history: Mapping[str, Sequence[PastEvent]]
    market: _Market


class Completed(NamedTuple):
    """A case, and what of it had to be read as it is now."""

    case: Case
    read_now: set[str]


class CaseLoader:
    """Makes cases. Costs up to three round trips for each chunk, and none where everything was recorded."""

    def __init__(self, *, store: BacktestStore, decisions: DecisionStore) -> None:
        self._store = store
        self._decisions = decisions

    async def known(
        self, connection: Connection, tenant_id: UUID, rows: Sequence[asyncpg.Record], rules: Sequence[Rules]
    ) -> Known:
        """What the cases of these rows will need beyond what was recorded."""
        wanting = [(row, r) for row, r in zip(rows, rules, strict=True) if not _is_recorded(row) or _lacks(r)]
        if not wanting:
            return Known({}, {}, {})
        profile_ids = sorted({row["profile_id"] for row, _ in wanting})
        windows = frozenset(window for _, r in wanting for window in r.drafted.windows)
        symbols = sorted({symbol for _, r in wanting for symbol in r.drafted.symbols})
        return Known(
            await self._store.profiles_now(connection, tenant_id, profile_ids),
            await self._history(connection, tenant_id, profile_ids, windows, [row for row, _ in wanting]),
            await self._market(connection, tenant_id, symbols),
        )

    async def _history(
        self,
        connection: Connection,
        tenant_id: UUID,
        profile_ids: Sequence[str],
        windows: frozenset[Window],
        rows: Sequence[asyncpg.Record],
    ) -> Mapping[str, Sequence[PastEvent]]:
        if not windows:
            return {}
        times = [row["occurred_at"] for row in rows]
        found = await self._decisions.load_past_events(
            connection, tenant_id, profile_ids, event_spans(windows, min(times), max(times))
        )
        return {
            profile_id: [
                PastEvent(row["event_type"], row["occurred_at"], orjson.loads(row["attributes"]))
                for row in past
            ]
            for profile_id, past in groupby(found, key=lambda row: row["profile_id"])
        }

    async def _market(self, connection: Connection, tenant_id: UUID, symbols: Sequence[str]) -> _Market:
        if not symbols:
            return {}
        rows = await self._decisions.load_market(connection, tenant_id, symbols)
        return {
            row["symbol"]: {"price": row["price"], "change_percent": row["change_percent"]} for row in rows
        }


def make_case(tenant_id: UUID, row: asyncpg.Record, rules: Rules, known: Known, now: datetime) -> Completed:
    """The case of one event.

    Args:
        now: the clock, for events on which nothing was decided.

    Raises:
        PreconditionFailed: it was decided, and what was recorded can not be read (`decode_inputs`).
    """
    if not _is_recorded(row):
        inputs = _undecided(tenant_id, row, rules, known, now)
        return Completed(Case(rules.drafted, inputs, NOTHING_HAPPENED), {_WHOLE_PROFILE})
    inputs, read_now = _with_needs(decode_inputs(row), Needs.of(rules), known, rules)
    sent = rules.base.by_id.get(row["marketing_event_id"])
    return Completed(Case(rules.drafted, inputs, Happened(row["reason_code"], message_of(sent))), read_now)


def _is_recorded(row: Columns) -> bool:
    return row["task_id"] is not None


def _lacks(rules: Rules) -> bool:
    return any(Needs.of(rules))


def _undecided(
    tenant_id: UUID, row: asyncpg.Record, rules: Rules, known: Known, now: datetime
) -> DecisionInputs:
    bundle = rules.drafted
    event = Event(
        source_event_id=row["source_event_id"],
        profile_id=row["profile_id"],
        event_type=row["event_type"],
        occurred_at=row["occurred_at"],
        attributes=orjson.loads(row["attributes"]),
        attributes_json=row["attributes"].encode(),
        task_id=task_id(tenant_id, row["source_event_id"]),
        input_sha256="",
    )
    found = known.profiles.get(event.profile_id)
    profile = profile_state(found, bundle) if found is not None else None
    if profile is None:
        return DecisionInputs(event, None, None, {}, now)
    past = known.history.get(event.profile_id, ())
    facts = facts_of(event, profile, measure(bundle.windows, past, event.occurred_at), known.market)
    holdout = draw_holdout(tenant_id, bundle.holdout, event.profile_id) if bundle.holdout else None
    arms = {} if holdout and holdout.held_out else draw_arms(tenant_id, bundle, event, {})
    return DecisionInputs(event, profile, facts, {}, now, arms, holdout)


def _with_needs(
    inputs: DecisionInputs, needs: Needs, known: Known, rules: Rules
) -> tuple[DecisionInputs, set[str]]:
    """The recorded inputs, with what the draft reads beyond them."""
    profile, facts, event = inputs.profile, inputs.facts, inputs.event
    if profile is None or facts is None or not any(needs):
        return inputs, set()
    found = known.profiles.get(event.profile_id)
    now = profile_state(found, rules.drafted) if found is not None else None
    profile = profile._replace(attributes=_attributes(profile, now, needs))
    past = known.history.get(event.profile_id, ())
    aggregates = {**facts.aggregates, **measure(needs.windows, past, event.occurred_at)}
    market = {
        **{symbol: known.market[symbol] for symbol in needs.symbols if symbol in known.market},
        **facts.market,
    }
    return inputs._replace(profile=profile, facts=facts_of(event, profile, aggregates, market)), needs.names


def _attributes(recorded: ProfileState, now: ProfileState | None, needs: Needs) -> Mapping[str, Any]:
    """What was recorded, and beside it the columns and raw attributes that nobody had read."""
    if now is None:
        return recorded.attributes
    columns = {column: now.attributes.get(column) for column in needs.columns}
    raw = now.attributes.get("raw_attributes", {})
    added = {name: raw[name] for name in needs.raw_attributes if name in raw}
    merged = {**columns, **recorded.attributes}
    return {**merged, "raw_attributes": {**added, **recorded.attributes.get("raw_attributes", {})}}
