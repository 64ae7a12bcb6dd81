"""A unique address and name are planted everywhere by real use; after the erasure they are nowhere."""

from __future__ import annotations

import asyncpg
import orjson
import pytest
from leo.activation.v1 import alert_service_pb2 as alert
from leo.activation.v1 import decision_service_pb2 as decision
from leo.activation.v1 import dispatch_service_pb2 as dispatch
from leo.activation.v1 import profile_service_pb2 as profile
from leo.activation.v1 import trace_service_pb2 as trace
from leo_client import LeoApiError

from server.dispatch.claims import Status
from server.dispatch.receipts import Receipt, ReceiptStore
from tests.alerts.conftest import Caller, rule, ticks
from tests.dispatch.conftest import Fleet, email_channel
from tests.dispatch.scripted_smtp import ScriptedSmtp
from tests.erasure.conftest import Everything, Shop
from tests.workers.conftest import until

EMAIL = "quynh.unique@leo-erase.example"
PHONE = "+84905559876"
NAME = "Quynhzzyx"
EXT_ID = "crm-erase-4711"
IDENTITY = "web:erase-0815"
STREET = "9 Erased Lotus Lane"
NEEDLES = (EMAIL, PHONE, NAME, EXT_ID, IDENTITY, STREET)
PLANTED = {
    *(
        "agent_task.inputs",
        "agent_task.reasoning_summary",
        "alert_rules.note",
        "behavioral_events_2026_03.attributes",
    ),
    *(
        "behavioral_events_2026_03.entity_id",
        "behavioral_events_2023_11.attributes",
        "cdp_profiles.raw_attributes",
    ),
    *(
        "cdp_profiles.ext_id",
        "cdp_profiles.identities",
        "cdp_profiles.primary_email",
        "cdp_profiles.mobile_number",
    ),
    *(
        "delivery_log.body",
        "delivery_log.destination",
        "delivery_log.subject",
        "delivery_log.provider_message_id",
    ),
    *("delivery_log.provider_response", "delivery_log.reason"),
}
"""Some of the places where it stands before."""

GONE = "quynh"
STAYS = "lan"


async def plant(shop: Shop, alerts: Caller, fleet: Fleet, smtp: ScriptedSmtp) -> list[str]:
    """Use everything for the one who goes and for the one who stays; ids of the decisions on the first."""
    tasks = []
    for who, mail, first in ((GONE, EMAIL, NAME), (STAYS, "lan@example.com", "Lan")):
        await shop.put(
            who,
            primary_email=mail,
            ext_id=EXT_ID if who == GONE else "crm-lan",
            mobile_number=PHONE if who == GONE else "+84905550001",
            identities=profile.TextList(values=[IDENTITY if who == GONE else "web:lan"]),
            living_location=STREET if who == GONE else "Hue",
            job_titles=profile.TextList(values=[f"friend of {first}"]),
            interests=profile.TextList(values=["tea", first]),
            segments=profile.TextList(values=["vip"]),
            raw_attributes=orjson.dumps(
                {"first_name": first, "address": {"street": STREET if who == GONE else "Hue"}}
            ),
            portfolio_snapshot=orjson.dumps({"owner": first}),
            channel_addresses={"telegram": profile.ChannelAddresses(addresses=[f"@{first}"])},
            language="vi",
            time_zone="Asia/Ho_Chi_Minh",
            latitude=10.5,
            longitude=106.5,
        )
        await shop.ingest(
            f"view-{who}", who, entity_type="letter", entity_id=first, sentiment=1,
            attributes=orjson.dumps({"to": mail, "name": first}),
        )  # fmt: skip
        for number in range(3):
            decided = await shop.decide(f"order-{who}-{number}", who, amount=120, buyer=first, mail=mail)
            if who == GONE:
                tasks.append(decided.task_id)
        await alerts.arm(rule(">", 150, profile_id=who, note=f"call {first}, {mail}"))
    await alerts.tick(ticks(151))

    async def firings_are_decided() -> bool:
        fired = await shop.client.alerts.ListAlertFirings(alert.ListAlertFiringsRequest())
        return all(one.status != alert.ALERT_FIRING_STATUS_PENDING for one in fired.firings)

    await until(firings_are_decided)
    await fleet.runner({"email": email_channel(smtp.url)}).drain()
    # One more that is still to be sent.
    tasks.append((await shop.decide("order-waiting", GONE, buyer=NAME, amount=5)).task_id)
    await _receipts(shop, fleet)
    await shop.client.dispatch.Dispatch(
        dispatch.DispatchRequest(
            source_request_id="dispatch-1",
            marketing_event_id=shop.definitions.marketing_event_id,
            profile_id=GONE,
            reason=f"for {NAME}",
        )
    )
    return tasks


