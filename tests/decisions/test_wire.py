"""DecisionService through the real server and the real stubs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import asyncpg
import grpc
import orjson
import pytest
from leo.activation.v1 import decision_service_pb2 as wire
from leo.activation.v1 import error_reason_pb2
from leo_client import LeoClient
from leo_client.errors import AlreadyExists, InvalidArgument, NotFound, PermissionDenied

from tests.decisions.shop import DAY_SECONDS, NOON, add_campaign, add_marketing_event, add_profile
from tests.fixtures.server import ClientFor
from tests.fixtures.tenants import Tenant

SCOPES = ["decisions.read", "decisions.write"]
BIG_BASKET = {"attribute": "event.amount", "operator": ">=", "value": 100}


@pytest.fixture
async def shop(app: asyncpg.Connection, tenant_a: Tenant) -> str:
    """Thanks for a big basket, at most every 30 days, and a newsletter; the id of the thanks."""
    await add_campaign(app, tenant_a, "loyalty")
    await add_profile(app, tenant_a, "ann")
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


def event(source_event_id: str, day: int = 0, **attributes: object) -> wire.Event:
    """A purchase of ann's."""
    message = wire.Event(
        source_event_id=source_event_id,
        profile_id="ann",
        event_type="purchase",
        attributes=orjson.dumps(attributes),
    )
    message.occurred_at.FromDatetime(NOON + timedelta(days=day))
    return message


async def test_decide_answers_what_was_recorded(client: LeoClient, shop: str) -> None:
    before = datetime.now(UTC)
    response = await client.decisions.Decide(wire.DecideRequest(event=event("order-1", amount=120)))
    decision = response.decision
    assert decision.outcome == wire.DECISION_OUTCOME_SEND
    assert decision.reason == wire.DECISION_REASON_SELECTED
    assert decision.marketing_event_id == shop
    assert list(decision.channels) == ["email"]
    assert decision.source_event_id == "order-1"
    assert len(decision.task_id) == 64
    assert not decision.duplicate
    assert not decision.candidates
    assert decision.decided_at.ToDatetime(UTC) >= before
    assert decision.due_at == decision.decided_at
    assert "120" in decision.reason_summary


async def test_a_suppressed_event_has_no_delivery_fields(client: LeoClient, shop: str) -> None:
    unknown = event("order-1", amount=120)
    unknown.profile_id = "nobody"
    decision = (await client.decisions.Decide(wire.DecideRequest(event=unknown))).decision
    assert decision.outcome == wire.DECISION_OUTCOME_SUPPRESSED
    assert decision.reason == wire.DECISION_REASON_PROFILE_UNKNOWN
    assert not decision.marketing_event_id
    assert not decision.channels
    assert not decision.HasField("due_at")


async def test_candidates_are_listed_where_they_are_asked_for(client: LeoClient) -> None:
    request = wire.DecideRequest(event=event("order-1", amount=120), include_candidates=True)
    expected = [
        ("thanks", wire.DECISION_REASON_SELECTED),
        ("newsletter", wire.DECISION_REASON_LOST_TO),
    ]
    for duplicate in (False, True):
        decision = (await client.decisions.Decide(request)).decision
        assert decision.duplicate is duplicate
        assert [(c.event_name, c.reason) for c in decision.candidates] == expected
        assert all(c.explanation and c.marketing_event_id for c in decision.candidates)
    request.include_candidates = False
    assert not (await client.decisions.Decide(request)).decision.candidates


async def test_the_same_event_again_gets_the_first_answer(
    client: LeoClient, proof: asyncpg.Connection
) -> None:
    request = wire.DecideRequest(event=event("order-1", amount=120))
    first = (await client.decisions.Decide(request)).decision
    answers = [
        response.decision
        for response in await asyncio.gather(*(client.decisions.Decide(request) for _ in range(20)))
    ]
    first.duplicate = True
    assert answers == [first] * 20
    assert await proof.fetchval("SELECT count(*) FROM agent_task WHERE task_type = 'execute'") == 1
    assert await proof.fetchval("SELECT count(*) FROM behavioral_events") == 1


async def test_concurrent_first_calls_agree_on_one_answer(
    client: LeoClient, proof: asyncpg.Connection
) -> None:
    request = wire.DecideRequest(event=event("order-1", amount=120))
    responses = await asyncio.gather(*(client.decisions.Decide(request) for _ in range(30)))
    assert sum(not response.decision.duplicate for response in responses) == 1
    for response in responses:
        response.decision.duplicate = False
    assert all(response == responses[0] for response in responses)
    assert await proof.fetchval("SELECT count(*) FROM delivery_log") == 1


