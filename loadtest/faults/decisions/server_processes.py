"""Which processes serve, and which of them has a connection."""

from __future__ import annotations

from typing import Final

import psutil  # type: ignore[import-untyped]

_SPAWNED: Final = "spawn_main"


def serving_processes(pid: int | None) -> list[psutil.Process]:
    """The processes that `leo serve` spawned; not those that ended, nor the one that Python's own bookkeeping adds."""
    try:
        children = psutil.Process(pid).children() if pid is not None else []
    except psutil.Error:
        return []
    return [child for child in children if _is_spawned(child)]


def _is_spawned(child: psutil.Process) -> bool:
    try:
        return any(_SPAWNED in argument for argument in child.cmdline())
    except psutil.Error:
        return False


def owner_of(port: int, parent: int | None) -> int:
    """The server process that has this local port; 0 when there is none."""
    for child in serving_processes(parent):
        try:
            if any(c.laddr and c.laddr.port == port for c in child.net_connections("tcp")):
                return int(child.pid)
        except psutil.Error:
            continue
    return 0
