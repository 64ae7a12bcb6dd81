"""SnapshotService on the wire: messages to models and back."""

from __future__ import annotations

from collections.abc import AsyncIterator

from google.protobuf.message import Message
from grpc.aio import ServicerContext
from leo.activation.v1 import snapshot_service_pb2 as wire
from leo.activation.v1 import snapshot_service_pb2_grpc

from server.rpc.caller import current_caller
from server.snapshots.model import FreezeRequest, GivenCondition, Label, NamedSegment, Snapshot, Wanted
from server.snapshots.service import SnapshotService
from server.wire import to_page_request, to_page_response, to_timestamp


class SnapshotServicer(snapshot_service_pb2_grpc.SnapshotServiceServicer):
    """Converts and delegates."""

    def __init__(self, *, service: SnapshotService) -> None:
        self._service = service

    async def Snapshot(
        self, request: wire.SnapshotRequest, context: ServicerContext[Message, Message]
    ) -> wire.SnapshotResponse:
        """Freeze an audience, or find it frozen."""
        caller = current_caller()
        frozen = await self._service.snapshot(
            caller.tenant_id,
            FreezeRequest(wanted=_to_wanted(request), reason=request.reason, requested_by=caller.subject),
        )
        return wire.SnapshotResponse(
            snapshot=_from_snapshot(frozen.snapshot),
            created=frozen.created,
            empty=frozen.snapshot.member_count == 0,
            task_id=frozen.task_id,
        )

    async def GetSnapshot(
        self, request: wire.GetSnapshotRequest, context: ServicerContext[Message, Message]
    ) -> wire.GetSnapshotResponse:
        """One snapshot."""
        snapshot = await self._service.get_snapshot(current_caller().tenant_id, request.snapshot_id)
        return wire.GetSnapshotResponse(snapshot=_from_snapshot(snapshot))

    async def ListSnapshotMembers(
        self, request: wire.ListSnapshotMembersRequest, context: ServicerContext[Message, Message]
    ) -> AsyncIterator[wire.ListSnapshotMembersResponse]:
        """Members, page after page."""
        pages = self._service.list_members(
            current_caller().tenant_id, request.snapshot_id, to_page_request(request.page)
        )
        async for page in pages:
            yield wire.ListSnapshotMembersResponse(
                profile_ids=page.items, page=to_page_response(page.next_token)
            )


def _to_wanted(request: wire.SnapshotRequest) -> Wanted | None:
    match request.WhichOneof("audience"):
        case "segment":
            return NamedSegment(request.segment)
        case "label":
            return Label(request.label)
        case "condition":
            return GivenCondition(request.condition.name, request.condition.condition)
    return None


def _from_snapshot(snapshot: Snapshot) -> wire.Snapshot:
    return wire.Snapshot(
        snapshot_id=snapshot.snapshot_id,
        segment_name=snapshot.segment_name,
        segment_version=snapshot.segment_version,
        reason=snapshot.reason,
        audience_sha256=snapshot.audience_sha256,
        member_count=snapshot.member_count,
        created_at=to_timestamp(snapshot.created_at),
    )
