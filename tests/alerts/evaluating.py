"""The pure engine, with a database in memory that holds what the real one would: rows as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import orjson

from server.alerts.model import (
    ActiveHours,
    BatchOutcome,
    Board,
    Book,
    Direction,
    Evaluation,
    Hit,
    Logic,
    Operator,
    Past,
    PriceState,
    StoredRule,
    TickBatch,
    TickBounds,
    Watch,
)
from server.alerts.model.stored import PLAIN, fill
from server.trading_calendar import ALWAYS_OPEN, Calendar, Hours
from tests.alerts.naive import NaiveFiring, NaiveHours, NaiveRule, NaiveTick

TENANT = UUID(int=7)
BOUNDS = TickBounds(0, 2**62)
_OPERATORS = {
    ">": Operator.ABOVE,
    "<": Operator.BELOW,
    "between": Operator.BETWEEN,
    "leaves": Operator.LEAVES_BAND,
    "volume": Operator.VOLUME_ABOVE,
    "crosses": Operator.CROSSES,
    "close": Operator.CHANGE_FROM_CLOSE,
    "within": Operator.MOVES_WITHIN,
    "new up": Operator.NEW_HIGH,
    "new down": Operator.NEW_LOW,
}


def logic_of(rule: NaiveRule) -> Logic:
    """The same in the engine's words."""
    kind, _, way = rule.kind.partition(" ")
    operator = _OPERATORS.get(kind) or _OPERATORS[rule.kind]
    band = operator in (Operator.BETWEEN, Operator.LEAVES_BAND)
    return Logic(
        operator,
        price_nanos=0 if band else rule.price,
        direction=Direction(way) if way and kind != "new" else None,
        low_price_nanos=rule.price if band else 0,
        high_price_nanos=rule.high,
        change_ppm=rule.ppm,
        window_seconds=rule.seconds,
        days=rule.days,
        volume_micros=rule.volume,
        hold_seconds=rule.hold,
        clear_price_nanos=0 if rule.ppm else rule.clear,
        clear_change_ppm=rule.clear if rule.ppm else 0,
        active_hours=_active_hours(rule.hours),
    )


def _active_hours(hours: NaiveHours | str | None) -> ActiveHours | None:
    if hours is None:
        return None
    return ActiveHours(market=True) if isinstance(hours, str) else ActiveHours(hours=_hours(hours))


def _hours(hours: NaiveHours) -> Hours:
    return Hours(hours.zone, hours.start, hours.end, hours.days, hours.holidays)


@dataclass(slots=True)
class _Row:
    rule: NaiveRule
    generation: int = 1
    active: bool = True
    runtime: bytes | None = None

    @property
    def stored(self) -> StoredRule:
        """As the server would read it."""
        logic = logic_of(self.rule)
        document = orjson.loads(orjson.dumps(logic.document()))
        key = TENANT.bytes + bytes.fromhex(self.rule.name)
        details = {
            "logic": document,
            "rearm": self.rule.rearms,
            "cooldown_seconds": self.rule.cooldown,
            "expires_at_us": self.rule.expires,
            "runtime": None if self.runtime is None else orjson.loads(self.runtime),
        }
        plain = document.keys() <= {"operator", "direction", "price_nanos"} and not (
            self.rule.rearms or self.rule.expires is not None or self.runtime
        )
        assert logic.operator is not None
        return StoredRule(
            TENANT,
            self.rule.name,
            logic.operator,
            Direction(document["direction"]) if logic.operator in PLAIN else None,
            self.rule.price,
            self.generation,
            self.active,
            None if plain else Watch.from_document(key, self.generation, details),
        )


