"""The statements of `db/queries/profiles.sql`: one method each, one round trip each."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import asyncpg
import orjson

from server.platform.ids import canonical_json
from server.platform.postgres import Connection
from server.platform.queries import Queries
from server.profiles.model import CheckedPatch, Consent, LockedProfile, Profile


class ProfileStore:
    """Profiles and consents in PostgreSQL, inside the tenant's transaction."""

    def __init__(self) -> None:
        self._queries = Queries.load("profiles")

    async def lock_profiles(
        self, connection: Connection, tenant_id: UUID, patches: Sequence[CheckedPatch]
    ) -> dict[str, LockedProfile]:
        """The stored ones of the patched profiles, locked until the transaction ends."""
        rows = await connection.fetch(self._queries["lock_profiles"], tenant_id, *_columns(patches))
        return {row["profile_id"]: LockedProfile(**row) for row in rows}

    async def holders_of_ext_ids(
        self, connection: Connection, tenant_id: UUID, ext_ids: Sequence[str]
    ) -> dict[str, str]:
        """Profile by external id."""
        rows = await connection.fetch(self._queries["holders_of_ext_ids"], tenant_id, list(ext_ids))
        return {row["ext_id"]: row["profile_id"] for row in rows}

    async def insert_profiles(
        self, connection: Connection, tenant_id: UUID, patches: Sequence[CheckedPatch]
    ) -> set[str]:
        """Ids of the inserted ones."""
        rows = await connection.fetch(self._queries["insert_profiles"], tenant_id, *_columns(patches))
        return {row["profile_id"] for row in rows}

    async def update_profiles(
        self, connection: Connection, tenant_id: UUID, patches: Sequence[CheckedPatch]
    ) -> set[str]:
        """Ids of those that changed."""
        rows = await connection.fetch(
            self._queries["update_profiles"],
            tenant_id,
            *_columns(patches),
            [patch.replace_raw_attributes for patch in patches],
        )
        return {row["profile_id"] for row in rows}

    async def get_profile(self, connection: Connection, tenant_id: UUID, profile_id: str) -> Profile | None:
        """The profile of this id."""
        row = await connection.fetchrow(self._queries["get_profile"], tenant_id, profile_id)
        return _profile(row) if row else None

    async def share_profiles(
        self, connection: Connection, tenant_id: UUID, profile_ids: Sequence[str]
    ) -> dict[str, bool]:
        """Whether each of these profiles was erased, for those that exist."""
        rows = await connection.fetch(self._queries["share_profiles"], tenant_id, list(profile_ids))
        return {row["profile_id"]: row["erased"] for row in rows}

    async def put_consents(
        self, connection: Connection, tenant_id: UUID, now: datetime, consents: Sequence[Consent]
    ) -> dict[tuple[str, str], bool]:
        """Whether each changed consent is new, by profile and channel."""
        rows = await connection.fetch(
            self._queries["put_consents"],
            tenant_id,
            now,
            [consent.profile_id for consent in consents],
            [consent.channel for consent in consents],
            [consent.status for consent in consents],
            [consent.legal_basis for consent in consents],
            [consent.source for consent in consents],
            [consent.expires_at for consent in consents],
        )
        return {(row["profile_id"], row["channel"]): row["created"] for row in rows}

    async def list_consents(self, connection: Connection, tenant_id: UUID, profile_id: str) -> list[Consent]:
        """Consents of a profile by channel."""
        rows = await connection.fetch(self._queries["list_consents"], tenant_id, profile_id)
        return [Consent(**row) for row in rows]


def _columns(patches: Sequence[CheckedPatch]) -> tuple[list[str], list[str]]:
    return [patch.profile_id for patch in patches], [canonical_json(patch.document) for patch in patches]


def _profile(row: asyncpg.Record) -> Profile:
    return Profile(
        **{
            **row,
            **{
                field: tuple(orjson.loads(row[field]))
                for field in (
                    *("identities", "job_titles", "interests", "data_labels", "segments"),
                    "segment_snapshots",
                )
            },
            "portfolio_snapshot": row["portfolio_snapshot"].encode(),
            "raw_attributes": row["raw_attributes"].encode(),
            "channel_addresses": _addresses(row["channel_addresses"]),
        }
    )


def _addresses(text: str) -> dict[str, list[str]]:
    """Addresses by channel; a single address may be stored without its list."""
    return {
        channel: [stored] if isinstance(stored, str) else stored
        for channel, stored in orjson.loads(text).items()
    }
