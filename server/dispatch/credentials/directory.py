"""Finds the adapter and the account for a tenant and channel."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from server.dispatch.channels.channel import NO_CREDENTIAL, Channel, Credential, RateLimit, Refreshes
from server.dispatch.credentials.model import StoredCredential
from server.dispatch.credentials.refresh import TokenRefresher
from server.dispatch.credentials.service import place_of
from server.dispatch.credentials.store import CredentialStore
from server.platform.credential_keys import CredentialKeys
from server.platform.logging import get_logger
from server.platform.postgres import Connection, Database
from server.platform.sealing import Sealed, Unreadable, unseal

_FRESH_SECONDS: Final = 1.0
_MOST_TENANTS: Final = 4096


@dataclass(frozen=True, slots=True)
class Route:
    """How a tenant's messages travel over a channel.

    Args:
        credential: the tenant's account; without values where this process itself is configured for the channel.
        limit: how fast the account may be used.
        fault: why the account cannot be used, a code in capitals; None where it can.
    """

    adapter: Channel
    credential: Credential
    limit: RateLimit
    fault: str | None = None


Routes = Mapping[str, Route]
"""Routes of one tenant by channel; a channel that is missing is not served."""


@dataclass(frozen=True, slots=True)
class _Known:
    """Routes of a tenant as they were read."""

    read_at: float
    sealed: Mapping[str, Sealed]
    routes: Routes


class ChannelDirectory:
    """Routes by tenant and channel; what was read is used for a second.

    Args:
        shared: channels that this process is configured for itself, for tenants without an account of their own.
        adapters: one for each provider of each channel.
    """

    def __init__(
        self,
        *,
        adapters: Iterable[Channel],
        shared: Iterable[Channel],
        database: Database,
        store: CredentialStore,
        keys: CredentialKeys,
        refresher: TokenRefresher,
    ) -> None:
        self._shared = {each.name: Route(each, NO_CREDENTIAL, each.limits) for each in shared}
        self._adapters = tuple(adapters)
        self._database = database
        self._store = store
        self._keys = keys
        self._refresher = refresher
        self._known: dict[UUID, _Known] = {}

    def adapters_of(self, channel: str) -> list[Channel]:
        """Everything by which this process can serve the channel, its own account first."""
        shared = self._shared.get(channel)
        own = [each for each in self._adapters if each.name == channel]
        return [shared.adapter, *own] if shared is not None else own

    async def routes(self, connection: Connection, tenant_id: UUID) -> Routes:
        """The tenant's routes. One round trip, where they were not read within the last second.

        Args:
            connection: in a transaction of the tenant.
        """
        known = self._known.get(tenant_id)
        if known is not None and time.monotonic() < known.read_at + _FRESH_SECONDS:
            return known.routes
        read_at = time.monotonic()
        return self._learn(tenant_id, await self._store.load(connection, tenant_id), read_at)

    async def find(self, tenant_id: UUID, channel: str) -> Route | None:
        """The route over one channel. As above, in a transaction of its own."""
        async with self._database.tenant_transaction(tenant_id, readonly=True) as connection:
            return (await self.routes(connection, tenant_id)).get(channel)

    async def renew(self, tenant_id: UUID, channel: str, refused: Route) -> bool:
        """The provider refused the account: look whether there is another one by now, or renew its token.

        Returns:
            Whether there is a newer one, so that the message should be tried again at once.
        """
        self._known.pop(tenant_id, None)
        route = await self.find(tenant_id, channel)
        if route is None or route.fault is not None:
            return False
        if route.credential.version != refused.credential.version or route.adapter is not refused.adapter:
            return True
        if not isinstance(route.adapter, Refreshes) or not route.credential.values:
            return False
        version = route.credential.version
        account = route.adapter.account
        renewed = await self._refresher.refused(tenant_id, account, route.adapter, version)
        self._known.pop(tenant_id, None)
        return renewed

    async def renew_due(self, tenant_id: UUID) -> None:
        """Renew the tokens of a tenant whose time has come. PostgreSQL: 3 round trips where there are none."""
        async with self._database.tenant_transaction(tenant_id, readonly=True) as connection:
            stored = await self._store.load(connection, tenant_id)
        for adapter in self._adapters:
            credential = stored.get(adapter.account)
            if credential is not None and isinstance(adapter, Refreshes) and _keeps(adapter, credential):
                await self._refresher.due(tenant_id, adapter.account, adapter)

    def _learn(self, tenant_id: UUID, stored: Mapping[str, StoredCredential], read_at: float) -> Routes:
        before = self._known.get(tenant_id)
        routes = dict(self._shared)
        for adapter in self._adapters:
            credential = stored.get(adapter.account)
            if credential is None or not _serves(adapter, credential):
                continue
            known = before.routes.get(adapter.name) if before else None
            if before is None or known is None or before.sealed.get(adapter.account) != credential.sealed:
                known = self._route(tenant_id, adapter, credential)
            routes[adapter.name] = known
        sealed = {channel: credential.sealed for channel, credential in stored.items()}
        if len(self._known) >= _MOST_TENANTS:
            self._known.clear()
        self._known[tenant_id] = _Known(read_at, sealed, routes)
        return routes

    def _route(self, tenant_id: UUID, adapter: Channel, stored: StoredCredential) -> Route:
        limit = _limit(adapter.limits, stored.messages_per_second)
        try:
            values = unseal(stored.sealed, place_of(tenant_id, stored), self._keys)
        except Unreadable as error:
            get_logger().error(
                "credential_unreadable",
                tenant_id=str(tenant_id),
                channel=stored.channel,
                reason=error.reason,
            )
            return Route(adapter, Credential({}, stored.version), limit, fault=error.reason)
        return Route(adapter, Credential(values, stored.version), limit)


def _keeps(adapter: Channel, stored: StoredCredential) -> bool:
    """Whether the account is the adapter's own; of two channels that share one, the first renews it."""
    return adapter.name == adapter.account and adapter.provider == stored.provider


def _serves(adapter: Channel, stored: StoredCredential) -> bool:
    """Whether the adapter sends with this account: its own, or that of the channel which it shares it with."""
    return adapter.name != adapter.account or adapter.provider == stored.provider


def _limit(granted: RateLimit, own: float | None) -> RateLimit:
    """The account's own limit where its owner named one, with a burst in proportion."""
    if own is None:
        return granted
    return RateLimit(own, max(1, round(granted.burst * own / granted.per_second)))
