"""One batch of patches inside one transaction: lock, judge, insert, update."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final
from uuid import UUID

from server.errors import FieldViolation
from server.platform.postgres import Connection
from server.profiles.model import CheckedPatch, LockedProfile, Outcome, WriteResult
from server.profiles.store import ProfileStore

_LARGEST_ATTRIBUTES: Final = 256 * 1024


class ProfileUpsert:
    """Writes one batch.

    A profile that is new is inserted; one that another writer inserts at the same moment is locked and
    updated like the others, so that no writer's fields are lost.
    """

    def __init__(self, store: ProfileStore, connection: Connection, tenant_id: UUID) -> None:
        self._store = store
        self._connection = connection
        self._tenant_id = tenant_id
        self._results: dict[int, WriteResult] = {}

    async def write(self, patches: list[CheckedPatch]) -> dict[int, WriteResult]:
        """The result of each patch by its place. 2 to 5 round trips.

        Raises:
            asyncpg.UniqueViolationError: another writer took an external id meanwhile; repeat the batch.
        """
        stored = await self._lock(patches)
        await self._refuse_taken_ext_ids(patches)
        created = await self._insert(patch for patch in self._open(patches) if patch.profile_id not in stored)
        missed = [
            patch
            for patch in self._open(patches)
            if patch.profile_id not in stored and patch.place not in created
        ]
        if missed:
            stored |= await self._lock(missed)
            self._refuse_absent(missed, stored)
        await self._update([patch for patch in self._open(patches) if patch.place not in created], stored)
        return self._results | {place: WriteResult(Outcome.CREATED) for place in created}

    def _open(self, patches: Iterable[CheckedPatch]) -> list[CheckedPatch]:
        """Those without a result yet."""
        return [patch for patch in patches if patch.place not in self._results]

    async def _lock(self, patches: list[CheckedPatch]) -> dict[str, LockedProfile]:
        return await self._store.lock_profiles(self._connection, self._tenant_id, patches)

    async def _refuse_taken_ext_ids(self, patches: list[CheckedPatch]) -> None:
        wanted = [patch.ext_id for patch in patches if patch.ext_id is not None]
        if not wanted:
            return
        holders = await self._store.holders_of_ext_ids(self._connection, self._tenant_id, wanted)
        for patch in patches:
            if patch.ext_id is None:
                continue
            if holders.setdefault(patch.ext_id, patch.profile_id) != patch.profile_id:
                self._refuse(patch, "ext_id", "belongs to another profile")

    async def _insert(self, patches: Iterable[CheckedPatch]) -> set[int]:
        """Places of the inserted ones."""
        new = list(patches)
        if not new:
            return set()
        inserted = await self._store.insert_profiles(self._connection, self._tenant_id, new)
        return {patch.place for patch in new if patch.profile_id in inserted}

    def _refuse_absent(self, missed: list[CheckedPatch], stored: dict[str, LockedProfile]) -> None:
        """Neither inserted nor there: what stood in the way was the external id."""
        for patch in missed:
            if patch.profile_id not in stored:
                self._refuse(patch, "ext_id", "belongs to another profile")

    async def _update(self, patches: list[CheckedPatch], stored: dict[str, LockedProfile]) -> None:
        for patch in patches:
            self._judge(patch, stored[patch.profile_id])
        applied = self._open(patches)
        if not applied:
            return
        changed = await self._store.update_profiles(self._connection, self._tenant_id, applied)
        for patch in applied:
            outcome = Outcome.UPDATED if patch.profile_id in changed else Outcome.UNCHANGED
            self._results[patch.place] = WriteResult(outcome)

    def _judge(self, patch: CheckedPatch, stored: LockedProfile) -> None:
        """Give a result to a patch that must not be applied to what is stored."""
        if stored.erased:
            self._refuse(patch, "profile_id", "was erased; a new profile needs a new id")
        elif _is_stale(patch, stored):
            self._results[patch.place] = WriteResult(Outcome.STALE)
        elif _grows_too_large(patch, stored):
            self._refuse(
                patch, "raw_attributes", f"would make the profile's more than {_LARGEST_ATTRIBUTES:,} bytes"
            )

    def _refuse(self, patch: CheckedPatch, field: str, description: str) -> None:
        violation = FieldViolation(f"profiles[{patch.place}].{field}", description)
        self._results[patch.place] = WriteResult(Outcome.REFUSED, (violation,))


def _grows_too_large(patch: CheckedPatch, stored: LockedProfile) -> bool:
    merges = "raw_attributes" in patch.document and not patch.replace_raw_attributes
    return merges and stored.merged_octets > _LARGEST_ATTRIBUTES


def _is_stale(patch: CheckedPatch, stored: LockedProfile) -> bool:
    if patch.source_updated_at is None or stored.source_updated_at is None:
        return False
    return patch.source_updated_at < stored.source_updated_at
