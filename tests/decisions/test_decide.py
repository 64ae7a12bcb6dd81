"""Decide end to end below the wire: what is chosen, why, and what is recorded."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

import asyncpg
import orjson
import pytest

from server.decisions.model import DecisionRecord, Outcome, Reason
from server.decisions.service import DecisionService
from server.errors import AlreadyExists, InvalidInput
from tests.decisions.shop import DAY_SECONDS, NOON, add_campaign, add_marketing_event, add_profile, purchase

BIG_BASKET = {"attribute": "event.amount", "operator": ">=", "value": 100}
VIP = {"attribute": "segment", "operator": "contains", "value": "vip"}


async def reasons(service: DecisionService, tenant_id: UUID, *events: object) -> list[str]:
    """The reason of each event's decision, decided as one batch."""
    answers = await service.decide_batch(tenant_id, list(events))  # type: ignore[arg-type]
    return [answer.reason for answer in answers if isinstance(answer, DecisionRecord)]


@pytest.fixture
async def shop(app: asyncpg.Connection, tenant_a: UUID) -> str:
    """Thanks for a big basket, at most every 30 days; the id of that marketing event."""
    await add_campaign(app, tenant_a, "loyalty")
    await add_profile(app, tenant_a, "ann")
    await add_profile(app, tenant_a, "bob", consents=())
    await add_profile(app, tenant_a, "cid", primary_email=None)
    return await add_marketing_event(
        app,
        tenant_a,
        "loyalty",
        "thanks",
        condition=BIG_BASKET,
        priority=10,
        cooldown_seconds=30 * DAY_SECONDS,
    )


async def test_a_send_records_the_whole_chain(
    decisions: DecisionService, tenant_a: UUID, shop: str, proof: asyncpg.Connection
) -> None:
    record = await decisions.decide(tenant_a, purchase("order-1", amount=120))
    assert (record.outcome, record.reason, record.marketing_event_id) == (Outcome.SEND, Reason.SELECTED, shop)
    assert "120" in record.summary
    row = await proof.fetchrow(
        """
        SELECT task.status, task.queue, event.attributes, snapshot.member_count, member.profile_id,
            delivery.delivery_status, bundle.task_type
        FROM agent_task AS task
        JOIN behavioral_events AS event ON event.source_event_id = task.source_event_id
        JOIN segment_snapshot AS snapshot ON snapshot.snapshot_id = task.snapshot_id
        JOIN segment_snapshot_member AS member ON member.snapshot_id = task.snapshot_id
        JOIN delivery_log AS delivery ON delivery.task_id = task.task_id
        JOIN agent_task AS bundle ON bundle.task_id = task.rule_bundle_id
        WHERE task.task_id = $1
        """,
        record.task_id,
    )
    assert row is not None
    assert tuple(row) == ("pending", "email", '{"amount": 120}', 1, "ann", "queued", "plan")


async def test_every_hurdle_has_its_reason(decisions: DecisionService, tenant_a: UUID, shop: str) -> None:
    assert await reasons(
        decisions,
        tenant_a,
        purchase("1", amount=99),
        purchase("2", "bob", amount=100),
        purchase("3", "cid", amount=100),
        purchase("4", "nobody", amount=100),
        purchase("5", amount=100),
        purchase("6", amount=100, occurred_at=NOON + timedelta(days=29)),
        purchase("7", amount=100, occurred_at=NOON + timedelta(days=30)),
        purchase("8", amount=100, occurred_at=NOON - timedelta(days=30)),
        purchase("9", amount=100, occurred_at=NOON - timedelta(days=29)),
    ) == [
        Reason.CONDITION_MISS,
        Reason.NO_CONSENT,
        Reason.NO_ADDRESS,
        Reason.PROFILE_UNKNOWN,
        Reason.SELECTED,
        Reason.COOLDOWN,
        Reason.SELECTED,
        Reason.SELECTED,
        Reason.COOLDOWN,
    ]


async def test_the_best_candidate_wins_and_the_losers_say_why(
    decisions: DecisionService, tenant_a: UUID, shop: str, app: asyncpg.Connection
) -> None:
    await add_marketing_event(app, tenant_a, "loyalty", "any purchase", priority=1)
    await add_campaign(app, tenant_a, "ended", end_at=NOON)
    await add_marketing_event(app, tenant_a, "ended", "old", priority=99)
    vip = {"name": "vip", "condition": VIP, "version": "1"}
    await add_campaign(app, tenant_a, "vips", audience=vip)
    await add_marketing_event(app, tenant_a, "vips", "vip offer", priority=50)
    record = await decisions.decide(tenant_a, purchase("order-1", amount=120))
    assert [(c.event_name, c.reason) for c in record.candidates] == [
        ("old", "CAMPAIGN_INACTIVE"),
        ("vip offer", "SEGMENT_MISS"),
        ("thanks", "SELECTED"),
        ("any purchase", "LOST_TO"),
    ]


