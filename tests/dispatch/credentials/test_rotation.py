"""Keys that follow one another: everything is encrypted anew, and what cannot be read is left as it is."""

from __future__ import annotations

from uuid import UUID

from server.dispatch.channels.registry import CHANNEL_TYPES
from server.dispatch.credentials.model import Accounts
from server.dispatch.credentials.service import CredentialService, Rotation, place_of
from server.platform.credential_keys import CredentialKeys
from server.platform.sealing import unseal
from tests.dispatch.credentials.conftest import AccountsOf
from tests.fixtures import planted
from tests.fixtures.server import CREDENTIAL_KEYS
from tests.fixtures.tenants import Tenant

NEWER = f"newer:{'n' * 43}"
BOT = {"bot_token": f"123:{planted.SECRET}"}
API = {"api_key": planted.SECRET, "sender_email": "a@example.com"}


async def test_every_tenant_is_encrypted_anew_once_and_the_old_key_may_go(
    accounts: AccountsOf, tenant_a: Tenant, tenant_b: Tenant
) -> None:
    def service(keys: str) -> CredentialService:
        return CredentialService(
            database=accounts.database,
            store=accounts.store,
            accounts=Accounts.of(CHANNEL_TYPES),
            keys=CredentialKeys.parse(keys),
        )

    await accounts.put(tenant_a, "telegram", "telegram", BOT)
    await accounts.put(tenant_a, "email", "sendgrid", API)
    await accounts.put(tenant_b, "telegram", "telegram", BOT)

    assert await service(NEWER).rotate_keys() == Rotation(unreadable=3)
    assert await service(f"{NEWER},{CREDENTIAL_KEYS}").rotate_keys() == Rotation(rotated=3)
    assert await service(NEWER).rotate_keys() == Rotation(current=3)
    for tenant in (tenant_a, tenant_b):
        stored = await accounts.stored(tenant, "telegram")
        place = place_of(UUID(int=tenant.int), stored)
        assert (stored.version, stored.sealed.key_id) == (1, "newer")
        assert unseal(stored.sealed, place, CredentialKeys.parse(NEWER)) == BOT
