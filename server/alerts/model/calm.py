"""Symbols of which every tick lies in the quiet band: settled as columns, without a look at any rule.

What happens to one symbol has nothing to do with another, so that those whose ticks all are as they should be need not
wait for the others: the way of a symbol is walked, tick by tick, where any of its ticks is anything else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from server.alerts.model.board import (
    FEED,
    FULL,
    HIGHEST,
    LOWEST,
    OBSERVED_AT,
    PREVIOUS,
    PRICE,
    SEQUENCE,
    UNTIL,
    VOLUME,
    Column,
    Rows,
)

if TYPE_CHECKING:
    from server.alerts.model.columns import TickColumns

Mask = NDArray[np.bool_]
_MOST_SHORT: Final = 2**16 - 1
_MOST_VOLUME: Final = 2**62


class Calm(NamedTuple):
    """Where symbols have come to that nothing happened to.

    Args:
        places: of their books.
        rows: of the board, as they are to be.
    """

    places: Column
    rows: Rows

    def settle(self, board_rows: Rows) -> None:
        """Their ticks are committed."""
        board_rows[self.places] = self.rows


class _Segments:
    """Ticks in the order of their places, those of a place in the order in which they came. O(n) up to 65,535 rows."""

    def __init__(self, places: Column, row_count: int) -> None:
        # Sixteen bits are sorted by counting.
        keys = places.astype(np.uint16) if row_count < _MOST_SHORT else places
        self.order = np.argsort(keys, kind="stable")
        ordered = places[self.order]
        self.first = np.flatnonzero(np.concatenate(([True], ordered[1:] != ordered[:-1])))
        self.last = np.append(self.first[1:], len(places)) - 1
        self.places = ordered[self.first]

    def lowest(self, column: Column) -> Column:
        """Of each segment."""
        return np.minimum.reduceat(column, self.first)

    def highest(self, column: Column) -> Column:
        """Of each segment."""
        return np.maximum.reduceat(column, self.first)

    def total(self, column: Column) -> Column:
        """Of each segment."""
        return np.add.reduceat(column, self.first)

    def with_any(self, between: Mask) -> NDArray[np.intp]:
        """The segments in which something is so between a tick and the next one."""
        between[self.first[1:] - 1] = False
        return np.searchsorted(self.first, np.flatnonzero(between), side="right") - 1

    def ticks(self, chosen: Mask) -> NDArray[np.intp]:
        """The ticks of these segments, in the order in which they came."""
        lengths = self.last - self.first + 1
        return np.sort(self.order[np.repeat(chosen, lengths)])


def settle_calm(board_rows: Rows, ticks: TickColumns) -> tuple[Calm, NDArray[np.intp]]:
    """Find the symbols to which nothing happens.

    Returns:
        Where they have come to, and the ticks of all others, in the order in which they came.
    """
    segments = _Segments(ticks.places, len(board_rows))
    rows = board_rows[segments.places]
    prices, moments = ticks.prices[segments.order], ticks.moments[segments.order]
    calm = (segments.places >= 0) & (rows[:, PRICE] > 0)
    calm &= (segments.lowest(prices) >= rows[:, LOWEST]) & (segments.highest(prices) <= rows[:, HIGHEST])
    calm &= moments[segments.first] >= np.maximum(rows[:, OBSERVED_AT], ticks.earliest_us)
    calm &= moments[segments.last] < np.minimum(rows[:, UNTIL], ticks.latest_us)
    calm[segments.with_any(moments[1:] < moments[:-1])] = False
    _follow_feeds(segments, rows, ticks, calm)
    _add_volumes(segments, rows, ticks, calm)
    before_last = prices[np.maximum(segments.last - 1, 0)]
    rows[:, PREVIOUS] = np.where(segments.last > segments.first, before_last, rows[:, PRICE])
    rows[:, PRICE], rows[:, OBSERVED_AT] = prices[segments.last], moments[segments.last]
    return Calm(segments.places[calm], rows[calm]), segments.ticks(~calm)


def _follow_feeds(segments: _Segments, rows: Rows, ticks: TickColumns, calm: Mask) -> None:
    """A symbol stays with its feed, whose ticks are new and in order; or its ticks are of no feed at all."""
    if ticks.feeds is None or ticks.sequences is None:
        return
    feeds, sequences = ticks.feeds[segments.order], ticks.sequences[segments.order]
    begins, ends = sequences[segments.first], sequences[segments.last]
    unnamed = segments.highest(sequences) == 0
    feed = feeds[segments.first]
    same = (segments.lowest(feeds) == feed) & (segments.highest(feeds) == feed) & (feed == rows[:, FEED])
    same &= begins > rows[:, SEQUENCE]
    same[segments.with_any(sequences[1:] <= sequences[:-1])] = False
    calm &= same | unnamed
    rows[:, SEQUENCE] = np.where(unnamed, rows[:, SEQUENCE], ends)


def _add_volumes(segments: _Segments, rows: Rows, ticks: TickColumns, calm: Mask) -> None:
    """The volume of the day grows, up to what a rule waits for."""
    if ticks.volumes is None:
        return
    volumes = ticks.volumes[segments.order]
    total = segments.total(volumes)
    calm &= (segments.lowest(volumes) >= 0) & (segments.highest(volumes) <= _MOST_VOLUME // len(volumes))
    calm &= (total == 0) | (total < rows[:, FULL] - rows[:, VOLUME])
    rows[:, VOLUME] += np.where(calm, total, 0)
