"""Whether what arrives may still wait: the bound is time, since no fixed number of events means the same on two
machines.

How long a batch takes is learned from the batches that were decided, as a part for the batch and a part for each
event. What waits, times that cost, is the work that a newcomer would wait for. The batch that is under way is not
counted: whoever joins the next one waits for it in any case, and on slow storage a batch may take longer than all
work that may wait. Where nothing gets done at all, the age of what has waited longest tells it.
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
_STUCK: Final = 3  # times as long as usual, and it counts as if nothing got done
_SHORTEST_RETRY_SECONDS: Final = 0.05
_LONGEST_RETRY_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True)
class Work:
    """Batches, and the events in them."""

    batches: int = 0
    events: int = 0


@dataclass(frozen=True, slots=True)
class Backlog:
    """What a queue holds at one moment.

    Args:
        waiting: what waits; the first of its batches may still be joined.
        deciding: what is under way.
        oldest_seconds: how long the first of those that wait has waited; 0 when none does.
    """

    waiting: Work = Work()
    deciding: Work = Work()
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
        maximum_wait_seconds: while more work than this waits, nothing more is let in.
        lanes: batches that may be under way at once.
    """

    def __init__(self, *, maximum_wait_seconds: float, lanes: int) -> None:
        self._maximum_wait_seconds = maximum_wait_seconds
        self._lanes = lanes
        self._cost = BatchCost()

    def learn(self, events: int, seconds: float) -> None:
        """A batch of so many events was decided in this time."""
        self._cost.learn(events, seconds)

    def waiting_seconds(self, backlog: Backlog) -> float:
        """How long the work takes that waits already; of the batch that may be joined, only its events count."""
        fixed, each = self._cost.line()
        return (fixed * max(0, backlog.waiting.batches - 1) + each * backlog.waiting.events) / self._lanes

    def check(self, backlog: Backlog, *, patience_seconds: float | None = None) -> None:
        """Let one more in. Whoever would be next is always let in, however slow the last batch was.

        Args:
            patience_seconds: what is left of the caller's deadline; None for no deadline.

        Raises:
            Overloaded: too much waits already, nothing gets done, or the answer would come too late.
        """
        if not backlog.waiting.events:
            return
        waiting = self.waiting_seconds(backlog)
        usual = self._usual_seconds(backlog.deciding)
        if waiting > self._maximum_wait_seconds:
            raise _overloaded(
                "too much waits for a decision already", waiting - self._maximum_wait_seconds / 2
            )
        if backlog.oldest_seconds > max(self._maximum_wait_seconds, _STUCK * usual):
            raise _overloaded("what waits for a decision has waited for too long", backlog.oldest_seconds)
        # On average half of what is under way is done; then what waits; then the caller's own batch.
        if patience_seconds is not None and usual / 2 + waiting + sum(self._cost.line()) > patience_seconds:
            raise _overloaded("the decision would come after the call's deadline", waiting)

    def _usual_seconds(self, deciding: Work) -> float:
        """How long a batch like those that are under way usually takes; 0 where none is."""
        if not deciding.batches:
            return 0.0
        fixed, each = self._cost.line()
        return fixed + each * deciding.events / deciding.batches


def _overloaded(message: str, retry_seconds: float) -> Overloaded:
    """In steps of 50 ms: no estimate is better than that, and answers that are alike can be kept."""
    bounded = min(max(retry_seconds, _SHORTEST_RETRY_SECONDS), _LONGEST_RETRY_SECONDS)
    return Overloaded("SERVER_OVERLOADED", message, retry_after_ms=ceil(bounded * 20) * 50)
