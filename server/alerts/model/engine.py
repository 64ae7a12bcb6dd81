"""Batches of ticks against books: `(state, ticks) → (state, fired)`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

import numpy as np

from server.alerts.model.board import Board
from server.alerts.model.calm import Calm, settle_calm
from server.alerts.model.columns import tick_columns
from server.alerts.model.moves import Moves
from server.alerts.model.ticks import BadTick, BatchOutcome, TickBatch, TickFault
from server.alerts.model.walk import Fired, Walk
from server.alerts.model.watch import Watch

FEWEST_COLUMNS: Final = 48
"""From here on columns are cheaper than walks."""

_TENANT_BYTES: Final = 16


@dataclass(frozen=True, slots=True)
class TickBounds:
    """Times that a tick may have, in microseconds since 1970; both ends belong to them."""

    earliest_us: int
    latest_us: int


@dataclass(frozen=True, slots=True)
class Hit:
    """A rule that a tick fires, before it is claimed.

    Args:
        after_restart: whether another owner, or an earlier run of this one, evaluated the tick before.
        reference_price_nanos: what the price was compared with, where that is none of the rule's; else 0.
        day_volume_micros: volume of the day; None where the rule is about something else.
    """

    key: bytes
    generation: int
    symbol: str
    price_nanos: int
    previous_price_nanos: int | None
    observed_at_us: int
    tick_index: int
    after_restart: bool = False
    reference_price_nanos: int = 0
    day_volume_micros: int | None = None

    @property
    def tenant_id(self) -> UUID:
        """Whose rule it is."""
        return UUID(bytes=self.key[:_TENANT_BYTES])

    @property
    def rule_id(self) -> str:
        """Its id: 64 hexadecimal digits."""
        return self.key[_TENANT_BYTES:].hex()


class Evaluation:
    """Batches that will be committed together: `run`, then `settle` when they are, else `abandon`.

    Args:
        board: the instruments.
        bounds: times that ticks may have.
        fewest_columns: so many ticks, or more, are compared as columns first; fewer are walked at once.
    """

    def __init__(self, board: Board, bounds: TickBounds, *, fewest_columns: int = FEWEST_COLUMNS) -> None:
        self._board = board
        self._bounds = bounds
        self._fewest_columns = fewest_columns
        self._walks: dict[int, Walk] = {}
        self._calm: Calm | None = None

    def run(
        self, batches: Sequence[TickBatch], found: Sequence[Sequence[int]]
    ) -> list[tuple[BatchOutcome, list[Hit]]]:
        """Evaluate batches one after the other; once.

        Args:
            found: for each batch the places of its symbols; -1 where no instrument has one.

        Returns:
            For each batch the outcome without its firings, and what fires, in the order of the ticks, then of the keys.
        """
        rest = self._settle_calm(batches, found)
        return [
            self._run(batch, places, indices)
            for batch, places, indices in zip(batches, found, rest, strict=True)
        ]

    def moved(self) -> Moves:
        """What is to be written of every instrument that ticked."""
        return Moves.of(self._board, self._calm, [walk for walk in self._walks.values() if walk.ticked])

    def remembered(self) -> list[Watch]:
        """Rules that remember something else than before, and go on."""
        return [watch for walk in self._walks.values() if walk.has_looked for watch in walk.changed_watches()]

    def settle(self) -> None:
        """Everything is committed: the books take it over."""
        if self._calm is not None:
            self._calm.settle(self._board.rows)
        for walk in self._walks.values():
            if walk.ticked:
                walk.settle()

    def abandon(self) -> None:
        """Nothing is committed: the books are as they were before."""
        for walk in self._walks.values():
            walk.abandon()

    def _settle_calm(
        self, batches: Sequence[TickBatch], found: Sequence[Sequence[int]]
    ) -> list[Sequence[int]]:
        """Settle the symbols that nothing happens to; the ticks of all others, by batch."""
        lengths = [len(batch.symbol_indices) for batch in batches]
        if sum(lengths) < self._fewest_columns:
            return [range(length) for length in lengths]
        bounds = self._bounds
        columns = tick_columns(batches, found, earliest_us=bounds.earliest_us, latest_us=bounds.latest_us)
        self._calm, rest = settle_calm(self._board.rows, columns)
        ends = np.cumsum(lengths)
        parts = np.split(rest, np.searchsorted(rest, ends[:-1]))
        begins = (ends - lengths).tolist()
        return [(part - begin).tolist() for part, begin in zip(parts, begins, strict=True)]

    def _walk(self, place: int) -> Walk | None:
        walk = self._walks.get(place)
        if walk is None and place >= 0:
            book = self._board.books[place]
            assert book is not None
            walk = self._walks[place] = Walk(book)
        return walk

    def _run(
        self, batch: TickBatch, places: Sequence[int], indices: Sequence[int]
    ) -> tuple[BatchOutcome, list[Hit]]:
        """Evaluate these ticks of a batch one after the other; all others are accepted."""
        outcome, hits = BatchOutcome(), []
        earliest, latest = self._bounds.earliest_us, self._bounds.latest_us
        numbers, prices, moments = batch.symbol_indices, batch.price_nanos, batch.observed_at_us
        sequences, volumes = batch.sequences, batch.volume_micros
        for index in indices:
            number, price, moment = numbers[index], prices[index], moments[index]
            walk = self._walk(places[number]) if number < len(places) else None
            sequence = sequences[index] if sequences else 0
            volume = volumes[index] if volumes else 0
            if sequence and walk is not None and sequence <= walk.sequence and walk.feed == batch.feed:
                outcome.duplicate_count += 1
                continue
            if (
                walk is None
                or price <= 0
                or not earliest <= moment <= latest
                or moment < walk.observed_at_us
                or volume < 0
            ):
                outcome.bad_ticks.append(BadTick(index, self._fault(batch, walk, number, price, moment)))
                continue
            if sequence:
                walk.feed, walk.sequence = batch.feed, sequence
            if (
                walk.lowest <= price <= walk.highest
                and moment < walk.until_us
                and (not volume or walk.volume + volume < walk.full)
            ):
                walk.previous_price, walk.price = walk.price, price
                walk.volume += volume
            else:
                previous = walk.price
                hits += [
                    _hit(fired, walk.book.symbol, price, previous, moment, index)
                    for fired in walk.step(price, moment, volume)
                ]
            walk.observed_at_us, walk.ticked = moment, True
        outcome.accepted_count = len(batch.symbol_indices) - len(outcome.bad_ticks) - outcome.duplicate_count
        return outcome, hits

    def _fault(self, batch: TickBatch, walk: Walk | None, place: int, price: int, moment: int) -> TickFault:
        if place >= len(batch.symbols):
            return TickFault.SYMBOL_INDEX
        if walk is None:
            return TickFault.UNKNOWN_SYMBOL
        if price <= 0:
            return TickFault.PRICE
        if not self._bounds.earliest_us <= moment <= self._bounds.latest_us:
            return TickFault.TIME_RANGE
        return TickFault.TIME_BACKWARDS if moment < walk.observed_at_us else TickFault.VOLUME


def _hit(fired: Fired, symbol: str, price: int, previous: int | None, moment: int, index: int) -> Hit:
    return Hit(
        fired.key,
        fired.generation,
        symbol,
        price,
        previous,
        moment,
        index,
        fired.after_restart,
        fired.reference_nanos,
        fired.day_volume_micros,
    )
