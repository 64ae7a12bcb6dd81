"""The keys that credentials are encrypted with: several at a time, so that one can follow another."""

from __future__ import annotations

import re
from base64 import urlsafe_b64decode
from collections.abc import Iterable, Mapping
from typing import Final

from pydantic import SecretStr

_ENTRY: Final = re.compile(r"([A-Za-z0-9._-]{1,40}):([A-Za-z0-9+/_-]{43})=?")


class CredentialKeys:
    """AES-256 keys by id. The first one encrypts; each decrypts what names it. The repr shows no key.

    Args:
        keys: 32 bytes by key id, newest first; empty where the process has none.
    """

    def __init__(self, keys: Mapping[str, bytes]) -> None:
        self._keys = dict(keys)

    def __repr__(self) -> str:
        return f"CredentialKeys({', '.join(self._keys)})"

    @classmethod
    def parse(cls, text: str) -> CredentialKeys:
        """Keys as `id:base64` of 32 bytes each, newest first, separated by commas or white space.

        Raises:
            ValueError: an entry has another form, or an id stands twice. The message holds no key.
        """
        keys: dict[str, bytes] = {}
        for number, entry in enumerate(re.split(r"[,\s]+", text.strip(", \t\r\n")), 1):
            match = _ENTRY.fullmatch(entry)
            if match is None:
                raise ValueError(f"key {number} must be id:base64, with 32 bytes in base64")
            if match[1] in keys:
                raise ValueError(f"key {number} has the id of an earlier one")
            keys[match[1]] = urlsafe_b64decode(match[2].translate(_URL_SAFE) + "=")
        return cls(keys)

    @classmethod
    def of(cls, text: SecretStr | None) -> CredentialKeys:
        """The keys that a configuration names, or none. Raises as `parse`."""
        return NO_KEYS if text is None else cls.parse(text.get_secret_value())

    @property
    def newest(self) -> tuple[str, bytes] | None:
        """Id and key to encrypt with; None where there is none."""
        return next(iter(self._keys.items()), None)

    def newest_first(self) -> Iterable[tuple[str, bytes]]:
        """Every id and key, the newest first."""
        return self._keys.items()

    def find(self, key_id: str) -> bytes | None:
        """The key of this id."""
        return self._keys.get(key_id)


_URL_SAFE: Final = str.maketrans("+/", "-_")
NO_KEYS: Final = CredentialKeys({})
"""Of a process that was given none: it neither stores nor reads credentials."""
