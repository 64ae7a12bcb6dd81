"""What a frozen audience is. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final, NamedTuple
from uuid import UUID

from server.paging import PageRequest
from server.platform.ids import key_id
from server.validation import Violations

_MEMBERS_PER_PAGE: Final = 1000


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


class LeftOut(NamedTuple):
    """Listed profiles that are not in the snapshot: how many, and the first of their ids."""

    total: int
    first: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Frozen:
    """The answer to a wish.

    Args:
        created: whether this very audience was frozen for the first time.
        task_id: the agent_task that records who asked, when and why.
        left_out: whom of a list the tenant does not have.
    """

    snapshot: Snapshot
    created: bool
    task_id: str
    left_out: LeftOut


class Found(NamedTuple):
    """What the members of a snapshot give now: how many they are, and their hash."""

    member_count: int
    audience_sha256: str


@dataclass(frozen=True, slots=True)
class Verified:
    """A snapshot as it was recorded, and as its members are now."""

    tenant_id: UUID
    snapshot: Snapshot
    found: Found

    @property
    def snapshot_id(self) -> str:
        """The id that name, version and members give now."""
        name, version = self.snapshot.segment_name, self.snapshot.segment_version
        return key_id("snapshot", self.tenant_id, name, version, self.found.audience_sha256)

    @property
    def intact(self) -> bool:
        """Whether hash, number and id are what was recorded."""
        recorded = (self.snapshot.member_count, self.snapshot.audience_sha256)
        return recorded == self.found and self.snapshot_id == self.snapshot.snapshot_id


def check_snapshot_id(snapshot_id: str, field: str = "snapshot_id") -> None:
    """Raises:
    InvalidInput: the id has no form of an id.
    """
    violations = Violations()
    violations.sha256(field, snapshot_id)
    violations.raise_if_any()


def member_page(page: PageRequest) -> PageRequest:
    """The page as it is asked for, of the size that suits a stream where none is given."""
    return PageRequest(size=page.size or _MEMBERS_PER_PAGE, token=page.token)
