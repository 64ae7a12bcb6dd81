"""GetDecision says why and why not: each candidate with all that it was held against, in words and as data."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import asyncpg
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from leo.activation.v1 import decision_service_pb2 as wire
from leo_client import LeoClient

from server.decisions.evaluation import decide
from server.decisions.model import Reason
from server.decisions.replay.checks import candidate_checks
from tests.decisions.definitions import compiled, decided_inputs, documents
from tests.decisions.shop import DAY_SECONDS, NOON, add_campaign, add_marketing_event, add_profile
from tests.decisions.test_replay import copy_of
from tests.fixtures.server import ClientFor
from tests.fixtures.tenants import Tenant

PLACE_OF = {
    Reason.PROFILE_UNKNOWN: ("profile",),
    Reason.CAMPAIGN_INACTIVE: ("campaign.status", "campaign.period", "period"),
    Reason.SEGMENT_MISS: ("audience",),
    Reason.CONDITION_MISS: ("condition",),
    Reason.NO_ADDRESS: ("channels",),
    Reason.NO_CONSENT: ("channels",),
    Reason.COOLDOWN: ("limits",),
    Reason.CAPPED: ("limits",),
    Reason.LOST_TO: ("rank",),
}


@given(data=st.data(), content=documents)
def test_the_hurdle_that_was_not_taken_is_where_the_last_check_fails(
    data: st.DataObject, content: dict[str, Any]
) -> None:
    asked = data.draw(decided_inputs(content))
    decision = decide(compiled(content), asked)
    for candidate in decision.candidates:
        checks = candidate_checks(candidate, compiled(content), asked, decision.selected, [])
        assert all(made.words for made in checks)
        failed = [made.path for made in checks if not made.holds]
        if candidate.reason is Reason.SELECTED:
            # One channel with an address and a consent is enough.
            assert [path for path in failed if not path.startswith("channels")] == []
        elif candidate.reason is not Reason.LOST_TO or decision.selected is not None:
            assert failed[-1].startswith(PLACE_OF[candidate.reason])


@pytest.fixture
async def client(client_for: ClientFor, app: asyncpg.Connection, tenant_a: Tenant) -> LeoClient:
    """Ann's shop: thanks for big baskets, a letter, an offer for another city and one to her own address."""
    cap = {"channel": "email", "window_seconds": 7 * DAY_SECONDS, "maximum": 1}
    await add_campaign(app, tenant_a, "loyalty")
    await add_campaign(app, tenant_a, "capped", frequency_caps=[cap])
    await add_profile(app, tenant_a, "ann", raw_attributes={"city": "Hue"})
    leaf = {"attribute": "event.amount", "operator": ">=", "value": 100}
    hanoi = {"attribute": "profile.city", "operator": "==", "value": "Hanoi"}
    own = {"attribute": "profile.primary_email", "operator": "starts_with", "value": "bob@"}
    definitions: list[tuple[str, str, dict[str, Any]]] = [
        ("loyalty", "thanks", {"condition": leaf, "cooldown_seconds": DAY_SECONDS}),
        ("capped", "letter", {}),
        ("loyalty", "offer", {"condition": {"all": [leaf, {"not": {"any": [hanoi, own]}}, hanoi]}}),
        ("loyalty", "secret", {"condition": own}),
        ("loyalty", "phone", {"event_channel": "sms", "channels": ["sms"]}),
        ("loyalty", "spare", {}),
    ]
    for number, (campaign, name, columns) in enumerate(definitions):
        await add_marketing_event(app, tenant_a, campaign, name, priority=100 - number, **columns)
    return client_for(tenant_a, ["decisions.read", "decisions.write"])


async def explained(client: LeoClient, source_event_id: str, hours: int) -> Mapping[str, wire.Candidate]:
    """Decide on a purchase for 120, and ask why; the candidates by name."""
    event = wire.Event(
        source_event_id=source_event_id,
        profile_id="ann",
        event_type="purchase",
        attributes=orjson.dumps({"amount": 120}),
    )
    event.occurred_at.FromDatetime(NOON + timedelta(hours=hours))
    await client.decisions.Decide(wire.DecideRequest(event=event))
    answer = await client.decisions.GetDecision(wire.GetDecisionRequest(source_event_id=source_event_id))
    return {candidate.event_name: candidate for candidate in answer.decision.candidates}


def check_at(candidate: wire.Candidate, path: str) -> wire.Check:
    """The one check at a place."""
    (found,) = (check for check in candidate.checks if check.path == path)
    return found


async def test_each_candidate_says_what_it_was_held_against(client: LeoClient) -> None:
    first = await explained(client, "first", 0)
    won = check_at(first["thanks"], "condition")
    assert (won.subject, won.operator, won.expected, won.actual) == ("event.amount", ">=", "100", "120")
    assert won.holds
    assert "120" in won.words
    assert all(check.holds for check in first["thanks"].checks)
    offer = first["offer"]
    assert offer.reason == wire.DECISION_REASON_CONDITION_MISS
    assert check_at(offer, "condition.all[0]").holds
    assert not check_at(offer, "condition.all[1].not.any[0]").holds
    missed = check_at(offer, "condition.all[2]")
    assert (missed.subject, missed.expected, missed.actual) == ("profile.city", '"Hanoi"', '"Hue"')
    hidden = check_at(first["secret"], "condition")
    assert hidden.hidden
    assert (hidden.expected, hidden.actual) == ("", "")
    assert "ann@" not in str(first["secret"])
    assert not check_at(first["phone"], "channels[0].address").holds
    rank = check_at(first["spare"], "rank")
    assert orjson.loads(rank.expected)["priority"] == 100
    assert "thanks" in rank.words

    second = await explained(client, "second", 2)
    assert second["thanks"].reason == wire.DECISION_REASON_COOLDOWN
    cooldown = check_at(second["thanks"], "limits[0]")
    assert orjson.loads(cooldown.expected) == {
        "maximum": 1, "window_seconds": DAY_SECONDS, "of_the_same": ["event"],
    }  # fmt: skip
    assert orjson.loads(cooldown.actual) == {"sends": 1, "at": [NOON.isoformat()]}
    assert check_at(second["letter"], "limits[0]").holds

    third = await explained(client, "third", 4)
    assert third["letter"].reason == wire.DECISION_REASON_CAPPED
    cap = check_at(third["letter"], "limits[0]")
    assert orjson.loads(cap.expected)["of_the_same"] == ["campaign", "channel"]
    assert (cap.subject, cap.holds) == ("cap", False)
    # What is decided later changes no explanation of what was decided before.
    again = await client.decisions.GetDecision(wire.GetDecisionRequest(source_event_id="first"))
    assert {candidate.event_name: candidate for candidate in again.decision.candidates} == first


async def test_a_send_that_was_never_recorded_is_named_as_such(
    client: LeoClient, proof: asyncpg.Connection
) -> None:
    await explained(client, "first", 0)
    task_id = await proof.fetchval("SELECT task_id FROM agent_task WHERE source_event_id = 'first'")

    def in_cooldown(inputs: dict[str, Any]) -> None:
        inputs["verdicts"] = dict.fromkeys(inputs["verdicts"], "cooldown")

    blocked = await copy_of(proof, task_id, inputs=in_cooldown, profile_id="nobody was sent anything")
    answer = await client.decisions.GetDecision(wire.GetDecisionRequest(task_id=blocked))
    (thanks,) = (c for c in answer.decision.candidates if c.event_name == "thanks")
    (failed,) = (check for check in thanks.checks if not check.holds)
    assert failed.path == "limits"
    assert "under way" in failed.words
