"""Alerts that quiet hours held back: one message, and a line for each in the log."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any, Final

import pytest

from server.dispatch.claims import Attempt, Fact, Status, Step, Subject, TaskEnd, TaskStatus
from server.dispatch.digests import IN_DIGEST, SPLIT, spread
from server.dispatch.outcomes import expired
from server.platform.clock import utc_now
from server.trace.explanation import explain
from server.trace.store import TraceStore
from tests.dispatch.conftest import Fleet, Log, email_channel
from tests.dispatch.decided import Decided, Decisions, Definitions
from tests.dispatch.scripted_smtp import ScriptedSmtp
from tests.fixtures.tenants import Tenant

BODY: Final = (
    "{{ digest.count }} alerts, the last of {{ event.symbol }}:"
    "{% for item in digest.items %} {{ item.symbol }}{% endfor %}"
)


async def alerts(
    decisions: Decisions, definitions: Definitions, symbols: str, profile_id: str = "lan", **options: Any
) -> list[Decided]:
    """An alert for each symbol, one after the other, held back until just now."""
    held_until = decisions.clock + timedelta(milliseconds=1)
    made = []
    for symbol in symbols:
        attributes = {"symbol": symbol}
        made.append(
            await decisions.send(
                definitions,
                profile_id,
                attributes=attributes,
                event_type="alert.fired",
                **{"quiet_until": held_until, **options},
            )
        )
    return made


@pytest.fixture
async def definitions(decisions: Decisions, tenant_a: Tenant) -> Definitions:
    """Tells of alerts by e-mail."""
    await decisions.profile(tenant_a, "lan")
    return await decisions.define(tenant_a, subject="Alerts", body=BODY)


async def test_held_alerts_are_one_message(
    fleet: Fleet,
    smtp: ScriptedSmtp,
    log: Log,
    decisions: Decisions,
    definitions: Definitions,
    tenant_a: Tenant,
) -> None:
    held = await alerts(decisions, definitions, "ABC")
    await decisions.profile(tenant_a, "minh")
    other = await alerts(decisions, definitions, "D", "minh")
    await fleet.runner({"email": email_channel(smtp.url)}).drain()

    assert sorted(smtp.arrived) == ["lan@example.com", "minh@example.com"]
    facts = [await log.facts(one) for one in held]
    (leading,) = (one for one, told in zip(held, facts, strict=True) if ("sent", 1, None) in told)
    assert sorted(fact[-1][2] or "" for fact in facts) == ["", IN_DIGEST, IN_DIGEST]
    assert {await log.task_status(one) for one in held} == {"completed"}
    rows = await log.proof.fetch(
        "select * from delivery_log where task_id = any($1::text[]) and delivery_status in ('sending', 'sent')",
        [one.task_id for one in held],
    )
    (body,) = {row["body"] for row in rows if row["delivery_status"] == "sending"}
    assert body.startswith("3 alerts")
    assert sorted(body[-5:].split()) == ["A", "B", "C"]
    (message_id,) = {row["provider_message_id"] for row in rows if row["delivery_status"] == "sent"}
    assert leading.delivery_key[:32] in message_id
    assert await log.facts(other[0]) == [("queued", 0, None), ("sending", 1, None), ("sent", 1, None)]
    for one in held:
        sentence = await told(decisions, one)
        assert "grouped with 2 others" in sentence


async def told(decisions: Decisions, decided: Decided) -> str:
    """What people are told of a delivery."""
    async with decisions.tenant(decided.tenant_id):
        about = await TraceStore().explain_delivery(decisions.app, decided.tenant_id, decided.delivery_key)
    assert about is not None
    return explain(about, utc_now()).sentence


async def test_what_was_not_held_or_is_another_message_stands_alone(
    fleet: Fleet, smtp: ScriptedSmtp, decisions: Decisions, definitions: Definitions, tenant_a: Tenant
) -> None:
    await alerts(decisions, definitions, "AB", quiet_until=None)
    await alerts(decisions, await decisions.define(tenant_a, subject="Others", body=BODY), "CD")
    await alerts(decisions, definitions, "E", quiet_until=decisions.clock + timedelta(milliseconds=2))
    held_until = decisions.clock + timedelta(milliseconds=1)
    for _ in range(2):
        await decisions.send(definitions, "lan", attributes={"symbol": "F"}, quiet_until=held_until)
    await fleet.runner({"email": email_channel(smtp.url)}).drain()
    assert len(smtp.arrived) == 6


async def test_a_refusal_meets_all_and_the_next_attempt_is_one_message_again(
    fleet: Fleet, smtp: ScriptedSmtp, log: Log, decisions: Decisions, definitions: Definitions
) -> None:
    held = await alerts(decisions, definitions, "AB")
    answers: list[str | None] = ["451 4.3.0 later", None]
    smtp.on_data = lambda _recipient: answers.pop(0)
    await fleet.runner({"email": email_channel(smtp.url)}).drain()
    for one in held:
        facts = await log.facts(one)
        assert [fact[:2] for fact in facts] == [
            ("queued", 0), ("sending", 1), ("deferred", 1), ("sending", 2), ("sent", 2)
        ]  # fmt: skip
    assert smtp.arrived == ["lan@example.com"] * 2
    assert len(smtp.received) == 1


async def test_the_consent_and_the_end_of_each_count(
    fleet: Fleet,
    smtp: ScriptedSmtp,
    log: Log,
    decisions: Decisions,
    definitions: Definitions,
    tenant_a: Tenant,
) -> None:
    held = await alerts(decisions, definitions, "AB")
    await decisions.withdraw(tenant_a, "lan")
    await fleet.runner({"email": email_channel(smtp.url)}).drain()
    assert smtp.arrived == []
    assert [(await log.facts(one))[-1] for one in held] == [("suppressed", 0, "NO_CONSENT")] * 2


def test_who_is_still_valid_does_not_expire_with_the_others(decisions: Decisions) -> None:
    leading = attempt("a", decisions, seconds=1)
    both = spread(expired(leading), with_members(leading, attempt("b", decisions, seconds=1)))
    assert [step.facts[0].status for step in both.others] == [Status.EXPIRED]
    later = attempt("c", decisions, seconds=2)
    (left,) = spread(expired(leading), with_members(leading, later)).others
    assert (left.facts[0].status, left.facts[0].reason) == (Status.DEFERRED, SPLIT)
    assert left.end == TaskEnd("c", TaskStatus.PENDING, leading.valid_until)


def test_a_message_of_one_is_told_as_ever(decisions: Decisions) -> None:
    alone = attempt("a", decisions, seconds=1)
    fact = Fact(alone.subject, "email", "a", 1, Status.SENT)
    step = Step([fact], None, TaskEnd("a", TaskStatus.COMPLETED))
    assert spread(step, alone) is step


def attempt(name: str, decisions: Decisions, *, seconds: int) -> Attempt:
    """An attempt that is valid for so long."""
    return Attempt(
        subject=Subject(name, "m", "c", "lan", "s"),
        channel="email",
        delivery_key=name,
        attempt=1,
        destinations=("lan@example.com",),
        subject_line="",
        body="",
        content_type="text/plain",
        data={},
        valid_until=decisions.clock + timedelta(seconds=seconds),
    )


def with_members(leading: Attempt, *members: Attempt) -> Attempt:
    """The attempt as the one that leads."""
    return replace(leading, members=members)
