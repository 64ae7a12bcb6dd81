"""The issuer's public keys, of a JWKS file or URL: cached, and read again when a token names another."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, Final, Protocol, TypeAlias
from urllib.parse import quote, urlsplit

import aiohttp
import jwt
import orjson

from server.errors import Unauthenticated, Unavailable
from server.platform.logging import get_logger
from server.rpc.expiring_cache import ExpiringCache

ALGORITHMS: Final = frozenset({"RS256", "ES256"})
_MAXIMUM_AGE_SECONDS: Final = 600.0
_MINIMUM_REFETCH_SECONDS: Final = 10.0
_FETCH_TIMEOUT_SECONDS: Final = 5.0
_MOST_BYTES: Final = 1024 * 1024
_MOST_REALMS: Final = 1_000

Fetch: TypeAlias = Callable[[], Awaitable[bytes]]


class KeySource(Protocol):
    """Where verification keys come from."""

    async def key(self, key_id: str | None, realm: str) -> jwt.PyJWK:
        """The key that a token of this realm names.

        Raises:
            Unauthenticated: the issuer has no such key.
            Unavailable: the keys can not be fetched.
        """
        ...

    async def close(self) -> None:
        """Ends connections."""
        ...


class KeySet:
    """The keys of one document.

    It is read again when it is older than ten minutes, and when a key is unknown, but then at most every
    `refetch_seconds`: anybody can name unknown keys. While a new reading fails, those of the last one stay.
    """

    def __init__(self, fetch: Fetch, *, refetch_seconds: float = _MINIMUM_REFETCH_SECONDS) -> None:
        self._fetch = fetch
        self._refetch_seconds = refetch_seconds
        self._keys: Mapping[str, jwt.PyJWK] = {}
        self._fetched_at: float | None = None
        self._tried_at = float("-inf")
        self._lock = asyncio.Lock()

    async def key(self, key_id: str | None) -> jwt.PyJWK:
        """The key of this id; without an id, the only key.

        Raises:
            Unauthenticated: there is no such key.
            Unavailable: no keys are known and none can be fetched.
        """
        found = self._find(key_id)
        if found is None or self._too_old():
            await self._refresh(key_id)
            found = self._find(key_id)
        if self._fetched_at is None:
            raise Unavailable("KEYS_UNAVAILABLE", "the issuer's keys can not be fetched")
        if found is None:
            raise Unauthenticated("TOKEN_INVALID", "the token names a key that the issuer does not have")
        return found

    def _find(self, key_id: str | None) -> jwt.PyJWK | None:
        if key_id is not None:
            return self._keys.get(key_id)
        return next(iter(self._keys.values())) if len(self._keys) == 1 else None

    def _too_old(self) -> bool:
        return self._fetched_at is None or time.monotonic() - self._fetched_at > _MAXIMUM_AGE_SECONDS

    async def _refresh(self, key_id: str | None) -> None:
        async with self._lock:
            if self._find(key_id) is not None and not self._too_old():
                return
            if time.monotonic() - self._tried_at < self._refetch_seconds:
                return
            self._tried_at = time.monotonic()
            try:
                self._keys = parse_keys(await self._fetch())
                self._fetched_at = time.monotonic()
            except (OSError, TimeoutError, aiohttp.ClientError, ValueError) as error:
                get_logger().warning("keys_unavailable", exc_info=error)


def parse_keys(document: bytes) -> Mapping[str, jwt.PyJWK]:
    """The signature keys of a JWKS document, by id. Keys for other uses and algorithms are left out.

    Raises:
        ValueError: the document is no JWKS.
    """
    entries = orjson.loads(document)
    if not isinstance(entries, dict) or not isinstance(entries.get("keys"), list):
        raise ValueError("no JWKS document")
    keys: dict[str, jwt.PyJWK] = {}
    for entry in entries["keys"]:
        key = _parse_key(entry)
        if key is not None:
            keys[key.key_id or ""] = key
    return keys


def _parse_key(entry: Any) -> jwt.PyJWK | None:
    if not isinstance(entry, dict) or entry.get("use", "sig") != "sig" or "d" in entry:
        return None
    try:
        key = jwt.PyJWK(entry)
    except (jwt.PyJWTError, ValueError, TypeError):
        return None
    return key if key.algorithm_name in ALGORITHMS else None


class RealmKeys:
    """One `KeySet` per realm, so that the keys of one realm verify no token of another.

    Realms come from tokens that are not verified yet, so only those with keys are kept, others for a moment.
    """

    def __init__(self, fetch: Callable[[str], Awaitable[bytes]]) -> None:
        self._fetch = fetch
        self._sets: dict[str, KeySet] = {}
        self._without_keys: ExpiringCache[str, bool] = ExpiringCache(
            most_entries=_MOST_REALMS, now=time.monotonic
        )

    async def key(self, key_id: str | None, realm: str) -> jwt.PyJWK:
        """As `KeySource.key`."""
        known = self._sets.get(realm)
        if known is not None:
            return await known.key(key_id)
        if self._without_keys.get(realm) or len(self._sets) >= _MOST_REALMS:
            raise Unavailable("KEYS_UNAVAILABLE", "the issuer's keys can not be fetched")
        return await self._first_key(key_id, realm)

    async def _first_key(self, key_id: str | None, realm: str) -> jwt.PyJWK:
        keys = KeySet(lambda: self._fetch(realm))
        try:
            found = await keys.key(key_id)
        except Unavailable:
            self._without_keys.put(realm, True, expires_at=time.monotonic() + _MINIMUM_REFETCH_SECONDS)
            raise
        self._sets.setdefault(realm, keys)
        return found


class FileKeys:
    """Keys of a file, for every realm."""

    def __init__(self, path: Path) -> None:
        self._keys = KeySet(lambda: asyncio.to_thread(path.read_bytes))

    async def key(self, key_id: str | None, realm: str) -> jwt.PyJWK:
        """As `KeySource.key`."""
        return await self._keys.key(key_id)

    async def close(self) -> None:
        """Nothing is open."""


class UrlKeys:
    """Keys of a URL; where it contains `{realm}`, each realm has its own.

    Args:
        url: http or https; redirects are not followed.
        refetch_seconds: the least time between two readings because of unknown keys.
    """

    def __init__(self, url: str, *, refetch_seconds: float = _MINIMUM_REFETCH_SECONDS) -> None:
        self._url = url
        self._session: aiohttp.ClientSession | None = None
        self._by_realm = RealmKeys(self._fetch) if "{realm}" in url else None
        self._shared = KeySet(lambda: self._fetch(""), refetch_seconds=refetch_seconds)

    async def key(self, key_id: str | None, realm: str) -> jwt.PyJWK:
        """As `KeySource.key`."""
        if self._by_realm is not None:
            return await self._by_realm.key(key_id, realm)
        return await self._shared.key(key_id)

    async def close(self) -> None:
        """Closes the HTTP session."""
        if self._session is not None:
            await self._session.close()

    async def _fetch(self, realm: str) -> bytes:
        if self._session is None:
            timeout = aiohttp.ClientTimeout(total=_FETCH_TIMEOUT_SECONDS)
            self._session = aiohttp.ClientSession(timeout=timeout)
        url = self._url.replace("{realm}", quote(realm, safe=""))
        async with self._session.get(url, allow_redirects=False) as response:
            if response.status != 200:
                raise ValueError("the key URL did not answer 200")
            return await _read_bounded(response.content)


async def _read_bounded(content: aiohttp.StreamReader) -> bytes:
    body = bytearray()
    async for chunk in content.iter_any():
        body += chunk
        if len(body) > _MOST_BYTES:
            raise ValueError("the key document is too large")
    return bytes(body)


def key_source(location: str) -> KeySource:
    """The source that `LEO_AUTH_JWKS` names: a URL or the path of a file."""
    if urlsplit(location).scheme in {"http", "https"}:
        return UrlKeys(location)
    return FileKeys(Path(location))
