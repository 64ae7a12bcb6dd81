"""What every channel does, whatever its provider does: the same twenty cases for each."""

from __future__ import annotations

import asyncio

import pytest

from server.dispatch.channels.channel import Accepted, BadAddress, ErrorClass, Refused
from server.dispatch.channels.registry import CHANNEL_TYPES
from tests.dispatch.channels.conftest import WIRES, Adapters
from tests.dispatch.channels.fakes.wire import CASES, TEXT, UNUSUAL, Wire

every_channel = pytest.mark.parametrize("wire", list(WIRES), indirect=True)
PATIENCE = 5.0


def test_every_channel_is_here() -> None:
    assert set(WIRES) == {kind.provider for kind in CHANNEL_TYPES}
    assert len(CASES) + 4 == 20


@every_channel
async def test_a_message_looks_as_the_provider_documents_it(wire: Wire, adapters: Adapters) -> None:
    result = await adapters.of(wire).send(wire.message(), wire.credential, wait_seconds=PATIENCE)

    assert isinstance(result, Accepted), result
    assert wire.received() == [wire.golden]
    assert result.provider_message_id
    assert result.dead_addresses == ()


@every_channel
async def test_unusual_text_arrives_as_it_is(wire: Wire, adapters: Adapters) -> None:
    result = await adapters.of(wire).send(wire.message(UNUSUAL), wire.credential, wait_seconds=PATIENCE)

    assert isinstance(result, Accepted), result
    [received] = wire.received()
    assert wire.text_of(received) == UNUSUAL


@every_channel
@pytest.mark.parametrize("case", list(CASES))
async def test_what_else_happens_is_classified(wire: Wire, adapters: Adapters, case: str) -> None:
    wire.script(case)
    adapter = adapters.of(wire, timeout_seconds=0.2 if case == "answers_late" else PATIENCE)

    result = await adapter.send(wire.message(), wire.credential, wait_seconds=PATIENCE)

    assert isinstance(result, Refused), result
    assert result.error is wire.means(case), result
    assert result.reason.isupper()
    assert len(wire.received()) <= 1
    if case == "limits_the_rate":
        assert result.retry_after_seconds == wire.retry_after_seconds
    await _takes_the_next(wire, adapters)


@every_channel
async def test_a_message_whose_turn_does_not_come_is_unsent(wire: Wire, adapters: Adapters) -> None:
    wire.script("answers_late")
    adapter = adapters.of(wire, connections=1)
    first = asyncio.create_task(adapter.send(wire.message(), wire.credential, wait_seconds=PATIENCE))
    await asyncio.to_thread(wire.wait_until_something_arrived)

    second = await adapter.send(wire.message("second"), wire.credential, wait_seconds=0.0)

    assert isinstance(second, Refused)
    assert (second.error, second.reason) == (ErrorClass.TRANSIENT, "NO_CONNECTION_IN_TIME")
    assert len(wire.received()) == 1
    wire.reset()
    await first


@every_channel
async def test_many_at_once_arrive_once_each(wire: Wire, adapters: Adapters) -> None:
    adapter = adapters.of(wire)
    texts = [f"message {number}" for number in range(30)]

    results = await asyncio.gather(
        *(adapter.send(wire.message(t), wire.credential, wait_seconds=PATIENCE) for t in texts)
    )

    assert all(isinstance(result, Accepted) for result in results)
    assert sorted(wire.text_of(received) for received in wire.received()) == sorted(texts)


@every_channel
async def test_addresses_come_in_the_providers_form_or_not_at_all(wire: Wire, adapters: Adapters) -> None:
    adapter = adapters.of(wire)

    assert {given: adapter.accept_address(given) for given in wire.addresses} == dict(wire.addresses)
    for nonsense in wire.nonsense:
        with pytest.raises(BadAddress):
            adapter.accept_address(nonsense)


async def _takes_the_next(wire: Wire, adapters: Adapters) -> None:
    """After whatever happened, the channel serves."""
    wire.reset()
    result = await adapters.of(wire).send(wire.message(), wire.credential, wait_seconds=PATIENCE)
    assert isinstance(result, Accepted), result
    assert wire.text_of(wire.received()[-1]) == TEXT
