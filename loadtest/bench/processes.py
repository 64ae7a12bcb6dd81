"""CPU time and memory of processes and of their children."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

import psutil


@dataclass(frozen=True, slots=True)
class Consumption:
    """CPU seconds since the start of each: the server, PostgreSQL with its backends, Redis."""

    server: float
    postgres: float
    redis: float

    def since(self, earlier: Consumption) -> dict[str, float]:
        """What was used after an earlier reading, in seconds."""
        before = asdict(earlier)
        return {name: round(value - before[name], 2) for name, value in asdict(self).items()}


def cpu_of(pid: int | None) -> float:
    """CPU seconds of a process and its children, also of those that have ended."""
    if pid is None:
        return 0.0
    root = psutil.Process(pid)
    times = root.cpu_times()
    ended = getattr(times, "children_user", 0.0) + getattr(times, "children_system", 0.0)
    return times.user + times.system + ended + sum(_own(child) for child in root.children(recursive=True))


def memory_of(pid: int) -> float:
    """What a process and its children hold in memory now, in MB."""
    root = psutil.Process(pid)
    return sum(process.memory_info().rss for process in (root, *root.children(recursive=True))) / 1_000_000


def peak_memory_of(pid: int) -> float:
    """The most that a process itself has held in memory so far, in MB."""
    status = Path(f"/proc/{pid}/status").read_text()
    (peak,) = (line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(peak.split()[1]) * 1024 / 1_000_000


def _own(process: psutil.Process) -> float:
    try:
        times = process.cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    return times.user + times.system