async def test_another_body_under_the_same_id_is_refused_with_the_first_fingerprint(
    client: LeoClient, proof: asyncpg.Connection
) -> None:
    await client.decisions.Decide(wire.DecideRequest(event=event("order-1", amount=120)))
    with pytest.raises(AlreadyExists) as refused:
        await client.decisions.Decide(wire.DecideRequest(event=event("order-1", amount=121)))
    assert refused.value.reason == "EVENT_BODY_CHANGED"
    stored = await proof.fetchval("SELECT input_sha256 FROM agent_task WHERE task_type = 'execute'")
    assert refused.value.metadata == {"source_event_id": "order-1", "first_input_sha256": stored}


async def test_a_bad_event_is_refused_with_every_field(client: LeoClient) -> None:
    with pytest.raises(InvalidArgument) as refused:
        await client.decisions.Decide(wire.DecideRequest(event=wire.Event()))
    assert {violation.field for violation in refused.value.violations} == {
        "event.source_event_id",
        "event.profile_id",
        "event.event_type",
        "event.occurred_at",
    }


def mixed() -> list[wire.Event]:
    """Good events among bad ones."""
    nameless = event("nameless", amount=100)
    nameless.profile_id = ""
    timeless = event("timeless", amount=100)
    timeless.ClearField("occurred_at")
    return [
        event("1", amount=100),
        nameless,
        event("1", amount=100),
        event("1", amount=101),
        timeless,
        event("2", day=1, amount=100),
        event("3", day=30, amount=100),
    ]


def told(results: list[wire.DecisionResult]) -> list[tuple[str, str]]:
    """Each result in words."""
    return [
        (
            wire.DecisionReason.Name(result.decision.reason).removeprefix("DECISION_REASON_"),
            "again" if result.decision.duplicate else "",
        )
        if result.HasField("decision")
        else (error_reason_pb2.ErrorReason.Name(result.error.reason), result.error.field)
        for result in results
    ]


MIXED = [
    ("SELECTED", ""),
    ("INVALID_FIELD", "events[1].profile_id"),
    ("SELECTED", "again"),
    ("EVENT_BODY_CHANGED", ""),
    ("INVALID_FIELD", "events[4].occurred_at"),
    ("SELECTED", ""),
    ("SELECTED", ""),
]


async def test_a_batch_answers_each_event_on_its_own(client: LeoClient, shop: str) -> None:
    request = wire.DecideBatchRequest(events=mixed(), include_candidates=True)
    results = list((await client.decisions.DecideBatch(request)).results)
    assert told(results) == MIXED
    within_the_cooldown = results[5].decision
    assert [(c.event_name, c.reason) for c in within_the_cooldown.candidates] == [
        ("thanks", wire.DECISION_REASON_COOLDOWN),
        ("newsletter", wire.DECISION_REASON_SELECTED),
    ]
    assert results[6].decision.marketing_event_id == shop
    assert all(result.error.message for result in results if result.HasField("error"))


@pytest.mark.parametrize("count", [0, 1_001])
async def test_a_batch_has_bounds(client: LeoClient, count: int) -> None:
    with pytest.raises(InvalidArgument) as refused:
        await client.decisions.DecideBatch(wire.DecideBatchRequest(events=[event("1")] * count))
    assert [violation.field for violation in refused.value.violations] == ["events"]


async def test_a_batch_of_nothing_but_faults_is_answered(client: LeoClient) -> None:
    response = await client.decisions.DecideBatch(wire.DecideBatchRequest(events=[wire.Event()] * 2))
    assert [result.error.field for result in response.results] == [
        "events[0].source_event_id",
        "events[1].source_event_id",
    ]


async def test_a_stream_answers_request_by_request_in_order(client: LeoClient) -> None:
    async def requests() -> AsyncIterator[wire.DecideStreamRequest]:
        for message in range(20):
            events = [event(f"{message}-{position}", amount=1) for position in range(message % 5 + 1)]
            yield wire.DecideStreamRequest(events=events)
        yield wire.DecideStreamRequest(events=mixed())

    answers = [answer async for answer in client.decisions.DecideStream(requests())]
    assert [[result.decision.source_event_id for result in answer.results] for answer in answers[:-1]] == [
        [f"{message}-{position}" for position in range(message % 5 + 1)] for message in range(20)
    ]
    assert told(list(answers[-1].results)) == MIXED


async def test_an_answer_of_a_stream_does_not_wait_for_the_next_request(client: LeoClient) -> None:
    answered = asyncio.Event()

    async def requests() -> AsyncIterator[wire.DecideStreamRequest]:
        yield wire.DecideStreamRequest(events=[event("1", amount=1)])
        await answered.wait()
        yield wire.DecideStreamRequest(events=[event("2", amount=1)])

    found = []
    async for answer in client.decisions.DecideStream(requests()):
        found.append(answer.results[0].decision.source_event_id)
        answered.set()
    assert found == ["1", "2"]


