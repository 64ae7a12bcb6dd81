"""`leo deliveries` and `leo dispatch`, as a user types them, against a running server."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import asyncpg
import grpc
from leo.activation.v1 import dispatch_service_pb2 as wire
from leo.activation.v1.dispatch_service_pb2_grpc import DispatchServiceStub

from tests.cli.test_cli import leo
from tests.dispatch.decided import Decisions
from tests.fixtures.server import bearer
from tests.fixtures.tenants import Tenant
from tests.fixtures.tokens import TokenFor

SCOPES = ("dispatch.read", "dispatch.write", "trace.read")


async def test_what_failed_is_listed_and_queued_again_and_a_dispatch_is_called_off(
    running_server: str,
    channel: grpc.aio.Channel,
    token_for: TokenFor,
    app: asyncpg.Connection,
    proof: asyncpg.Connection,
    tenant_a: Tenant,
    tmp_path: Path,
) -> None:
    decisions = Decisions(app)
    definitions = await decisions.define(tenant_a)
    await decisions.profile(tenant_a, "lan")
    decided = await decisions.send(definitions, "lan")
    await decisions.fail(decided)
    stub: Any = DispatchServiceStub(channel)
    request = wire.DispatchRequest(
        source_request_id="r1", marketing_event_id=definitions.marketing_event_id, profile_id="lan"
    )
    plan = (await stub.Dispatch(request, metadata=bearer(token_for(tenant_a, SCOPES)))).plan.plan_task_id
    variables = {"LEO_TOKEN": token_for(tenant_a, SCOPES)}

    async def said(*arguments: str) -> str:
        result = await asyncio.to_thread(
            leo, *arguments, "--server", running_server, state=tmp_path, **variables
        )
        assert result.returncode == 0, result.stderr
        return str(result.stdout)

    listed = await said("deliveries", "--failed")
    assert decided.delivery_key in listed
    assert "SMTP_550" in listed
    assert "series 2" in await said("deliveries", "requeue", decided.delivery_key)
    await proof.execute("update agent_task set due_at = now() - interval '1 minute' where profile_id = 'lan'")
    assert decided.delivery_key not in await said("deliveries", "--failed")
    assert "no worker has taken it" in await said("deliveries", "explain", decided.delivery_key)
    assert await said("dispatch", "pause", plan) == f"{plan} paused\n"
    assert await said("dispatch", "cancel", plan) == f"{plan} cancelled\n"
    assert await said("dispatch", "watch", plan) == "cancelled: 0 of 1 decided\n"
