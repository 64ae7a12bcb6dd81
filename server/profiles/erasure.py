"""Use cases of erasure: remove a person, and let a person come back."""

from __future__ import annotations

from typing import Final, NamedTuple
from uuid import UUID

from server.errors import FieldViolation, InvalidInput, NotFound, Unavailable
from server.platform.postgres import Connection, Database
from server.profiles.erasure_store import Erased, ErasureStore
from server.profiles.store import ProfileStore
from server.profiles.suppression import Name, SuppressionList, names_of
from server.validation import Violations

_ROWS: Final = 10_000
"""Of each table in one transaction: a second or so."""

_LONGEST_REASON: Final = 500
_LONGEST_NAME: Final = 200
_SHORTEST_TOLD: Final = 4
_WORKER: Final = "worker"
_GOING_ON: Final = "going on"


class Person(NamedTuple):
    """Whom a caller means.

    Args:
        kind: profile_id, ext_id or identity; empty where the caller named nobody.
    """

    kind: str
    value: str


class ProfileErasure:
    """Removes people.

    Args:
        database: connections of the role leo_app, or of leo_worker.
        store: the list and the function that redacts.
        profiles: finds whom a name means.
        suppression: keeps people from being brought back.
    """

    def __init__(
        self, *, database: Database, store: ErasureStore, profiles: ProfileStore, suppression: SuppressionList
    ) -> None:
        self._database = database
        self._store = store
        self._profiles = profiles
        self._suppression = suppression

    async def erase_profile(self, tenant_id: UUID, person: Person, *, asked_by: str, reason: str) -> Erased:
        """Remove a person, to the end. PostgreSQL: two transactions, and one for each further 10,000 rows of a table.

        Raises:
            InvalidInput: nobody or more than one is named, or the reason names the person.
            NotFound: nothing is stored of such a person.
            PreconditionFailed: there is no key to hash names with.
            Unavailable: the name is being moved to another profile.
        """
        _check(person, reason)
        async with self._database.tenant_transaction(tenant_id) as connection:
            profile_id = await self._begin(connection, tenant_id, person, asked_by, reason)
        return await self.redact(tenant_id, profile_id)

    async def readmit_profile(self, tenant_id: UUID, profile_id: str, *, asked_by: str, reason: str) -> None:
        """Take an erased person off the list. PostgreSQL: 3 round trips.

        Raises:
            InvalidInput: there is no id or no reason.
            NotFound: no such profile was erased.
        """
        _check(Person("profile_id", profile_id), reason)
        async with self._database.tenant_transaction(tenant_id) as connection:
            found = await self._store.readmit_profile(
                connection, profile_id, asked_by=asked_by, reason=reason
            )
        if not found:
            raise NotFound("erased profile", profile_id)

    async def redact(self, tenant_id: UUID, profile_id: str) -> Erased:
        """Go on with an erasure that was begun, one transaction after another until nothing is left."""
        while True:
            async with self._database.tenant_transaction(tenant_id) as connection:
                erased = await self._store.erase_profile(
                    connection, profile_id, asked_by=_WORKER, reason=_GOING_ON, hashes=(), rows=_ROWS
                )
            assert erased is not None, "an erasure that was begun leaves a stub"
            if erased.complete:
                return erased

    async def _begin(
        self, connection: Connection, tenant_id: UUID, person: Person, asked_by: str, reason: str
    ) -> str:
        """Make a stub of the profile, unless it is one; its id."""
        profile_id = await self._find(connection, tenant_id, person)
        # Held from here on: a name that is written now is either hashed, or refused because the person is gone.
        locked = await self._profiles.lock_profiles(connection, tenant_id, [profile_id])
        stored = locked.get(profile_id)
        if stored is not None and stored.erased:
            return profile_id
        names = [] if stored is None else names_of(stored.state.values)
        _require_name(person, names)
        _refuse_names_in(reason, names)
        erased = await self._store.erase_profile(
            connection,
            profile_id,
            asked_by=asked_by,
            reason=reason,
            hashes=self._suppression.hashes_to_keep(tenant_id, names),
            rows=_ROWS,
        )
        if erased is None:
            raise NotFound("profile", profile_id)
        return profile_id

    async def _find(self, connection: Connection, tenant_id: UUID, person: Person) -> str:
        """The profile that is meant, also by a name that was hashed since.

        Raises:
            NotFound: nobody has this name.
            InvalidInput: several have it.
        """
        if person.kind == "profile_id":
            return person.value
        if person.kind == "ext_id":
            found = await self._profiles.holders_of_ext_ids(connection, tenant_id, [person.value])
            holders = set(found.values())
        else:
            by_identity = await self._profiles.holders_of_identities(connection, tenant_id, [person.value])
            holders = {profile_id for holding in by_identity.values() for profile_id in holding}
        if not holders:
            kind = "ext_id" if person.kind == "ext_id" else "identities"
            listed = await self._suppression.whose(connection, tenant_id, [Name(kind, person.value)])
            holders = set(listed.values())
        if len(holders) > 1:
            raise InvalidInput(
                [FieldViolation("identity", "is that of several profiles: name one by its id")]
            )
        if not holders:
            raise NotFound("profile", person.value)
        return holders.pop()


def _check(person: Person, reason: str) -> None:
    violations = Violations()
    if not person.kind:
        violations.add("person", "name the person: profile_id, ext_id or identity")
    else:
        violations.text(person.kind, person.value, maximum=_LONGEST_NAME)
    violations.text("reason", reason, maximum=_LONGEST_REASON)
    violations.raise_if_any()


def _require_name(person: Person, names: list[Name]) -> None:
    """Before it was locked, the profile that was found may have lost the name to somebody else.

    Raises:
        Unavailable: it did; the next call finds whose it is.
    """
    kind = {"ext_id": "ext_id", "identity": "identities"}.get(person.kind)
    if kind is not None and Name(kind, person.value) not in names:
        raise Unavailable("DATABASE_BUSY", "another call moves this name; nobody was erased")


def _refuse_names_in(reason: str, names: list[Name]) -> None:
    """The reason outlives the person."""
    told = reason.lower()
    if any(len(name.value) >= _SHORTEST_TOLD and name.value.lower() in told for name in names):
        raise InvalidInput(
            [
                FieldViolation(
                    "reason", "holds an address or id of the person; it is kept: name a ticket instead"
                )
            ]
        )
