"""An ordered list of channels: when the next one is taken, and when not."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from server.dispatch.channels.channel import Channel
from server.dispatch.channels.email_smtp import EmailSmtp
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
