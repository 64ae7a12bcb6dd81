"""A draft rule over ticks of the past: the engine of live ticks, with nothing else in its book."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final, TypeVar

from server.alerts.model.board import Board
from server.alerts.model.book import Book
from server.alerts.model.engine import Evaluation, Hit, TickBounds
from server.alerts.model.logic import Logic
from server.alerts.model.rule import LONGEST_SYMBOL, Terms
from server.alerts.model.ticks import BadTick, TickBatch
from server.alerts.model.watch import Watch, WatchedRule
from server.trading_calendar import Calendar
from server.validation import EARLIEST, Violations

MOST_LISTED: Final = 10_000
_MOST_BAD_LISTED: Final = 100
_KEY: Final = bytes(48)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_Item = TypeVar("_Item")


@dataclass(frozen=True, slots=True)
class AlertDraft:
    """A rule that nobody put.

    Args:
        terms: its source and note say nothing here.
        sample_size: how many of its firings to list.
    """

    symbol: str
    logic: Logic
    terms: Terms
    sample_size: int

    def check(self, violations: Violations) -> None:
        """Note every fault. Its end may be past: so are the ticks."""
        violations.text("symbol", self.symbol, maximum=LONGEST_SYMBOL)
        self.logic.check(violations.under("logic"), rearms=self.terms.rearms is True)
        self.terms.check(violations, EARLIEST)
        violations.between("sample_size", self.sample_size, 0, MOST_LISTED)


@dataclass(slots=True)
class BacktestReport:
    """What a draft would have done.

    Args:
        accepted_count: ticks of its symbol that were evaluated.
        other_count: ticks of other symbols.
        bad_count: ticks that were refused; the first 100 are in `bad_ticks`, by their place among all ticks.
        fired_count: how often it would have fired; the first ones are in `firings`.
        first_us, last_us: times of the first and last tick that was evaluated; None where there was none.
    """

    accepted_count: int = 0
    duplicate_count: int = 0
    other_count: int = 0
    bad_count: int = 0
    bad_ticks: list[BadTick] = field(default_factory=list)
    fired_count: int = 0
    firings: list[Hit] = field(default_factory=list)
    first_us: int | None = None
    last_us: int | None = None


class AlertBacktest:
    """Evaluates a draft, which has to be a checked one, on one batch after the other.

    Args:
        calendar: of the instrument.
        bounds: times that ticks may have.
    """

    def __init__(self, draft: AlertDraft, *, calendar: Calendar, bounds: TickBounds) -> None:
        self.report = BacktestReport()
        self._draft = draft
        self._bounds = bounds
        self._seen = 0
        self._book = Book(draft.symbol)
        self._board = Board()
        self._board.seat(self._book)
        self._book.follow(calendar)
        self._book.watch(Watch(_watched(draft), generation=1))

    def run(self, batch: TickBatch) -> None:
        """Go on with a batch, which has to be a checked one; ticks of other symbols are passed over."""
        report = self.report
        own, kept = self._narrowed(batch)
        evaluation = Evaluation(self._board, self._bounds)
        ((outcome, hits),) = evaluation.run([own], [self._board.find(own.symbols)])
        evaluation.settle()
        report.accepted_count += outcome.accepted_count
        report.duplicate_count += outcome.duplicate_count
        report.other_count += len(batch.symbol_indices) - len(kept)
        report.bad_count += len(outcome.bad_ticks)
        for bad in outcome.bad_ticks[: _MOST_BAD_LISTED - len(report.bad_ticks)]:
            report.bad_ticks.append(BadTick(self._seen + kept[bad.index], bad.fault))
        report.fired_count += len(hits)
        report.firings += hits[: self._draft.sample_size - len(report.firings)]
        self._seen += len(batch.symbol_indices)
        self._note_times(own, {bad.index for bad in outcome.bad_ticks})

    def _narrowed(self, batch: TickBatch) -> tuple[TickBatch, list[int]]:
        """The ticks of the draft's symbol, and of no symbol at all, and which ones of the batch they are."""
        names, symbol = batch.symbols, self._draft.symbol
        place = names.index(symbol) if symbol in names else -1
        kept = [n for n, index in enumerate(batch.symbol_indices) if index == place or index >= len(names)]
        own = TickBatch(
            owner=batch.owner,
            symbols=[symbol],
            symbol_indices=[int(batch.symbol_indices[n] != place) for n in kept],
            price_nanos=_of(batch.price_nanos, kept),
            observed_at_us=_of(batch.observed_at_us, kept),
            feed=batch.feed,
            sequences=_of(batch.sequences, kept),
            volume_micros=_of(batch.volume_micros, kept),
        )
        return own, kept

    def _note_times(self, own: TickBatch, bad: set[int]) -> None:
        state, report = self._book.state, self.report
        if state is None:
            return
        report.last_us = state.observed_at_us
        if report.first_us is None:
            report.first_us = next(us for n, us in enumerate(own.observed_at_us) if n not in bad)


def _of(column: Sequence[_Item], kept: Sequence[int]) -> list[_Item]:
    """Those of a column; none of one that is left out."""
    return [column[n] for n in kept] if column else []


def _watched(draft: AlertDraft) -> WatchedRule:
    terms = draft.terms
    expires_at_us = None if terms.expires_at is None else (terms.expires_at - _EPOCH) // _MICROSECOND
    return WatchedRule(_KEY, draft.logic, terms.rearms is True, terms.cooldown_seconds, expires_at_us)
