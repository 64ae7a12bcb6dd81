"""`leo backtest` and `leo replay` of one decision, as a user types them, against a running server."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import asyncpg
import pytest

from server.cli.backtest import read_draft
from server.cli.failure import CommandFailed
from tests.cli.test_cli import leo
from tests.decisions.shop import add_campaign, add_marketing_event, add_profile
from tests.fixtures.tenants import Tenant
from tests.fixtures.tokens import TokenFor

DRAFT = {
    "campaign_id": "loyalty",
    "event_name": "thanks",
    "trigger_event_type": "purchase",
    "channels": ["email"],
    "condition": {"attribute": "event.amount", "operator": ">=", "value": 50},
    "cooldown_seconds": 0,
}


@pytest.fixture
async def shop(app: asyncpg.Connection, tenant_a: Tenant) -> None:
    """Thanks for a big basket."""
    await add_campaign(app, tenant_a, "loyalty")
    big = {"attribute": "event.amount", "operator": ">=", "value": 100}
    await add_marketing_event(app, tenant_a, "loyalty", "thanks", condition=big)
    await add_profile(app, tenant_a, "ann")


@pytest.mark.usefixtures("shop")
async def test_a_draft_is_reported_and_a_decision_comes_out_again(
    running_server: str, token_for: TokenFor, tenant_a: Tenant, tmp_path: Path, proof: asyncpg.Connection
) -> None:
    token = token_for(tenant_a, ["decisions.read", "decisions.write"])
    there = ("--server", running_server, "--token", token)

    async def run(*arguments: str) -> str:
        shown = await asyncio.to_thread(lambda: leo(*arguments, *there, state=tmp_path, COLUMNS="200"))
        assert shown.returncode == 0, shown.stderr
        return shown.stdout

    for number, amount in enumerate((20, 70, 120)):
        attributes = json.dumps({"amount": amount})
        await run("decide", "ann", "--source-event-id", f"order-{number}", "--attributes", attributes)
    draft = tmp_path / "draft.json"
    draft.write_text(json.dumps(DRAFT))
    report = await run("backtest", str(draft), "--since", "2020-01-01")
    lines = {" ".join(line.split()) for line in report.replace("│", " ").splitlines()}
    assert "messages of the draft 2" in lines
    assert "something instead of nothing 1" in lines
    assert "SELECTED 2" in lines
    (changed,) = (line for line in lines if "order-1" in line)
    assert changed.endswith("CONDITION_MISS thanks")
    task_id = await proof.fetchval("SELECT task_id FROM agent_task WHERE outcome = 'send'")
    assert (await run("replay", task_id)).startswith("equal")


@pytest.mark.parametrize("text", ["[1", "7", '{"campaign": "loyalty"}'])
def test_what_is_no_draft_is_said(text: str) -> None:
    with pytest.raises(CommandFailed):
        read_draft(text.encode())
