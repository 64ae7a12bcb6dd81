"""Whom a caller may wish to freeze. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final, TypeAlias

from server.validation import Violations

_LONGEST_NAME: Final = 100
_LONGEST_LABEL: Final = 200
_LONGEST_REASON: Final = 500
_LONGEST_ID: Final = 200
_LONGEST_LIST: Final = 50_000
_MOST_FAULTS: Final = 20


@dataclass(frozen=True, slots=True)
class NamedSegment:
    """The audience that campaigns define under this name."""

    name: str

    def check(self, violations: Violations) -> None:
        """Note every fault."""
        violations.text("segment", self.name, maximum=_LONGEST_NAME)

    def document(self) -> dict[str, object]:
        """How it was asked for, as it is recorded."""
        return {"segment": self.name}


@dataclass(frozen=True, slots=True)
class Label:
    """Everybody whose `segments` hold this text."""

    label: str

    def check(self, violations: Violations) -> None:
        """Note every fault."""
        violations.text("label", self.label, maximum=_LONGEST_LABEL)

    def document(self) -> dict[str, object]:
        """How it was asked for, as it is recorded."""
        return {"label": self.label}


@dataclass(frozen=True, slots=True)
class GivenCondition:
    """Everybody for whom a condition holds; `condition` is JSON."""

    name: str
    condition: bytes

    def check(self, violations: Violations) -> None:
        """Note every fault but those inside the condition."""
        violations.text("condition.name", self.name, maximum=_LONGEST_NAME)
        if not self.condition:
            violations.add("condition.condition", "is required: a condition as JSON")

    def document(self) -> dict[str, object]:
        """How it was asked for, as it is recorded; the condition itself is recorded in its canonical form."""
        return {}


@dataclass(frozen=True, slots=True)
class GivenList:
    """The profiles of these ids, as far as the tenant has them."""

    name: str
    profile_ids: tuple[str, ...]

    def check(self, violations: Violations) -> None:
        """Note every fault of the list itself, and the first of its items."""
        violations.text("list.name", self.name, maximum=_LONGEST_NAME)
        violations.count("list.profile_ids", self.profile_ids, lowest=1, highest=_LONGEST_LIST)
        items = Violations()
        for place, profile_id in enumerate(self.profile_ids[:_LONGEST_LIST]):
            items.text(f"list.profile_ids[{place}]", profile_id, maximum=_LONGEST_ID)
        violations.include("", items.found[:_MOST_FAULTS])

    def document(self) -> dict[str, object]:
        """How it was asked for, as it is recorded: who was meant stands in the snapshot."""
        return {"list": len(set(self.profile_ids))}


class Operation(StrEnum):
    """How two snapshots become one."""

    MINUS = "minus"
    INTERSECT = "intersect"
    UNITE = "unite"


@dataclass(frozen=True, slots=True)
class Combination:
    """Who two snapshots give together; `operation` is None where the caller did not say."""

    name: str
    snapshot_id: str
    operation: Operation | None
    other_snapshot_id: str

    def check(self, violations: Violations) -> None:
        """Note every fault."""
        inside = violations.under("combination")
        inside.text("name", self.name, maximum=_LONGEST_NAME)
        inside.sha256("snapshot_id", self.snapshot_id)
        inside.sha256("other_snapshot_id", self.other_snapshot_id)
        if self.operation is None:
            inside.add("operation", "is required: minus, intersect or unite")

    def document(self) -> dict[str, object]:
        """How it was asked for, as it is recorded; equal documents are one definition."""
        return {
            "snapshot_id": self.snapshot_id,
            "operation": str(self.operation),
            "other_snapshot_id": self.other_snapshot_id,
        }


Wanted: TypeAlias = NamedSegment | Label | GivenCondition | GivenList | Combination


@dataclass(frozen=True, slots=True)
class FreezeRequest:
    """A wish for a snapshot.

    Args:
        wanted: whom to freeze; None where the caller did not say.
        reason: why, without personal data.
        requested_by: the caller's account at the issuer.
    """

    wanted: Wanted | None
    reason: str
    requested_by: str

    def checked(self) -> Wanted:
        """Whom to freeze.

        Raises:
            InvalidInput: with every fault, those inside a condition aside.
        """
        violations = Violations()
        if self.wanted is None:
            violations.add("audience", "is required: one of segment, label, condition, list and combination")
        else:
            self.wanted.check(violations)
        violations.text("reason", self.reason, maximum=_LONGEST_REASON)
        violations.raise_if_any()
        assert self.wanted is not None
        return self.wanted
