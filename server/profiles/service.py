"""Use cases of profiles and consents."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final, Protocol, TypeAlias
from uuid import UUID

import asyncpg

from server.errors import FieldViolation, InvalidInput, NotFound, Unavailable
from server.platform.postgres import Connection, Database
from server.profiles.checks import PatchCheck, check_consent
from server.profiles.contact_points import is_region
from server.profiles.departure import DELETED_AT_SOURCE
from server.profiles.merge import ATTRIBUTES
from server.profiles.model import CheckedPatch, Consent, Outcome, Profile, ProfilePatch, WriteResult
from server.profiles.store import ProfileStore
from server.profiles.suppression import SuppressionList
from server.profiles.upsert import NamesMoved, ProfileUpsert
from server.validation import Violations

_MOST_ITEMS: Final = 1_000
_MOST_IMPORTED: Final = 2_000
_MOST_TRIES: Final = 3
_CHECKED_AT_ONCE: Final = 50
_AHEAD: Final = timedelta(days=1)
_WRITTEN: Final = (Outcome.CREATED, Outcome.UPDATED)

Alongside: TypeAlias = Callable[[Connection, Sequence[WriteResult]], Awaitable[None]]
"""Written in the transaction of a batch, with what became of each item; called again where the batch is."""

_WriteAlongside: TypeAlias = Callable[[Connection, Mapping[int, WriteResult]], Awaitable[None]]


class Changes(Protocol):
    """Who is told of what was written to profiles."""

    def offer(
        self, tenant_id: UUID, profile_ids: Sequence[str], *, attributes: Collection[str], new: bool
    ) -> None:
        """Take committed changes; returns at once.

        Args:
            attributes: columns, and `raw_attributes.<key>` for what is inside that one.
            new: whether some of the profiles did not exist before.
        """
        ...


class ProfileService:
    """Writes and reads what is known of customers.

    Args:
        database: connections of the role leo_app.
        suppression: keeps out people who were erased.
        clock: the present time.
        changes: is told of what was written.
    """

    def __init__(
        self,
        *,
        database: Database,
        store: ProfileStore,
        suppression: SuppressionList,
        clock: Callable[[], datetime],
        changes: Changes,
    ) -> None:
        self._database = database
        self._store = store
        self._suppression = suppression
        self._clock = clock
        self._changes = changes

    async def upsert_profiles(
        self, tenant_id: UUID, patches: Sequence[ProfilePatch], *, region: str
    ) -> list[WriteResult]:
        """Write all good patches in one transaction, and answer each; a second one of a profile is refused.

        PostgreSQL: 4 to 10 round trips, whatever the number of patches.

        Args:
            region: ISO 3166 code of the country of national phone numbers; may be empty.

        Raises:
            InvalidInput: the batch itself is not acceptable; nothing was written.
        """
        _check_batch("profiles", patches, _MOST_ITEMS)
        return await self._write_patches(tenant_id, patches, region, each_once=True)

    async def import_profiles(
        self, tenant_id: UUID, patches: Sequence[ProfilePatch], *, region: str
    ) -> list[WriteResult]:
        """The same for one part of an import, where patches of one profile are written in their order.

        Raises:
            InvalidInput: the part itself is not acceptable; nothing was written.
        """
        _check_batch("profiles", patches, _MOST_IMPORTED, lowest=0)
        return await self._write_patches(tenant_id, patches, region, each_once=False)

    async def take_in(
        self, tenant_id: UUID, patches: Sequence[ProfilePatch], *, region: str, alongside: Alongside
    ) -> list[WriteResult]:
        """The same for a page of a source that is followed, with what has to be committed together with it.

        Raises:
            InvalidInput: the page itself is not acceptable; nothing was written.
        """
        _check_batch("profiles", patches, _MOST_IMPORTED, lowest=0)
        return await self._write_patches(tenant_id, patches, region, each_once=False, alongside=alongside)

    async def set_consents(self, tenant_id: UUID, consents: Sequence[Consent]) -> list[WriteResult]:
        """Write all good consents in one transaction, and answer each. PostgreSQL: 4 round trips.

        Raises:
            InvalidInput: the batch itself is not acceptable; nothing was written.
        """
        _check_batch("consents", consents, _MOST_ITEMS)
        results = _refused_consents(consents, self._clock() + _AHEAD)
        good = {place: consent for place, consent in enumerate(consents) if place not in results}
        if good:
            async with self._database.tenant_transaction(tenant_id) as connection:
                results |= await self._put_consents(connection, tenant_id, good)
        return [results[place] for place in range(len(consents))]

    async def get_profile(self, tenant_id: UUID, profile_id: str) -> tuple[Profile, list[Consent]]:
        """One profile with its consents. PostgreSQL: 4 round trips.

        Raises:
            InvalidInput: the id has no form of an id.
            NotFound: the tenant has no such profile.
        """
        violations = Violations()
        violations.text("profile_id", profile_id, maximum=200)
        violations.raise_if_any()
        async with self._database.tenant_transaction(tenant_id, readonly=True) as connection:
            profile = await self._store.get_profile(connection, tenant_id, profile_id)
            if profile is None:
                raise NotFound("profile", profile_id)
            return profile, await self._store.list_consents(connection, tenant_id, profile_id)

    async def _write_patches(
        self,
        tenant_id: UUID,
        patches: Sequence[ProfilePatch],
        region: str,
        *,
        each_once: bool,
        alongside: Alongside | None = None,
    ) -> list[WriteResult]:
        if region and not is_region(region):
            raise InvalidInput(
                [FieldViolation("default_region", 'must be an ISO 3166 code in capitals, such as "VN"')]
            )
        refused, checked = await self._check_patches(patches, region)

        async def write_alongside(connection: Connection, written: Mapping[int, WriteResult]) -> None:
            if alongside is not None:
                results = [refused.get(place) or written[place] for place in range(len(patches))]
                await alongside(connection, results)

        written: dict[int, WriteResult] = {}
        if checked or alongside is not None:
            written = await self._upsert(tenant_id, checked, write_alongside, each_once=each_once)
        self._tell(tenant_id, checked, written)
        return [refused.get(place) or written[place] for place in range(len(patches))]

    def _tell(
        self, tenant_id: UUID, patches: Sequence[CheckedPatch], written: dict[int, WriteResult]
    ) -> None:
        """Which profiles were written, and what patches of them said."""
        done = [patch for patch in patches if written[patch.place].outcome in _WRITTEN]
        if done:
            self._changes.offer(
                tenant_id,
                sorted({written[patch.place].profile_id for patch in done}),
                attributes=_named(done),
                new=any(written[patch.place].outcome is Outcome.CREATED for patch in done),
            )

    async def _check_patches(
        self, patches: Sequence[ProfilePatch], region: str
    ) -> tuple[dict[int, WriteResult], list[CheckedPatch]]:
        """The refused ones by place, and the good ones."""
        check = PatchCheck(region=region, latest=self._clock() + _AHEAD)
        refused: dict[int, WriteResult] = {}
        good: list[CheckedPatch] = []
        for place, patch in enumerate(patches):
            if place % _CHECKED_AT_ONCE == 0:
                # Addresses and numbers take ~50 µs an item: other calls get their turn in between.
                await asyncio.sleep(0)
            checked = check.check(place, patch)
            if isinstance(checked, CheckedPatch):
                good.append(checked)
            else:
                refused[place] = WriteResult(Outcome.REFUSED, checked)
        return refused, good

    async def _upsert(
        self, tenant_id: UUID, patches: list[CheckedPatch], alongside: _WriteAlongside, *, each_once: bool
    ) -> dict[int, WriteResult]:
        """One transaction; again when another writer took a name between the check and the write."""
        for _ in range(_MOST_TRIES):
            try:
                async with self._database.tenant_transaction(tenant_id) as connection:
                    upsert = ProfileUpsert(
                        self._store, connection, tenant_id, suppression=self._suppression, now=self._clock()
                    )
                    written = await upsert.write(patches, each_once=each_once)
                    await alongside(connection, written)
                    return written
            except (asyncpg.UniqueViolationError, NamesMoved):
                continue
        raise Unavailable("DATABASE_BUSY", "other calls move the same names; nothing was written")

    async def _put_consents(
        self, connection: Connection, tenant_id: UUID, consents: dict[int, Consent]
    ) -> dict[int, WriteResult]:
        profile_ids = sorted({consent.profile_id for consent in consents.values()})
        erased = await self._store.share_profiles(connection, tenant_id, profile_ids)
        results = {
            place: _refused(f"consents[{place}].profile_id", fault)
            for place, consent in consents.items()
            if (fault := _profile_fault(erased.get(consent.profile_id)))
        }
        stated = {
            (consent.profile_id, consent.channel): consent
            for place, consent in consents.items()
            if place not in results
        }
        outcomes = {}
        if stated:
            outcomes = await self._store.put_consents(connection, tenant_id, self._clock(), stated)
        for place, consent in consents.items():
            if place not in results:
                outcome = outcomes[consent.profile_id, consent.channel]
                results[place] = WriteResult(outcome, profile_id=consent.profile_id)
        return results


def _named(patches: Iterable[CheckedPatch]) -> set[str]:
    """What patches may have changed: columns, and `raw_attributes.<key>` for what is inside that one."""
    columns, keys = {"source_updated_at"}, set[str]()
    for patch in patches:
        columns.update(patch.columns)
        keys.update(patch.columns.get(ATTRIBUTES, ()))
        if patch.presence is not None:
            keys.add(DELETED_AT_SOURCE)
    return columns | {f"{ATTRIBUTES}.{key}" for key in keys}


def _check_batch(field: str, items: Sequence[object], most: int, *, lowest: int = 1) -> None:
    violations = Violations()
    violations.count(field, items, lowest=lowest, highest=most)
    violations.raise_if_any()


def _refused_consents(consents: Sequence[Consent], latest: datetime) -> dict[int, WriteResult]:
    refused: dict[int, WriteResult] = {}
    seen: set[tuple[str, str]] = set()
    for place, consent in enumerate(consents):
        key = (consent.profile_id, consent.channel)
        if faults := check_consent(place, consent, latest):
            refused[place] = WriteResult(Outcome.REFUSED, faults)
        elif key in seen:
            refused[place] = _refused(f"consents[{place}]", "profile and channel are in the batch twice")
        else:
            seen.add(key)
    return refused


def _profile_fault(erased: bool | None) -> str | None:
    if erased is None:
        return "there is no such profile: put it first"
    if erased:
        return "the profile was erased: its consents ended with it"
    return None


def _refused(field: str, description: str) -> WriteResult:
    return WriteResult(Outcome.REFUSED, (FieldViolation(field, description),))
