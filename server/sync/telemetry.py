"""Figures of the synchronisation. Labels are names of our source, never tenants, sources or what they hold."""

from __future__ import annotations

from typing import Final

from prometheus_client import Counter, Gauge

from server.sync.model import Counts
from server.sync.store import Observed

RUNS: Final = Counter(
    "leo_sync_runs", "Runs of data sources by how they ended: succeeded, away, refused or faulty", ["end"]
)
_documents: Final = Counter(
    "leo_sync_documents",
    "Documents of data sources: read, and of these written, rejected, suppressed or deleted",
    ["what"],
)
# Every worker looks at the same rows: the newest look is the truth, not the sum.
_sources: Final = Gauge(
    "leo_data_sources",
    "Active data sources of all tenants by health, and those that are stale whatever their health",
    ["state"],
    multiprocess_mode="livemostrecent",
)
_lag: Final = Gauge(
    "leo_data_source_lag_seconds",
    "How far the data source that lags most is behind",
    multiprocess_mode="livemostrecent",
)


def tell_documents(counts: Counts) -> None:
    """Count what a committed page came to."""
    for what in ("read", "written", "rejected", "suppressed", "deleted"):
        _documents.labels(what).inc(getattr(counts, what))


def show(observed: Observed) -> None:
    """Show the states of all sources."""
    for state in ("healthy", "degraded", "failing", "unknown", "stale"):
        _sources.labels(state).set(getattr(observed, state))
    _lag.set(observed.lag_seconds)
