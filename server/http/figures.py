"""Where figures are read from: this process's own registry, or the files of all processes that share a port."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from prometheus_client import REGISTRY, CollectorRegistry
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

# Named by prometheus_client, which reads it when it is imported: it must be there before a process is spawned.
_VARIABLE: Final = "PROMETHEUS_MULTIPROC_DIR"


class SharedFigures:
    """A directory in which processes keep their figures; importable in each, since it is handed to them.

    Args:
        directory: it exists as long as the processes do.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def registry(self) -> CollectorRegistry:
        """A registry that shows what all processes count together."""
        registry = CollectorRegistry()
        MultiProcessCollector(registry, str(self._directory))  # type: ignore[no-untyped-call]
        return registry

    def forget(self, pid: int) -> None:
        """Take a process that died out of the gauges; what it counted stays."""
        mark_process_dead(pid, str(self._directory))  # type: ignore[no-untyped-call]


@contextmanager
def shared_figures() -> Iterator[SharedFigures]:
    """A directory for the figures of the processes that are spawned while the block runs."""
    with tempfile.TemporaryDirectory(prefix="leo-figures-") as name:
        os.environ[_VARIABLE] = name
        try:
            yield SharedFigures(Path(name))
        finally:
            del os.environ[_VARIABLE]


def readable_registry(shared: SharedFigures | None) -> CollectorRegistry:
    """What a scrape shows.

    Args:
        shared: the figures of all processes that share the port; None for those of this process alone.
    """
    return REGISTRY if shared is None else shared.registry()
