"""The shards that this process owns: their books, and the epoch that it writes with."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final
from uuid import UUID

from server.alerts.model import Board, Book
from server.alerts.model.stored import fill
from server.alerts.rows import InstrumentChange, RuleChange, StoredPrice
from server.platform.ids import symbol_shard
from server.trading_calendar import Calendar

SHARDS: Final = 64
_shard_of: Final = lru_cache(maxsize=100_000)(symbol_shard)


@dataclass(slots=True)
class Shard:
    """A shard in memory.

    Args:
        epoch: the number of the taking that it is owned by.
        books: by tenant (None for global instruments) and symbol.
    """

    epoch: int
    books: dict[tuple[UUID | None, str], Book] = field(default_factory=dict)

    def book(self, owner: UUID | None, symbol: str) -> Book:
        """The book of an instrument, made where it was missing."""
        book = self.books.get((owner, symbol))
        if book is None:
            book = self.books[owner, symbol] = Book(symbol)
        return book


class Holdings:
    """Everything that this process evaluates with. Changed only by who holds `gate`.

    `seen` is the snapshot of PostgreSQL that the rules are up to date with; what the transaction `own_xid` changed of
    them is known as well.
    """

    def __init__(self) -> None:
        self.gate = asyncio.Lock()
        self.seen = ""
        self.own_xid: str | None = None
        self._shards: dict[int, Shard] = {}
        self._boards: dict[UUID | None, Board] = {}

    @property
    def owned(self) -> frozenset[int]:
        """The shards that can be evaluated now."""
        return frozenset(self._shards)

    def missing(self, symbols: Iterable[str]) -> frozenset[int]:
        """The shards of these symbols that are not owned here."""
        if len(self._shards) == SHARDS:
            return frozenset()
        return frozenset(_shard_of(symbol) for symbol in symbols) - self._shards.keys()

    def board(self, owner: UUID | None) -> Board:
        """Where the instruments of a tenant stand that are known to be there; None for the global ones."""
        board = self._boards.get(owner)
        if board is None:
            board = self._boards[owner] = Board()
        return board

    def learn(self, owner: UUID | None, symbol: str, calendar: Calendar) -> None:
        """An instrument of an owned shard exists."""
        shard = self._shards[_shard_of(symbol)]
        book = shard.book(owner, symbol)
        book.follow(calendar)
        self.board(owner).seat(book, shard.epoch)

    def renew(self, changes: Iterable[InstrumentChange]) -> None:
        """Take over instruments as they are now; those that no tick came for yet are passed over."""
        for change in changes:
            shard, board = self._shards.get(_shard_of(change.symbol)), self._boards.get(change.owner)
            if shard is None or board is None or not board.has(change.symbol):
                continue
            book = shard.book(change.owner, change.symbol)
            book.follow(change.calendar)
            if not change.active:
                board.unseat(book)

    def apply(self, changes: Iterable[RuleChange]) -> None:
        """Take over rules as they are now; those of other shards are passed over."""
        for change in changes:
            shard = self._shards.get(_shard_of(change.symbol))
            if shard is not None:
                change.rule.apply_to(shard.book(change.owner, change.symbol))

    def install(self, shards: Mapping[int, Shard], seen: str) -> None:
        """Own shards from now on.

        Args:
            seen: a snapshot from before their rules were read.
        """
        # What is owned already was read with an older snapshot: the older one misses nothing of either.
        self.seen = self.seen if self._shards else seen
        self._shards.update(shards)

    def drop(self, shards: Collection[int]) -> None:
        """Own these no longer."""
        for number in shards:
            shard = self._shards.pop(number, None)
            for (owner, _), book in () if shard is None else shard.books.items():
                self.board(owner).unseat(book)


def loaded_shard(epoch: int, prices: Iterable[StoredPrice], changes: Sequence[RuleChange]) -> Shard:
    """A shard as it is read when it is taken."""
    shard = Shard(epoch)
    for change in changes:
        shard.book(change.owner, change.symbol)
    fill(shard.books, (((change.owner, change.symbol), change.rule) for change in changes))
    for price in prices:
        shard.book(price.owner, price.symbol).resume(price.state, price.past)
    return shard
