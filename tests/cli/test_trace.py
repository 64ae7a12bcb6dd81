"""`leo trace`, as a user types it, against a running server."""

from __future__ import annotations

import asyncio
from pathlib import Path

import asyncpg

from tests.cli.test_cli import leo
from tests.fixtures.tenants import Tenant
from tests.fixtures.tokens import TokenFor
from tests.trace.history import History


async def test_a_journey_is_shown_with_its_reasons_and_deliveries(
    running_server: str, token_for: TokenFor, app: asyncpg.Connection, tenant_a: Tenant, tmp_path: Path
) -> None:
    history = History(app, tenant_a)
    await history.begin()
    await history.profile("ann")
    await history.sent("ann", 1, "sending", "sent")
    await history.suppressed("ann", 2, "COOLDOWN")
    variables = {"LEO_TOKEN": token_for(tenant_a, ["trace.read"])}
    shown = await asyncio.to_thread(
        leo, "trace", "ann", "--server", running_server, state=tmp_path, **variables
    )
    assert shown.returncode == 0, shown.stderr
    newest, oldest = shown.stdout.index("ann-2"), shown.stdout.index("ann-1")
    assert newest < oldest
    assert "COOLDOWN: because COOLDOWN" in shown.stdout[newest:oldest]
    for part in ("SELECTED: because SELECTED", "audience all, 1 member", "thanks", "sent", "ann@example.com"):
        assert part in shown.stdout[oldest:]
    one = await asyncio.to_thread(
        leo, "trace", "ann", "--limit", "1", "--server", running_server, state=tmp_path, **variables
    )
    assert "ann-1" not in one.stdout
    assert "older decisions" in one.stdout


async def test_an_unknown_profile_is_said_without_a_traceback(
    running_server: str, token_for: TokenFor, tenant_a: Tenant, tmp_path: Path
) -> None:
    token = token_for(tenant_a, ["trace.read"])
    result = await asyncio.to_thread(
        leo, "trace", "nobody", "--server", running_server, "--token", token, state=tmp_path
    )
    assert result.returncode == 1
    assert "NOT_FOUND" in result.stderr
    assert "Traceback" not in result.stderr
