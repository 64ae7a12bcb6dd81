"""What can be frozen, and what a frozen audience is. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final, TypeAlias
from uuid import UUID

from server.conditions import Condition, SqlFragment, compile_sql, parse
from server.errors import InvalidInput
from server.paging import PageRequest
from server.platform.ids import content_id
from server.validation import Violations

MEMBERS_PER_PAGE: Final = 1000
LABEL_VERSION: Final = "label"
_LONGEST_NAME: Final = 100
_LONGEST_LABEL: Final = 200
_LONGEST_REASON: Final = 500


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


Wanted: TypeAlias = NamedSegment | Label | GivenCondition


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
            violations.add("audience", "is required: one of segment, label and condition")
        else:
            self.wanted.check(violations)
        violations.text("reason", self.reason, maximum=_LONGEST_REASON)
        violations.raise_if_any()
        assert self.wanted is not None
        return self.wanted


@dataclass(frozen=True, slots=True)
class Audience:
    """A definition of who is meant.

    Args:
        name: what the segment is called.
        version: which definition of it.
        condition: who is in it.
    """

    name: str
    version: str
    condition: Condition

    def fragment(self, *, at: datetime, first_parameter: int, field: str) -> SqlFragment:
        """Who is in it at this instant, as SQL over `cdp_profiles p`.

        Raises:
            InvalidInput: the condition reads an event; paths begin with `field`.
        """
        try:
            return compile_sql(self.condition, at=at, first_parameter=first_parameter)
        except InvalidInput as error:
            raise _under(field, error) from error


def label_audience(label: str) -> Audience:
    """The audience of a label."""
    condition = parse({"attribute": "segment", "operator": "contains", "value": label}, path="label")
    return Audience(label, LABEL_VERSION, condition)


def condition_audience(tenant_id: UUID, given: GivenCondition) -> Audience:
    """The audience of a condition; its version is the one that a campaign gives the same condition.

    Raises:
        InvalidInput: with every fault of the condition.
    """
    try:
        condition = parse(given.condition)
    except InvalidInput as error:
        raise _under("condition.condition", error) from error
    return Audience(given.name, content_id("segment", tenant_id, condition.canonical()), condition)


def _under(field: str, error: InvalidInput) -> InvalidInput:
    """The faults of a document, with paths in the request."""
    violations = Violations()
    violations.include(field, error.violations)
    return InvalidInput(violations.found)


def member_page(page: PageRequest) -> PageRequest:
    """The page as it is asked for, of the size that suits a stream where none is given."""
    return PageRequest(size=page.size or MEMBERS_PER_PAGE, token=page.token)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A frozen audience.

    Args:
        reason: why it was first frozen.
        member_count: how many profiles are in it.
        created_at: when it was first frozen.
    """

    snapshot_id: str
    segment_name: str
    segment_version: str
    reason: str
    audience_sha256: str
    member_count: int
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Frozen:
    """The answer to a wish.

    Args:
        created: whether this very audience was frozen for the first time.
        task_id: the agent_task that records who asked, when and why.
    """

    snapshot: Snapshot
    created: bool
    task_id: str
