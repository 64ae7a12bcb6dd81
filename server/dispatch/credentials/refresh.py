"""Renews tokens: one process at a time for each account, and never without keeping what the provider answered."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final
from uuid import UUID

from server.dispatch.channels.channel import Credential, ErrorClass, Refreshed, Refreshes, Refused
from server.dispatch.credentials.model import Place, StoredCredential
from server.dispatch.credentials.service import place_of
from server.dispatch.credentials.store import CredentialStore
from server.errors import LeoError
from server.platform.clock import utc_now
from server.platform.credential_keys import CredentialKeys
from server.platform.logging import get_logger
from server.platform.postgres import Connection, Database
from server.platform.sealing import Unreadable, seal, unseal

# Below the lock timeout of the database, so that whoever waits for the lock gets it.
_ANSWER_SECONDS: Final = 8.0
# Each renewal holds a connection while the provider answers; deliveries need the others.
_AT_ONCE: Final = 2
_FIRST_PAUSE_SECONDS: Final = 0.1
_LONGEST_PAUSE_SECONDS: Final = 5.0


@dataclass(slots=True)
class _Renewal:
    """One renewal under way.

    Args:
        before: what was stored when it began.
        after: what the provider's answer made of it; None before the answer.
    """

    before: StoredCredential
    after: StoredCredential | None = None


class TokenRefresher:
    """Renews the tokens of tenants' accounts.

    A transaction holds the account's lock from the last look at the stored token until the new one is committed with
    its refresh token, so a single-use refresh token is used once, whatever the number of processes. Should the database
    fail after the provider has answered, the answer is kept and stored as soon as it can be.
    """

    def __init__(self, *, database: Database, store: CredentialStore, keys: CredentialKeys) -> None:
        self._database = database
        self._store = store
        self._keys = keys
        self._at_once = asyncio.Semaphore(_AT_ONCE)
        self._running: dict[tuple[UUID, str], asyncio.Task[bool]] = {}

    async def refused(self, tenant_id: UUID, channel: str, adapter: Refreshes, version: int) -> bool:
        """The provider refused the token of this version: renew it, unless somebody has.

        Returns:
            Whether a newer one is stored. PostgreSQL: 5 round trips, and at most 8 s for the provider in between.
        """
        return await self._join(tenant_id, channel, adapter, version)

    async def due(self, tenant_id: UUID, channel: str, adapter: Refreshes) -> bool:
        """Renew the token if it is time. Else as above."""
        return await self._join(tenant_id, channel, adapter, None)

    async def close(self) -> None:
        """Let renewals that run end: what they asked the provider for cannot be asked for again."""
        await asyncio.gather(*self._running.values(), return_exceptions=True)

    async def _join(self, tenant_id: UUID, channel: str, adapter: Refreshes, version: int | None) -> bool:
        """One renewal in this process for each account; whoever comes meanwhile waits for its end."""
        key = (tenant_id, channel)
        task = self._running.get(key)
        if task is None:
            task = asyncio.create_task(self._renew(tenant_id, channel, adapter, version))
            self._running[key] = task
            task.add_done_callback(lambda _: self._running.pop(key, None))
        return await asyncio.shield(task)

    async def _renew(self, tenant_id: UUID, channel: str, adapter: Refreshes, version: int | None) -> bool:
        renewal: list[_Renewal] = []
        async with self._at_once:
            try:
                async with self._database.tenant_transaction(tenant_id) as connection:
                    await self._store.lock(connection, tenant_id, channel)
                    return await self._under_lock(connection, tenant_id, channel, adapter, version, renewal)
            except LeoError as error:
                get_logger().warning(
                    "credential_not_renewed",
                    tenant_id=str(tenant_id),
                    channel=channel,
                    reason=error.reason,
                )
        answered = renewal[0].after if renewal else None
        return answered is not None and await self._keep(tenant_id, renewal[0].before, answered)

    async def _under_lock(
        self,
        connection: Connection,
        tenant_id: UUID,
        channel: str,
        adapter: Refreshes,
        version: int | None,
        renewal: list[_Renewal],
    ) -> bool:
        stored = (await self._store.load(connection, tenant_id)).get(channel)
        if stored is None:
            return False
        if version is not None and stored.version != version:
            return True  # somebody was quicker
        now = utc_now()
        if stored.refused_so_soon(now) if version is not None else not stored.due(now):
            return False
        try:
            values = unseal(stored.sealed, place_of(tenant_id, stored), self._keys)
        except Unreadable:
            return False
        renewal.append(_Renewal(stored))
        answer = await _ask(adapter, Credential(values, stored.version))
        after = self._after(tenant_id, stored, values, answer)
        renewal[0].after = after
        await self._store.store(connection, tenant_id, after)
        _tell(tenant_id, after)
        return isinstance(answer, Refreshed)

    def _after(
        self, tenant_id: UUID, stored: StoredCredential, values: dict[str, str], answer: Refreshed | Refused
    ) -> StoredCredential:
        """What is stored once the provider has answered."""
        now = utc_now()
        if isinstance(answer, Refused):
            return stored.failed(answer.reason, now, lost=answer.error is ErrorClass.AUTHENTICATION)
        version = stored.version + 1
        place = Place(tenant_id, stored.channel, stored.provider, version)
        return replace(
            stored,
            version=version,
            sealed=seal({**values, **answer.values}, place, self._keys),
            expires_at=now + timedelta(seconds=answer.expires_in_seconds),
            refreshed_at=now,
            last_error=None,
        )

    async def _keep(self, tenant_id: UUID, before: StoredCredential, after: StoredCredential) -> bool:
        """Store an answer whose transaction failed, unless it is there, or its owner has given another account."""
        pause = _FIRST_PAUSE_SECONDS
        while True:
            try:
                async with self._database.tenant_transaction(tenant_id) as connection:
                    await self._store.lock(connection, tenant_id, after.channel)
                    found = (await self._store.load(connection, tenant_id)).get(after.channel)
                    if found is not None and found.sealed == before.sealed:
                        await self._store.store(connection, tenant_id, after)
            except LeoError as error:
                get_logger().error(
                    "renewed_credential_waits_for_database",
                    tenant_id=str(tenant_id),
                    channel=after.channel,
                    reason=error.reason,
                )
                await asyncio.sleep(pause)
                pause = min(pause * 2, _LONGEST_PAUSE_SECONDS)
            else:
                return after.version != before.version


async def _ask(adapter: Refreshes, credential: Credential) -> Refreshed | Refused:
    """The provider's answer; whatever goes wrong is one."""
    try:
        async with asyncio.timeout(_ANSWER_SECONDS):
            return await adapter.refresh(credential)
    except TimeoutError:
        return Refused(ErrorClass.AMBIGUOUS, "NO_ANSWER_IN_TIME")
    except Exception as error:
        get_logger().error("channel_fault", exc_info=error)
        return Refused(ErrorClass.AMBIGUOUS, "CHANNEL_FAULT")


def _tell(tenant_id: UUID, after: StoredCredential) -> None:
    error = after.last_error
    name = "credential_renewed" if error is None else "credential_renewal_failed"
    (get_logger().info if error is None else get_logger().warning)(
        name,
        tenant_id=str(tenant_id),
        channel=after.channel,
        provider=after.provider,
        version=after.version,
        reason=error.reason if error else None,
    )
