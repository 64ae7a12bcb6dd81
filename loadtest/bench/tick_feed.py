"""Ticks of many symbols, some of which cross the price of exactly one rule.

Rule r is on symbol `r mod symbols`, ABOVE 100 + its level; prices idle around 100. The n-th crossing takes the
n-th rule: the price jumps just above it, and is back at the symbol's next tick.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate, repeat
from time import time

from leo.activation.v1.alert_service_pb2 import StreamTicksRequest, TickBatch

NANOS = 1_000_000_000
IDLE_PRICE = 100
FEED = "bench"
_HOUR_US = 3_600_000_000


@dataclass(slots=True)
class Progress:
    """How far a feed has come; whoever goes on with it begins there.

    Args:
        sequence: of the last tick.
        crossed: how many rules it has made fire.
        observed_at_us: time of the next tick.
    """

    sequence: int
    crossed: int
    observed_at_us: int

    @classmethod
    def beginning(cls) -> Progress:
        """Nothing was sent; the first tick is an hour old."""
        return cls(0, 0, int(time() * 1e6) - _HOUR_US)


def symbol(number: int) -> str:
    """Name of a symbol."""
    return f"S{number:05d}"


class TickFeed:
    """Makes batches in the order in which they are to be sent.

    Args:
        symbols: how many there are.
        progress: where it goes on; it is moved along.
    """

    def __init__(self, *, symbols: int, progress: Progress) -> None:
        self._symbols = symbols
        self._progress = progress
        self._random = random.Random(progress.sequence)
        self._idle_prices = [IDLE_PRICE * NANOS - self._random.randrange(NANOS) for _ in range(1 << 16)]

    def first(self) -> TickBatch:
        """One idle tick of every symbol."""
        return self._batch(list(range(self._symbols)), [IDLE_PRICE * NANOS] * self._symbols)

    def messages(self, count: int, *, ticks: int, crossing_share: float) -> list[bytes]:
        """Messages of a stream, ready to be sent: making them while it runs would take the server's time.

        Args:
            crossing_share: part of the ticks that cross, spread evenly over the messages.
        """
        due = accumulate(repeat(ticks * crossing_share, count))
        return [
            StreamTicksRequest(batch=self.mixed(ticks, crossings)).SerializeToString()
            for crossings in _steps(due)
        ]

    def mixed(self, ticks: int, crossings: int) -> TickBatch:
        """The next batch: so many ticks, of which so many cross."""
        idle = ticks - crossings
        numbers = self._random.choices(range(self._symbols), k=idle)
        prices = self._random.choices(self._idle_prices, k=idle)
        for place in sorted(self._random.sample(range(ticks), crossings)):
            level, number = divmod(self._progress.crossed, self._symbols)
            self._progress.crossed += 1
            numbers.insert(place, number)
            prices.insert(place, (IDLE_PRICE + level + 1) * NANOS + NANOS // 2)
        return self._batch(numbers, prices)

    def _batch(self, numbers: list[int], prices: list[int]) -> TickBatch:
        progress, count = self._progress, len(numbers)
        here = dict.fromkeys(numbers)
        place = {number: index for index, number in enumerate(here)}
        batch = TickBatch(
            symbols=map(symbol, here),
            symbol_indices=[place[number] for number in numbers],
            price_nanos=prices,
            observed_at_us=range(progress.observed_at_us, progress.observed_at_us + count),
            feed=FEED,
            sequences=range(progress.sequence + 1, progress.sequence + count + 1),
        )
        progress.observed_at_us += count
        progress.sequence += count
        return batch


def _steps(sums: Iterator[float]) -> Iterator[int]:
    """Whole numbers whose sum keeps up with these; a rest that rounding left does not count."""
    before = 0
    for due in sums:
        now = int(due + 1e-9)
        yield now - before
        before = now
