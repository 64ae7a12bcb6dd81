"""Profiles, patches and consents. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from server.errors import FieldViolation

Violations = tuple[FieldViolation, ...]


class Outcome(StrEnum):
    """What became of an item of a batch."""

    CREATED = "created"
    UPDATED = "updated"
    UNCHANGED = "unchanged"
    STALE = "stale"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class WriteResult:
    """The answer for one item; faults only where it was refused."""

    outcome: Outcome
    faults: Violations = ()


@dataclass(frozen=True, slots=True)
class ProfilePatch:
    """What the caller knows of one customer; a field that is None was absent.

    Args:
        faults: what the general checks of the item found.
        portfolio_snapshot, raw_attributes: JSON objects as the caller sent them.
        channel_addresses: addresses by channel; an empty list removes the channel.
        clear_fields: names of the fields to empty.
    """

    profile_id: str
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
    faults: Violations = ()


@dataclass(frozen=True, slots=True)
class CheckedPatch:
    """A patch without faults.

    Args:
        place: index in the request.
        document: the columns to change, as JSON values in their normal form.
    """

    place: int
    profile_id: str
    document: Mapping[str, Any]
    replace_raw_attributes: bool
    source_updated_at: datetime | None

    @property
    def ext_id(self) -> str | None:
        """The external id that the profile shall have."""
        value = self.document.get("ext_id")
        return value if isinstance(value, str) else None


@dataclass(frozen=True, slots=True)
class LockedProfile:
    """What a write needs to know of a stored profile.

    Args:
        merged_octets: size of its raw_attributes once the patch is merged.
    """

    profile_id: str
    erased: bool
    source_updated_at: datetime | None
    merged_octets: int


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


@dataclass(frozen=True, slots=True)
class Consent:
    """A consent, as the caller states it or as it is stored (then with its times).

    Args:
        status: granted or withdrawn; empty when the caller gave none.
        faults: what the general checks of the item found.
    """

    profile_id: str
    channel: str
    status: str
    legal_basis: str
    source: str
    expires_at: datetime | None = None
    granted_at: datetime | None = None
    withdrawn_at: datetime | None = None
    faults: Violations = ()
