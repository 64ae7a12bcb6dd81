"""Use cases of credentials: give, list, take away, and encrypt under a newer key. Nothing returns a value."""

from __future__ import annotations

from dataclasses import dataclass, replace
from uuid import UUID

from server.dispatch.credentials.model import Accounts, NewCredential, Place, StoredCredential
from server.dispatch.credentials.store import CredentialStore
from server.platform.clock import utc_now
from server.platform.credential_keys import CredentialKeys
from server.platform.logging import get_logger
from server.platform.postgres import Connection, Database
from server.platform.sealing import Unreadable, seal, unseal
from server.validation import Violations


@dataclass(slots=True)
class Rotation:
    """What `rotate_keys` came to.

    Args:
        rotated: credentials that are under the newest key since then.
        current: those that were before.
        unreadable: those whose key this process does not have, or that are not authentic; left as they are.
    """

    rotated: int = 0
    current: int = 0
    unreadable: int = 0


class CredentialService:
    """Credentials of tenants' channels.

    Args:
        accounts: what each provider's credential consists of.
        keys: those of this process.
    """

    def __init__(
        self, *, database: Database, store: CredentialStore, accounts: Accounts, keys: CredentialKeys
    ) -> None:
        self._database = database
        self._store = store
        self._accounts = accounts
        self._keys = keys

    async def put(self, tenant_id: UUID, new: NewCredential) -> StoredCredential:
        """Store an account in place of the channel's earlier one; the same again changes nothing.

        PostgreSQL: 5 round trips. Waits while the token of the earlier one is being renewed.

        Raises:
            InvalidInput: with the path of every fault.
            PreconditionFailed: this server has no key.
        """
        new.check(self._accounts)
        async with self._database.tenant_transaction(tenant_id) as connection:
            await self._store.lock(connection, tenant_id, new.channel)
            known = (await self._store.load(connection, tenant_id)).get(new.channel)
            if known is not None and self._is_same(tenant_id, known, new):
                return known
            stored = self._sealed(tenant_id, new, 1 if known is None else known.version + 1)
            await self._store.store(connection, tenant_id, stored)
        get_logger().info(
            "credential_stored", tenant_id=str(tenant_id), channel=new.channel, provider=new.provider
        )
        return stored

    async def list(self, tenant_id: UUID, channel: str | None = None) -> list[StoredCredential]:
        """All of the tenant, or that of one channel, as ciphertext. PostgreSQL: 3 round trips.

        Raises:
            InvalidInput: there is no such channel.
        """
        if channel is not None:
            _check_channel(channel)
        async with self._database.tenant_transaction(tenant_id, readonly=True) as connection:
            stored = await self._store.load(connection, tenant_id)
        return [stored[name] for name in sorted(stored) if channel in (None, name)]

    async def delete(self, tenant_id: UUID, channel: str) -> bool:
        """Remove the channel's credential; whether there was one. PostgreSQL: 5 round trips.

        Raises:
            InvalidInput: there is no such channel.
        """
        _check_channel(channel)
        async with self._database.tenant_transaction(tenant_id) as connection:
            await self._store.lock(connection, tenant_id, channel)
            if channel not in await self._store.load(connection, tenant_id):
                return False
            await self._store.remove(connection, tenant_id, channel)
        get_logger().info("credential_removed", tenant_id=str(tenant_id), channel=channel)
        return True

    async def rotate_keys(self) -> Rotation:
        """Encrypt every credential of every active tenant under the newest key; may be repeated at any time.

        PostgreSQL: one transaction for each credential.

        Raises:
            PreconditionFailed: this process has no key.
        """
        rotation = Rotation()
        async with self._database.transaction(readonly=True) as connection:
            tenants = await self._store.list_tenants(connection)
        for tenant_id in tenants:
            for stored in await self.list(tenant_id):
                await self._rotate(tenant_id, stored.channel, rotation)
        return rotation

    async def _rotate(self, tenant_id: UUID, channel: str, rotation: Rotation) -> None:
        async with self._database.tenant_transaction(tenant_id) as connection:
            await self._store.lock(connection, tenant_id, channel)
            stored = (await self._store.load(connection, tenant_id)).get(channel)
            if stored is None:
                return
            if self._keys.newest is not None and stored.sealed.key_id == self._keys.newest[0]:
                rotation.current += 1
                return
            await self._encrypt_again(connection, tenant_id, stored, rotation)

    async def _encrypt_again(
        self, connection: Connection, tenant_id: UUID, stored: StoredCredential, rotation: Rotation
    ) -> None:
        place = place_of(tenant_id, stored)
        try:
            values = unseal(stored.sealed, place, self._keys)
        except Unreadable as error:
            rotation.unreadable += 1
            get_logger().error(
                "credential_unreadable",
                tenant_id=str(tenant_id),
                channel=stored.channel,
                reason=error.reason,
            )
            return
        again = replace(stored, sealed=seal(values, place, self._keys))
        await self._store.store(connection, tenant_id, again)
        rotation.rotated += 1

    def _is_same(self, tenant_id: UUID, known: StoredCredential, new: NewCredential) -> bool:
        """Whether it was stored like this before, and not changed since by a renewal."""
        if (known.provider, known.messages_per_second) != (new.provider, new.messages_per_second):
            return False
        try:
            values = unseal(known.sealed, place_of(tenant_id, known), self._keys)
        except Unreadable:
            return False
        return values == dict(new.values) and known.last_error is None

    def _sealed(self, tenant_id: UUID, new: NewCredential, version: int) -> StoredCredential:
        place = Place(tenant_id, new.channel, new.provider, version)
        return StoredCredential(
            channel=new.channel,
            provider=new.provider,
            version=version,
            sealed=seal(new.values, place, self._keys),
            messages_per_second=new.messages_per_second,
            put_at=utc_now(),
        )


def _check_channel(channel: str) -> None:
    violations = Violations()
    violations.channel("channel", channel)
    violations.raise_if_any()


def place_of(tenant_id: UUID, stored: StoredCredential) -> Place:
    """Where a stored credential lies."""
    return Place(tenant_id, stored.channel, stored.provider, stored.version)
