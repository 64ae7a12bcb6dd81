"""SnapshotService on the wire: messages to models and back."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Final

from google.protobuf.message import Message
from grpc.aio import ServicerContext
from leo.activation.v1 import snapshot_service_pb2 as wire
from leo.activation.v1 import snapshot_service_pb2_grpc

from server.rpc.caller import current_caller
from server.snapshots.comparing import SnapshotComparison
from server.snapshots.estimating import SegmentEstimation
from server.snapshots.model import (
    Change,
    Combination,
    DifferencePage,
    DifferenceRequest,
    FreezeRequest,
    GivenCondition,
    GivenList,
    Label,
    NamedSegment,
    Operation,
    Snapshot,
    Wanted,
)
from server.snapshots.service import SnapshotService
from server.wire import to_page_request, to_page_response, to_timestamp

_OPERATIONS: Final = {
    wire.SNAPSHOT_OPERATION_MINUS: Operation.MINUS,
    wire.SNAPSHOT_OPERATION_INTERSECT: Operation.INTERSECT,
    wire.SNAPSHOT_OPERATION_UNITE: Operation.UNITE,
}
_CHANGES: Final = {
    wire.SNAPSHOT_CHANGE_ENTERED: Change.ENTERED,
    wire.SNAPSHOT_CHANGE_LEFT: Change.LEFT,
    wire.SNAPSHOT_CHANGE_KEPT: Change.KEPT,
}


class SnapshotServicer(snapshot_service_pb2_grpc.SnapshotServiceServicer):
    """Converts and delegates."""

    def __init__(
        self, *, service: SnapshotService, comparison: SnapshotComparison, estimation: SegmentEstimation
    ) -> None:
        self._service = service
        self._comparison = comparison
        self._estimation = estimation

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
            unknown_count=frozen.left_out.total,
            unknown_profile_ids=frozen.left_out.first,
        )

    async def EstimateSegment(
        self, request: wire.EstimateSegmentRequest, context: ServicerContext[Message, Message]
    ) -> wire.EstimateSegmentResponse:
        """How many are in an audience."""
        found = await self._estimation.estimate_segment(
            current_caller().tenant_id, _to_estimated(request), request.sample_size
        )
        return wire.EstimateSegmentResponse(
            member_count=found.member_count,
            exact=found.exact,
            margin=found.margin,
            sample_profile_ids=found.sample,
        )

    async def GetSnapshot(
        self, request: wire.GetSnapshotRequest, context: ServicerContext[Message, Message]
    ) -> wire.GetSnapshotResponse:
        """One snapshot."""
        snapshot = await self._service.get_snapshot(current_caller().tenant_id, request.snapshot_id)
        return wire.GetSnapshotResponse(snapshot=_from_snapshot(snapshot))

    async def ListSnapshots(
        self, request: wire.ListSnapshotsRequest, context: ServicerContext[Message, Message]
    ) -> wire.ListSnapshotsResponse:
        """Snapshots of a segment."""
        page = await self._service.list_snapshots(
            current_caller().tenant_id, request.segment_name, to_page_request(request.page)
        )
        return wire.ListSnapshotsResponse(
            snapshots=map(_from_snapshot, page.items), page=to_page_response(page.next_token)
        )

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

    async def DiffSnapshots(
        self, request: wire.DiffSnapshotsRequest, context: ServicerContext[Message, Message]
    ) -> AsyncIterator[wire.DiffSnapshotsResponse]:
        """Changes from one snapshot to another, page after page."""
        wanted = DifferenceRequest(
            from_snapshot_id=request.from_snapshot_id,
            to_snapshot_id=request.to_snapshot_id,
            changes=tuple(_CHANGES[change] for change in request.changes if change in _CHANGES),
            page=to_page_request(request.page),
        )
        async for page in self._comparison.diff_snapshots(current_caller().tenant_id, wanted):
            yield _from_difference(page)

    async def VerifySnapshot(
        self, request: wire.VerifySnapshotRequest, context: ServicerContext[Message, Message]
    ) -> wire.VerifySnapshotResponse:
        """A snapshot held against its members."""
        verified = await self._comparison.verify_snapshot(current_caller().tenant_id, request.snapshot_id)
        return wire.VerifySnapshotResponse(
            snapshot=_from_snapshot(verified.snapshot),
            intact=verified.intact,
            found_member_count=verified.found.member_count,
            found_audience_sha256=verified.found.audience_sha256,
            found_snapshot_id=verified.snapshot_id,
        )


def _to_wanted(request: wire.SnapshotRequest) -> Wanted | None:
    match request.WhichOneof("audience"):
        case "segment":
            return NamedSegment(request.segment)
        case "label":
            return Label(request.label)
        case "condition":
            return GivenCondition(request.condition.name, request.condition.condition)
        case "list":
            return GivenList(request.list.name, tuple(request.list.profile_ids))
        case "combination":
            return _to_combination(request.combination)
    return None


def _to_estimated(request: wire.EstimateSegmentRequest) -> NamedSegment | Label | GivenCondition | None:
    match request.WhichOneof("audience"):
        case "segment":
            return NamedSegment(request.segment)
        case "label":
            return Label(request.label)
        case "condition":
            return GivenCondition(request.condition.name, request.condition.condition)
    return None


def _to_combination(message: wire.CombinedAudience) -> Combination:
    return Combination(
        name=message.name,
        snapshot_id=message.snapshot_id,
        operation=_OPERATIONS.get(message.operation),
        other_snapshot_id=message.other_snapshot_id,
    )


def _from_difference(page: DifferencePage) -> wire.DiffSnapshotsResponse:
    counted = page.difference
    return wire.DiffSnapshotsResponse(
        difference=wire.SnapshotDifference(
            entered_count=counted.entered, left_count=counted.left, kept_count=counted.kept
        )
        if counted
        else None,
        entered=page.of(Change.ENTERED),
        left=page.of(Change.LEFT),
        kept=page.of(Change.KEPT),
        page=to_page_response(page.next_token),
    )


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
