"""Figures about the running process, in Prometheus's terms. Labels are names of our source, never data."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)


class RpcTelemetry:
    """Counts and times calls.

    Args:
        registry: where the figures are read from; one per server.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self._calls = Counter(
            "leo_rpc_calls",
            "Calls that ended, by method and status code",
            ["method", "code"],
            registry=registry,
        )
        self._seconds = Histogram(
            "leo_rpc_seconds", "Duration of calls", ["method"], buckets=_BUCKETS, registry=registry
        )
        self._running = Gauge("leo_rpc_running", "Calls that run now", ["method"], registry=registry)

    def of_method(self, method: str) -> MethodTelemetry:
        """The figures of one method; made once, at registration."""
        return MethodTelemetry(
            method, self._calls, self._seconds.labels(method), self._running.labels(method)
        )


class MethodTelemetry:
    """The figures of one method, with their labels bound."""

    def __init__(self, method: str, calls: Counter, seconds: Histogram, running: Gauge) -> None:
        self._method = method
        self._calls = calls
        self._by_code: dict[str, Counter] = {}
        self._seconds = seconds
        self._running = running

    def started(self) -> None:
        """A call began."""
        self._running.inc()

    def ended(self, code: str, seconds: float) -> None:
        """A call ended with this status code, after so many seconds."""
        self._running.dec()
        self._seconds.observe(seconds)
        counter = self._by_code.get(code)
        if counter is None:
            counter = self._by_code[code] = self._calls.labels(self._method, code)
        counter.inc()
