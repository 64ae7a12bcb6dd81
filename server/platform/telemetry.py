"""Figures about the running process, in Prometheus's terms. Labels are names of our source, never data.

One rule for all of them: a figure is made once, where it is counted, in the default registry of
`prometheus_client`, and `server/http` shows that registry. Of several processes that share a port each keeps its
figures in files of one directory, and each can show the sum; so every gauge says by `multiprocess_mode` what the
gauges of several processes make together.
"""

from __future__ import annotations

from typing import Final

from prometheus_client import Counter, Gauge, Histogram

_BUCKETS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)

_calls = Counter("leo_rpc_calls", "Calls that ended, by method and status code", ["method", "code"])
_seconds = Histogram("leo_rpc_seconds", "Duration of calls", ["method"], buckets=_BUCKETS)
_running = Gauge("leo_rpc_running", "Calls that run now", ["method"], multiprocess_mode="livesum")


class MethodTelemetry:
    """The figures of one method, with their labels bound; made once, at registration."""

    def __init__(self, method: str) -> None:
        self._method = method
        self._by_code: dict[str, Counter] = {}
        self._seconds = _seconds.labels(method)
        self._running = _running.labels(method)

    def started(self) -> None:
        """A call began."""
        self._running.inc()

    def ended(self, code: str, seconds: float) -> None:
        """A call ended with this status code, after so many seconds."""
        self._running.dec()
        self._seconds.observe(seconds)
        counter = self._by_code.get(code)
        if counter is None:
            counter = self._by_code[code] = _calls.labels(self._method, code)
        counter.inc()