async def _receipts(shop: Shop, fleet: Fleet) -> None:
    """One that a provider sends for a message before it is known: it is kept aside under the provider's id of it."""
    message_id = f"wamid.{NAME}"
    async with fleet.database.tenant_transaction(shop.tenant) as connection:
        receipts = [Receipt("cloud", "whatsapp", (message_id,), Status.DELIVERED)]
        await ReceiptStore().record_receipts(connection, shop.tenant, receipts, keep_aside=True)
        # The vector of the interests, as a worker writes it.
        await connection.execute(
            "update cdp_profiles set interest_embedding = array_fill(0.5, array[1536])::vector"
        )
        # The provider's answer with that id, as the recorder writes it.
        await connection.execute(
            "insert into delivery_log (tenant_id, delivery_key, attempt, task_id, marketing_event_id, profile_id,"
            " snapshot_id, channel, delivery_status, reason, provider_message_id, provider_response)"
            " select tenant_id, repeat('ab', 32), 1, task_id, marketing_event_id, profile_id, snapshot_id, 'whatsapp',"
            " 'sent', $1 || ' took it', $2, jsonb_build_object('to', $3::text)"
            " from delivery_log where profile_id = $4 and delivery_status = 'sent' limit 1",
            NAME,
            message_id,
            PHONE,
            GONE,
        )


async def test_it_is_found_nowhere_and_everything_else_is_as_it_was(
    shop: Shop,
    alerts: Caller,
    fleet: Fleet,
    smtp: ScriptedSmtp,
    everything: Everything,
    proof: asyncpg.Connection,
) -> None:
    tasks = await plant(shop, alerts, fleet, smtp)
    assert set(await everything.places(NEEDLES)) >= PLANTED
    others = await everything.rows(without=[GONE, *NEEDLES])
    before = await everything.ids(shop.tenant)

    answer = await shop.erase(profile_id=GONE)

    assert await everything.places(NEEDLES) == []
    stayed = await everything.rows(without=[GONE, *NEEDLES])
    assert {
        table: [line for line in lines if line not in stayed[table]] for table, lines in others.items()
    } == {table: [] for table in others}
    after = await everything.ids(shop.tenant)
    more = {table: sorted(set(after[table]) - set(lines)) for table, lines in before.items()}
    assert all(set(lines) <= set(after[table]) for table, lines in before.items())
    assert [
        line for table in more if table not in ("agent_task", "delivery_log") for line in more[table]
    ] == []
    # What is new is the audit, and the end of what was waiting.
    assert [line.split(",")[0].strip("(") for line in more["agent_task"]] == [answer.task_id]
    assert all(",cancelled," in line for line in more["delivery_log"])
    assert len(more["delivery_log"]) == 1
    audit = await proof.fetchrow("select * from agent_task where task_id = $1", answer.task_id)
    assert audit is not None
    assert (audit["task_type"], audit["status"], audit["reasoning_summary"]) == (
        "evaluate",
        "completed",
        "ticket 7",
    )
    assert orjson.loads(audit["inputs"])["asked_by"]
    assert orjson.loads(audit["result"]) == dict(answer.rows)
    assert answer.rows["agent_task"] >= len(tasks)
    vectors = await proof.fetch(
        "select p.profile_id, p.interest_embedding is null and j.vector_signs is null as is_gone from cdp_profiles as p"
        " join embedding_job as j on j.entity_id = p.profile_id and j.entity_type = 'profile' order by 1"
    )
    assert [tuple(row) for row in vectors] == [(STAYS, False), (GONE, True)]
    await _nothing_is_sent(fleet, smtp)
    assert await shop.erase(profile_id=GONE) == answer
    await _readers_say_so(shop, alerts, tasks)
    assert await everything.places(NEEDLES) == []


async def _nothing_is_sent(fleet: Fleet, smtp: ScriptedSmtp) -> None:
    sent = len(smtp.received)
    await fleet.runner({"email": email_channel(smtp.url)}).drain()
    assert len(smtp.received) == sent


async def _readers_say_so(shop: Shop, alerts: Caller, tasks: list[str]) -> None:
    """No crash, no difference: what was erased is told to be erased."""
    client = shop.client
    for task_id in tasks:
        told = (await client.decisions.GetDecision(decision.GetDecisionRequest(task_id=task_id))).decision
        assert (told.task_id, told.reason_summary, told.erased) == (task_id, "(erased)", True)
        with pytest.raises(LeoApiError, match="INPUTS_REDACTED"):
            await client.decisions.Replay(decision.ReplayRequest(task_id=task_id))
    again = await shop.decide(f"order-{GONE}-0", GONE, amount=1, other="body")
    assert (again.task_id, again.duplicate) == (tasks[0], True)
    journey = (await client.trace.GetJourney(trace.GetJourneyRequest(profile_id=GONE))).journey
    assert len(journey.steps) >= len(tasks)
    for step in journey.steps:
        assert (step.decision.summary, step.decision.erased) == ("(erased)", True)
        assert {delivery.destination for delivery in step.deliveries} <= {"", "(erased)"}
        for delivery in step.deliveries:
            request = trace.ExplainDeliveryRequest(delivery_key=delivery.delivery_key)
            assert (await client.trace.ExplainDelivery(request)).explanation
    stub = (await client.profiles.GetProfile(profile.GetProfileRequest(profile_id=GONE))).profile
    assert stub.HasField("erased_at")
    (kept,) = await alerts.rules(profile_id=GONE)
    assert (kept.status, kept.note) == (alert.ALERT_RULE_STATUS_DISABLED, "")
    fired = await client.alerts.ListAlertFirings(alert.ListAlertFiringsRequest(profile_id=GONE))
    assert len(fired.firings) == 1
    listed = await client.dispatch.ListDeliveries(dispatch.ListDeliveriesRequest(profile_id=GONE))
    for one in listed.deliveries:
        await client.dispatch.GetDelivery(dispatch.GetDeliveryRequest(delivery_key=one.delivery_key))
