"""Passwords of sources: encrypted like the accounts of channels, and bound to where they are sent."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

import orjson

from server.platform.credential_keys import CredentialKeys
from server.platform.ids import key_id
from server.platform.sealing import Sealed, Unreadable, seal, unseal
from server.sync.model import Definition
from server.sync.sources.kinds import KINDS


@dataclass(frozen=True, slots=True)
class SecretPlace:
    """Where a password lies.

    Args:
        leads_to: whom it is shown to, and as whom. A source that is changed to lead elsewhere can not take the password
            along: nobody gets at it by pointing the source at a machine of his own.
    """

    tenant_id: UUID
    source_id: str
    leads_to: str

    def associated_data(self) -> bytes:
        """A hash of all parts; no two places share it."""
        return key_id("data_source_secret", self.tenant_id, self.source_id, self.leads_to).encode()


def place_of(tenant_id: UUID, definition: Definition) -> SecretPlace:
    """Where the password of a source lies.

    Raises:
        ConnectionNotValid: the connection is no good.
    """
    kind = KINDS[definition.type]
    return SecretPlace(tenant_id, definition.source_id, kind.leads_to(kind.read(definition.connection)) or "")


class SourceSecrets:
    """Encrypts passwords, and reads them.

    Args:
        keys: those that channels' accounts are encrypted with.
    """

    def __init__(self, *, keys: CredentialKeys) -> None:
        self._keys = keys

    def seal(self, password: str, place: SecretPlace) -> str:
        """The stored form, JSON.

        Raises:
            PreconditionFailed: this process has no key.
        """
        sealed = seal({"password": password}, place, self._keys)
        return orjson.dumps(sealed).decode()

    def unseal(self, stored: str, place: SecretPlace) -> str:
        """The password.

        Raises:
            Unreadable: the key is not known here, or the password was stored for another place.
        """
        return unseal(_sealed(stored), place, self._keys)["password"]

    def holds(self, stored: str, place: SecretPlace, password: str) -> bool:
        """Whether it is this password already."""
        try:
            return self.unseal(stored, place) == password
        except Unreadable:
            return False

    def is_current(self, stored: str) -> bool:
        """Whether it is under the newest key."""
        return self._keys.newest is not None and _sealed(stored).key_id == self._keys.newest[0]


def _sealed(stored: str) -> Sealed:
    return Sealed(**orjson.loads(stored))
