"""Why a delivery stands where it stands: the words, from given circumstances, and the call, from real ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import grpc
import pytest
from leo.activation.v1 import trace_service_pb2 as wire
from leo.activation.v1.trace_service_pb2_grpc import TraceServiceStub

from server.trace.explanation import Circumstances, explain
from tests.dispatch.decided import Decisions
from tests.fixtures.server import bearer
from tests.fixtures.tenants import Tenant
from tests.fixtures.tokens import TokenFor

NOW = datetime(2026, 11, 21, 15, 30, tzinfo=UTC)
EARLIER = NOW - timedelta(hours=1)
QUEUED = Circumstances(
    delivery_key="k",
    channel="zalo",
    status="queued",
    reason=None,
    attempt=0,
    changed_at=EARLIER,
    waiting_since=EARLIER,
    sent_at=None,
    retry_after_seconds=None,
    task_status="pending",
    due_at=EARLIER,
    lease_until=None,
    decided_at=EARLIER,
    decided_due_at=EARLIER,
    why="it matched",
    tenant_status="active",
    campaign_id="spring",
    campaign_status="active",
    plan_status=None,
    next_channel=None,
    time_zone="Asia/Ho_Chi_Minh",
)
SOON = NOW + timedelta(seconds=35)
MORNING = datetime(2026, 11, 22, 0, 0, tzinfo=UTC)
DEFERRED = {"status": "deferred", "attempt": 2, "due_at": SOON}


@pytest.mark.parametrize(
    ("changes", "code", "words"),
    [
        (
            {"due_at": MORNING, "decided_due_at": MORNING},
            "QUIET_HOURS",
            "waits for quiet hours until 2026-11-22 07:00 (Asia/Ho_Chi_Minh)",
        ),
        (
            {**DEFERRED, "reason": "ZALO_429", "retry_after_seconds": 35.0},
            "PROVIDER_ASKED_TO_WAIT",
            "provider asked for 35 s: attempt 2 was refused (ZALO_429); tried again at 22:30:35",
        ),
        ({**DEFERRED, "reason": "CIRCUIT_OPEN"}, "CIRCUIT_OPEN", "circuit open since 2026-11-21 14:30:00Z"),
        ({**DEFERRED, "reason": "RATE_LIMITED"}, "RATE_LIMITED", "rate limited"),
        ({**DEFERRED, "reason": "SMTP_451"}, "RETRY", "attempt 2 was refused (SMTP_451); tried again at"),
        ({**DEFERRED, "campaign_status": "paused"}, "CAMPAIGN_PAUSED", "campaign spring is paused"),
        ({**DEFERRED, "plan_status": "paused"}, "DISPATCH_PAUSED", "its dispatch is paused"),
        ({"tenant_status": "suspended"}, "TENANT_SUSPENDED", "the tenant is suspended"),
        ({"status": "sent", "due_at": SOON}, "RECEIPT", "waits for a receipt until 22:30:35"),
        ({"due_at": NOW}, "WORKER", "waits for a worker"),
        ({"lease_until": SOON}, "WORKER", "in a worker's hands"),
        ({}, "NO_WORKER", "has been due since 2026-11-21 14:30:00Z, and no worker has taken it"),
        ({"status": "sent", "task_status": "completed"}, "SENT", "decided because it matched"),
        (
            {"status": "failed", "reason": "NO_ADDRESS", "next_channel": "email"},
            "FAILED",
            "failed for good (NO_ADDRESS); went on over email",
        ),
        ({"status": "expired", "task_status": "cancelled"}, "EXPIRED", "was not sent while it was valid"),
    ],
)
def test_it_says_in_words_what_is_waited_for(changes: Mapping[str, Any], code: str, words: str) -> None:
    explained = explain(replace(QUEUED, **changes), NOW)

    assert explained.code == code
    assert words in explained.sentence
    assert explained.waiting == (code not in ("SENT", "FAILED", "EXPIRED"))


async def test_a_delivery_is_explained_to_its_tenant_only(
    channel: grpc.aio.Channel,
    token_for: TokenFor,
    app: asyncpg.Connection,
    tenant_a: Tenant,
    tenant_b: Tenant,
) -> None:
    decisions = Decisions(app)
    definitions = await decisions.define(tenant_a)
    await decisions.profile(tenant_a, "lan")
    decided = await decisions.send(definitions, "lan", due_at=datetime.now(UTC) + timedelta(hours=2))
    stub: Any = TraceServiceStub(channel)
    request = wire.ExplainDeliveryRequest(delivery_key=decided.delivery_key)

    explained = await stub.ExplainDelivery(request, metadata=bearer(token_for(tenant_a, ["trace.read"])))

    assert (explained.code, explained.waiting, explained.HasField("until")) == ("WORKER", True, True)
    assert explained.explanation.startswith("The message over email is due at ")
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await stub.ExplainDelivery(request, metadata=bearer(token_for(tenant_b, ["trace.read"])))
    assert refused.value.code() is grpc.StatusCode.NOT_FOUND
