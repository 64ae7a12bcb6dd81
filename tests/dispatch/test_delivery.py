"""One worker's deliveries: what arrives, what is recorded, and what becomes of each kind of refusal."""

from __future__ import annotations

import asyncio

import asyncpg
import pytest

from tests.dispatch.conftest import Fleet, Log, email_channel
from tests.dispatch.decided import Decisions
from tests.dispatch.scripted_smtp import ScriptedSmtp
from tests.fixtures.tenants import Tenant


async def test_message_arrives_as_the_log_says(
    decisions: Decisions, fleet: Fleet, smtp: ScriptedSmtp, log: Log, tenant_a: Tenant
) -> None:
    definitions = await decisions.define(tenant_a)
    decided = await decisions.send(definitions, await decisions.profile(tenant_a, "lan"))

    await fleet.runner({"email": email_channel(smtp.url)}).drain()

    assert await log.facts(decided) == [("queued", 0, None), ("sending", 1, None), ("sent", 1, None)]
    assert await log.task_status(decided) == "completed"
    row = await log.sending(decided)
    [message] = smtp.received
    assert message["To"] == row["destination"] == "lan@example.com"
    assert message["Subject"] == row["subject"] == "Hello Lan"
    assert message.get_content().strip() == row["body"] == "Dear Lan, you spent 120."
    assert message["Message-ID"] == f"<{decided.delivery_key[:32]}@leo.example>"
    assert message["From"] == "Shop <shop@leo.example>"
    assert message["Date"] is not None


async def test_html_is_escaped_and_sent_as_html(
    decisions: Decisions, fleet: Fleet, smtp: ScriptedSmtp, tenant_a: Tenant
) -> None:
    definitions = await decisions.define(
        tenant_a, body="<p>{{ profile.first_name }}</p>", metadata={"content_type": "text/html"}
    )
    await decisions.profile(tenant_a, "lan", attributes={"first_name": "<b>Lan</b> Đặng"})
    await decisions.send(definitions, "lan")

    await fleet.runner({"email": email_channel(smtp.url)}).drain()

    [message] = smtp.received
    assert message.get_content_type() == "text/html"
    assert message.get_content().strip() == "<p>&lt;b&gt;Lan&lt;/b&gt; Đặng</p>"


@pytest.mark.parametrize(
    ("language", "subject"), [("vi-VN", "vi-vn"), ("vi-HN", "vi"), ("fr", "default"), (None, "default")]
)
async def test_language_falls_back(
    decisions: Decisions,
    fleet: Fleet,
    smtp: ScriptedSmtp,
    tenant_a: Tenant,
    language: str | None,
    subject: str,
) -> None:
    definitions = await decisions.define(tenant_a, subject="default")
    await decisions.template(definitions, "email", "vi", "vi", "x")
    await decisions.template(definitions, "email", "vi-VN", "vi-vn", "x")
    await decisions.profile(tenant_a, "lan", language=language)
    await decisions.send(definitions, "lan")

    await fleet.runner({"email": email_channel(smtp.url)}).drain()

    assert [message["Subject"] for message in smtp.received] == [subject]


async def test_two_tenants_in_one_claim_keep_to_themselves(
    decisions: Decisions, fleet: Fleet, smtp: ScriptedSmtp, log: Log, tenant_a: Tenant, tenant_b: Tenant
) -> None:
    decided = []
    for tenant, name in ((tenant_a, "An"), (tenant_b, "Binh")):
        definitions = await decisions.define(tenant)
        await decisions.profile(
            tenant, "same-id", email=f"{name}@example.com", attributes={"first_name": name}
        )
        decided.append(await decisions.send(definitions, "same-id"))

    await fleet.runner({"email": email_channel(smtp.url)}).drain()

    assert {(m["To"], m["Subject"]) for m in smtp.received} == {
        ("An@example.com", "Hello An"),
        ("Binh@example.com", "Hello Binh"),
    }
    assert [await log.status(one) for one in decided] == ["sent", "sent"]


