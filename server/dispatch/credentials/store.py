"""Credentials in PostgreSQL: one method for each statement of `db/queries/credentials.sql`."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson

from server.dispatch.credentials.model import LastError, StoredCredential
from server.platform.postgres import Connection
from server.platform.queries import Queries
from server.platform.sealing import Sealed


class CredentialStore:
    """All but `list_tenants` inside the tenant's transaction; one round trip each."""

    def __init__(self) -> None:
        self._queries = Queries.load("credentials")

    async def load(self, connection: Connection, tenant_id: UUID) -> dict[str, StoredCredential]:
        """The tenant's credentials by channel."""
        text = await connection.fetchval(self._queries["load_credentials"], tenant_id)
        documents: dict[str, Any] = orjson.loads(text) if text else {}
        return {channel: _stored(channel, document) for channel, document in documents.items()}

    async def lock(self, connection: Connection, tenant_id: UUID, channel: str) -> None:
        """Wait until nobody else changes the credential, and hold it until the transaction ends.

        What was read before is out of date: load again.
        """
        await connection.execute(self._queries["lock_credential"], tenant_id, channel)

    async def store(self, connection: Connection, tenant_id: UUID, credential: StoredCredential) -> None:
        """Write it in place of what was there."""
        document = orjson.dumps(_document(credential)).decode()
        await connection.execute(self._queries["store_credential"], tenant_id, credential.channel, document)

    async def remove(self, connection: Connection, tenant_id: UUID, channel: str) -> None:
        """Remove it; nothing happens where there is none."""
        await connection.execute(self._queries["store_credential"], tenant_id, channel, None)

    async def list_tenants(self, connection: Connection) -> list[UUID]:
        """Every active tenant; no tenant needs to be in context."""
        return [row["tenant_id"] for row in await connection.fetch(self._queries["list_tenants"])]


def _document(credential: StoredCredential) -> dict[str, Any]:
    error = credential.last_error
    return {
        "provider": credential.provider,
        "version": credential.version,
        "key_id": credential.sealed.key_id,
        "nonce": credential.sealed.nonce,
        "ciphertext": credential.sealed.ciphertext,
        "messages_per_second": credential.messages_per_second,
        "put_at": credential.put_at,
        "expires_at": credential.expires_at,
        "refreshed_at": credential.refreshed_at,
        "last_error": error
        and {"reason": error.reason, "at": error.at, "failures": error.failures, "lost": error.lost},
    }


def _stored(channel: str, document: Mapping[str, Any]) -> StoredCredential:
    error = document["last_error"]
    return StoredCredential(
        channel=channel,
        provider=document["provider"],
        version=document["version"],
        sealed=Sealed(document["key_id"], document["nonce"], document["ciphertext"]),
        messages_per_second=document["messages_per_second"],
        put_at=datetime.fromisoformat(document["put_at"]),
        expires_at=_moment(document["expires_at"]),
        refreshed_at=_moment(document["refreshed_at"]),
        last_error=error
        and LastError(error["reason"], datetime.fromisoformat(error["at"]), error["failures"], error["lost"]),
    )


def _moment(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
