"""The statements of `db/queries/profiles.sql`, one method each, and what is written in bulk."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

import asyncpg
import orjson

from server.platform.bulk_writer import BulkWriter
from server.platform.postgres import Connection
from server.platform.queries import Queries
from server.profiles.columns import LISTS, columns_of
from server.profiles.merge import ProfileState, encode_times
from server.profiles.model import Consent, Outcome, Profile, StoredProfile
from server.profiles.rows import EVENTS, PROFILES, EventRow, ProfileRow, stored_profile

_WRITER: Final = BulkWriter()


@dataclass(frozen=True, slots=True)
class ProfileChange:
    """What is written of a stored profile.

    Args:
        changed: the columns that have another value in this state.
        retimed: whether its times changed.
    """

    profile_id: str
    state: ProfileState
    changed: Iterable[str]
    retimed: bool


@dataclass(frozen=True, slots=True)
class ConsentEnd:
    """When all consents of a profile ended, and what says so."""

    at: datetime
    source: str


class ProfileStore:
    """Profiles, consents and events in PostgreSQL, inside the tenant's transaction. One round trip a method."""

    def __init__(self) -> None:
        self._queries = Queries.load("profiles")

    async def lock_profiles(
        self, connection: Connection, tenant_id: UUID, profile_ids: Sequence[str]
    ) -> dict[str, StoredProfile]:
        """Those of these profiles that are stored, locked until the transaction ends."""
        rows = await connection.fetch(self._queries["lock_profiles"], tenant_id, list(profile_ids))
        return {row["profile_id"]: stored_profile(dict(row)) for row in rows}

    async def holders_of_ext_ids(
        self, connection: Connection, tenant_id: UUID, ext_ids: Sequence[str]
    ) -> dict[str, str]:
        """Profile by external id."""
        rows = await connection.fetch(self._queries["holders_of_ext_ids"], tenant_id, list(ext_ids))
        return {row["ext_id"]: row["profile_id"] for row in rows}

    async def holders_of_identities(
        self, connection: Connection, tenant_id: UUID, identities: Sequence[str]
    ) -> dict[str, dict[str, str | None]]:
        """The profiles of each identity, each with its external id."""
        rows = await connection.fetch(self._queries["holders_of_identities"], tenant_id, list(identities))
        holders: dict[str, dict[str, str | None]] = {}
        for row in rows:
            holders.setdefault(row["identity"], {})[row["profile_id"]] = row["ext_id"]
        return holders

    async def insert_profiles(self, connection: Connection, rows: Sequence[ProfileRow]) -> set[str]:
        """Ids of the inserted ones. Round trips: 1 for few, 3 for many."""
        return {profile_id for _, profile_id in await _WRITER.write(connection, PROFILES, rows)}

    async def update_profiles(
        self, connection: Connection, tenant_id: UUID, changes: Sequence[ProfileChange]
    ) -> None:
        """Write the changed columns of locked profiles, and their times where those changed."""
        await connection.execute(
            self._queries["update_profiles"],
            tenant_id,
            [change.profile_id for change in changes],
            [orjson.dumps(columns_of(change.state, change.changed)) for change in changes],
            [orjson.dumps(encode_times(change.state)) if change.retimed else None for change in changes],
            [change.state.newest for change in changes],
        )

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
        self,
        connection: Connection,
        tenant_id: UUID,
        now: datetime,
        consents: Mapping[tuple[str, str], Consent],
    ) -> dict[tuple[str, str], Outcome]:
        """Write consents by profile and channel, those without a time as of now; what became of each."""
        rows = await connection.fetch(
            self._queries["put_consents"],
            tenant_id,
            now,
            [profile_id for profile_id, _ in consents],
            [channel for _, channel in consents],
            [consent.status for consent in consents.values()],
            [consent.legal_basis for consent in consents.values()],
            [consent.source for consent in consents.values()],
            [consent.expires_at for consent in consents.values()],
            [consent.stated_at for consent in consents.values()],
        )
        return {(row["profile_id"], row["channel"]): Outcome(row["outcome"]) for row in rows}

    async def end_consents(
        self, connection: Connection, tenant_id: UUID, ends: Mapping[str, ConsentEnd]
    ) -> None:
        """Withdraw all consents of locked profiles that were granted before their end."""
        await connection.execute(
            self._queries["end_consents"],
            tenant_id,
            list(ends),
            [end.at for end in ends.values()],
            [end.source for end in ends.values()],
        )

    async def list_consents(self, connection: Connection, tenant_id: UUID, profile_id: str) -> list[Consent]:
        """Consents of a profile by channel."""
        rows = await connection.fetch(self._queries["list_consents"], tenant_id, profile_id)
        return [Consent(**row) for row in rows]

    async def insert_events(self, connection: Connection, rows: Sequence[EventRow]) -> int:
        """How many of these events are new. Round trips: 1 for few, 3 for many."""
        return len(await _WRITER.write(connection, EVENTS, rows))


def _profile(row: asyncpg.Record) -> Profile:
    return Profile(
        **{
            **row,
            **{field: tuple(orjson.loads(row[field])) for field in (*LISTS, "segment_snapshots")},
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
