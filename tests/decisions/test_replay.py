"""Replay: what was decided comes out again, and whatever is changed in what was recorded shows in its field."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final
from uuid import UUID, uuid4

import asyncpg
import orjson
import pytest
from leo.activation.v1 import decision_service_pb2 as wire
from leo_client import LeoClient
from leo_client.errors import FailedPrecondition, InvalidArgument, NotFound

from server.decisions.model import DecisionRecord
from server.decisions.service import DecisionService
from tests.decisions.shop import DAY_SECONDS, NOON, add_campaign, add_marketing_event, add_profile, purchase
from tests.fixtures.erasing import erase
from tests.fixtures.server import ClientFor
from tests.fixtures.tenants import Tenant

SCOPES: Final = ["decisions.read", "decisions.write"]
BIG_BASKET: Final = {
    "all": [
        {"attribute": "event.amount", "operator": ">=", "value": 100},
        {"attribute": "profile.portfolio_risk_score", "operator": "<", "value": 0.7},
        {"attribute": "count(purchase, 30d)", "operator": "<", "value": 5},
    ]
}
Document = dict[str, Any]
Change = Callable[[Document], object]


@pytest.fixture
async def shop(app: asyncpg.Connection, tenant_a: Tenant) -> str:
    """Thanks for a big basket before a newsletter, at night tomorrow; the id of the thanks."""
    await add_campaign(app, tenant_a, "loyalty", quiet_hours={"start": "22:00", "end": "08:00"})
    await add_profile(app, tenant_a, "ann", portfolio_risk_score="0.30", time_zone="Asia/Ho_Chi_Minh")
    await add_marketing_event(app, tenant_a, "loyalty", "newsletter")
    return await add_marketing_event(
        app,
        tenant_a,
        "loyalty",
        "thanks",
        condition=BIG_BASKET,
        priority=10,
        cooldown_seconds=30 * DAY_SECONDS,
    )


@pytest.fixture
def client(client_for: ClientFor, tenant_a: Tenant, shop: str) -> LeoClient:
    """The shop's client."""
    return client_for(tenant_a, SCOPES)


async def decided(client: LeoClient, source_event_id: str = "order-1", amount: int = 120) -> str:
    """Decide on a purchase of ann's; the decision's id."""
    event = wire.Event(
        source_event_id=source_event_id,
        profile_id="ann",
        event_type="purchase",
        attributes=orjson.dumps({"amount": amount}),
    )
    event.occurred_at.FromDatetime(NOON)
    return (await client.decisions.Decide(wire.DecideRequest(event=event))).decision.task_id


async def copy_of(
    proof: asyncpg.Connection,
    recorded: str,
    *,
    inputs: Change = lambda _: None,
    **columns: Any,
) -> str:
    """Record the decision a second time, as if these inputs had been its own; what is stored never changes."""
    row = dict(await _row(proof, recorded)) | {"task_id": uuid4().hex * 2} | columns
    document = orjson.loads(row["inputs"])
    inputs(document)
    row["inputs"] = orjson.dumps(document).decode()
    places = ", ".join(f"${place}" for place in range(1, len(row) + 1))
    await proof.execute(f"INSERT INTO agent_task ({', '.join(row)}) VALUES ({places})", *row.values())
    return str(row["task_id"])


async def _row(proof: asyncpg.Connection, task_id: str) -> asyncpg.Record:
    row = await proof.fetchrow("SELECT * FROM agent_task WHERE task_id = $1", task_id)
    assert row is not None
    return row


async def differences(client: LeoClient, task_id: str) -> dict[str, tuple[Any, Any]]:
    """Replay; recorded and replayed value of each field that differs."""
    answer = await client.decisions.Replay(wire.ReplayRequest(task_id=task_id))
    assert answer.equal == (not answer.differences)
    return {
        difference.field: (orjson.loads(difference.recorded), orjson.loads(difference.replayed))
        for difference in answer.differences
    }


async def test_a_decision_comes_out_again_by_either_id(client: LeoClient) -> None:
    task_id = await decided(client)
    by_task = await client.decisions.Replay(wire.ReplayRequest(task_id=task_id))
    by_event = await client.decisions.Replay(wire.ReplayRequest(source_event_id="order-1"))
    details = await client.decisions.GetDecision(wire.GetDecisionRequest(task_id=task_id))
    assert by_task == by_event
    assert by_task.equal
    assert by_task.recorded_output_sha256 == by_task.replayed_output_sha256 == details.output_sha256
    assert by_task.rule_bundle_id == details.rule_bundle_id


