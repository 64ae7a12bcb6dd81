"""Batches of ticks against books: `(state, ticks) → (state, fired)`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar
from uuid import UUID

from server.alerts.model.book import Book, PriceState, Walk
from server.alerts.model.ladder import Rung
from server.alerts.model.rule import Direction, Operator
from server.alerts.model.ticks import BadTick, BatchOutcome, TickBatch, TickFault

_TENANT_BYTES = 16


@dataclass(frozen=True, slots=True)
class StoredRule:
    """A rule as the engine reads it.

    Args:
        active: false takes it away.
    """

    tenant_id: UUID
    rule_id: str
    operator: Operator
    direction: Direction | None
    price_nanos: int
    generation: int
    active: bool = True

    @property
    def key(self) -> bytes:
        """Tenant and rule id, which name it everywhere."""
        return self.tenant_id.bytes + bytes.fromhex(self.rule_id)

    def apply_to(self, book: Book) -> None:
        """Make the book hold the rule, or not."""
        book.band = None
        ladder = book.ladder(self.operator, self.direction)
        if self.active:
            ladder.put(self.price_nanos, self.key, self.generation)
        else:
            ladder.remove(self.price_nanos, self.key)


@dataclass(frozen=True, slots=True)
class TickBounds:
    """Times that a tick may have, in microseconds since 1970; both ends belong to them."""

    earliest_us: int
    latest_us: int


@dataclass(frozen=True, slots=True)
class Hit:
    """A rule that a tick fires, before it is claimed."""

    key: bytes
    generation: int
    symbol: str
    price_nanos: int
    previous_price_nanos: int | None
    observed_at_us: int
    tick_index: int

    @property
    def tenant_id(self) -> UUID:
        """Whose rule it is."""
        return UUID(bytes=self.key[:_TENANT_BYTES])

    @property
    def rule_id(self) -> str:
        """Its id: 64 hexadecimal digits."""
        return self.key[_TENANT_BYTES:].hex()


class Evaluation:
    """Batches that will be committed together. Books stay as they are until `settle`.

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
        walks = [None if book is None else self._walk(book) for book in books]
        sequences = batch.sequences or (0,) * len(batch.symbol_indices)
        columns = zip(batch.symbol_indices, batch.price_nanos, batch.observed_at_us, sequences, strict=True)
        for index, (place, price, moment, sequence) in enumerate(columns):
            walk = walks[place] if place < len(walks) else None
            if sequence and walk is not None and sequence <= walk.sequence and walk.feed == batch.feed:
                outcome.duplicate_count += 1
                continue
            if walk is None or price <= 0 or not earliest <= moment <= latest or moment < walk.observed_at_us:
                outcome.bad_ticks.append(BadTick(index, self._fault(batch, walk, place, price, moment)))
                continue
            walk.observed_at_us, walk.ticked = moment, True
            if sequence:
                walk.feed, walk.sequence = batch.feed, sequence
            if walk.lowest <= price <= walk.highest:
                walk.previous_price, walk.price = walk.price, price
                continue
            previous = walk.price
            hits += [
                Hit(key, generation, walk.book.symbol, price, previous, moment, index)
                for _, key, generation in walk.step(price)
            ]
        outcome.accepted_count = len(batch.symbol_indices) - len(outcome.bad_ticks) - outcome.duplicate_count
        return outcome, hits

    def moved(self) -> dict[str, PriceState]:
        """The new price state of every instrument that ticked, by symbol."""
        states = {walk.book.symbol: walk.state for walk in self._walks.values() if walk.ticked}
        return {symbol: state for symbol, state in states.items() if state is not None}

    def settle(self) -> None:
        """Everything is committed: the books take it over."""
        for walk in self._walks.values():
            if walk.ticked:
                walk.settle()

    def _walk(self, book: Book) -> Walk:
        walk = self._walks.get(id(book))
        if walk is None:
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
        return TickFault.TIME_BACKWARDS


BookName = TypeVar("BookName")


def fill(books: Mapping[BookName, Book], rules: Iterable[tuple[BookName, StoredRule]]) -> None:
    """Put many active rules into their books, each ladder sorted once.

    Args:
        rules: each with the name that its book has in `books`.
    """
    rungs: dict[tuple[BookName, Operator, Direction | None], list[Rung]] = {}
    for name, rule in rules:
        place = (name, rule.operator, rule.direction)
        rungs.setdefault(place, []).append((rule.price_nanos, rule.key, rule.generation))
    for (name, operator, direction), given in rungs.items():
        books[name].ladder(operator, direction).put_all(given)
