"""Profiles, patches and consents. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple

from server.errors import FieldViolation
from server.profiles.columns import paths_of
from server.profiles.merge import FieldPatch, ProfileState

Violations = tuple[FieldViolation, ...]


class Outcome(StrEnum):
    """What became of an item of a batch."""

    CREATED = "created"
    UPDATED = "updated"
    UNCHANGED = "unchanged"
    STALE = "stale"
    REFUSED = "refused"
    SUPPRESSED = "suppressed"


NOT_WRITTEN = frozenset({Outcome.REFUSED, Outcome.SUPPRESSED})
"""Of what was faulty, and of what is of people who were erased."""


class WriteResult(NamedTuple):
    """The answer for one item; faults only where it was not written, and the profile only where it was."""

    outcome: Outcome
    faults: Violations = ()
    profile_id: str = ""


class Presence(NamedTuple):
    """Whether the source of a patch has the profile now.

    Args:
        gone: that it has deleted it: nothing is created for it, and its consents end.
        source: what ended consents name as their source.
    """

    gone: bool
    source: str


class ProfilePatch(NamedTuple):
    """What the caller knows of one customer; a field that is None was absent.

    Args:
        portfolio_snapshot, raw_attributes: JSON objects as the caller sent them.
        channel_addresses: addresses by channel; an empty list removes the channel.
        clear_fields: names of the fields to empty.
        consents: what the customer agreed to, without profile_id.
        presence: where a source is followed, whether it has the profile; None where nobody said so.
    """

    profile_id: str = ""
    ext_id: str | None = None
    identities: Sequence[str] | None = None
    primary_email: str | None = None
    mobile_number: str | None = None
    living_location: str | None = None
    latitude: float | None = None
    longitude: float | None = None
    job_titles: Sequence[str] | None = None
    interests: Sequence[str] | None = None
    data_labels: Sequence[str] | None = None
    segments: Sequence[str] | None = None
    portfolio_snapshot: bytes | None = None
    portfolio_risk_score: float | None = None
    raw_attributes: bytes | None = None
    replace_raw_attributes: bool = False
    channel_addresses: Mapping[str, Sequence[str]] | None = None
    language: str | None = None
    time_zone: str | None = None
    source_updated_at: datetime | None = None
    clear_fields: Sequence[str] = ()
    consents: Sequence[Consent] = ()
    presence: Presence | None = None


class CheckedPatch(NamedTuple):
    """A patch without faults.

    Args:
        place: index in the request.
        profile_id: empty where `ext_id` and `identities` have to name the profile.
        columns: what it says of the profile, as JSON values by column; what is empty there is to be emptied.
        at: microseconds since 1970 at which the source knew this; None where it told no time.
        replaces_attributes: whether keys of raw_attributes that are not named are removed.
        consents: with their own time each; their profile_id may be empty.
        presence: as in the patch.
    """

    place: int
    profile_id: str
    columns: Mapping[str, Any]
    at: int | None = None
    replaces_attributes: bool = False
    consents: Sequence[Consent] = ()
    presence: Presence | None = None

    @property
    def fields(self) -> FieldPatch:
        """The same by the paths of fields, as it is merged; made anew each time, which a new profile can do without."""
        return FieldPatch(paths_of(self.columns), self.at, self.replaces_attributes)

    @property
    def is_gone(self) -> bool:
        """That the source has deleted the profile."""
        return self.presence is not None and self.presence.gone

    @property
    def ext_id(self) -> str | None:
        """The external id that the profile shall have."""
        value: str | None = self.columns.get("ext_id")
        return value

    @property
    def identities(self) -> Sequence[str]:
        """All ids that the profile shall have."""
        value: Sequence[str] | None = self.columns.get("identities")
        return value or ()


class StoredProfile(NamedTuple):
    """A stored profile, locked."""

    profile_id: str
    erased: bool
    state: ProfileState


@dataclass(frozen=True, slots=True)
class Profile:
    """A stored profile; JSON documents as bytes."""

    profile_id: str
    ext_id: str | None
    identities: tuple[str, ...]
    primary_email: str | None
    mobile_number: str | None
    living_location: str | None
    latitude: float | None
    longitude: float | None
    job_titles: tuple[str, ...]
    interests: tuple[str, ...]
    data_labels: tuple[str, ...]
    segments: tuple[str, ...]
    segment_snapshots: tuple[str, ...]
    portfolio_snapshot: bytes
    portfolio_risk_score: float | None
    raw_attributes: bytes
    channel_addresses: Mapping[str, Sequence[str]]
    language: str | None
    time_zone: str | None
    source_updated_at: datetime | None
    created_at: datetime
    updated_at: datetime
    erased_at: datetime | None


class Consent(NamedTuple):
    """A consent, as the caller states it or as it is stored (then with its times).

    Args:
        status: granted or withdrawn; empty when the caller gave none.
        stated_at: when the customer said so; None means now.
    """

    profile_id: str
    channel: str
    status: str
    legal_basis: str
    source: str
    expires_at: datetime | None = None
    granted_at: datetime | None = None
    withdrawn_at: datetime | None = None
    stated_at: datetime | None = None
