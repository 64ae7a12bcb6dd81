"""Batches of ticks against books: `(state, ticks) → (state, fired)`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import repeat
from uuid import UUID

from server.alerts.model.book import Book
from server.alerts.model.ticks import BadTick, BatchOutcome, TickBatch, TickFault
from server.alerts.model.walk import Fired, Move, Walk
from server.alerts.model.watch import Watch

_TENANT_BYTES = 16


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
    """Batches that will be committed together: `settle` when they are, else `abandon`.

    Args:
        bounds: times that ticks may have.
    """

    def __init__(self, bounds: TickBounds) -> None:
        self._bounds = bounds
        self._walks: dict[int, Walk] = {}

    def run(self, batch: TickBatch, books: Sequence[Book | None]) -> tuple[BatchOutcome, list[Hit]]:
        """Evaluate a batch after those before it.

        Args:
            books: for each symbol of the batch; None where no instrument has it.

        Returns:
            The outcome without its firings, and what fires, in the order of the ticks, then of the keys.
        """
        outcome, hits = BatchOutcome(), []
        earliest, latest = self._bounds.earliest_us, self._bounds.latest_us
        begun = self._walks.get
        walks = [begun(id(book)) or (None if book is None else self._walk(book)) for book in books]
        columns = zip(
            batch.symbol_indices,
            batch.price_nanos,
            batch.observed_at_us,
            batch.sequences or repeat(0),
            batch.volume_micros or repeat(0),
            strict=False,
        )
        for index, (place, price, moment, sequence, volume) in enumerate(columns):
            walk = walks[place] if place < len(walks) else None
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
                outcome.bad_ticks.append(BadTick(index, self._fault(batch, walk, place, price, moment)))
                continue
            if sequence:
                walk.feed, walk.sequence = batch.feed, sequence
            if walk.lowest <= price <= walk.highest and moment < walk.until_us and not volume:
                walk.previous_price, walk.price = walk.price, price
            else:
                previous = walk.price
                hits += [
                    _hit(fired, walk.book.symbol, price, previous, moment, index)
                    for fired in walk.step(price, moment, volume)
                ]
            walk.observed_at_us, walk.ticked = moment, True
        outcome.accepted_count = len(batch.symbol_indices) - len(outcome.bad_ticks) - outcome.duplicate_count
        return outcome, hits

    def moved(self) -> dict[str, Move]:
        """What is to be written of every instrument that ticked, by symbol."""
        return {walk.book.symbol: walk.move() for walk in self._walks.values() if walk.ticked}

    def remembered(self) -> list[Watch]:
        """Rules that remember something else than before, and go on."""
        return [watch for walk in self._walks.values() if walk.has_looked for watch in walk.changed_watches()]

    def settle(self) -> None:
        """Everything is committed: the books take it over."""
        for walk in self._walks.values():
            if walk.ticked:
                walk.settle()

    def abandon(self) -> None:
        """Nothing is committed: the books are as they were before."""
        for walk in self._walks.values():
            walk.abandon()

    def _walk(self, book: Book) -> Walk:
        walk = self._walks[id(book)] = Walk(book)
        return walk

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
