"""One batch of patches inside one transaction: name, lock, merge, insert, update."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

import orjson

from server.errors import FieldViolation
from server.platform.postgres import Connection
from server.profiles.columns import keyed
from server.profiles.departure import departed_at, with_mark
from server.profiles.identification import TAKEN, fault_at, named_profiles, next_id
from server.profiles.merge import ATTRIBUTES, ProfileState, first_state, merge
from server.profiles.model import NOT_WRITTEN, CheckedPatch, Consent, Outcome, StoredProfile, WriteResult
from server.profiles.rows import ProfileRow, first_row, profile_row
from server.profiles.store import ConsentEnd, ProfileChange, ProfileStore
from server.profiles.suppression import SuppressionList

_LARGEST_ATTRIBUTES: Final = 256 * 1024


class NamesMoved(Exception):
    """Another writer gave an external id or an identity to another profile meanwhile: do the batch again."""


@dataclass(slots=True)
class _Target:
    """A profile that is written to, and what became of it so far."""

    stored: StoredProfile | None
    state: ProfileState
    changed: frozenset[str] = frozenset()
    retimed: bool = False


class ProfileUpsert:
    """Writes one batch.

    Patches of one profile are merged in their order. A profile that is new is inserted; one that another writer
    inserts at the same moment is locked and updated like the others, so that no writer's fields are lost.

    Args:
        suppression: keeps out people who were erased.
        now: the time of consents that were stated without one.
    """

    def __init__(
        self,
        store: ProfileStore,
        connection: Connection,
        tenant_id: UUID,
        *,
        suppression: SuppressionList,
        now: datetime,
    ) -> None:
        self._store = store
        self._suppression = suppression
        self._connection = connection
        self._tenant_id = tenant_id
        self._now = now
        self._results: dict[int, WriteResult] = {}

    async def write(self, patches: list[CheckedPatch], *, each_once: bool) -> dict[int, WriteResult]:
        """The result of each patch by its place. 3 to 9 round trips; one more where somebody was erased.

        Args:
            each_once: whether a second patch of one profile is refused.

        Raises:
            asyncpg.UniqueViolationError: another writer took an external id meanwhile; repeat the batch.
            NamesMoved: the same for names by which a profile was found.
        """
        named = await named_profiles(self._store, self._connection, self._tenant_id, patches)
        good = self._without_repeats(named.patches) if each_once else named.patches
        good = await self._without_taken_ext_ids(good)
        found_by_other_names = {patch.place for patch in patches if not patch.profile_id}
        stored = await self._lock(good)
        # Once they are locked: whoever was erased while this waited is on the list by now.
        kept_out = await self._suppression.places(self._connection, self._tenant_id, patches)
        for place, fault in named.refused.items():
            self._results[place] = _kept_out(place) if place in kept_out else _refused(fault)
        good = await self._without_erased(good, stored, kept_out, found_by_other_names)
        _require_names(stored, (patch for patch in good if patch.place in found_by_other_names))
        absent = [patch for patch in good if patch.profile_id not in stored]
        missed = await self._insert([patch for patch in absent if not patch.is_gone])
        gone = [patch for patch in absent if patch.is_gone]
        if missed or gone:
            stored |= await self._lock([*missed, *gone])
            self._refuse_absent(missed, stored)
            self._leave_absent(gone, stored)
        await self._update(self._open(good), stored)
        await self._put_consents(good)
        await self._end_consents([patch for patch in good if patch.is_gone])
        return self._results

    def _open(self, patches: Iterable[CheckedPatch]) -> list[CheckedPatch]:
        """Those without a result yet."""
        return [patch for patch in patches if patch.place not in self._results]

    def _without_repeats(self, patches: Sequence[CheckedPatch]) -> list[CheckedPatch]:
        first: dict[str, int] = {}
        for patch in patches:
            if first.setdefault(patch.profile_id, patch.place) != patch.place:
                self._refuse(patch, "profile_id", "is in the batch twice; merge the two items")
        return self._open(patches)

    async def _without_erased(
        self,
        patches: Sequence[CheckedPatch],
        stored: dict[str, StoredProfile],
        kept_out: Collection[int],
        nameless: Collection[int],
    ) -> list[CheckedPatch]:
        """The patches that bring nobody back; where a name leads to the stub of a person who was let back, with a new
        id, whose profile is added to `stored`."""
        renewed: list[CheckedPatch] = []
        for patch in patches:
            holder = stored.get(patch.profile_id)
            if holder is None and patch.place not in kept_out:
                continue
            if holder is not None and not holder.erased:
                continue
            if patch.place in nameless and patch.place not in kept_out:
                renewed.append(patch._replace(profile_id=next_id(self._tenant_id, patch)))
            else:
                self._results[patch.place] = _kept_out(patch.place)
        if not renewed:
            return self._open(patches)
        stored |= await self._lock(renewed)
        places = {patch.place for patch in renewed}
        others = [patch for patch in self._open(patches) if patch.place not in places]
        return others + await self._without_erased(renewed, stored, kept_out, nameless)

    async def _lock(self, patches: Sequence[CheckedPatch]) -> dict[str, StoredProfile]:
        profile_ids = sorted({patch.profile_id for patch in patches})
        return await self._store.lock_profiles(self._connection, self._tenant_id, profile_ids)

    async def _without_taken_ext_ids(self, patches: Sequence[CheckedPatch]) -> list[CheckedPatch]:
        wanted = [patch.ext_id for patch in patches if patch.ext_id is not None]
        if not wanted:
            return list(patches)
        holders = await self._store.holders_of_ext_ids(self._connection, self._tenant_id, wanted)
        for patch in patches:
            if patch.ext_id is None:
                continue
            if holders.setdefault(patch.ext_id, patch.profile_id) != patch.profile_id:
                self._refuse(patch, "ext_id", TAKEN)
        return self._open(patches)

    async def _insert(self, patches: Sequence[CheckedPatch]) -> list[CheckedPatch]:
        """Insert profiles; returns the patches of those that could not be, and leaves them without a result."""
        first: dict[str, CheckedPatch] = {}
        merged: dict[str, _Target] = {}
        outcomes: dict[int, WriteResult] = {}
        for patch in patches:
            outcome: Outcome | None = Outcome.CREATED
            if first.setdefault(patch.profile_id, patch) is not patch:
                if patch.profile_id not in merged:
                    merged[patch.profile_id] = _Target(None, first_state(first[patch.profile_id].fields))
                outcome = self._merge(patch, merged[patch.profile_id])
            if outcome is not None:
                outcomes[patch.place] = WriteResult(outcome, (), patch.profile_id)
        if not first:
            return []
        inserted = await self._store.insert_profiles(
            self._connection, [self._row(patch, merged.get(patch.profile_id)) for patch in first.values()]
        )
        missed = [patch for patch in self._open(patches) if patch.profile_id not in inserted]
        for patch in missed:
            outcomes.pop(patch.place)
        self._results |= outcomes
        return missed

    def _row(self, patch: CheckedPatch, merged: _Target | None) -> ProfileRow:
        """What a new profile is, whether one patch speaks of it or several."""
        if merged is None:
            return first_row(self._tenant_id, patch)
        return profile_row(self._tenant_id, patch.profile_id, merged.state)

    def _refuse_absent(self, missed: Sequence[CheckedPatch], stored: dict[str, StoredProfile]) -> None:
        """Neither inserted nor there: what stood in the way was the external id."""
        for patch in missed:
            if patch.profile_id not in stored:
                self._refuse(patch, "ext_id", TAKEN)

    def _leave_absent(self, gone: Sequence[CheckedPatch], stored: dict[str, StoredProfile]) -> None:
        """A source has deleted what nobody knew."""
        for patch in gone:
            if patch.profile_id not in stored:
                self._results[patch.place] = WriteResult(Outcome.UNCHANGED)

    async def _update(self, patches: Sequence[CheckedPatch], stored: dict[str, StoredProfile]) -> None:
        targets: dict[str, _Target] = {}
        for patch in patches:
            profile = stored[patch.profile_id]
            target = targets.setdefault(patch.profile_id, _Target(profile, profile.state))
            outcome = self._merge(patch, target)
            if outcome is not None:
                self._results[patch.place] = WriteResult(outcome, profile_id=patch.profile_id)
        changes = [
            ProfileChange(profile_id, target.state, target.changed, target.retimed)
            for profile_id, target in targets.items()
            if target.changed or target.retimed
        ]
        if changes:
            await self._store.update_profiles(self._connection, self._tenant_id, changes)

    def _merge(self, patch: CheckedPatch, target: _Target) -> Outcome | None:
        """Merge a patch into its profile; None where it is not written."""
        if target.stored is not None and target.stored.erased:
            self._results[patch.place] = _kept_out(patch.place)
            return None
        merged = merge(target.state, with_mark(patch, target.state, self._now))
        if ATTRIBUTES in merged.changed and _attribute_octets(merged.state) > _LARGEST_ATTRIBUTES:
            self._refuse(
                patch, ATTRIBUTES, f"would make the profile's more than {_LARGEST_ATTRIBUTES:,} bytes"
            )
            return None
        target.state = merged.state
        target.changed |= merged.changed
        target.retimed = target.retimed or merged.retimed
        if merged.changed or merged.retimed:
            return Outcome.UPDATED
        return Outcome.STALE if merged.lost else Outcome.UNCHANGED

    async def _put_consents(self, patches: Sequence[CheckedPatch]) -> None:
        """Consents alongside patches that were not refused; one that changes makes the item changed."""
        stated = [
            (patch, consent)
            for patch in patches
            if self._results[patch.place].outcome not in NOT_WRITTEN
            for consent in patch.consents
        ]
        latest: dict[tuple[str, str], Consent] = {}
        for patch, consent in stated:
            key = (patch.profile_id, consent.channel)
            if key not in latest or _counts_more(consent, latest[key], self._now):
                latest[key] = consent
        if not latest:
            return
        written = await self._store.put_consents(self._connection, self._tenant_id, self._now, latest)
        for patch, consent in stated:
            outcome = written[patch.profile_id, consent.channel]
            result = self._results[patch.place]
            if outcome in (Outcome.CREATED, Outcome.UPDATED) and result.outcome is not Outcome.CREATED:
                self._results[patch.place] = WriteResult(Outcome.UPDATED, profile_id=patch.profile_id)

    async def _end_consents(self, patches: Sequence[CheckedPatch]) -> None:
        """Nobody is written to whom the source has deleted; what was agreed to after that stays, and so it does where
        the deletion is read once more."""
        ends = {
            patch.profile_id: ConsentEnd(departed_at(patch, self._now), patch.presence.source)
            for patch in patches
            if patch.presence is not None and self._results[patch.place].outcome is Outcome.UPDATED
        }
        if ends:
            await self._store.end_consents(self._connection, self._tenant_id, ends)

    def _refuse(self, patch: CheckedPatch, field: str, description: str) -> None:
        self._results[patch.place] = _refused(fault_at(patch, field, description))


def _refused(fault: FieldViolation) -> WriteResult:
    return WriteResult(Outcome.REFUSED, (fault,))


def _kept_out(place: int) -> WriteResult:
    words = "is of a person who was erased: nothing of them is taken in, unless ReadmitProfile lets them come back"
    return WriteResult(Outcome.SUPPRESSED, (FieldViolation(f"profiles[{place}]", words),))


def _require_names(stored: dict[str, StoredProfile], patches: Iterable[CheckedPatch]) -> None:
    """What was found by other names than its id still has one of them, now that it is locked."""
    for patch in patches:
        profile = stored.get(patch.profile_id)
        if profile is None:
            continue
        values = profile.state.values
        holds = set(patch.identities) & set(values.get("identities", ()))
        if not holds and (patch.ext_id is None or values.get("ext_id") != patch.ext_id):
            raise NamesMoved


def _attribute_octets(state: ProfileState) -> int:
    return len(orjson.dumps(keyed(state, ATTRIBUTES)))


def _counts_more(one: Consent, other: Consent, now: datetime) -> bool:
    """Of two statements the later, and of the same time the withdrawal."""
    first = (one.stated_at or now, one.status, one.legal_basis, one.source)
    return first >= (other.stated_at or now, other.status, other.legal_basis, other.source)
