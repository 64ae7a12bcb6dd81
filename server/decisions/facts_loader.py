"""Loads what conditions read beside the profile, windows over past events and market prices, and draws what
experiments and the holdout have for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from itertools import groupby
from typing import Final, NamedTuple
from uuid import UUID

import orjson

from server.conditions.windows import PastEvent, Window, WindowValue, measure
from server.decisions.arms.assignment import draw_arms, draw_holdout
from server.decisions.arms.model import Counts
from server.decisions.model import ERASED, Bundle, Columns, Event
from server.decisions.state import Considered, facts_of, profile_state
from server.decisions.store import DecisionStore
from server.platform.postgres import Connection, Database

_History = Mapping[str, Sequence[PastEvent]]
_Market = Mapping[str, Mapping[str, object]]


class _Beside(NamedTuple):
    """What was loaded beside the profiles."""

    history: _History
    market: _Market
    counters: Mapping[str, Counts]


_NOTHING: Final = _Beside({}, {}, {})


class FactsLoader:
    """Stateless. Where a condition or an experiment of a tenant reads them, past events, prices and counters cost a
    transaction: two round trips, and one for each of the three that is read. Profiles that are not there cost another:
    they may have been erased."""

    def __init__(self, *, database: Database, store: DecisionStore) -> None:
        self._database = database
        self._store = store

    async def consider(
        self, tenant_id: UUID, bundle: Bundle, loaded: Sequence[tuple[Event, Columns]]
    ) -> list[Considered]:
        """What may be used to decide each event, in order. An event sees those before it in its batch.

        Of an event of somebody who was erased nothing is used, nor kept, but that it happened.
        """
        beside = await self._load(tenant_id, bundle, [event for event, _ in loaded])
        erased = await self._erased(tenant_id, loaded)
        considered = []
        earlier: dict[str, list[PastEvent]] = {}
        for event, row in loaded:
            if event.profile_id in erased:
                considered.append(Considered(_emptied(event), None, None, erased=True))
                continue
            profile = profile_state(row, bundle)
            aggregates: Mapping[str, WindowValue] = {}
            if bundle.windows:
                before = earlier.setdefault(event.profile_id, [])
                past = [*beside.history.get(event.profile_id, ()), *before]
                aggregates = measure(bundle.windows, past, event.occurred_at)
                before.append(PastEvent(event.event_type, event.occurred_at, event.attributes))
            facts = facts_of(event, profile, aggregates, beside.market) if profile else None
            found = Considered(event, profile, facts, aggregates, beside.market, sends=row["sends"])
            if bundle.draws and profile is not None:
                _draw(tenant_id, bundle, found, beside.counters)
            considered.append(found)
        return considered

    async def _erased(self, tenant_id: UUID, loaded: Sequence[tuple[Event, Columns]]) -> frozenset[str]:
        """Those of the profiles that are not there that were erased."""
        absent = {event.profile_id for event, row in loaded if row["profile_id"] is None}
        if not absent:
            return frozenset()
        async with self._database.tenant_transaction(tenant_id, readonly=True) as connection:
            return await self._store.find_erased(connection, tenant_id, sorted(absent))

    async def _load(self, tenant_id: UUID, bundle: Bundle, events: Sequence[Event]) -> _Beside:
        if not events or not (bundle.windows or bundle.symbols or bundle.adaptive):
            return _NOTHING
        async with self._database.tenant_transaction(tenant_id, readonly=True) as connection:
            return _Beside(
                await self._history(connection, tenant_id, bundle, events),
                await self._market(connection, tenant_id, bundle),
                await self._counters(connection, tenant_id, bundle),
            )

    async def _history(
        self, connection: Connection, tenant_id: UUID, bundle: Bundle, events: Sequence[Event]
    ) -> _History:
        if not bundle.windows:
            return {}
        rows = await self._store.load_past_events(
            connection,
            tenant_id,
            sorted({event.profile_id for event in events}),
            event_spans(
                bundle.windows, min(e.occurred_at for e in events), max(e.occurred_at for e in events)
            ),
        )
        return {
            profile_id: [
                PastEvent(row["event_type"], row["occurred_at"], orjson.loads(row["attributes"]))
                for row in found
            ]
            for profile_id, found in groupby(rows, key=lambda row: row["profile_id"])
        }

    async def _market(self, connection: Connection, tenant_id: UUID, bundle: Bundle) -> _Market:
        if not bundle.symbols:
            return {}
        rows = await self._store.load_market(connection, tenant_id, sorted(bundle.symbols))
        return {
            row["symbol"]: {"price": row["price"], "change_percent": row["change_percent"]} for row in rows
        }

    async def _counters(
        self, connection: Connection, tenant_id: UUID, bundle: Bundle
    ) -> Mapping[str, Counts]:
        if not bundle.adaptive:
            return {}
        rows = await self._store.load_counters(connection, tenant_id, sorted(bundle.adaptive))
        return {row["experiment_id"]: _counts(row["variant_counts"]) for row in rows}


def _emptied(event: Event) -> Event:
    return event._replace(attributes={}, attributes_json=b"{}", input_sha256=ERASED)


def _counts(document: str) -> Counts:
    return {
        variant: (count["exposures"], count["conversions"])
        for variant, count in orjson.loads(document).items()
    }


def _draw(tenant_id: UUID, bundle: Bundle, considered: Considered, counters: Mapping[str, Counts]) -> None:
    """Whoever is in the tenant's holdout takes part in no experiment."""
    if bundle.holdout is not None:
        considered.holdout = draw_holdout(tenant_id, bundle.holdout, considered.event.profile_id)
        if considered.holdout.held_out:
            return
    if bundle.experiments:
        considered.arms = draw_arms(tenant_id, bundle, considered.event, counters)


def event_spans(
    windows: frozenset[Window], earliest: datetime, latest: datetime
) -> list[tuple[str, datetime | None, datetime]]:
    """For each event type, from when to when its events are needed; None: only the last one before the
    end."""
    spans: list[tuple[str, datetime | None, datetime]] = []
    for event_type in sorted({window.event_type for window in windows}):
        durations = [window.duration for window in windows if window.event_type == event_type]
        start = earliest - max(
            (duration for duration in durations if duration is not None), default=timedelta()
        )
        spans.append((event_type, start, latest))
        if None in durations:
            spans.append((event_type, None, start))
    return spans
