"""Writes what sources of data say of customers, through the profiles' own upsert."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Final
from uuid import UUID

import orjson

from server.errors import FieldViolation
from server.mapping.mapping import MappedConsent
from server.platform.postgres import Connection
from server.profiles.model import Consent, Presence, ProfilePatch, WriteResult
from server.profiles.service import ProfileService
from server.sync.documents import Arrival, Written

_NOT_STORABLE: Final = Written("refused", (FieldViolation("", "has a value that can not be stored"),))


class ProfileIntake:
    """What the synchronisation needs of profiles."""

    def __init__(self, *, service: ProfileService) -> None:
        self._service = service

    async def take_in(
        self,
        tenant_id: UUID,
        arrivals: Sequence[Arrival],
        *,
        region: str,
        source: str,
        alongside: Callable[[Connection, Sequence[Written]], Awaitable[None]],
    ) -> None:
        """As `server.sync.run.Profiles`. PostgreSQL: 4 to 12 round trips, whatever the number of arrivals."""

        given = [_patch(arrival, source) for arrival in arrivals]

        async def with_results(connection: Connection, results: Sequence[WriteResult]) -> None:
            left = iter(results)
            await alongside(
                connection, [_NOT_STORABLE if each is None else _written(next(left)) for each in given]
            )

        patches = [patch for patch in given if patch is not None]
        await self._service.take_in(tenant_id, patches, region=region, alongside=with_results)


def _written(result: WriteResult) -> Written:
    return Written(str(result.outcome), result.faults)


def _patch(arrival: Arrival, source: str) -> ProfilePatch | None:
    """None where JSON has no form for a value, such as half of a character or a number of more than 64 bits."""
    try:
        _json([arrival.profile.fields, arrival.profile.channel_addresses])
        return _storable(arrival, source)
    except (TypeError, ValueError):
        return None


def _storable(arrival: Arrival, source: str) -> ProfilePatch:
    fields = dict(arrival.profile.fields)
    if "portfolio_snapshot" in fields:
        fields["portfolio_snapshot"] = _json(fields["portfolio_snapshot"])
    attributes = arrival.profile.attributes
    return ProfilePatch(
        **fields,
        raw_attributes=_json(attributes) if attributes else None,
        channel_addresses=arrival.profile.channel_addresses or None,
        consents=[_consent(consent) for consent in arrival.profile.consents],
        presence=Presence(arrival.gone, source),
    )


def _consent(consent: MappedConsent) -> Consent:
    return Consent(
        profile_id="",
        channel=consent.channel,
        status="granted" if consent.granted else "withdrawn",
        legal_basis=consent.legal_basis,
        source=consent.source,
        stated_at=consent.stated_at,
    )


def _json(document: object) -> bytes:
    """What JSON has no form for, such as a moment of a Parquet file, becomes text."""
    return orjson.dumps(document, default=str, option=orjson.OPT_NON_STR_KEYS)
