"""What changed from one snapshot to another. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from server.paging import PageRequest
from server.snapshots.model.snapshot import member_page
from server.validation import Violations


class Change(StrEnum):
    """What became of a member."""

    ENTERED = "entered"
    LEFT = "left"
    KEPT = "kept"


class Difference(NamedTuple):
    """How many members entered, left and stayed."""

    entered: int
    left: int
    kept: int


@dataclass(frozen=True, slots=True)
class DifferenceRequest:
    """A wish to compare two snapshots; `changes` are those to list."""

    from_snapshot_id: str
    to_snapshot_id: str
    changes: tuple[Change, ...]
    page: PageRequest

    def checked(self) -> DifferenceRequest:
        """The request with what it leaves open filled in.

        Raises:
            InvalidInput: an id has no form of an id.
        """
        violations = Violations()
        violations.sha256("from_snapshot_id", self.from_snapshot_id)
        violations.sha256("to_snapshot_id", self.to_snapshot_id)
        violations.raise_if_any()
        changes = checked_changes(self.changes)
        return DifferenceRequest(self.from_snapshot_id, self.to_snapshot_id, changes, member_page(self.page))


@dataclass(frozen=True, slots=True)
class DifferencePage:
    """One page: who changed how, in the order of ids; `difference` comes with the first page only."""

    difference: Difference | None
    changed: tuple[tuple[str, Change], ...]
    next_token: str

    def of(self, change: Change) -> list[str]:
        """Ids of those that changed this way."""
        return [profile_id for profile_id, how in self.changed if how is change]


def checked_changes(changes: Sequence[Change]) -> tuple[Change, ...]:
    """Each change once, in one order; who entered and who left where nothing is given."""
    return tuple(sorted(set(changes))) or (Change.ENTERED, Change.LEFT)
