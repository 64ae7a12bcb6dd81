"""What could not be read or was refused: every one is counted, the first ones are told."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from feeder.ticks import Fault

_TOLD: Final = 20


class Faults:
    """Counts faults of a source.

    Args:
        tell: gets a line of text for each of the first 20, and one that says that no more follow.
    """

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell = tell
        self.count = 0

    def add(self, fault: Fault) -> None:
        """Count one."""
        self.count += 1
        if self.count <= _TOLD:
            self._tell(str(fault))
        elif self.count == _TOLD + 1:
            self._tell("further ones are counted only")
