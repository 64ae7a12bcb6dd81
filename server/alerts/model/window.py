"""The lowest and the highest price of a sliding window, which is cut into 60 slices."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from server.alerts.model.extremes import Extremes

_SLICES: Final = 60
_SECOND_US: Final = 1_000_000


class Window:
    """Prices in the slice of the last tick and the 59 before it: at most 60 entries for each side.

    Args:
        seconds: its length.
        document: what `document` gave.
    """

    __slots__ = ("_highs", "_lows", "_slice_us", "seconds")

    def __init__(self, seconds: int, document: Mapping[str, Any] | None = None) -> None:
        self.seconds = seconds
        self._slice_us = -(-seconds * _SECOND_US // _SLICES)
        entries = document or {"lows": (), "highs": ()}
        self._lows = Extremes(-1, entries["lows"])
        self._highs = Extremes(1, entries["highs"])

    @property
    def lowest(self) -> int | None:
        """Of all prices in it; None before the first tick."""
        return self._lows.since(0)

    @property
    def highest(self) -> int | None:
        """Of all prices in it; None before the first tick."""
        return self._highs.since(0)

    def copy(self) -> Window:
        """One that changes on its own."""
        other = Window(self.seconds)
        other._lows, other._highs = self._lows.copy(), self._highs.copy()
        return other

    def push(self, moment_us: int, price: int) -> None:
        """A tick; what is older than the window is forgotten."""
        place = moment_us // self._slice_us
        for side in (self._lows, self._highs):
            side.push(place, price)
            side.forget(place - _SLICES + 1)

    def document(self) -> dict[str, Any]:
        """As it is stored."""
        return {"lows": self._lows.document(), "highs": self._highs.document()}