async def test_a_line_end_in_a_variable_adds_no_header(
    decisions: Decisions, fleet: Fleet, smtp: ScriptedSmtp, log: Log, tenant_a: Tenant
) -> None:
    definitions = await decisions.define(tenant_a)
    name = "Lan\r\nBcc: thief@example.com\r\n\r\nbody\x85\u2028x"
    await decisions.profile(tenant_a, "lan", attributes={"first_name": name})
    decided = await decisions.send(definitions, "lan")

    await fleet.runner({"email": email_channel(smtp.url)}).drain()

    [message] = smtp.received
    assert message["Bcc"] is None
    assert message["Subject"] == (await log.sending(decided))["subject"]
    assert smtp.arrived == ["lan@example.com"]


@pytest.mark.parametrize(
    "address",
    ["a@b@example.com", "lan@example.com\r\nRCPT TO:<thief@example.com>", "nonsense", "<lan@example.com>x"],
)
async def test_a_bad_address_ends_as_failed(
    decisions: Decisions, fleet: Fleet, smtp: ScriptedSmtp, log: Log, tenant_a: Tenant, address: str
) -> None:
    definitions = await decisions.define(tenant_a)
    await decisions.profile(tenant_a, "lan", email=None, addresses={"email": address})
    decided = await decisions.send(definitions, "lan")

    await fleet.runner({"email": email_channel(smtp.url)}).drain()

    assert await log.facts(decided) == [("queued", 0, None), ("failed", 0, "BAD_ADDRESS")]
    assert await log.task_status(decided) == "failed"
    assert smtp.arrived == []


async def test_without_an_address_it_ends_as_failed(
    decisions: Decisions, fleet: Fleet, smtp: ScriptedSmtp, log: Log, tenant_a: Tenant
) -> None:
    definitions = await decisions.define(tenant_a)
    decided = await decisions.send(definitions, await decisions.profile(tenant_a, "lan", email=None))

    await fleet.runner({"email": email_channel(smtp.url)}).drain()

    assert (await log.facts(decided))[-1] == ("failed", 0, "NO_ADDRESS")


async def test_a_missing_variable_is_not_half_sent(
    decisions: Decisions, fleet: Fleet, smtp: ScriptedSmtp, log: Log, tenant_a: Tenant
) -> None:
    definitions = await decisions.define(tenant_a, body="Your code is {{ event.code }}")
    decided = await decisions.send(definitions, await decisions.profile(tenant_a, "lan"))
    neighbour = await decisions.send(
        definitions, await decisions.profile(tenant_a, "minh"), attributes={"code": 7}
    )

    await fleet.runner({"email": email_channel(smtp.url)}).drain()

    assert (await log.facts(decided))[-1] == ("failed", 0, "TEMPLATE_VARIABLE_MISSING")
    assert await log.status(neighbour) == "sent"
    assert smtp.arrived == ["minh@example.com"]


async def test_consent_is_asked_again(
    decisions: Decisions, fleet: Fleet, smtp: ScriptedSmtp, log: Log, tenant_a: Tenant
) -> None:
    definitions = await decisions.define(tenant_a)
    decided = await decisions.send(definitions, await decisions.profile(tenant_a, "lan"))
    await decisions.withdraw(tenant_a, "lan")

    await fleet.runner({"email": email_channel(smtp.url)}).drain()

    assert (await log.facts(decided))[-1] == ("suppressed", 0, "NO_CONSENT")
    assert await log.task_status(decided) == "cancelled"
    assert smtp.arrived == []


async def test_a_refused_recipient_fails_alone(
    decisions: Decisions, fleet: Fleet, smtp: ScriptedSmtp, log: Log, tenant_a: Tenant
) -> None:
    definitions = await decisions.define(tenant_a)
    decided = {
        name: await decisions.send(definitions, await decisions.profile(tenant_a, name))
        for name in ("gone", "lan")
    }
    smtp.on_recipient = lambda address: "550 5.1.1 no such user" if address.startswith("gone") else None

    await fleet.runner({"email": email_channel(smtp.url, connections=1)}).drain()

    assert (await log.facts(decided["gone"]))[-1] == ("failed", 1, "SMTP_550")
    assert await log.task_status(decided["gone"]) == "failed"
    assert await log.status(decided["lan"]) == "sent"


