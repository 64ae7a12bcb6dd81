"""The values that verify a tenant's webhooks: those of its account at the provider."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from server.dispatch.credentials.service import place_of
from server.dispatch.credentials.store import CredentialStore
from server.errors import Unavailable
from server.http.webhooks.form import not_configured
from server.http.webhooks.sources import Source
from server.platform.credential_keys import CredentialKeys
from server.platform.logging import get_logger
from server.platform.postgres import Database
from server.platform.sealing import Unreadable, unseal
from server.rpc.expiring_cache import ExpiringCache

_FRESH_SECONDS: Final = 1.0
_MOST_ACCOUNTS: Final = 4096
# Anybody may name any tenant: looking for it must not take connections from decisions.
_LOOKUPS_AT_ONCE: Final = 2


@dataclass(frozen=True, slots=True, repr=False)
class _Account:
    """None for `values` where the tenant has no account there; `fault` where it has one that is unreadable."""

    values: Mapping[str, str] | None
    fault: str | None = None


class WebhookAccounts:
    """Accounts by tenant and provider; what was read is used for a second."""

    def __init__(self, *, database: Database, store: CredentialStore, keys: CredentialKeys) -> None:
        self._database = database
        self._store = store
        self._keys = keys
        self._known: ExpiringCache[tuple[UUID, str], _Account] = ExpiringCache(
            most_entries=_MOST_ACCOUNTS, now=time.monotonic
        )
        self._lookups = asyncio.Semaphore(_LOOKUPS_AT_ONCE)

    async def values(self, tenant_id: UUID, source: Source) -> Mapping[str, str]:
        """The values of the account. PostgreSQL: 3 round trips, where it was not read within the last second.

        Raises:
            Refusal: the tenant has none there.
            Unavailable: it can not be decrypted here.
            LeoError: PostgreSQL is away.
        """
        key = (tenant_id, source.provider)
        account = self._known.get(key)
        if account is None:
            async with self._lookups:
                # Whoever waited finds what the one before has read.
                account = self._known.get(key) or await self._load(tenant_id, source)
        if account.fault is not None:
            raise Unavailable(account.fault, "the account can not be read here")
        if account.values is None:
            raise not_configured()
        return account.values

    async def _load(self, tenant_id: UUID, source: Source) -> _Account:
        async with self._database.tenant_transaction(tenant_id, readonly=True) as connection:
            stored = (await self._store.load(connection, tenant_id)).get(source.account)
        account = _Account(None)
        if stored is not None and stored.provider == source.provider:
            try:
                account = _Account(unseal(stored.sealed, place_of(tenant_id, stored), self._keys))
            except Unreadable as error:
                get_logger().error(
                    "credential_unreadable",
                    tenant_id=str(tenant_id),
                    channel=source.account,
                    reason=error.reason,
                )
                account = _Account(None, error.reason)
        self._known.put((tenant_id, source.provider), account, expires_at=time.monotonic() + _FRESH_SECONDS)
        return account
