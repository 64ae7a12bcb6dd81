"""The journey of one profile, from the event to the last row of the delivery log."""

from __future__ import annotations

import json
from datetime import timedelta

import asyncpg
import grpc
import pytest
from leo.activation.v1 import decision_service_pb2 as decisions
from leo.activation.v1 import dispatch_service_pb2 as dispatch

from server.platform.ids import audience_sha256, key_id
from tests.fixtures.erasing import erase
from tests.fixtures.tenants import Tenant
from tests.snapshots.rows import acting_for
from tests.trace.conftest import GetJourney
from tests.trace.history import BUNDLE, DEFINITION, START, TEMPLATE, History


async def test_the_whole_chain_of_a_message(
    journey_for: GetJourney, history: History, tenant_a: Tenant
) -> None:
    await history.profile("ann")
    task_id = await history.sent("ann", 1, "sending", "sent", "bounced")
    journey = (await journey_for(tenant_a, "ann")).journey
    assert journey.profile_id == "ann"
    (step,) = journey.steps

    assert step.event.source_event_id == "ann-1"
    assert step.event.event_type == "purchase"
    assert step.event.occurred_at.ToDatetime(START.tzinfo) == START + timedelta(minutes=1)
    assert json.loads(step.event.attributes) == {"amount": 1}

    decision = step.decision
    assert (decision.task_id, decision.agent_name) == (task_id, "rule_engine")
    assert decision.outcome == decisions.DECISION_OUTCOME_SEND
    assert decision.reason == decisions.DECISION_REASON_SELECTED
    assert (decision.reason_code, decision.summary) == ("SELECTED", "because SELECTED")
    assert decision.rule_bundle_id == BUNDLE
    assert decision.status == "pending"
    assert decision.decided_at.ToDatetime(START.tzinfo) == START + timedelta(minutes=1, seconds=1)
    assert decision.due_at.ToDatetime(START.tzinfo) == START + timedelta(hours=1)
    (candidate,) = decision.candidates
    assert candidate.marketing_event_id == DEFINITION
    assert candidate.event_name == "thanks"
    assert candidate.reason == decisions.DECISION_REASON_SELECTED
    assert candidate.explanation == "thanks: SELECTED"

    assert step.snapshot.is_member
    sha = audience_sha256(["ann"])
    assert step.snapshot.snapshot.audience_sha256 == sha
    assert step.snapshot.snapshot.snapshot_id == key_id("snapshot", history.tenant_id, "all", "1", sha)
    assert (step.snapshot.snapshot.segment_name, step.snapshot.snapshot.member_count) == ("all", 1)

    definition = step.marketing_event
    assert (definition.marketing_event_id, definition.event_name) == (DEFINITION, "thanks")
    assert (definition.campaign_id, definition.template_name) == ("spring", "thanks")
    assert definition.channels == ["email", "telegram"]
    (template,) = definition.templates
    assert (template.template_id, template.channel) == (str(TEMPLATE), "email")
    assert (template.language, template.version) == ("default", 2)


async def test_every_row_of_a_delivery_in_order_and_no_rendered_text(
    journey_for: GetJourney, history: History, tenant_a: Tenant
) -> None:
    await history.profile("ann")
    await history.sent("ann", 1, "sending", "sent", "bounced")
    answer = await journey_for(tenant_a, "ann")
    deliveries = answer.journey.steps[0].deliveries
    assert [delivery.status for delivery in deliveries] == [
        dispatch.DELIVERY_STATUS_QUEUED,
        dispatch.DELIVERY_STATUS_SENDING,
        dispatch.DELIVERY_STATUS_SENT,
        dispatch.DELIVERY_STATUS_BOUNCED,
    ]
    ids = [delivery.delivery_id for delivery in deliveries]
    assert ids == sorted(ids)
    assert {delivery.channel for delivery in deliveries} == {"email"}
    assert len({delivery.delivery_key for delivery in deliveries}) == 1
    queued, sending, sent, bounced = deliveries
    assert (queued.destination, sending.destination) == ("", "ann@example.com")
    assert not queued.HasField("sent_at")
    assert sent.sent_at.ToDatetime(START.tzinfo) == START + timedelta(hours=1)
    assert sent.provider_message_id == "message-1"
    assert bounced.reason == "mailbox full"
    assert all(delivery.recorded_at.seconds > 0 for delivery in deliveries)
    assert b"rendered" not in answer.SerializeToString()