async def test_greylisting_is_tried_again(
    decisions: Decisions, fleet: Fleet, smtp: ScriptedSmtp, log: Log, tenant_a: Tenant
) -> None:
    definitions = await decisions.define(tenant_a)
    decided = await decisions.send(definitions, await decisions.profile(tenant_a, "lan"))
    tries: list[str] = []

    def greylist(address: str) -> str | None:
        tries.append(address)
        return "451 4.7.1 come back later" if len(tries) < 3 else None

    smtp.on_recipient = greylist
    await fleet.runner({"email": email_channel(smtp.url)}).drain()

    assert await log.facts(decided) == [
        ("queued", 0, None),
        ("sending", 1, None),
        ("deferred", 1, "SMTP_451"),
        ("sending", 2, None),
        ("deferred", 2, "SMTP_451"),
        ("sending", 3, None),
        ("sent", 3, None),
    ]
    assert len(smtp.received) == 1


async def test_attempts_are_bounded(
    decisions: Decisions, fleet: Fleet, smtp: ScriptedSmtp, log: Log, tenant_a: Tenant
) -> None:
    definitions = await decisions.define(tenant_a)
    decided = await decisions.send(definitions, await decisions.profile(tenant_a, "lan"))
    smtp.on_data = lambda _address: "452 4.3.1 full"

    await fleet.runner({"email": email_channel(smtp.url)}).drain()

    assert (await log.facts(decided))[-1] == ("failed", 4, "ATTEMPTS_EXHAUSTED")
    assert await log.task_status(decided) == "failed"


async def test_a_relay_that_is_down_is_waited_for(
    decisions: Decisions, fleet: Fleet, smtp: ScriptedSmtp, log: Log, tenant_a: Tenant
) -> None:
    definitions = await decisions.define(tenant_a)
    decided = await decisions.send(definitions, await decisions.profile(tenant_a, "lan"))
    runner = fleet.runner({"email": email_channel(smtp.url)})
    smtp.stop()

    await runner.drain()
    assert await log.facts(decided) == [("queued", 0, None)]

    smtp.start()
    await runner.drain()
    assert await log.status(decided) == "sent"


async def test_a_connection_that_died_while_idle_costs_no_attempt(
    decisions: Decisions, fleet: Fleet, smtp: ScriptedSmtp, log: Log, tenant_a: Tenant
) -> None:
    definitions = await decisions.define(tenant_a)
    runner = fleet.runner({"email": email_channel(smtp.url, connections=1)})
    await decisions.send(definitions, await decisions.profile(tenant_a, "lan"))
    await runner.drain()
    smtp.stop()
    smtp.start()
    second = await decisions.send(definitions, await decisions.profile(tenant_a, "minh"))

    await runner.drain()

    assert await log.facts(second) == [("queued", 0, None), ("sending", 1, None), ("sent", 1, None)]


async def test_a_hang_up_after_the_text_is_unknown_and_never_repeated(
    decisions: Decisions, fleet: Fleet, smtp: ScriptedSmtp, log: Log, tenant_a: Tenant
) -> None:
    definitions = await decisions.define(tenant_a)
    decided = await decisions.send(definitions, await decisions.profile(tenant_a, "lan"))
    smtp.hang_up_after_data = True
    runner = fleet.runner({"email": email_channel(smtp.url)})

    await runner.drain()
    smtp.hang_up_after_data = False
    await runner.drain()

    assert (await log.facts(decided))[-1] == ("unknown", 1, "CONNECTION_LOST")
    assert await log.task_status(decided) == "completed"
    assert smtp.arrived == ["lan@example.com"]


async def test_silence_after_the_text_is_unknown(
    decisions: Decisions, fleet: Fleet, smtp: ScriptedSmtp, log: Log, tenant_a: Tenant
) -> None:
    definitions = await decisions.define(tenant_a)
    decided = await decisions.send(definitions, await decisions.profile(tenant_a, "lan"))
    smtp.hold = True

    await fleet.runner({"email": email_channel(smtp.url, timeout_seconds=0.3)}).drain()

    assert (await log.facts(decided))[-1] == ("unknown", 1, "NO_ANSWER_IN_TIME")


