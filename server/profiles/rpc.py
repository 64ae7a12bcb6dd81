"""ProfileService on the wire: messages to models and back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, TypeAlias

from google.protobuf.message import Message
from grpc.aio import ServicerContext
from leo.activation.v1 import profile_service_pb2 as wire
from leo.activation.v1 import profile_service_pb2_grpc

from server.profiles.model import Consent, Outcome, Profile, ProfilePatch, WriteResult
from server.profiles.service import ProfileService
from server.rpc.caller import current_caller
from server.rpc.checks import violations_in
from server.wire import to_datetime, to_timestamp

Context: TypeAlias = ServicerContext[Message, Message]

_OUTCOMES: Final = {
    Outcome.CREATED: wire.PROFILE_WRITE_OUTCOME_CREATED,
    Outcome.UPDATED: wire.PROFILE_WRITE_OUTCOME_UPDATED,
    Outcome.UNCHANGED: wire.PROFILE_WRITE_OUTCOME_UNCHANGED,
    Outcome.STALE: wire.PROFILE_WRITE_OUTCOME_STALE,
    Outcome.REFUSED: wire.PROFILE_WRITE_OUTCOME_REFUSED,
}
_STATUSES: Final = {"granted": wire.CONSENT_STATUS_GRANTED, "withdrawn": wire.CONSENT_STATUS_WITHDRAWN}
_STATUS_NAMES: Final = {number: name for name, number in _STATUSES.items()}
_OPTIONAL: Final = (
    *("ext_id", "primary_email", "mobile_number", "living_location", "latitude", "longitude"),
    *("portfolio_snapshot", "portfolio_risk_score", "raw_attributes", "language", "time_zone"),
)
_LISTS: Final = ("identities", "job_titles", "interests", "data_labels", "segments")


class ProfileServicer(profile_service_pb2_grpc.ProfileServiceServicer):
    """Converts and delegates."""

    def __init__(self, *, service: ProfileService) -> None:
        self._service = service

    async def UpsertProfiles(
        self, request: wire.UpsertProfilesRequest, context: Context
    ) -> wire.UpsertProfilesResponse:
        """Create or change profiles, each answered."""
        results = await self._service.upsert_profiles(
            current_caller().tenant_id,
            [_to_patch(message) for message in request.profiles],
            region=request.default_region,
        )
        return wire.UpsertProfilesResponse(results=_from_results(results))

    async def SetConsents(
        self, request: wire.SetConsentsRequest, context: Context
    ) -> wire.SetConsentsResponse:
        """Grant or withdraw consents, each answered."""
        results = await self._service.set_consents(
            current_caller().tenant_id, [_to_consent(message) for message in request.consents]
        )
        return wire.SetConsentsResponse(results=_from_results(results))

    async def GetProfile(self, request: wire.GetProfileRequest, context: Context) -> wire.GetProfileResponse:
        """One profile with its consents."""
        profile, consents = await self._service.get_profile(current_caller().tenant_id, request.profile_id)
        return wire.GetProfileResponse(
            profile=_from_profile(profile), consents=[_from_consent(consent) for consent in consents]
        )


def _to_patch(message: wire.ProfilePatch) -> ProfilePatch:
    present: dict[str, Any] = {
        field: getattr(message, field) for field in _OPTIONAL if message.HasField(field)
    }
    present |= {field: tuple(getattr(message, field).values) for field in _LISTS if message.HasField(field)}
    return ProfilePatch(
        profile_id=message.profile_id,
        **present,
        replace_raw_attributes=message.replace_raw_attributes,
        channel_addresses={
            channel: tuple(entry.addresses) for channel, entry in message.channel_addresses.items()
        },
        source_updated_at=to_datetime(message.source_updated_at)
        if message.HasField("source_updated_at")
        else None,
        clear_fields=tuple(message.clear_fields),
        faults=tuple(violations_in(message)),
    )


def _to_consent(message: wire.Consent) -> Consent:
    return Consent(
        profile_id=message.profile_id,
        channel=message.channel,
        status=_STATUS_NAMES.get(message.status, ""),
        legal_basis=message.legal_basis,
        source=message.source,
        expires_at=to_datetime(message.expires_at) if message.HasField("expires_at") else None,
        faults=tuple(violations_in(message)),
    )


def _from_results(results: Sequence[WriteResult]) -> list[wire.ProfileWriteResult]:
    return [
        wire.ProfileWriteResult(
            outcome=_OUTCOMES[result.outcome],
            faults=[
                wire.ItemFault(field=fault.field, description=fault.description) for fault in result.faults
            ],
        )
        for result in results
    ]


def _from_profile(profile: Profile) -> wire.Profile:
    return wire.Profile(
        profile_id=profile.profile_id,
        ext_id=profile.ext_id or "",
        identities=profile.identities,
        primary_email=profile.primary_email or "",
        mobile_number=profile.mobile_number or "",
        living_location=profile.living_location or "",
        latitude=profile.latitude,
        longitude=profile.longitude,
        job_titles=profile.job_titles,
        interests=profile.interests,
        data_labels=profile.data_labels,
        segments=profile.segments,
        segment_snapshots=profile.segment_snapshots,
        portfolio_snapshot=profile.portfolio_snapshot,
        portfolio_risk_score=profile.portfolio_risk_score,
        raw_attributes=profile.raw_attributes,
        channel_addresses={
            channel: wire.ChannelAddresses(addresses=addresses)
            for channel, addresses in profile.channel_addresses.items()
        },
        language=profile.language or "",
        time_zone=profile.time_zone or "",
        source_updated_at=to_timestamp(profile.source_updated_at),
        created_at=to_timestamp(profile.created_at),
        updated_at=to_timestamp(profile.updated_at),
        erased_at=to_timestamp(profile.erased_at),
    )


def _from_consent(consent: Consent) -> wire.Consent:
    return wire.Consent(
        profile_id=consent.profile_id,
        channel=consent.channel,
        status=_STATUSES[consent.status],
        legal_basis=consent.legal_basis,
        source=consent.source,
        expires_at=to_timestamp(consent.expires_at),
        granted_at=to_timestamp(consent.granted_at),
        withdrawn_at=to_timestamp(consent.withdrawn_at),
    )
