"""Which profile a patch means, and whom an external id belongs to.

| the patch names | it is written to |
|---|---|
| `profile_id` | that profile, which is created where it is not there |
| only `ext_id` | the holder of that external id; without one a new profile, whose id is a hash of it |
| only `identities` | the one holder of any of them |
| `ext_id` and `identities` | the one holder of any of them, if it has no other external id |

Two people are never made one: where the names lead to several profiles, or to a profile with another external id, the
patch is refused. So is an external id that another profile has. An identity that two profiles have names neither. What
names a person who was erased is written nowhere (`suppression.py`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from server.errors import FieldViolation
from server.platform.ids import key_id
from server.platform.postgres import Connection
from server.profiles.contact_points import looks_personal
from server.profiles.model import CheckedPatch
from server.profiles.store import ProfileStore

TAKEN: Final = "belongs to another profile"
_SEVERAL: Final = "lead to several profiles: name one of them by profile_id"
_NOBODY: Final = "are no profile's: give profile_id, or ext_id, to create one"
_OTHER: Final = "is not that of the profile that has these identities: name it by profile_id"
_PERSONAL: Final = "looks personal, and the id of a new profile would be a hash of it: give profile_id"


@dataclass(frozen=True, slots=True)
class Named:
    """The patches with the profile that each means, and those that mean none."""

    patches: list[CheckedPatch]
    refused: dict[int, FieldViolation]


@dataclass(frozen=True, slots=True)
class _Holders:
    """Who has which names.

    Args:
        by_ext_id: the profile of each external id.
        by_identity: the profiles of each identity, each with its external id.
    """

    by_ext_id: Mapping[str, str]
    by_identity: Mapping[str, Mapping[str, str | None]]


async def named_profiles(
    store: ProfileStore, connection: Connection, tenant_id: UUID, patches: Sequence[CheckedPatch]
) -> Named:
    """Give a profile to patches that name it by other ids. Round trips: 0, or 2 where there are such patches."""
    nameless = [patch for patch in patches if not patch.profile_id]
    if not nameless:
        return Named(list(patches), {})
    holders = _Holders(
        await store.holders_of_ext_ids(
            connection, tenant_id, [patch.ext_id for patch in nameless if patch.ext_id is not None]
        ),
        await store.holders_of_identities(
            connection, tenant_id, [identity for patch in nameless for identity in patch.identities]
        ),
    )
    named: list[CheckedPatch] = []
    refused: dict[int, FieldViolation] = {}
    for patch in patches:
        found = patch.profile_id or _profile_of(tenant_id, patch, holders)
        if isinstance(found, FieldViolation):
            refused[patch.place] = found
        else:
            named.append(patch._replace(profile_id=found))
    return Named(named, refused)


def fault_at(patch: CheckedPatch, field: str, description: str) -> FieldViolation:
    """A fault of one field of a patch."""
    return FieldViolation(f"profiles[{patch.place}].{field}", description)


def _profile_of(tenant_id: UUID, patch: CheckedPatch, holders: _Holders) -> str | FieldViolation:
    others = {
        profile_id: ext_id
        for identity in patch.identities
        for profile_id, ext_id in holders.by_identity.get(identity, {}).items()
    }
    holder = None if patch.ext_id is None else holders.by_ext_id.get(patch.ext_id)
    candidates = {*others, *([holder] if holder else [])}
    if len(candidates) > 1:
        return fault_at(patch, "identities", _SEVERAL)
    if not candidates:
        return _new_id(tenant_id, patch)
    profile_id = candidates.pop()
    if patch.ext_id is not None and others.get(profile_id) not in (None, patch.ext_id):
        return fault_at(patch, "ext_id", _OTHER)
    return profile_id


def next_id(tenant_id: UUID, patch: CheckedPatch) -> str:
    """The id of a new profile for somebody whose former one was erased, and who was let back: not that of the stub."""
    assert patch.ext_id is not None, "only a patch with an external id is given an id"
    return key_id("profile", tenant_id, patch.ext_id, patch.profile_id)


def _new_id(tenant_id: UUID, patch: CheckedPatch) -> str | FieldViolation:
    if patch.ext_id is None:
        return fault_at(patch, "identities", _NOBODY)
    if looks_personal(patch.ext_id, ""):
        return fault_at(patch, "ext_id", _PERSONAL)
    return key_id("profile", tenant_id, patch.ext_id)