async def test_a_paused_campaign_holds_and_a_completed_one_calls_off(
    decisions: Decisions,
    fleet: Fleet,
    smtp: ScriptedSmtp,
    log: Log,
    tenant_a: Tenant,
    app: asyncpg.Connection,
) -> None:
    decided = {}
    for status in ("paused", "completed"):
        definitions = await decisions.define(tenant_a)
        profile_id = await decisions.profile(tenant_a, f"lan-{status}")
        decided[status] = await decisions.send(definitions, profile_id)
        async with decisions.tenant(tenant_a):
            await app.execute(
                "update campaign set status = $2 where campaign_id = $1", definitions.campaign_id, status
            )

    await fleet.runner({"email": email_channel(smtp.url)}).drain()

    assert (await log.facts(decided["paused"]))[-1] == ("deferred", 0, "CAMPAIGN_PAUSED")
    assert await log.task_status(decided["paused"]) == "pending"
    assert (await log.facts(decided["completed"]))[-1] == ("cancelled", 0, "CAMPAIGN_NOT_ACTIVE")
    assert await log.task_status(decided["completed"]) == "cancelled"
    assert smtp.arrived == []


async def test_a_channel_that_nobody_serves_is_passed_over(
    decisions: Decisions, fleet: Fleet, smtp: ScriptedSmtp, log: Log, tenant_a: Tenant
) -> None:
    channels = ("zalo", "email")
    definitions = await decisions.define(tenant_a, channels=channels)
    await decisions.profile(tenant_a, "lan", consented=channels)
    decided = await decisions.send(definitions, "lan", channels=channels)

    await fleet.runner({"email": email_channel(smtp.url)}, queue="zalo").drain()

    assert await log.facts(decided) == [
        ("queued", 0, None),
        ("failed", 0, "CHANNEL_NOT_SERVED"),
        ("queued", 0, "FALLBACK"),
        ("sending", 1, None),
        ("sent", 1, None),
    ]
    assert await log.status(decided) == "failed"
    assert await log.task_status(decided) == "completed"
    assert smtp.arrived == ["lan@example.com"]


async def test_two_workers_share_the_work_and_send_nothing_twice(
    decisions: Decisions, fleet: Fleet, smtp: ScriptedSmtp, log: Log, tenant_a: Tenant
) -> None:
    definitions = await decisions.define(tenant_a)
    for number in range(120):
        await decisions.send(definitions, await decisions.profile(tenant_a, f"p{number}"))
    runners = [
        fleet.runner({"email": email_channel(smtp.url, connections=1)}, worker=f"host:{pid}")
        for pid in (1, 2)
    ]

    await asyncio.gather(*(runner.drain() for runner in runners))

    assert sorted(smtp.arrived) == sorted(f"p{number}@example.com" for number in range(120))
    assert await log.proof.fetchval("select count(*) from delivery_log where delivery_status = 'sent'") == 120


async def test_a_claim_that_ran_out_while_it_sent_is_unknown_until_its_answer_comes(
    decisions: Decisions, fleet: Fleet, smtp: ScriptedSmtp, log: Log, tenant_a: Tenant
) -> None:
    """The second claimant finds `sending` without a result: it sends nothing; the first one's answer settles it."""
    definitions = await decisions.define(tenant_a)
    decided = await decisions.send(definitions, await decisions.profile(tenant_a, "lan"))
    fleet.lease_seconds = 0.5
    smtp.hold = True
    first = asyncio.create_task(
        fleet.runner({"email": email_channel(smtp.url, timeout_seconds=30)}, worker="host:1").drain()
    )
    await asyncio.to_thread(smtp.data_arrived.wait, 20)
    second = fleet.runner({"email": email_channel(smtp.url)}, worker="host:2")
    while await log.task_status(decided) == "pending":
        await second.drain()
    assert (await log.facts(decided))[-1] == ("unknown", 1, "WORKER_LOST")

    smtp.release()
    await first

    assert smtp.arrived == ["lan@example.com"]
    assert (await log.facts(decided))[-1] == ("sent", 1, None)
    assert await log.status(decided) == "sent"
    assert await log.task_status(decided) == "completed"