def _arm(document: Document) -> None:
    thanks = next(iter(document["verdicts"]))
    view = {"experiment_id": "e", "variant": "b", "template_name": "warm", "propensity": 0.5}
    document["arms"] = {thanks: view | {"seed": 1, "draw": 0.7}}


CHANGES: Final[Mapping[str, tuple[Change, set[str]]]] = {
    "event": (
        lambda inputs: inputs["event"]["attributes"].update(amount=99),
        {"reason", "outcome", "marketing_event_id", "channels", "due_at", "candidates.thanks"},
    ),
    "profile": (
        lambda inputs: inputs["profile"]["attributes"].update(portfolio_risk_score="0.70"),
        {"reason", "outcome", "marketing_event_id", "channels", "due_at", "candidates.thanks"},
    ),
    "past events": (
        lambda inputs: inputs["aggregates"].update({"count(purchase, 30d)": 5}),
        {"reason", "outcome", "marketing_event_id", "channels", "due_at", "candidates.thanks"},
    ),
    "consent": (
        lambda inputs: inputs["profile"].update(consented=[]),
        {"reason", "outcome", "marketing_event_id", "channels", "due_at", "candidates.thanks",
         "candidates.newsletter"},
    ),
    "reservation": (
        lambda inputs: inputs["verdicts"].update(dict.fromkeys(inputs["verdicts"], "cooldown")),
        {"reason", "outcome", "marketing_event_id", "channels", "due_at", "candidates.thanks"},
    ),
    "holdout": (
        lambda inputs: inputs.update(holdout={"fraction": 0.2, "seed": 1, "draw": 0.1}),
        {"reason", "outcome", "marketing_event_id", "channels", "due_at", "candidates.thanks",
         "candidates.newsletter"},
    ),
    "arm": (_arm, {"arm", "candidates.thanks.arm"}),
    "clock": (lambda inputs: inputs.update(decided_at="2026-03-02T16:30:00+00:00"), {"due_at"}),
    "zone": (
        lambda inputs: (inputs.update(decided_at="2026-03-02T16:30:00+00:00"),
                        inputs["profile"].update(time_zone="Europe/Paris")),
        {"due_at"},
    ),
}  # fmt: skip


async def test_whatever_is_changed_shows_in_its_field(
    client: LeoClient, shop: str, proof: asyncpg.Connection
) -> None:
    task_id = await decided(client)
    names = {row["marketing_event_id"]: row["event_name"] for row in await proof.fetch(
        "SELECT marketing_event_id, event_name FROM marketing_event")}  # fmt: skip
    for what, (change, fields) in CHANGES.items():
        found = await differences(client, await copy_of(proof, task_id, inputs=change))
        readable = {_readable(field, names) for field in found}
        assert readable == {*fields, "output_sha256"}, what
    held_out = await differences(client, await copy_of(proof, task_id, inputs=CHANGES["holdout"][0]))
    assert held_out["reason"] == ("SELECTED", "HOLDOUT")
    assert held_out["outcome"] == ("send", "suppressed")
    assert held_out["marketing_event_id"] == (shop, None)
    assert held_out["channels"] == (["email"], [])
    assert held_out[f"candidates.{shop}"] == ("SELECTED", "HOLDOUT")
    drawn = await differences(client, await copy_of(proof, task_id, inputs=_arm))
    assert drawn["arm"][0] is None
    assert drawn["arm"][1]["variant"] == "b"


def _readable(field: str, names: Mapping[str, str]) -> str:
    for identity, name in names.items():
        field = field.replace(identity, name)
    return field


