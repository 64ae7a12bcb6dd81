"""Each provider once for the run: a server that speaks its wire format, and the adapter that is pointed at it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from email.headerregistry import Address

import pytest

from server.dispatch.channels.channel import Channel, ErrorClass
from server.dispatch.channels.email_smtp import EmailSmtp
from server.dispatch.channels.registry import ProviderSetup, http_channels
from server.dispatch.channels.smtp_pool import Relay, SmtpPool
from tests.dispatch.channels.fakes.meta import FacebookPageWire, WhatsappWire
from tests.dispatch.channels.fakes.push import FirebaseWire, PushalertWire, WebPushWire
from tests.dispatch.channels.fakes.sendgrid import SendgridWire
from tests.dispatch.channels.fakes.sms import SmsWire
from tests.dispatch.channels.fakes.smtp import SmtpWire
from tests.dispatch.channels.fakes.telegram import TelegramWire
from tests.dispatch.channels.fakes.wire import HttpWire, Wire
from tests.dispatch.channels.fakes.zalo import ZaloOaWire, ZaloZnsWire

HTTP_WIRES = (
    SendgridWire,
    ZaloZnsWire,
    ZaloOaWire,
    FacebookPageWire,
    TelegramWire,
    WhatsappWire,
    FirebaseWire,
    PushalertWire,
    WebPushWire,
    SmsWire,
)
WIRES = {kind.name: kind for kind in (SmtpWire, *HTTP_WIRES)}
HTTP_NAMES = [kind.name for kind in HTTP_WIRES]

# What the reference leaves open is given a meaning by configuration.
CODES: Mapping[str, Mapping[str, ErrorClass]] = {
    "zalo_oa": {"-210": ErrorClass.CONTENT},
    "pushalert": {"invalid subscriber": ErrorClass.RECIPIENT},
    "sms_gateway": {"UNKNOWN_SUBSCRIBER": ErrorClass.RECIPIENT},
}


@pytest.fixture(scope="session")
def started() -> Iterator[dict[str, Wire]]:
    """The providers that were asked for so far, by name."""
    wires: dict[str, Wire] = {}
    yield wires
    for wire in wires.values():
        wire.end()


@pytest.fixture
def wire(request: pytest.FixtureRequest, started: dict[str, Wire]) -> Wire:
    """The provider of the test's parameter, as if nothing had happened."""
    name = request.param
    if name not in started:
        started[name] = WIRES[name]()
        started[name].start()
    started[name].reset()
    return started[name]


@dataclass(slots=True)
class Adapters:
    """Makes adapters, and closes them after the test."""

    stack: AsyncExitStack
    made: list[Channel] = field(default_factory=list)

    def of(self, wire: Wire, *, timeout_seconds: float = 5.0, connections: int = 4) -> Channel:
        """The adapter of a provider, as a worker builds it."""
        if isinstance(wire, HttpWire):
            channel = _over_http(wire, timeout_seconds, connections)
        else:
            assert isinstance(wire, SmtpWire)
            channel = _over_smtp(wire, timeout_seconds, connections)
        self.stack.push_async_callback(channel.close)
        return channel


@pytest.fixture
async def adapters() -> AsyncIterator[Adapters]:
    """Makes adapters."""
    async with AsyncExitStack() as stack:
        yield Adapters(stack)


def _over_http(wire: HttpWire, timeout_seconds: float, connections: int) -> Channel:
    own = {} if wire.name in {"web_push", "sms_gateway"} else {wire.name: wire.fake.url}
    setup = ProviderSetup(
        connections=connections,
        timeout_seconds=timeout_seconds,
        urls={**own, "zalo_oauth": wire.fake.url, "google_oauth": f"{wire.fake.url}/token"},
        codes=CODES,
        private_networks=True,
    )
    return next(channel for channel in http_channels(setup) if channel.provider == wire.name)


def _over_smtp(wire: SmtpWire, timeout_seconds: float, connections: int) -> Channel:
    relay = Relay.from_url(wire.smtp.url, timeout_seconds=timeout_seconds)
    return EmailSmtp(
        pool=SmtpPool(relay, size=connections),
        connections=connections,
        sender=Address(display_name="Shop", addr_spec="shop@leo.example"),
        timeout_seconds=timeout_seconds,
    )
