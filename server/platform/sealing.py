"""Encryption of credentials, at channels and at sources: AES-256-GCM, bound to the place where they lie."""

from __future__ import annotations

import os
from base64 import b64decode, b64encode
from binascii import Error as NotBase64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

import orjson
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from server.errors import PreconditionFailed
from server.platform.credential_keys import CredentialKeys

_NONCE_BYTES: Final = 12


class Unreadable(Exception):
    """Nothing can be decrypted: the key is not known here, or the ciphertext is not of this place.

    Args:
        reason: a code in capitals, for people.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Place(Protocol):
    """Where something encrypted lies: authenticated with the ciphertext, which does not decrypt elsewhere."""

    def associated_data(self) -> bytes:
        """What no other place has."""
        ...


@dataclass(frozen=True, slots=True)
class Sealed:
    """Encrypted values. `nonce` is new at each encryption, so equal ones mean equal values.

    Args:
        key_id: of the key that decrypts it.
        nonce: 12 bytes in base64.
        ciphertext: with the tag, in base64.
    """

    key_id: str
    nonce: str
    ciphertext: str


def seal(values: Mapping[str, str], place: Place, keys: CredentialKeys) -> Sealed:
    """Encrypt under the newest key.

    Raises:
        PreconditionFailed: this process has no key.
    """
    if keys.newest is None:
        raise PreconditionFailed(
            "CREDENTIAL_KEY_MISSING",
            "this server has no key to encrypt credentials with",
            {"setting": "LEO_CREDENTIAL_KEYS"},
        )
    name, key = keys.newest
    nonce = os.urandom(_NONCE_BYTES)
    ciphertext = AESGCM(key).encrypt(nonce, orjson.dumps(dict(values)), place.associated_data())
    return Sealed(name, b64encode(nonce).decode(), b64encode(ciphertext).decode())


def unseal(sealed: Sealed, place: Place, keys: CredentialKeys) -> dict[str, str]:
    """The values.

    Raises:
        Unreadable: the key is unknown, or the ciphertext was changed or moved.
    """
    key = keys.find(sealed.key_id)
    if key is None:
        raise Unreadable("CREDENTIAL_KEY_UNKNOWN")
    try:
        nonce, ciphertext = b64decode(sealed.nonce), b64decode(sealed.ciphertext)
        plain = AESGCM(key).decrypt(nonce, ciphertext, place.associated_data())
    except (InvalidTag, NotBase64, ValueError):
        # Not chained: the cause's traceback would hold the key among its locals.
        raise Unreadable("CREDENTIAL_NOT_AUTHENTIC") from None
    values: dict[str, Any] = orjson.loads(plain)
    return values
