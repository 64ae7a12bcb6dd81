"""An ordered list of channels: when the next one is taken, and when not."""

from __future__ import annotations

from collections.abc import Mapping

import asyncpg
import pytest

from server.dispatch.channels.channel import Channel
from server.dispatch.channels.email_smtp import EmailSmtp
from server.dispatch.claims import Status
from server.dispatch.receipts import Receipt, ReceiptStore, Recorded
from tests.dispatch.conftest import Fleet, Log, email_channel
from tests.dispatch.decided import Decided, Decisions
from tests.dispatch.scripted_smtp import ScriptedSmtp
from tests.fixtures.tenants import Tenant

CHANNELS = ("sms", "email")


def two_channels(smtp: ScriptedSmtp) -> Mapping[str, Channel]:
    """Two gateways that both speak SMTP; the first one serves the channel `sms`."""
    gateway: EmailSmtp = email_channel(smtp.url)
    gateway.name = "sms"
    return {"sms": gateway, "email": email_channel(smtp.url)}


@pytest.fixture
async def decided(decisions: Decisions, tenant_a: Tenant) -> Decided:
    """A decision that may travel over both."""
    definitions = await decisions.define(tenant_a, channels=CHANNELS)
    await decisions.profile(tenant_a, "lan", consented=CHANNELS, addresses={"sms": ["", "lan@sms.example"]})
    return await decisions.send(definitions, "lan", channels=CHANNELS)


async def test_the_first_channel_is_enough(
    decided: Decided, fleet: Fleet, smtp: ScriptedSmtp, log: Log
) -> None:
    await fleet.runner(two_channels(smtp), queue="sms").drain()

    assert smtp.arrived == ["lan@sms.example"]
    assert await log.facts(decided) == [("queued", 0, None), ("sending", 1, None), ("sent", 1, None)]


async def test_a_permanent_failure_goes_on_to_the_next(
    decided: Decided, fleet: Fleet, smtp: ScriptedSmtp, log: Log
) -> None:
    smtp.on_recipient = lambda address: "550 5.1.1 unknown" if address.endswith("sms.example") else None

    await fleet.runner(two_channels(smtp), queue="sms").drain()

    assert smtp.arrived == ["lan@example.com"]
    assert await log.facts(decided) == [
        ("queued", 0, None),
        ("sending", 1, None),
        ("failed", 1, "SMTP_550"),
        ("queued", 0, "FALLBACK"),
        ("sending", 1, None),
        ("sent", 1, None),
    ]
    assert await log.task_status(decided) == "completed"


async def test_consent_is_asked_for_each_channel(
    decided: Decided, decisions: Decisions, fleet: Fleet, smtp: ScriptedSmtp, log: Log, tenant_a: Tenant
) -> None:
    await decisions.withdraw(tenant_a, "lan", "sms")

    await fleet.runner(two_channels(smtp), queue="sms").drain()

    assert smtp.arrived == ["lan@example.com"]
    assert ("suppressed", 0, "NO_CONSENT") in await log.facts(decided)


async def test_nothing_is_sent_twice_when_nobody_knows(
    decided: Decided, fleet: Fleet, smtp: ScriptedSmtp, log: Log
) -> None:
    smtp.hang_up_after_data = True

    await fleet.runner(two_channels(smtp), queue="sms").drain()

    assert smtp.arrived == ["lan@sms.example"]
    assert (await log.facts(decided))[-1] == ("unknown", 1, "CONNECTION_LOST")


@pytest.fixture
async def awaited(decisions: Decisions, tenant_a: Tenant) -> Decided:
    """A decision that goes on to e-mail where no receipt came over `sms` within a second."""
    return await waiting_for(1, decisions, tenant_a)


@pytest.fixture
async def patient(decisions: Decisions, tenant_a: Tenant) -> Decided:
    """As `awaited`, within an hour."""
    return await waiting_for(3600, decisions, tenant_a)


async def waiting_for(receipt_seconds: int, decisions: Decisions, tenant: Tenant) -> Decided:
    """A decision that waits so long for a receipt over `sms`."""
    definitions = await decisions.define(tenant, channels=CHANNELS, receipt_seconds=receipt_seconds)
    await decisions.profile(tenant, "lan", consented=CHANNELS, addresses={"sms": "lan@sms.example"})
    return await decisions.send(definitions, "lan", channels=CHANNELS)


def with_receipts(smtp: ScriptedSmtp) -> Mapping[str, Channel]:
    """As `two_channels`; the first one's provider sends receipts."""
    channels = two_channels(smtp)
    channels["sms"].receipts = True
    return channels


async def report(fleet: Fleet, proof: asyncpg.Connection, decided: Decided, status: Status) -> Recorded:
    """The provider's receipt for what went over `sms`."""
    message_id = await proof.fetchval(
        "select provider_message_id from delivery_log where task_id = $1 and delivery_status = 'sent'"
        " and channel = 'sms'",
        decided.task_id,
    )
    receipt = Receipt("gateway", "sms", (message_id,), status)
    async with fleet.database.tenant_transaction(decided.tenant_id) as connection:
        return await ReceiptStore().record_receipts(
            connection, decided.tenant_id, [receipt], keep_aside=False
        )


async def test_without_a_receipt_the_next_channel_is_tried_and_a_late_one_is_told_as_a_double(
    awaited: Decided, fleet: Fleet, smtp: ScriptedSmtp, log: Log, proof: asyncpg.Connection
) -> None:
    runner = fleet.runner(with_receipts(smtp), queue="sms")
    while await log.task_status(awaited) == "pending":
        await runner.drain()
    assert smtp.arrived == ["lan@sms.example", "lan@example.com"]
    assert ("queued", 0, "NO_RECEIPT") in await log.facts(awaited)

    late = [await report(fleet, proof, awaited, Status.DELIVERED) for _ in range(2)]

    assert [each.recorded for each in late] == [1, 0]
    assert (await log.facts(awaited))[-1] == ("delivered", 1, "LATE_RECEIPT")
    assert await log.status(awaited) == "delivered"


async def test_a_receipt_in_time_is_the_end_of_it(
    patient: Decided, fleet: Fleet, smtp: ScriptedSmtp, log: Log, proof: asyncpg.Connection
) -> None:
    runner = fleet.runner(with_receipts(smtp), queue="sms")
    await runner.drain()
    await report(fleet, proof, patient, Status.READ)
    await report(fleet, proof, patient, Status.DELIVERED)

    await proof.execute("update agent_task set due_at = now() where task_id = $1", patient.task_id)
    await runner.drain()

    assert smtp.arrived == ["lan@sms.example"]
    assert (await log.status(patient), await log.task_status(patient)) == ("read", "completed")


async def test_what_comes_back_goes_over_the_next_channel_at_once(
    patient: Decided, fleet: Fleet, smtp: ScriptedSmtp, log: Log, proof: asyncpg.Connection
) -> None:
    runner = fleet.runner(with_receipts(smtp), queue="sms")
    await runner.drain()
    assert await log.task_status(patient) == "pending"

    await report(fleet, proof, patient, Status.BOUNCED)
    await runner.drain()

    assert smtp.arrived == ["lan@sms.example", "lan@example.com"]
    assert await log.task_status(patient) == "completed"
