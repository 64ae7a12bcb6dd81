"""The last prices of many instruments as one table, so that thousands of ticks are compared with it at once."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from hashlib import blake2b
from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from server.alerts.model.book import Book

Column: TypeAlias = NDArray[np.int64]
Rows: TypeAlias = NDArray[np.int64]

WIDTH: Final = 12
# The columns of a row. Prices of zero stand for none; the feed is a number that `feed_number` made of its name.
PRICE, PREVIOUS, OBSERVED_AT, FEED, SEQUENCE, VOLUME, LOWEST, HIGHEST, UNTIL, FULL, DAY_AGO, EPOCH = range(
    WIDTH
)
STATE: Final = slice(PRICE, LOWEST)
BAND: Final = slice(LOWEST, DAY_AGO)
_FEWEST_ROWS: Final = 64
_UNKNOWN: Final = -1


def single_row() -> Rows:
    """The row of a book that stands on no board: nothing is known."""
    return np.zeros((1, WIDTH), np.int64)


@lru_cache(maxsize=4096)
def feed_number(feed: str) -> int:
    """A number of 64 bits that stands for a feed; 0 for none. Two feeds share one in one of 10**19 cases."""
    if not feed:
        return 0
    return int.from_bytes(blake2b(feed.encode(), digest_size=8).digest(), "big", signed=True) or 1


class Board:
    """Books that stand side by side: all of one tenant's instruments, or all global ones.

    Attributes:
        rows: a row for each place, 96 bytes.
        books: by place; None where it is free.
    """

    __slots__ = ("_free", "_places", "books", "rows")

    def __init__(self) -> None:
        self.rows: Rows = np.zeros((_FEWEST_ROWS, WIDTH), np.int64)
        self.books: list[Book | None] = []
        self._places: dict[str, int] = {}
        self._free: list[int] = []

    def find(self, symbols: Sequence[str]) -> list[int]:
        """The places of symbols; -1 of those that stand on no place."""
        place = self._places.get
        return [place(symbol, _UNKNOWN) for symbol in symbols]

    def seat(self, book: Book, epoch: int = 0) -> None:
        """Give a book a place; it keeps one that it has.

        Args:
            epoch: what its price is written with.
        """
        if book.symbol not in self._places:
            place = self._free.pop() if self._free else self._new_place()
            self.rows[place] = book.rows[book.place]
            self.books[place], self._places[book.symbol] = book, place
            book.rows, book.place = self.rows, place
        self.rows[book.place, EPOCH] = epoch

    def unseat(self, book: Book) -> None:
        """Take a book off the board, where it is on it; it keeps what it knows."""
        place = self._places.pop(book.symbol, None)
        if place is None:
            return
        row = single_row()
        row[0] = self.rows[place]
        book.rows, book.place = row, 0
        self.books[place] = None
        self._free.append(place)

    def has(self, symbol: str) -> bool:
        """Whether a book of this symbol has a place."""
        return symbol in self._places

    def _new_place(self) -> int:
        self.books.append(None)
        if len(self.books) > len(self.rows):
            self.rows = np.concatenate((self.rows, np.zeros_like(self.rows)))
            for book in self.books:
                if book is not None:
                    book.rows = self.rows
        return len(self.books) - 1
