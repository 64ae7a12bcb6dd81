"""Ticks of several batches, one after the other, as columns of numbers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain, repeat
from typing import NamedTuple

import numpy as np

from server.alerts.model.board import Column, feed_number
from server.alerts.model.ticks import TickBatch


class TickColumns(NamedTuple):
    """Ticks in the order in which they came.

    Args:
        places: of their books; -1 where no instrument has the symbol.
        feeds: numbers of their feeds, 0 for none; None where no tick has one.
        sequences: their places in these, 0 for none.
        volumes: None where no tick has one.
        earliest_us, latest_us: times that are taken here, the first one included; others need a closer look.
    """

    places: Column
    prices: Column
    moments: Column
    feeds: Column | None
    sequences: Column | None
    volumes: Column | None
    earliest_us: int
    latest_us: int


def tick_columns(
    batches: Sequence[TickBatch], found: Sequence[Sequence[int]], *, earliest_us: int, latest_us: int
) -> TickColumns:
    """The ticks of batches.

    Args:
        found: for each batch the places of its symbols; -1 where no instrument has one.
    """
    lengths = [len(batch.symbol_indices) for batch in batches]
    has_feeds, has_volumes = any(b.sequences for b in batches), any(b.volume_micros for b in batches)
    feeds = np.fromiter((feed_number(batch.feed) for batch in batches), np.int64, len(batches))
    counted = list(zip(batches, lengths, strict=True))
    return TickColumns(
        _places(batches, found, lengths),
        _column((batch.price_nanos for batch in batches), lengths),
        _column((batch.observed_at_us for batch in batches), lengths),
        np.repeat(feeds, lengths) if has_feeds else None,
        _column((b.sequences or repeat(0, n) for b, n in counted), lengths) if has_feeds else None,
        _column((b.volume_micros or repeat(0, n) for b, n in counted), lengths) if has_volumes else None,
        earliest_us,
        latest_us,
    )


def _column(parts: Iterable[Iterable[int]], lengths: Sequence[int]) -> Column:
    return np.fromiter(chain.from_iterable(parts), np.int64, sum(lengths))


def _places(batches: Sequence[TickBatch], found: Sequence[Sequence[int]], lengths: Sequence[int]) -> Column:
    """A place for each tick: that of its symbol; none for an index behind the list of symbols."""
    counts = [len(places) + 1 for places in found]
    # Behind the symbols of each batch stands one that is unknown.
    places = _column((part for given in found for part in (given, (-1,))), counts)
    beginnings = np.cumsum([0, *counts[:-1]])
    indices = _column((batch.symbol_indices for batch in batches), lengths)
    behind = np.repeat(np.array(counts) - 1, lengths)
    chosen: Column = places[np.minimum(indices, behind) + np.repeat(beginnings, lengths)]
    return chosen
