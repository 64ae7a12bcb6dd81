"""Ticks of many symbols, of which one in a thousand crosses the price of exactly one rule.

Rule r is on symbol `r mod symbols`, ABOVE 100 + its level; prices idle around 100. The n-th crossing takes the
n-th rule: the price jumps just above it, and is back at the symbol's next tick.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from time import time

from leo.activation.v1.alert_service_pb2 import TickBatch

NANOS = 1_000_000_000
IDLE_PRICE = 100
FEED = "bench"
_HOUR_US = 3_600_000_000


@dataclass(frozen=True, slots=True)
class FeedShape:
    """How much comes.

    Args:
        rules: active at the start.
        messages: of the stream, each of `ticks`.
        crossings: in each message; the single calls have one each.
        calls: single AlertEvaluate calls, each of `call_ticks`, whose latency is measured.
    """

    rules: int
    symbols: int
    messages: int
    ticks: int
    crossings: int
    calls: int
    call_ticks: int

    @property
    def streamed_ticks(self) -> int:
        """Ticks of the whole stream."""
        return self.messages * self.ticks

    @property
    def fired(self) -> int:
        """Rules that fire in all."""
        return self.messages * self.crossings + self.calls


def symbol(number: int) -> str:
    """Name of a symbol."""
    return f"S{number:05d}"


class TickFeed:
    """Makes batches in the order in which they are to be sent."""

    def __init__(self, shape: FeedShape) -> None:
        self._shape = shape
        self._random = random.Random(7)
        self._observed_at_us = int(time() * 1e6) - _HOUR_US
        self._sequence = 0
        self._crossed = 0

    def first(self) -> TickBatch:
        """One idle tick of every symbol."""
        return self._batch([(number, IDLE_PRICE * NANOS) for number in range(self._shape.symbols)])

    def streamed(self) -> list[TickBatch]:
        """The messages of the stream."""
        shape = self._shape
        return [self.mixed(shape.ticks, shape.crossings) for _ in range(shape.messages)]

    def single(self) -> list[TickBatch]:
        """The batches of the single calls."""
        return [self.mixed(self._shape.call_ticks, 1) for _ in range(self._shape.calls)]

    def mixed(self, ticks: int, crossings: int) -> TickBatch:
        """The next batch: so many ticks, of which so many cross."""
        idle = [
            (self._random.randrange(self._shape.symbols), IDLE_PRICE * NANOS - self._random.randrange(NANOS))
            for _ in range(ticks - crossings)
        ]
        places = sorted(self._random.sample(range(ticks), crossings))
        for place, crossing in zip(places, self._crossings(crossings), strict=True):
            idle.insert(place, crossing)
        return self._batch(idle)

    def _crossings(self, count: int) -> Iterator[tuple[int, int]]:
        for _ in range(count):
            level, number = divmod(self._crossed, self._shape.symbols)
            self._crossed += 1
            yield number, (IDLE_PRICE + level + 1) * NANOS + NANOS // 2

    def _batch(self, ticks: list[tuple[int, int]]) -> TickBatch:
        numbers = sorted({number for number, _ in ticks})
        place = {number: index for index, number in enumerate(numbers)}
        count = len(ticks)
        batch = TickBatch(
            symbols=[symbol(number) for number in numbers],
            symbol_indices=[place[number] for number, _ in ticks],
            price_nanos=[price for _, price in ticks],
            observed_at_us=range(self._observed_at_us, self._observed_at_us + count),
            feed=FEED,
            sequences=range(self._sequence + 1, self._sequence + count + 1),
        )
        self._observed_at_us += count
        self._sequence += count
        return batch
