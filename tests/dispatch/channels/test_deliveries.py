"""Deliveries over channels other than e-mail, from the decision to the log and back to the profile."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson
import pytest

from server.dispatch.channels.channel import Credential, Message, SendResult
from server.dispatch.delivery_runner import DeliveryRunner
from tests.dispatch.channels.conftest import Adapters
from tests.dispatch.channels.fakes.provider import Received, Reply, hang_up
from tests.dispatch.channels.fakes.push import DEVICE, UNREGISTERED
from tests.dispatch.channels.fakes.wire import HttpWire
from tests.dispatch.conftest import Fleet, Log
from tests.dispatch.decided import Decided, Decisions
from tests.fixtures.tenants import Tenant


def runner(fleet: Fleet, wire: HttpWire, adapters: Adapters) -> DeliveryRunner:
    """A worker's runner of the wire's channel, whose account is the fake's."""
    channel = adapters.of(wire)
    send = channel.send

    async def send_as_the_shop(
        message: Message, _credential: Credential, *, wait_seconds: float
    ) -> SendResult:
        return await send(message, wire.credential, wait_seconds=wait_seconds)

    channel.send = send_as_the_shop  # type: ignore[method-assign]
    return fleet.runner({channel.name: channel}, queue=channel.name)


async def decide(
    decisions: Decisions,
    tenant: Tenant,
    channel: str,
    addresses: Any = None,
    *,
    attributes: Any = None,
    metadata: Any = None,
) -> Decided:
    """A decision to send over one channel."""
    definitions = await decisions.define(tenant, channels=[channel], metadata=metadata)
    await decisions.profile(
        tenant,
        "lan",
        attributes=attributes or {"first_name": "Lan", "tier": "gold"},
        addresses={channel: addresses} if addresses else {"other": ["kept"]},
        consented=[channel],
    )
    return await decisions.send(definitions, "lan", channels=[channel])


def of_tokens(alive: Sequence[str]) -> Any:
    """Firebase, where these tokens are alive."""

    def answer(received: Received) -> Reply:
        token = received.json()["message"]["token"]
        return Reply(200, {"name": "projects/leo-shop/messages/1"}) if token in alive else UNREGISTERED

    return answer


async def addresses_of(log: Log, decided: Decided) -> dict[str, Any]:
    """The profile's addresses by channel."""
    found = await log.proof.fetchval(
        "select channel_addresses from cdp_profiles where tenant_id = $1 and profile_id = $2",
        decided.tenant_id,
        decided.profile_id,
    )
    document: dict[str, Any] = orjson.loads(found)
    return document


@pytest.mark.parametrize("wire", ["firebase"], indirect=True)
@pytest.mark.parametrize(
    ("addresses", "alive", "left", "status"),
    [
        (["token-gone-1", DEVICE, " token-gone-2 "], [DEVICE], {"push": [DEVICE]}, "sent"),
        (["token-gone-1", "token-gone-2"], [], {}, "failed"),
        ("token-gone-1", [], {}, "failed"),
        ([DEVICE], [DEVICE], {"push": [DEVICE]}, "sent"),
    ],
)
async def test_dead_tokens_leave_the_profile_and_nothing_else_changes(
    decisions: Decisions, fleet: Fleet, wire: HttpWire, adapters: Adapters, log: Log, tenant_a: Tenant,
    addresses: Any, alive: list[str], left: Any, status: str,
) -> None:  # fmt: skip
    wire.fake.usual = of_tokens(alive)
    decided = await decide(decisions, tenant_a, "push", addresses)

    await runner(fleet, wire, adapters).drain()

    assert await addresses_of(log, decided) == left
    assert await log.status(decided) == status
    told = [a.strip() for a in ([addresses] if isinstance(addresses, str) else addresses)]
    assert (await log.sending(decided))["destination"] == "\n".join(told)


@pytest.mark.parametrize("wire", ["firebase"], indirect=True)
async def test_what_is_safe_to_send_again_is_sent_again(
    decisions: Decisions, fleet: Fleet, wire: HttpWire, adapters: Adapters, log: Log, tenant_a: Tenant
) -> None:
    wire.fake.scripts.append(hang_up)
    decided = await decide(decisions, tenant_a, "push", [DEVICE])

    await runner(fleet, wire, adapters).drain()

    tags = {body["message"]["android"]["notification"]["tag"] for body in _bodies(wire)}
    assert len(_bodies(wire)) == 2
    assert tags == {decided.delivery_key[:32]}
    assert await log.facts(decided) == [
        ("queued", 0, None),
        ("sending", 1, None),
        ("deferred", 1, "CONNECTION_LOST"),
        ("sending", 2, None),
        ("sent", 2, None),
    ]


