"""`leo decide`, as a user types it, against a running server."""

from __future__ import annotations

import asyncio
from pathlib import Path

import asyncpg
import pytest

from tests.cli.test_cli import leo
from tests.decisions.shop import add_campaign, add_marketing_event, add_profile
from tests.fixtures.tenants import Tenant
from tests.fixtures.tokens import TokenFor

BIG_BASKET = {"attribute": "event.amount", "operator": ">=", "value": 100}


@pytest.fixture
async def shop(app: asyncpg.Connection, tenant_a: Tenant) -> None:
    """Thanks for a big basket."""
    await add_campaign(app, tenant_a, "loyalty")
    await add_marketing_event(app, tenant_a, "loyalty", "thanks", condition=BIG_BASKET)
    await add_profile(app, tenant_a, "ann")


@pytest.mark.usefixtures("shop")
async def test_a_decision_is_shown_with_every_candidate_and_is_made_once(
    running_server: str, token_for: TokenFor, tenant_a: Tenant, tmp_path: Path
) -> None:
    token = token_for(tenant_a, ["decisions.write"])

    async def decide(source_event_id: str, amount: int) -> str:
        arguments = ["decide", "ann", "--source-event-id", source_event_id, "--occurred-at", "2026-03-02"]
        arguments += ["--attributes", f'{{"amount": {amount}}}', "--server", running_server, "--token", token]
        shown = await asyncio.to_thread(lambda: leo(*arguments, state=tmp_path))
        assert shown.returncode == 0, shown.stderr
        return shown.stdout

    sent = await decide("first", 120)
    assert sent.startswith("send  SELECTED: thanks: selected because")
    assert "email" in sent
    assert "decided before" in await decide("first", 120)
    suppressed = await decide("second", 20)
    assert suppressed.startswith("suppressed  CONDITION_MISS: thanks")
    assert "CONDITION_MISS  thanks: it does not hold that" in suppressed


async def test_bad_attributes_are_named(
    running_server: str, token_for: TokenFor, tenant_a: Tenant, tmp_path: Path
) -> None:
    arguments = ["decide", "ann", "--attributes", "[1]", "--server", running_server]
    token = token_for(tenant_a, ["decisions.write"])
    result = await asyncio.to_thread(lambda: leo(*arguments, state=tmp_path, LEO_TOKEN=token))
    assert result.returncode == 1
    assert "event.attributes" in result.stderr
    assert "Traceback" not in result.stderr
