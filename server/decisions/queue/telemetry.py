"""Figures of the queues in front of Decide. Labels are names of our source, never data."""

from __future__ import annotations

from typing import Final, Literal

from prometheus_client import Counter, Gauge, Histogram

from server.decisions.queue.admission import Backlog

Shape = Literal["event", "batch"]
"""Single events, which share batches; and batches of callers."""

_SIZES: Final = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000)
_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)

_events = Histogram(
    "leo_decide_batch_events", "Events of a batch when it was begun", ["shape"], buckets=_SIZES
)
_waited = Histogram(
    "leo_decide_wait_seconds",
    "How long the first of a batch had waited when it was begun",
    ["shape"],
    buckets=_SECONDS,
)
_took = Histogram(
    "leo_decide_batch_seconds",
    "How long a batch took to be decided and recorded",
    ["shape"],
    buckets=_SECONDS,
)
_refused = Counter(
    "leo_decide_refused", "Calls that were refused, since they would have waited too long", ["shape"]
)
_waiting = Gauge(
    "leo_decide_waiting", "Events that wait for their decision", ["shape"], multiprocess_mode="livesum"
)
_oldest = Gauge(
    "leo_decide_oldest_wait_seconds",
    "How long the first of those that wait has waited",
    ["shape"],
    multiprocess_mode="livemax",
)


class QueueTelemetry:
    """The figures of one queue, with their labels bound."""

    def __init__(self, shape: Shape) -> None:
        self._events = _events.labels(shape)
        self._waited = _waited.labels(shape)
        self._took = _took.labels(shape)
        self._refused = _refused.labels(shape)
        self._waiting = _waiting.labels(shape)
        self._oldest = _oldest.labels(shape)

    def begun(self, events: int, waited_seconds: float) -> None:
        """A batch is decided from now on."""
        self._events.observe(events)
        self._waited.observe(waited_seconds)

    def ended(self, seconds: float) -> None:
        """A batch was decided, well or not."""
        self._took.observe(seconds)

    def refused(self) -> None:
        """A call was told to come back."""
        self._refused.inc()

    def sample(self, backlog: Backlog) -> None:
        """What waits now."""
        self._waiting.set(backlog.waiting.events)
        self._oldest.set(backlog.oldest_seconds)
