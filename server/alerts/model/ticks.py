"""Ticks as columns, and what became of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum, auto
from itertools import pairwise
from operator import lt
from typing import Final
from uuid import UUID

from server.validation import Violations

_MOST_TICKS: Final = 10_000
_LONGEST_SYMBOL: Final = 64
_LONGEST_FEED: Final = 100


class TickFault(Enum):
    """What is wrong with a tick."""

    SYMBOL_INDEX = auto()
    UNKNOWN_SYMBOL = auto()
    PRICE = auto()
    TIME_RANGE = auto()
    TIME_BACKWARDS = auto()
    VOLUME = auto()


@dataclass(frozen=True, slots=True)
class BadTick:
    """A tick of the batch that was refused."""

    index: int
    fault: TickFault


@dataclass(frozen=True, slots=True)
class TickBatch:
    """Ticks as columns: tick i is of `symbols[symbol_indices[i]]`.

    Args:
        owner: the tenant whose own instruments these are; None for global ones.
        price_nanos: in 1e-9 units.
        observed_at_us: microseconds since 1970.
        feed: name of the stream that they belong to; empty for none.
        sequences: place of each tick in its feed; empty without one.
        volume_micros: traded with each tick, in 1e-6 units; empty where none is known.
    """

    owner: UUID | None
    symbols: Sequence[str]
    symbol_indices: Sequence[int]
    price_nanos: Sequence[int]
    observed_at_us: Sequence[int]
    feed: str = ""
    sequences: Sequence[int] = ()
    volume_micros: Sequence[int] = ()

    def check(self, violations: Violations) -> None:
        """Note every fault of the batch as a whole; faults of single ticks are found by the engine."""
        count = len(self.symbol_indices)
        violations.count("symbols", self.symbols, lowest=1, highest=_MOST_TICKS)
        violations.count("symbol_indices", self.symbol_indices, lowest=1, highest=_MOST_TICKS)
        for name, column in (("price_nanos", self.price_nanos), ("observed_at_us", self.observed_at_us)):
            if len(column) != count:
                violations.add(name, f"has {len(column)} items; one for each of the {count} ticks is needed")
        if self.volume_micros and len(self.volume_micros) != count:
            violations.add("volume_micros", f"has {len(self.volume_micros)} items; give {count}, or none")
        for place, symbol in enumerate(self.symbols):
            if not 0 < len(symbol) <= _LONGEST_SYMBOL:
                violations.add(f"symbols[{place}]", f"must have 1 to {_LONGEST_SYMBOL} characters")
        if len(set(self.symbols)) != len(self.symbols):
            violations.add("symbols", "names a symbol twice; name each once")
        self._check_feed(violations, count)

    def _check_feed(self, violations: Violations, count: int) -> None:
        violations.text("feed", self.feed, maximum=_LONGEST_FEED, required=False)
        if not self.feed and self.sequences:
            violations.add("feed", "is required with sequences")
        if self.feed and len(self.sequences) != count:
            violations.add("sequences", f"has {len(self.sequences)} items; one for each of {count} is needed")
        if self.sequences and not all(map(lt, (0, *self.sequences), self.sequences)):
            pairs = enumerate(pairwise((0, *self.sequences)))
            place = next(place for place, (before, sequence) in pairs if sequence <= before)
            violations.add(f"sequences[{place}]", "must be above 0 and above the one before")


@dataclass(frozen=True, slots=True)
class Firing:
    """A rule that fired, as it was claimed.

    Args:
        tick_index: which tick of its batch.
        previous_price_nanos: the price before; None where there was none.
        task_id: the task that asks for its decision.
        after_restart: whether the tick was the first one after another owner, or an earlier run, had the symbol.
        reference_price_nanos: what the price was compared with, where that is none of the rule's; else 0.
        attributes: facts of the event: a JSON object.
        silence_id: the silence that was in force: there is no decision then; None where none was.
    """

    tenant_id: UUID
    rule_id: str
    generation: int
    profile_id: str
    symbol: str
    price_nanos: int
    previous_price_nanos: int | None
    fired_at: datetime
    tick_index: int
    task_id: str
    source_event_id: str
    attributes: bytes
    after_restart: bool = False
    reference_price_nanos: int = 0
    silence_id: str | None = None


@dataclass(slots=True)
class BatchOutcome:
    """What became of a batch.

    Args:
        duplicate_count: ticks that had been committed before.
        firings: of all tenants, in the order of the ticks, then of tenants and rule ids.
    """

    accepted_count: int = 0
    duplicate_count: int = 0
    bad_ticks: list[BadTick] = field(default_factory=list)
    firings: list[Firing] = field(default_factory=list)