async def test_what_was_not_sent_is_part_of_the_journey(
    journey_for: GetJourney, history: History, tenant_a: Tenant
) -> None:
    await history.profile("ann")
    await history.sent("ann", 1)
    await history.suppressed("ann", 2, "COOLDOWN")
    await history.suppressed("ann", 3, "A_REASON_OF_TOMORROW")
    steps = (await journey_for(tenant_a, "ann")).journey.steps
    assert [step.event.source_event_id for step in steps] == ["ann-3", "ann-2", "ann-1"]
    unknown, suppressed, _ = steps
    assert suppressed.decision.outcome == decisions.DECISION_OUTCOME_SUPPRESSED
    assert suppressed.decision.reason == decisions.DECISION_REASON_COOLDOWN
    assert suppressed.decision.summary == "because COOLDOWN"
    assert [candidate.reason for candidate in suppressed.decision.candidates] == [
        decisions.DECISION_REASON_COOLDOWN
    ]
    assert not suppressed.HasField("snapshot")
    assert not suppressed.HasField("marketing_event")
    assert not suppressed.deliveries
    assert unknown.decision.reason == decisions.DECISION_REASON_UNSPECIFIED
    assert unknown.decision.reason_code == "A_REASON_OF_TOMORROW"


async def test_pages_lead_from_the_newest_to_the_oldest(
    journey_for: GetJourney, history: History, app: asyncpg.Connection, tenant_a: Tenant
) -> None:
    await history.profile("ann")
    # Three of one commit, then two more: those of one commit follow each other by the time of their events.
    async with acting_for(app, tenant_a):
        for number in (2, 1, 3):
            await history.suppressed("ann", number, "NO_CANDIDATE")
    for number in (5, 4):
        await history.suppressed("ann", number, "NO_CANDIDATE")
    expected = ["ann-4", "ann-5", "ann-3", "ann-2", "ann-1"]
    for size in (1, 2, 3, 5):
        seen: list[str] = []
        token = ""
        while token or not seen:
            answer = await journey_for(tenant_a, "ann", size=size, token=token)
            assert len(answer.journey.steps) <= size
            seen.extend(step.event.source_event_id for step in answer.journey.steps)
            token = answer.page.next_page_token
        assert seen == expected


async def test_a_profile_without_decisions_has_an_empty_journey(
    journey_for: GetJourney, history: History, tenant_a: Tenant
) -> None:
    await history.profile("ann")
    answer = await journey_for(tenant_a, "ann")
    assert not answer.journey.steps
    assert not answer.page.next_page_token


async def test_decisions_for_a_profile_that_was_never_known_are_told(
    journey_for: GetJourney, history: History, tenant_a: Tenant
) -> None:
    await history.suppressed("nobody", 1, "PROFILE_UNKNOWN")
    steps = (await journey_for(tenant_a, "nobody")).journey.steps
    assert [step.decision.reason for step in steps] == [decisions.DECISION_REASON_PROFILE_UNKNOWN]


async def test_an_erased_profile_keeps_its_chain_without_its_data(
    journey_for: GetJourney, history: History, app: asyncpg.Connection, tenant_a: Tenant
) -> None:
    await history.profile("ann")
    await history.sent("ann", 1, "sending", "sent")
    async with acting_for(app, tenant_a):
        await erase(app, "ann")
    (step,) = (await journey_for(tenant_a, "ann")).journey.steps
    assert step.decision.reason == decisions.DECISION_REASON_SELECTED
    assert not step.decision.candidates
    assert json.loads(step.event.attributes) == {"erased": True}
    assert {delivery.destination for delivery in step.deliveries} <= {"", "(erased)"}


async def test_another_tenant_finds_nothing(
    journey_for: GetJourney, history: History, app: asyncpg.Connection, tenant_a: Tenant, tenant_b: Tenant
) -> None:
    await history.profile("ann")
    await history.sent("ann", 1, "sending", "sent")
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await journey_for(tenant_b, "ann")
    assert refused.value.code() is grpc.StatusCode.NOT_FOUND
    other = History(app, tenant_b)
    await other.begin()
    await other.profile("ann")
    await other.suppressed("ann", 1, "NO_CONSENT")
    (theirs,) = (await journey_for(tenant_b, "ann")).journey.steps
    assert theirs.decision.reason == decisions.DECISION_REASON_NO_CONSENT
    assert len((await journey_for(tenant_a, "ann")).journey.steps) == 1


@pytest.mark.parametrize(
    ("profile_id", "page"),
    [
        ("", {}),
        (" ", {}),
        ("x" * 201, {}),
        ("a\0b", {}),
        ("ann", {"size": -1}),
        ("ann", {"size": 1001}),
        ("ann", {"token": "x"}),
    ],
)
async def test_bad_input_is_refused(
    journey_for: GetJourney, tenant_a: Tenant, profile_id: str, page: dict[str, object]
) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await journey_for(tenant_a, profile_id, **page)
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_a_token_is_good_for_one_profile(
    journey_for: GetJourney, history: History, tenant_a: Tenant
) -> None:
    await history.profile("ann")
    for number in (1, 2):
        await history.suppressed("ann", number, "NO_CANDIDATE")
    token = (await journey_for(tenant_a, "ann", size=1)).page.next_page_token
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await journey_for(tenant_a, "bob", token=token)
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
