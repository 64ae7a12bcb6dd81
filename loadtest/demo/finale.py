"""The end of the demo: the VIPs are frozen, invited, and everything that was decided is sent."""

from __future__ import annotations

import asyncio
import time
from typing import Final

from leo.activation.v1 import dispatch_service_pb2 as dispatch
from leo.activation.v1 import snapshot_service_pb2 as snapshots
from leo.activation.v1 import types_pb2
from leo_client import LeoClient

from loadtest.demo.definitions import VIP_SEGMENT
from loadtest.demo.persistence import persistently

_SETTLE_SECONDS: Final = 180.0
_POLL_SECONDS: Final = 0.1
_UNSETTLED: Final = (
    dispatch.DELIVERY_STATUS_QUEUED,
    dispatch.DELIVERY_STATUS_SENDING,
    dispatch.DELIVERY_STATUS_DEFERRED,
)


class NotSettled(Exception):
    """Workers did not finish in time."""


async def invite_vips(client: LeoClient, invitation_id: str) -> dispatch.DispatchPlan:
    """Freeze the segment and dispatch the invitation to it; the plan once every member was decided.

    Raises:
        NotSettled: it was not carried out within three minutes.
    """
    request = snapshots.SnapshotRequest(segment=VIP_SEGMENT, reason="invitation of the best customers")
    frozen = await persistently(lambda: client.snapshots.Snapshot(request))
    wanted = dispatch.DispatchRequest(
        source_request_id="vip-invitation",
        marketing_event_id=invitation_id,
        snapshot_id=frozen.snapshot.snapshot_id,
        reason="invitation of the best customers",
    )
    deadline = time.monotonic() + _SETTLE_SECONDS
    while time.monotonic() < deadline:
        # The same request again plans nothing: it tells how far the plan has come.
        plan = (await persistently(lambda: client.dispatch.Dispatch(wanted))).plan
        if plan.status != dispatch.DISPATCH_STATUS_PENDING:
            return plan
        await asyncio.sleep(_POLL_SECONDS)
    raise NotSettled("the dispatch was not carried out in time; see worker.log in the state directory")


async def settle_deliveries(client: LeoClient) -> None:
    """Wait until no delivery is queued, under way or to be tried again.

    Raises:
        NotSettled: some still are after three minutes.
    """
    deadline = time.monotonic() + _SETTLE_SECONDS
    for status in _UNSETTLED:
        while await _any(client, status):
            if time.monotonic() > deadline:
                raise NotSettled("deliveries were not sent in time; see worker.log in the state directory")
            await asyncio.sleep(_POLL_SECONDS)
    # A delivery may have left one of the statuses for one that was looked at before.
    if any([await _any(client, status) for status in _UNSETTLED]):
        await settle_deliveries(client)


async def _any(client: LeoClient, status: dispatch.DeliveryStatus.ValueType) -> bool:
    request = dispatch.ListDeliveriesRequest(status=status, page=types_pb2.PageRequest(page_size=1))
    return bool((await persistently(lambda: client.dispatch.ListDeliveries(request))).deliveries)
