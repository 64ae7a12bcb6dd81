"""The price of 24 hours ago, out of the last price in each quarter of an hour."""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from typing import Final
from zlib import crc32

SLICE_US: Final = 900_000_000
_SLICES: Final = 96


class LastDay:
    """Prices of the last 24 hours and the one before them.

    Args:
        symbol: shifts its slices, so that not all symbols begin a slice, and with it a write, at the same moment.
        entries: slice and last price in it, as `document` gave them.
    """

    __slots__ = ("_offset_us", "_prices", "_slices")

    def __init__(self, symbol: str, entries: Iterable[tuple[int, int]] = ()) -> None:
        self._offset_us = crc32(symbol.encode()) % 900 * 1_000_000
        self._slices = array("q")
        self._prices = array("q")
        for place, price in entries:
            self._slices.append(place)
            self._prices.append(price)

    def copy(self) -> LastDay:
        """One that changes on its own."""
        other = LastDay("")
        other._offset_us = self._offset_us
        other._slices, other._prices = self._slices[:], self._prices[:]
        return other

    def until(self, moment_us: int) -> int:
        """When the slice of a moment ends, in microseconds since 1970."""
        return (self._slice_of(moment_us) + 1) * SLICE_US - self._offset_us

    def push(self, moment_us: int, price: int, now_us: int) -> None:
        """The last price of the slice of `moment_us`, once a tick of a later one came, at `now_us`."""
        place, oldest = self._slice_of(moment_us), self._slice_of(now_us) - _SLICES
        if not self._slices or self._slices[-1] < place:
            self._slices.append(place)
            self._prices.append(price)
        while len(self._slices) > 1 and self._slices[1] < oldest:
            del self._slices[0], self._prices[0]

    def is_over(self, moment_us: int, now_us: int) -> bool:
        """Whether the slice of the first moment has ended at the second."""
        return self._slice_of(moment_us) < self._slice_of(now_us)

    def price_before(self, now_us: int) -> int | None:
        """The last price before the slice of 24 hours ago; None where that is not known."""
        if not self._slices or self._slices[0] >= self._slice_of(now_us) - _SLICES:
            return None
        return self._prices[0]

    def document(self) -> list[list[int]]:
        """As it is stored."""
        return [[place, price] for place, price in zip(self._slices, self._prices, strict=True)]

    def _slice_of(self, moment_us: int) -> int:
        return (moment_us + self._offset_us) // SLICE_US
