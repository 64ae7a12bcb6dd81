"""The list of people who are not to be brought back: keyed hashes of their names, on what is left of their profiles.

A hash is HMAC-SHA256 under a key that is derived from one of the credential keys, over tenant, kind of name and name,
cut to 128 bits, with the key's id in front. So the list tells nobody a name, nor lets anybody try names without the
key. Each person is hashed under the key that was the newest at the erasure; who comes in is compared under every key.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple
from uuid import UUID

from server.errors import PreconditionFailed
from server.platform.credential_keys import CredentialKeys
from server.platform.postgres import Connection
from server.profiles.erasure_store import ErasureStore
from server.profiles.model import CheckedPatch

_SINGLE: Final = ("ext_id", "primary_email", "mobile_number")
_DIGITS: Final = 32
_PURPOSE: Final = b"leo: suppression of erased people"


class Name(NamedTuple):
    """One of a person's names: the column that it stands in, and its value."""

    kind: str
    value: str


def names_of(values: Mapping[str, Any]) -> list[Name]:
    """The names in the fields of a profile or of a patch; an e-mail address counts without case."""
    found = [Name(kind, values[kind]) for kind in _SINGLE if isinstance(values.get(kind), str)]
    identities = values.get("identities")
    if isinstance(identities, list):
        found += [Name("identities", identity) for identity in identities]
    return [Name(kind, value.lower() if kind == "primary_email" else value) for kind, value in found]


class SuppressionList:
    """Hashes names, and finds those of erased people."""

    def __init__(self, *, keys: CredentialKeys, store: ErasureStore) -> None:
        self._store = store
        self._keys = [(key_id, hmac.digest(key, _PURPOSE, "sha256")) for key_id, key in keys.newest_first()]

    def hashes_to_keep(self, tenant_id: UUID, names: Sequence[Name]) -> list[str]:
        """What stays of a person who is erased.

        Raises:
            PreconditionFailed: the process has no key: sources would bring the person back.
        """
        if not self._keys:
            raise PreconditionFailed(
                "CREDENTIAL_KEY_MISSING",
                "erased people are kept out by keyed hashes of their names: set LEO_CREDENTIAL_KEYS",
                {"setting": "LEO_CREDENTIAL_KEYS"},
            )
        return sorted({_hash(*self._keys[0], tenant_id, name) for name in names})

    async def whose(self, connection: Connection, tenant_id: UUID, names: Sequence[Name]) -> dict[Name, str]:
        """The erased profile of each name that is on the list. Round trips: 1, and 1 more where the tenant has any."""
        if not names or not await self._store.has_erased(connection, tenant_id):
            return {}
        return await self._listed(connection, tenant_id, names)

    async def places(
        self, connection: Connection, tenant_id: UUID, patches: Sequence[CheckedPatch]
    ) -> frozenset[int]:
        """Places of the patches that hold a name of an erased person. Round trips as `whose`."""
        if not await self._store.has_erased(connection, tenant_id):
            return frozenset()
        of_place = {patch.place: names_of(patch.columns) for patch in patches}
        listed = await self._listed(
            connection, tenant_id, [name for names in of_place.values() for name in names]
        )
        if not listed:
            return frozenset()
        return frozenset(place for place, names in of_place.items() if not listed.keys().isdisjoint(names))

    async def _listed(
        self, connection: Connection, tenant_id: UUID, names: Sequence[Name]
    ) -> dict[Name, str]:
        by_hash = {each: name for name in names for each in self._hashes(tenant_id, name)}
        found = await self._store.find_suppressed(connection, tenant_id, list(by_hash))
        return {by_hash[each]: profile_id for each, profile_id in found.items()}

    def _hashes(self, tenant_id: UUID, name: Name) -> Iterator[str]:
        return (_hash(key_id, key, tenant_id, name) for key_id, key in self._keys)


def _hash(key_id: str, key: bytes, tenant_id: UUID, name: Name) -> str:
    message = b"%b\0%b\0%b" % (tenant_id.bytes, name.kind.encode(), name.value.encode())
    return f"{key_id}:{hmac.digest(key, message, 'sha256').hex()[:_DIGITS]}"
