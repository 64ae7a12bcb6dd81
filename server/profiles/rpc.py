"""ProfileService on the wire: messages to models and back."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import TypeAlias

from google.protobuf.message import Message
from grpc.aio import ServicerContext
from leo.activation.v1 import profile_service_pb2 as wire
from leo.activation.v1 import profile_service_pb2_grpc

from server.errors import FieldViolation, InvalidInput
from server.profiles.erasure import ProfileErasure
from server.profiles.export import ProfileExport
from server.profiles.ingestion import EventIngestion
from server.profiles.messages import (
    from_consent,
    from_erased,
    from_export,
    from_imported,
    from_ingested,
    from_profile,
    from_results,
    from_similar,
    to_consent,
    to_event,
    to_patch,
    to_person,
)
from server.profiles.service import ProfileService
from server.profiles.similar import SimilarProfiles
from server.rpc.caller import current_caller

Context: TypeAlias = ServicerContext[Message, Message]


class ProfileServicer(profile_service_pb2_grpc.ProfileServiceServicer):
    """Converts and delegates."""

    def __init__(
        self,
        *,
        service: ProfileService,
        ingestion: EventIngestion,
        erasure: ProfileErasure,
        similar: SimilarProfiles,
        export: ProfileExport,
    ) -> None:
        self._service = service
        self._ingestion = ingestion
        self._erasure = erasure
        self._similar = similar
        self._export = export

    async def UpsertProfiles(
        self, request: wire.UpsertProfilesRequest, context: Context
    ) -> wire.UpsertProfilesResponse:
        """Create or change profiles, each answered."""
        results = await self._service.upsert_profiles(
            current_caller().tenant_id,
            [to_patch(message) for message in request.profiles],
            region=request.default_region,
        )
        return wire.UpsertProfilesResponse(results=from_results(results))

    async def ImportProfiles(
        self, request_iterator: AsyncIterator[wire.ImportProfilesRequest], context: Context
    ) -> AsyncIterator[wire.ImportProfilesResponse]:
        """One part after the other, each answered once it is committed."""
        last = 0
        async for request in request_iterator:
            if request.sequence <= last:
                raise InvalidInput([FieldViolation("sequence", f"must be greater than {last}")])
            last = request.sequence
            results = await self._service.import_profiles(
                current_caller().tenant_id,
                [to_patch(message) for message in request.profiles],
                region=request.default_region,
            )
            yield from_imported(request.sequence, results)

    async def IngestEvents(
        self, request: wire.IngestEventsRequest, context: Context
    ) -> wire.IngestEventsResponse:
        """Facts, those that are new."""
        return from_ingested(
            await self._ingestion.ingest_events(
                current_caller().tenant_id, [to_event(message) for message in request.events]
            )
        )

    async def SetConsents(
        self, request: wire.SetConsentsRequest, context: Context
    ) -> wire.SetConsentsResponse:
        """Grant or withdraw consents, each answered."""
        results = await self._service.set_consents(
            current_caller().tenant_id, [to_consent(message) for message in request.consents]
        )
        return wire.SetConsentsResponse(results=from_results(results))

    async def GetProfile(self, request: wire.GetProfileRequest, context: Context) -> wire.GetProfileResponse:
        """One profile with its consents."""
        profile, consents = await self._service.get_profile(current_caller().tenant_id, request.profile_id)
        return wire.GetProfileResponse(
            profile=from_profile(profile), consents=[from_consent(consent) for consent in consents]
        )

    async def EraseProfile(
        self, request: wire.EraseProfileRequest, context: Context
    ) -> wire.EraseProfileResponse:
        """Remove a person, to the end."""
        caller = current_caller()
        return from_erased(
            await self._erasure.erase_profile(
                caller.tenant_id, to_person(request), asked_by=caller.subject, reason=request.reason
            )
        )

    async def ReadmitProfile(
        self, request: wire.ReadmitProfileRequest, context: Context
    ) -> wire.ReadmitProfileResponse:
        """Let a person come back."""
        caller = current_caller()
        await self._erasure.readmit_profile(
            caller.tenant_id, request.profile_id, asked_by=caller.subject, reason=request.reason
        )
        return wire.ReadmitProfileResponse()

    async def SimilarProfiles(
        self, request: wire.SimilarProfilesRequest, context: Context
    ) -> wire.SimilarProfilesResponse:
        """Look-alikes of a profile or a segment."""
        tenant_id = current_caller().tenant_id
        if request.WhichOneof("origin") == "profile_id":
            return from_similar(await self._similar.of_profile(tenant_id, request.profile_id, request.limit))
        if not request.segment:
            raise InvalidInput([FieldViolation("origin", "needs a profile_id or a segment")])
        return from_similar(
            await self._similar.of_segment(
                tenant_id, request.segment, request.limit, include_members=request.include_members
            )
        )

    async def ExportProfile(
        self, request: wire.ExportProfileRequest, context: Context
    ) -> AsyncIterator[wire.ExportProfileResponse]:
        """Everything that is stored about one person, part after part."""
        caller = current_caller()
        parts = self._export.export_profile(
            caller.tenant_id, request.profile_id, reason=request.reason, requested_by=caller.subject
        )
        # Whoever hangs up lets go of the transaction at once.
        async with aclosing(parts):
            async for part in parts:
                yield from_export(part)
