"""Caps by topic, channel and campaign over two server processes: how many are sent is exact, in any order.

Seven bursts of events, 25 hours apart, lie within one week. So "one a day" lets each burst send once and "three a
week" three of them, whichever events come first: any other number is a fault.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable
from datetime import timedelta

import asyncpg
import orjson
import pytest
from leo.activation.v1 import decision_service_pb2 as wire

from server.embedded.redis_server import RedisServer
from tests.decisions.processes import ServingProcess, at_half, event, started
from tests.decisions.redis_faults import flush
from tests.decisions.shop import DAY_SECONDS, NOON, add_campaign, add_marketing_event, add_profile
from tests.fixtures.tenants import Tenant

_BURSTS = 7
_BURST_GAP = timedelta(hours=25)
_WEEK_SECONDS = 7 * DAY_SECONDS
_SEED = 20_261_121
# Who is triggered by what: campaign, name, channel, topic, type of the event.
_DEFINITIONS = (
    ("sales", "offer", "email", "offers", "purchase"),
    ("outlet", "short offer", "sms", "offers", "visit"),
    ("service", "news", "sms", "news", "login"),
    ("service", "thanks", "email", None, "signup"),
)
_TENANT_CAPS = [
    {"topic": "offers", "window_seconds": DAY_SECONDS, "maximum": 1},
    {"topic": "offers", "window_seconds": _WEEK_SECONDS, "maximum": 3},
]
_CAMPAIGN_CAPS = {
    "service": [
        {"topic": "news", "channel": "sms", "window_seconds": DAY_SECONDS, "maximum": 2},
        {"channel": "email", "window_seconds": _WEEK_SECONDS, "maximum": 4},
        {"channel": "email", "topic": "offers", "window_seconds": _WEEK_SECONDS, "maximum": 1},
    ],
}
# Offers of both campaigns together; two pieces of news in each burst; four mails of the campaign in the week.
_EXACTLY = {"offers": 3, "news": 2 * _BURSTS, None: 4}


@pytest.fixture
async def shop(app: asyncpg.Connection, superuser: asyncpg.Connection, tenant_a: Tenant) -> None:
    """Three campaigns under the caps, and one customer."""
    await superuser.execute(
        "UPDATE tenant SET metadata = jsonb_build_object('frequency_caps', $1::jsonb) WHERE tenant_id = $2::uuid",
        orjson.dumps(_TENANT_CAPS).decode(),
        str(tenant_a),
    )
    for campaign_id in ("sales", "outlet", "service"):
        caps = _CAMPAIGN_CAPS.get(campaign_id, [])
        await add_campaign(app, tenant_a, campaign_id, frequency_caps=caps)
    for campaign_id, name, channel, topic, trigger in _DEFINITIONS:
        await add_marketing_event(
            app,
            tenant_a,
            campaign_id,
            name,
            topic=topic,
            trigger_event_type=trigger,
            channels=[channel],
            event_channel=channel,
        )
    await add_profile(app, tenant_a, "ann", consents=("email", "sms"), mobile_number="+84901234567")


def bursts(count: int, *, shuffled: bool) -> list[wire.Event]:
    """Events of all types in each burst, in the order of their times or not."""
    triggers = [definition[-1] for definition in _DEFINITIONS]
    events = []
    for number in range(count):
        burst, place = divmod(number, count // _BURSTS + 1)
        moment = NOON + burst * _BURST_GAP + timedelta(seconds=place)
        events.append(event(f"order-{number}", "ann", moment, triggers[number % len(triggers)]))
    if shuffled:
        random.Random(_SEED).shuffle(events)
    return events


async def sent_by_topic(proof: asyncpg.Connection) -> dict[str | None, int]:
    """How many sends of each topic are recorded."""
    rows = await proof.fetch(
        """
        SELECT definition.topic, count(*) AS sends
        FROM agent_task AS task JOIN marketing_event AS definition USING (tenant_id, marketing_event_id)
        WHERE task.outcome = 'send' GROUP BY definition.topic
        """
    )
    return {row["topic"]: row["sends"] for row in rows}


def nothing(_: RedisServer) -> None:
    """All goes well."""


@pytest.mark.parametrize(
    ("shuffled", "fault"),
    [
        pytest.param(False, nothing, id="in order"),
        pytest.param(True, nothing, id="out of order"),
        pytest.param(True, flush, id="Redis emptied"),
        pytest.param(True, RedisServer.stop, id="Redis stopped"),
    ],
)
async def test_exactly_the_caps_are_sent(
    servers: tuple[ServingProcess, ServingProcess],
    own_redis: RedisServer,
    shop: None,
    proof: asyncpg.Connection,
    shuffled: bool,
    fault: Callable[[RedisServer], None],
) -> None:
    calls = started(servers, bursts(1_000, shuffled=shuffled))
    await at_half(calls, lambda: fault(own_redis))
    decided = await asyncio.gather(*calls)
    assert await sent_by_topic(proof) == _EXACTLY
    assert len({server.pid for server in servers if server.fresh}) == 2
    outcomes = Counter(decision.outcome for decision in decided)
    assert outcomes == {
        wire.DECISION_OUTCOME_SEND: sum(_EXACTLY.values()),
        wire.DECISION_OUTCOME_SUPPRESSED: 1_000 - 21,
    }
    assert {decision.reason for decision in decided} == {
        wire.DECISION_REASON_SELECTED,
        wire.DECISION_REASON_CAPPED,
    }