async def test_the_same_event_gets_the_first_answer_and_a_changed_one_is_refused(
    decisions: DecisionService, tenant_a: UUID, shop: str, proof: asyncpg.Connection
) -> None:
    first = await decisions.decide(tenant_a, purchase("order-1", amount=120))
    again = await decisions.decide(tenant_a, purchase("order-1", amount=120))
    assert again.duplicate
    assert again.task_id == first.task_id
    assert again.due_at == first.due_at
    with pytest.raises(AlreadyExists) as refused:
        await decisions.decide(tenant_a, purchase("order-1", amount=121))
    assert refused.value.reason == "EVENT_BODY_CHANGED"
    assert await proof.fetchval("SELECT count(*) FROM agent_task WHERE task_type = 'execute'") == 1
    assert await proof.fetchval("SELECT count(*) FROM delivery_log") == 1


async def test_a_batch_answers_good_and_bad_events_each_on_its_own(
    decisions: DecisionService, tenant_a: UUID, shop: str
) -> None:
    answers = await decisions.decide_batch(
        tenant_a,
        [
            purchase("1", amount=100),
            purchase("", amount=100),
            purchase("1", amount=100),
            purchase("1", amount=101),
            purchase("2", amount=1),
        ],
    )
    assert isinstance(answers[0], DecisionRecord)
    assert isinstance(answers[1], InvalidInput)
    assert answers[1].violations[0].field == "events[1].source_event_id"
    assert isinstance(answers[2], DecisionRecord)
    assert answers[2].duplicate
    assert isinstance(answers[3], AlreadyExists)
    assert isinstance(answers[4], DecisionRecord)


async def test_a_changed_definition_is_noticed_by_the_next_decision(
    decisions: DecisionService, tenant_a: UUID, shop: str, app: asyncpg.Connection
) -> None:
    assert await reasons(decisions, tenant_a, purchase("1", amount=50)) == [Reason.CONDITION_MISS]
    await add_marketing_event(app, tenant_a, "loyalty", "any purchase")
    assert await reasons(decisions, tenant_a, purchase("2", amount=50)) == [Reason.SELECTED]


async def test_caps_count_every_message_of_their_scope(
    decisions: DecisionService, tenant_a: UUID, app: asyncpg.Connection
) -> None:
    await add_profile(app, tenant_a, "ann")
    caps = [{"channel": "email", "window_seconds": 7 * DAY_SECONDS, "maximum": 2}]
    await add_campaign(app, tenant_a, "capped", frequency_caps=caps)
    await add_marketing_event(app, tenant_a, "capped", "hello")
    found = await reasons(
        decisions,
        tenant_a,
        *(purchase(str(day), occurred_at=NOON + timedelta(days=day)) for day in (0, 3, 6, 7, 10)),
    )
    assert found == [Reason.SELECTED, Reason.SELECTED, Reason.CAPPED, Reason.SELECTED, Reason.SELECTED]


async def test_quiet_hours_move_the_delivery(
    decisions: DecisionService, tenant_a: UUID, app: asyncpg.Connection
) -> None:
    await add_profile(app, tenant_a, "ann", time_zone="Asia/Ho_Chi_Minh")
    await add_campaign(app, tenant_a, "quiet", quiet_hours={"start": "00:00", "end": "23:59"})
    await add_marketing_event(app, tenant_a, "quiet", "hello")
    record = await decisions.decide(tenant_a, purchase("1"))
    assert record.due_at is not None
    assert (record.due_at.hour, record.due_at.minute) == (16, 59)
    assert record.due_at > record.decided_at


async def test_windows_over_past_events_count_the_batch_too(
    decisions: DecisionService, tenant_a: UUID, app: asyncpg.Connection
) -> None:
    await add_profile(app, tenant_a, "ann")
    await add_campaign(app, tenant_a, "third")
    third = {"attribute": "count(purchase, 30d)", "operator": "==", "value": 2}
    await add_marketing_event(app, tenant_a, "third", "third purchase", condition=third)
    await decisions.decide(tenant_a, purchase("0"))
    found = await reasons(
        decisions,
        tenant_a,
        *(purchase(str(day), occurred_at=NOON + timedelta(days=day)) for day in (1, 2, 3)),
    )
    assert found == [Reason.CONDITION_MISS, Reason.SELECTED, Reason.CONDITION_MISS]


async def test_get_decision_tells_inputs_and_reasons(
    decisions: DecisionService, tenant_a: UUID, shop: str
) -> None:
    record = await decisions.decide(tenant_a, purchase("order-1", amount=120))
    details = await decisions.get_decision(tenant_a, task=record.task_id, source_event_id="")
    assert details.record == record
    inputs = orjson.loads(details.row["inputs"])
    assert inputs["event"]["attributes"] == {"amount": 120}
    assert inputs["verdicts"] == {shop: "held"}


async def test_a_changed_body_does_not_spoil_the_stored_one_of_its_batch(
    decisions: DecisionService, tenant_a: UUID, shop: str
) -> None:
    first = await decisions.decide(tenant_a, purchase("1", amount=100))
    changed, again = await decisions.decide_batch(
        tenant_a, [purchase("1", amount=101), purchase("1", amount=100)]
    )
    assert isinstance(changed, AlreadyExists)
    assert again == first._replace(duplicate=True)
