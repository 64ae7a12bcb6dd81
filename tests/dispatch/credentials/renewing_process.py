"""A process that is told of a refused token: `python -m … DATABASE_URL PROVIDER_URL TENANT…`.

Prints `ready`, waits for a line, and asks five times at once for each tenant's token to be renewed.
"""

from __future__ import annotations

import asyncio
import sys
from uuid import UUID

from server.dispatch.channels.channel import Refreshes
from server.dispatch.channels.registry import ProviderSetup, http_channels
from server.dispatch.credentials.refresh import TokenRefresher
from server.dispatch.credentials.store import CredentialStore
from server.platform.credential_keys import CredentialKeys
from server.platform.logging import configure_logging
from server.platform.postgres import Database
from tests.fixtures.server import CREDENTIAL_KEYS


async def main(database_url: str, provider_url: str, *tenants: str) -> None:
    """Renew, and print what became of it."""
    configure_logging(level="INFO")
    database = await Database.connect(
        database_url, minimum_connections=3, maximum_connections=3, application_name="test-renewing"
    )
    refresher = TokenRefresher(
        database=database, store=CredentialStore(), keys=CredentialKeys.parse(CREDENTIAL_KEYS)
    )
    urls = {"zalo_zns": provider_url, "zalo_oauth": provider_url}
    adapters = http_channels(ProviderSetup(urls=urls))
    adapter = next(each for each in adapters if each.provider == "zalo_zns")
    assert isinstance(adapter, Refreshes)
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    renewals = [refresher.refused(UUID(tenant), "zalo", adapter, 1) for tenant in tenants for _ in range(5)]
    for renewed in await asyncio.gather(*renewals):
        print("renewed" if renewed else "not renewed")
    for each in adapters:
        await each.close()
    await database.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
