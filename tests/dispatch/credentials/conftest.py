"""Accounts at a provider whose tokens rotate, and workers over them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import pytest

from server.dispatch.channels.channel import Channel
from server.dispatch.channels.registry import CHANNEL_TYPES, ProviderSetup, http_channels
from server.dispatch.credentials.model import Accounts, NewCredential, StoredCredential
from server.dispatch.credentials.service import CredentialService
from server.dispatch.credentials.store import CredentialStore
from server.platform.credential_keys import CredentialKeys
from server.platform.postgres import Database
from tests.dispatch.conftest import Fleet
from tests.dispatch.credentials.zalo_world import TEMPLATE, ZaloWorld
from tests.dispatch.decided import Decided, Decisions, Definitions
from tests.fixtures.server import CREDENTIAL_KEYS

KEYS = CredentialKeys.parse(CREDENTIAL_KEYS)


@pytest.fixture
def zalo() -> Iterator[ZaloWorld]:
    """Zalo, with no account yet."""
    world = ZaloWorld()
    world.start()
    yield world
    world.end()


@dataclass(slots=True)
class AccountsOf:
    """Puts accounts, and looks at what is stored."""

    service: CredentialService
    store: CredentialStore
    database: Database

    async def put(
        self, tenant_id: UUID, channel: str, provider: str, values: dict[str, str], **more: Any
    ) -> None:
        """As a tenant does."""
        await self.service.put(UUID(int=tenant_id.int), NewCredential(channel, provider, values, **more))

    async def stored(self, tenant_id: UUID, channel: str = "zalo") -> StoredCredential:
        """What is stored for a channel."""
        [found] = await self.service.list(UUID(int=tenant_id.int), channel)
        return found

    async def write(self, tenant_id: UUID, stored: StoredCredential) -> None:
        """Write a document as whoever may call `store_credential` could."""
        async with self.database.tenant_transaction(UUID(int=tenant_id.int)) as connection:
            await self.store.store(connection, UUID(int=tenant_id.int), stored)


@pytest.fixture
def accounts(worker_database: Database) -> AccountsOf:
    """Puts accounts of any tenant."""
    store = CredentialStore()
    service = CredentialService(
        database=worker_database, store=store, accounts=Accounts.of(CHANNEL_TYPES), keys=KEYS
    )
    return AccountsOf(service, store, worker_database)


@pytest.fixture
def keyed(fleet: Fleet) -> Fleet:
    """Makes runners that can read the accounts."""
    fleet.keys = KEYS
    return fleet


@dataclass(slots=True)
class Adapters:
    """Makes the adapters of a worker process, and closes them."""

    stack: AsyncExitStack

    def __call__(
        self, urls: Mapping[str, str], *, connections: int = 8, timeout_seconds: float = 5.0
    ) -> list[Channel]:
        """One for each provider over HTTP."""
        setup = ProviderSetup(connections=connections, timeout_seconds=timeout_seconds, urls=urls)
        made = http_channels(setup)
        for adapter in made:
            self.stack.push_async_callback(adapter.close)
        return made


@pytest.fixture
async def adapters() -> AsyncIterator[Adapters]:
    """Adapters as a worker has them."""
    async with AsyncExitStack() as stack:
        yield Adapters(stack)


@dataclass(slots=True)
class Customers:
    """Decisions to send over one channel to new customers of a tenant."""

    decisions: Decisions
    defined: dict[tuple[UUID, str], Definitions]
    count: int = 0

    async def send(self, tenant_id: UUID, channel: str = "zalo") -> Decided:
        """A decision that is due now."""
        self.count += 1
        address = f"8490{self.count:07}"
        key = (UUID(int=tenant_id.int), channel)
        if key not in self.defined:
            self.defined[key] = await self.decisions.define(
                tenant_id, channels=[channel], metadata=TEMPLATE if channel == "zalo" else {}
            )
        profile_id = await self.decisions.profile(
            tenant_id, f"p{self.count}", addresses={channel: address}, consented=[channel]
        )
        return await self.decisions.send(self.defined[key], profile_id, channels=[channel])


@pytest.fixture
def customers(decisions: Decisions) -> Customers:
    """Makes customers and decisions."""
    return Customers(decisions, {})