@dataclass(slots=True)
class Served:
    """The engine over its database.

    Args:
        symbols: the instruments, with their calendars.
        fewest_columns: from how many ticks on they are compared as columns first.
    """

    symbols: Mapping[str, NaiveHours | None]
    rows: dict[str, _Row] = field(default_factory=dict)
    prices: dict[str, tuple[bytes, bytes]] = field(default_factory=dict)
    books: dict[str, Book] = field(default_factory=dict)
    changed: dict[str, _Row] = field(default_factory=dict)
    board: Board = field(default_factory=Board)
    fewest_columns: int = 1

    def __post_init__(self) -> None:
        self.restart()

    def put(self, rule: NaiveRule) -> None:
        """As PutAlertRules."""
        row = self.rows.get(rule.name)
        if row is None:
            row = self.rows[rule.name] = _Row(rule)
        elif not row.active:
            row.generation, row.runtime = row.generation + 1, None
        row.rule, row.active = rule, True
        self.changed[rule.name] = row

    def delete(self, name: str) -> None:
        """As DeleteAlertRule."""
        if name in self.rows:
            self.rows[name].active, self.rows[name].runtime = False, None
            self.changed[name] = self.rows[name]

    def restart(self) -> None:
        """Another process reads everything."""
        self.books, self.board = {symbol: Book(symbol) for symbol in self.symbols}, Board()
        fill(self.books, [(row.rule.symbol, row.stored) for row in self.rows.values() if row.active])
        for symbol, (state, history) in self.prices.items():
            past = Past(symbol, orjson.loads(history))
            self.books[symbol].resume(PriceState(*orjson.loads(state)), past)
        for symbol, hours in self.symbols.items():
            self.books[symbol].follow(ALWAYS_OPEN if hours is None else Calendar(_hours(hours)))
            self.board.seat(self.books[symbol])
        self.changed.clear()

    def evaluate(
        self, batches: Sequence[TickBatch], *, fails: bool = False
    ) -> list[tuple[BatchOutcome, list[Hit]]]:
        """One transaction; where it fails, nothing of it remains."""
        for row in self.changed.values():
            row.stored.apply_to(self.books[row.rule.symbol])
        self.changed.clear()
        evaluation = Evaluation(self.board, BOUNDS, fewest_columns=self.fewest_columns)
        results = evaluation.run(batches, [self.board.find(batch.symbols) for batch in batches])
        if fails:
            evaluation.abandon()
            return []
        self._commit([hit for _, hits in results for hit in hits], evaluation)
        evaluation.settle()
        return results

    def _commit(self, hits: Sequence[Hit], evaluation: Evaluation) -> None:
        moves = evaluation.moved()
        columns = (
            *(moves.symbols, moves.prices_nanos, moves.previous_nanos, moves.moments_us),
            *(moves.feeds, moves.sequences, moves.volumes_micros, moves.pasts),
        )
        for symbol, price, previous, *state, past in zip(*columns, strict=True):
            old = self.prices.get(symbol, (b"", b"{}"))[1]
            history = old if past is None else orjson.dumps(past.document())
            self.prices[symbol] = orjson.dumps([price, previous or None, *state]), history
        for hit in hits:
            row = self.rows[hit.rule_id]
            assert row.active
            assert hit.generation == row.generation, "generations are claimed one after the other"
            row.active, row.generation = row.rule.rearms, row.generation + row.rule.rearms
            row.runtime = None
        for watch in evaluation.remembered():
            row = self.rows[watch.rule.rule_id]
            assert (row.active, row.generation) == (True, watch.generation)
            document = watch.runtime.document()
            row.runtime = None if document is None else orjson.dumps(document)


def batch_of(ticks: Sequence[NaiveTick], symbols: Sequence[str], **columns: Any) -> TickBatch:
    """Ticks as columns."""
    return TickBatch(
        owner=TENANT,
        symbols=list(symbols),
        symbol_indices=[symbols.index(tick.symbol) for tick in ticks],
        price_nanos=[tick.price for tick in ticks],
        observed_at_us=[tick.time for tick in ticks],
        volume_micros=[tick.volume for tick in ticks],
        **columns,
    )


def firing_of(hit: Hit, place: int) -> NaiveFiring:
    """A hit as the naive evaluator tells it; `place` is that of the first tick of its batch."""
    return NaiveFiring(
        hit.rule_id,
        hit.generation,
        place + hit.tick_index,
        hit.price_nanos,
        hit.observed_at_us,
        hit.reference_price_nanos,
        hit.after_restart,
    )