async def test_a_changed_rule_shows_and_a_changed_definition_does_not(
    client: LeoClient, shop: str, proof: asyncpg.Connection, app: asyncpg.Connection, tenant_a: Tenant
) -> None:
    task_id = await decided(client)
    row = await _row(proof, task_id)
    bundle = orjson.loads((await _row(proof, row["rule_bundle_id"]))["inputs"])
    thanks = next(made for made in bundle["marketing_events"] if made["marketing_event_id"] == shop)
    thanks["condition"]["all"][0]["value"] = 200
    await copy_of(
        proof, row["rule_bundle_id"], task_id="f" * 64, inputs=lambda document: document.update(bundle)
    )
    found = await differences(client, await copy_of(proof, task_id, rule_bundle_id="f" * 64))
    assert found[f"candidates.{shop}"] == ("SELECTED", "CONDITION_MISS")

    async with app.transaction():
        await app.execute("SELECT set_config('app.current_tenant_id', $1, true)", str(UUID(int=tenant_a.int)))
        await app.execute("UPDATE marketing_event SET status = 'superseded'")
        await app.execute("UPDATE campaign SET status = 'paused'")
    assert await differences(client, task_id) == {}
    now = await client.decisions.GetDecision(
        wire.GetDecisionRequest(task_id=await decided(client, "order-2"))
    )
    assert now.decision.reason == wire.DECISION_REASON_NO_CANDIDATE


async def test_what_was_written_beside_the_hash_is_compared_as_well(
    client: LeoClient, proof: asyncpg.Connection
) -> None:
    task_id = await decided(client)
    forged = await copy_of(proof, task_id, reason_code="CAPPED", output_sha256="0" * 64)
    found = await differences(client, forged)
    assert set(found) == {"reason", "output_sha256"}
    assert found["reason"] == ("CAPPED", "SELECTED")


async def test_what_can_not_be_replayed_says_why(
    client: LeoClient, proof: asyncpg.Connection, app: asyncpg.Connection, tenant_a: Tenant
) -> None:
    task_id = await decided(client)
    details = await client.decisions.GetDecision(wire.GetDecisionRequest(task_id=task_id))
    for wrong in (wire.ReplayRequest(), wire.ReplayRequest(task_id="x")):
        with pytest.raises(InvalidArgument):
            await client.decisions.Replay(wrong)
    for absent in ("a" * 64, details.rule_bundle_id):
        with pytest.raises(NotFound):
            await client.decisions.Replay(wire.ReplayRequest(task_id=absent))
    orphan = await copy_of(proof, task_id, rule_bundle_id="e" * 64)
    with pytest.raises(FailedPrecondition) as unusable:
        await client.decisions.Replay(wire.ReplayRequest(task_id=orphan))
    assert unusable.value.reason == "BUNDLE_UNUSABLE"
    async with app.transaction():
        await app.execute("SELECT set_config('app.current_tenant_id', $1, true)", str(UUID(int=tenant_a.int)))
        await erase(app, "ann")
    with pytest.raises(FailedPrecondition) as redacted:
        await client.decisions.Replay(wire.ReplayRequest(task_id=task_id))
    assert redacted.value.reason == "INPUTS_REDACTED"
    left = await client.decisions.GetDecision(wire.GetDecisionRequest(task_id=task_id))
    assert (left.decision.reason, list(left.decision.candidates)) == (wire.DECISION_REASON_SELECTED, [])


async def test_another_tenants_decision_is_not_found(
    client: LeoClient, client_for: ClientFor, tenant_b: Tenant
) -> None:
    task_id = await decided(client)
    with pytest.raises(NotFound):
        await client_for(tenant_b, SCOPES).decisions.Replay(wire.ReplayRequest(task_id=task_id))


async def test_a_dispatch_names_its_marketing_event_whatever_came_of_it(
    client: LeoClient, decisions: DecisionService, shop: str, proof: asyncpg.Connection, tenant_a: Tenant
) -> None:
    await decisions.decide_batch(tenant_a, [purchase("earlier", amount=120)])
    (answer,) = await decisions.decide_members(
        tenant_a,
        plan_task_id="p",
        marketing_event_id=shop,
        snapshot_id="s",
        profile_ids=["ann"],
        occurred_at=NOON,
    )
    assert isinstance(answer, DecisionRecord)
    assert answer.marketing_event_id is None
    recorded = orjson.loads((await _row(proof, answer.task_id))["inputs"])
    assert recorded["dispatch"] == {"plan_task_id": "p", "marketing_event_id": shop, "snapshot_id": "s"}
    assert await differences(client, answer.task_id) == {}