async def test_an_empty_request_ends_a_stream_after_the_answers_before_it(client: LeoClient) -> None:
    async def requests() -> AsyncIterator[wire.DecideStreamRequest]:
        yield wire.DecideStreamRequest(events=[event("1", amount=1)])
        yield wire.DecideStreamRequest()

    found = []
    with pytest.raises(InvalidArgument) as refused:
        async for answer in client.decisions.DecideStream(requests()):
            found.append(answer)
    assert len(found) == 1
    assert [violation.field for violation in refused.value.violations] == ["events"]


async def test_get_decision_by_either_id_tells_everything(
    client: LeoClient, proof: asyncpg.Connection
) -> None:
    request = wire.DecideRequest(event=event("order-1", amount=120), include_candidates=True)
    decided = (await client.decisions.Decide(request)).decision
    by_task = await client.decisions.GetDecision(wire.GetDecisionRequest(task_id=decided.task_id))
    by_event = await client.decisions.GetDecision(wire.GetDecisionRequest(source_event_id="order-1"))
    assert by_task == by_event
    for candidate in by_task.decision.candidates:
        assert candidate.checks
        candidate.ClearField("checks")
    assert by_task.decision == decided
    assert (by_task.profile_id, by_task.event_type) == ("ann", "purchase")
    assert by_task.occurred_at.ToDatetime(UTC) == NOON
    inputs = orjson.loads(by_task.inputs)
    assert inputs["event"]["attributes"] == {"amount": 120}
    assert inputs["profile"]["consented"] == ["email"]
    trace = orjson.loads(by_task.reasoning_trace)
    assert [candidate["reason"] for candidate in trace["candidates"]] == ["SELECTED", "LOST_TO"]
    stored = await proof.fetchrow("SELECT * FROM agent_task WHERE task_id = $1", decided.task_id)
    assert stored is not None
    assert (by_task.output_sha256, by_task.snapshot_id) == (stored["output_sha256"], stored["snapshot_id"])
    bundle = await proof.fetchval("SELECT inputs FROM agent_task WHERE task_id = $1", by_task.rule_bundle_id)
    assert {e["event_name"] for e in orjson.loads(bundle)["marketing_events"]} == {"thanks", "newsletter"}


async def test_get_decision_wants_one_id_of_a_decision(client: LeoClient) -> None:
    for request in (
        wire.GetDecisionRequest(),
        wire.GetDecisionRequest(task_id="a" * 64, source_event_id="order-1"),
        wire.GetDecisionRequest(task_id="no hash"),
    ):
        with pytest.raises(InvalidArgument):
            await client.decisions.GetDecision(request)
    with pytest.raises(NotFound):
        await client.decisions.GetDecision(wire.GetDecisionRequest(source_event_id="never"))
    decided = (await client.decisions.Decide(wire.DecideRequest(event=event("order-1", amount=1)))).decision
    details = await client.decisions.GetDecision(wire.GetDecisionRequest(task_id=decided.task_id))
    with pytest.raises(NotFound):
        await client.decisions.GetDecision(wire.GetDecisionRequest(task_id=details.rule_bundle_id))


async def test_tenants_share_nothing(
    client: LeoClient, client_for: ClientFor, tenant_b: Tenant, proof: asyncpg.Connection
) -> None:
    other = client_for(tenant_b, SCOPES)
    request = wire.DecideRequest(event=event("order-1", amount=120))
    ours = (await client.decisions.Decide(request)).decision
    with pytest.raises(NotFound):
        await other.decisions.GetDecision(wire.GetDecisionRequest(task_id=ours.task_id))
    with pytest.raises(NotFound):
        await other.decisions.GetDecision(wire.GetDecisionRequest(source_event_id="order-1"))
    theirs = (await other.decisions.Decide(request)).decision
    assert theirs.task_id != ours.task_id
    assert theirs.reason == wire.DECISION_REASON_PROFILE_UNKNOWN
    assert not theirs.duplicate
    rows = await proof.fetch("SELECT tenant_id FROM agent_task WHERE source_event_id = 'order-1'")
    assert len({row["tenant_id"] for row in rows}) == 2


async def test_each_call_needs_its_scope(client_for: ClientFor, tenant_a: Tenant) -> None:
    reader, writer = (client_for(tenant_a, [f"decisions.{right}"]) for right in ("read", "write"))
    for refused in (
        reader.decisions.Decide(wire.DecideRequest(event=event("1"))),
        reader.decisions.DecideBatch(wire.DecideBatchRequest(events=[event("1")])),
        writer.decisions.GetDecision(wire.GetDecisionRequest(source_event_id="1")),
    ):
        with pytest.raises(PermissionDenied) as caught:
            await refused
        assert caught.value.code is grpc.StatusCode.PERMISSION_DENIED
