"""What happens between reading and writing: another connection is quicker."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any

import asyncpg
import pytest

from server.dispatch.channels.email_smtp import EmailSmtp
from server.dispatch.channels.smtp_pool import Relay, SmtpPool
from server.embedded.database_setup import DatabaseUrls
from tests.dispatch.conftest import SENDER, Fleet, Log, email_channel
from tests.dispatch.decided import Decided, Decisions
from tests.dispatch.scripted_smtp import ScriptedSmtp
from tests.fixtures.tenants import Tenant


class Interrupted(EmailSmtp):
    """The channel `email`; while a message is being prepared for the first time, something else happens."""

    def __init__(self, url: str, event: Callable[[], Coroutine[Any, Any, None]]) -> None:
        relay = Relay.from_url(url, timeout_seconds=5.0)
        super().__init__(pool=SmtpPool(relay, size=4), connections=4, sender=SENDER, timeout_seconds=5.0)
        self._event: Callable[[], Coroutine[Any, Any, None]] | None = event

    def accept_address(self, address: str) -> str:
        event, self._event = self._event, None
        if event is not None:
            thread = threading.Thread(target=lambda: asyncio.run(event()))
            thread.start()
            thread.join()
        return super().accept_address(address)


@pytest.fixture
async def decided(decisions: Decisions, tenant_a: Tenant) -> Decided:
    """One decision, due now."""
    definitions = await decisions.define(tenant_a)
    return await decisions.send(definitions, await decisions.profile(tenant_a, "lan"))


async def test_a_consent_that_ends_meanwhile_is_noticed(
    decided: Decided, fleet: Fleet, smtp: ScriptedSmtp, log: Log, database: DatabaseUrls
) -> None:
    async def withdraw() -> None:
        connection = await asyncpg.connect(database.app_url)
        await Decisions(connection).withdraw(decided.tenant_id, "lan")
        await connection.close()

    await fleet.runner({"email": Interrupted(smtp.url, withdraw)}).drain()

    assert await log.facts(decided) == [("queued", 0, None), ("suppressed", 0, "NO_CONSENT")]
    assert smtp.arrived == []


async def test_an_attempt_that_another_claimant_began_is_unknown(
    decided: Decided, fleet: Fleet, smtp: ScriptedSmtp, log: Log, database: DatabaseUrls
) -> None:
    async def begin() -> None:
        connection = await asyncpg.connect(database.proof_url)
        await connection.execute(
            "insert into delivery_log (tenant_id, delivery_key, attempt, task_id, marketing_event_id, profile_id,"
            " snapshot_id, channel, delivery_status) select tenant_id, delivery_key, 1, task_id,"
            " marketing_event_id, profile_id, snapshot_id, channel, 'sending' from delivery_log"
        )
        await connection.close()

    await fleet.runner({"email": Interrupted(smtp.url, begin)}).drain()

    assert await log.facts(decided) == [
        ("queued", 0, None),
        ("sending", 1, None),
        ("unknown", 1, "ANOTHER_CLAIMANT"),
    ]
    assert smtp.arrived == []


async def test_a_claim_that_ran_out_leaves_the_task_to_its_successor(
    decided: Decided, fleet: Fleet, smtp: ScriptedSmtp, log: Log, database: DatabaseUrls
) -> None:
    """The fact is recorded; the task is moved by whoever holds it."""

    async def take_over() -> None:
        connection = await asyncpg.connect(database.proof_url)
        await connection.execute("update agent_task set lease_owner = 'somebody else'")
        await connection.close()

    await fleet.runner({"email": Interrupted(smtp.url, take_over)}).drain()

    assert await log.status(decided) == "sent"
    assert await log.task_status(decided) == "pending"
    await log.proof.execute("update agent_task set lease_until = now()")
    await fleet.runner({"email": email_channel(smtp.url)}, worker="host:2").drain()
    assert await log.task_status(decided) == "completed"
    assert smtp.arrived == ["lan@example.com"]
