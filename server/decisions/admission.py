"""Whether what arrives may still wait: the bound is time, since no fixed number of events means the same on two
machines.

How long a batch takes is learned from the batches that were decided, as a part for the batch and a part for each
event. What waits and what is under way is backlog; backlog times cost is the wait to expect. Where nothing gets
done at all, the age of what has waited longest tells it.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import Final

from server.errors import Overloaded

# Until batches have been measured: about what a quick machine needs for one event and for a full batch.
_PRIOR: Final = ((1, 0.003), (500, 0.060))
_PRIOR_WEIGHT: Final = 0.1  # of a batch that was measured; enough to tell the two parts of a line apart
_PRIOR_SUMS: Final = tuple(
    _PRIOR_WEIGHT * total
    for total in (
        len(_PRIOR),
        sum(n for n, _ in _PRIOR),
        sum(t for _, t in _PRIOR),
        sum(n * n for n, _ in _PRIOR),
        sum(n * t for n, t in _PRIOR),
    )
)
_KEPT: Final = 0.95  # of what earlier batches say, for each new one: about twenty batches count
_SHORTEST_RETRY_SECONDS: Final = 0.05
_LONGEST_RETRY_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True)
class Backlog:
    """What a queue holds at one moment.

    Args:
        waiting: what waits: events of callers, or batches of callers.
        events: events that wait and events that are being decided.
        batches: batches that they make.
        oldest_seconds: how long the first of those that wait has waited; 0 when none does.
    """

    waiting: int = 0
    events: int = 0
    batches: int = 0
    oldest_seconds: float = 0.0


class BatchCost:
    """How long a batch takes by its number of events: least squares of a line, forgetting what is long ago."""

    def __init__(self) -> None:
        self._weight = self._events = self._seconds = self._squares = self._products = 0.0

    def learn(self, events: int, seconds: float) -> None:
        """A batch of so many events took so long."""
        self._weight = self._weight * _KEPT + 1
        self._events = self._events * _KEPT + events
        self._seconds = self._seconds * _KEPT + seconds
        self._squares = self._squares * _KEPT + events * events
        self._products = self._products * _KEPT + events * seconds

    def line(self) -> tuple[float, float]:
        """Seconds for a batch, and seconds for each of its events; neither is negative.

        Batches of one size alone do not tell the two apart; so the prior counts a little for ever.
        """
        weight = self._weight + _PRIOR_SUMS[0]
        events = (self._events + _PRIOR_SUMS[1]) / weight
        seconds = (self._seconds + _PRIOR_SUMS[2]) / weight
        squares = (self._squares + _PRIOR_SUMS[3]) / weight
        products = (self._products + _PRIOR_SUMS[4]) / weight
        each = max(0.0, (products - events * seconds) / (squares - events * events))
        fixed = seconds - each * events
        return (fixed, each) if fixed > 0 else (0.0, seconds / events)


class Admission:
    """Lets events in while they can be begun in time. It knows no clock: all times are told.

    Args:
        maximum_wait_seconds: what would wait longer is refused.
        lanes: batches that may be under way at once.
    """

    def __init__(self, *, maximum_wait_seconds: float, lanes: int) -> None:
        self._maximum_wait_seconds = maximum_wait_seconds
        self._lanes = lanes
        self._cost = BatchCost()

    def learn(self, events: int, seconds: float) -> None:
        """A batch of so many events was decided in this time."""
        self._cost.learn(events, seconds)

    def expected_wait_seconds(self, backlog: Backlog) -> float:
        """How long one more would wait until it is begun."""
        fixed, each = self._cost.line()
        ahead = fixed * backlog.batches + each * backlog.events
        return max(ahead / self._lanes, backlog.oldest_seconds)

    def check(self, backlog: Backlog, *, patience_seconds: float | None = None) -> None:
        """Let one more in. Whoever would be next is always let in, however slow the last batch was.

        Args:
            patience_seconds: what is left of the caller's deadline; None for no deadline.

        Raises:
            Overloaded: it would wait longer than the limit, or would not be answered in time.
        """
        if not backlog.waiting:
            return
        wait = self.expected_wait_seconds(backlog)
        if wait > self._maximum_wait_seconds:
            raise _overloaded("too much waits for a decision already", wait - self._maximum_wait_seconds / 2)
        if patience_seconds is not None and wait + sum(self._cost.line()) > patience_seconds:
            raise _overloaded("the decision would come after the call's deadline", wait)


def _overloaded(message: str, retry_seconds: float) -> Overloaded:
    """In steps of 50 ms: no estimate is better than that, and answers that are alike can be kept."""
    bounded = min(max(retry_seconds, _SHORTEST_RETRY_SECONDS), _LONGEST_RETRY_SECONDS)
    return Overloaded("SERVER_OVERLOADED", message, retry_after_ms=ceil(bounded * 20) * 50)