@pytest.mark.parametrize(
    ("wire", "channel", "address", "arrived", "end"),
    [
        ("firebase", "push", DEVICE, 1, [("sending", 2, None), ("sent", 2, None)]),
        ("telegram", "telegram", "987654321", 0, [("unknown", 1, "WORKER_LOST")]),
    ],
    indirect=["wire"],
)
async def test_after_a_lost_worker_only_a_safe_channel_sends_again(
    decisions: Decisions, fleet: Fleet, wire: HttpWire, adapters: Adapters, log: Log, tenant_a: Tenant,
    channel: str, address: str, arrived: int, end: list[Any],
) -> None:  # fmt: skip
    decided = await decide(decisions, tenant_a, channel, [address])
    await log.proof.execute(
        "insert into delivery_log (tenant_id, delivery_key, attempt, task_id, marketing_event_id, profile_id,"
        " snapshot_id, channel, delivery_status) select tenant_id, delivery_key, 1, task_id,"
        " marketing_event_id, profile_id, snapshot_id, channel, 'sending' from delivery_log"
    )

    await runner(fleet, wire, adapters).drain()

    assert len(wire.fake.received) == arrived
    assert await log.facts(decided) == [("queued", 0, None), ("sending", 1, None), *end]


@pytest.mark.parametrize("wire", ["zalo_zns"], indirect=True)
async def test_metadata_of_the_template_is_rendered_sent_and_recorded(
    decisions: Decisions, fleet: Fleet, wire: HttpWire, adapters: Adapters, log: Log, tenant_a: Tenant
) -> None:
    metadata = {"template_id": "77", "template_data": {"name": "{{ profile.first_name }}"}, "owner": "Hoa"}
    decided = await decide(decisions, tenant_a, "zalo", ["090 123 45 67"], metadata=metadata)

    await runner(fleet, wire, adapters).drain()

    [body] = _bodies(wire)
    sent = {"template_id": "77", "template_data": {"name": "Lan"}}
    assert body == {"phone": "84901234567", **sent, "tracking_id": decided.delivery_key[:32]}
    assert (await log.sending(decided))["provider_response"]["data"] == sent


@pytest.mark.parametrize("wire", ["zalo_zns"], indirect=True)
@pytest.mark.parametrize(
    ("addresses", "metadata", "reason"),
    [
        (["0901234567"], None, "TEMPLATE_METADATA_MISSING"),
        (["0901234567"], {"template_id": "7", "template_data": {"a": "{{ profile.no }}"}},
         "TEMPLATE_VARIABLE_MISSING"),
        (["0901234567"], {"template_id": "7", "template_data": {"a": 1}}, "TEMPLATE_FAULT"),
        (["12345"], {"template_id": "7", "template_data": {}}, "BAD_ADDRESS"),
        (["not a number"], {"template_id": "7", "template_data": {}}, "BAD_ADDRESS"),
        (None, {"template_id": "7", "template_data": {}}, "NO_ADDRESS"),
    ],
)  # fmt: skip
async def test_what_can_not_be_sent_ends_as_failed_with_a_reason(
    decisions: Decisions, fleet: Fleet, wire: HttpWire, adapters: Adapters, log: Log, tenant_a: Tenant,
    addresses: Any, metadata: Any, reason: str,
) -> None:  # fmt: skip
    decided = await decide(decisions, tenant_a, "zalo", addresses, metadata=metadata)

    await runner(fleet, wire, adapters).drain()

    assert await log.facts(decided) == [("queued", 0, None), ("failed", 0, reason)]
    assert wire.fake.received == []


@pytest.mark.parametrize("wire", ["telegram"], indirect=True)
async def test_a_template_in_markdown_keeps_its_markup_and_escapes_its_variables(
    decisions: Decisions, fleet: Fleet, wire: HttpWire, adapters: Adapters, tenant_a: Tenant
) -> None:
    definitions = await decisions.define(
        tenant_a,
        channels=["telegram"],
        subject="",
        body="*Hi* {{ profile.first_name }}",
        metadata={"content_type": "text/markdown"},
        engine="liquid",
    )
    await decisions.profile(
        tenant_a, "lan", attributes={"first_name": "L*n."}, addresses={"telegram": ["1"]},
        consented=["telegram"],
    )  # fmt: skip
    await decisions.send(definitions, "lan", channels=["telegram"])

    await runner(fleet, wire, adapters).drain()

    assert [body["text"] for body in _bodies(wire)] == ["*Hi* L\\*n\\."]


def _bodies(wire: HttpWire) -> list[Any]:
    return [received.json() for received in wire.fake.received]
