"""Every channel that this server knows: a new one is a file beside this one, and a line here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from server.dispatch.channels.channel import Channel, ErrorClass
from server.dispatch.channels.email_sendgrid import EmailSendgrid
from server.dispatch.channels.email_smtp import EmailSmtp
from server.dispatch.channels.facebook_page import FacebookPage
from server.dispatch.channels.http_channel import HttpChannel
from server.dispatch.channels.provider_http import ProviderHttp
from server.dispatch.channels.push_firebase import PushFirebase
from server.dispatch.channels.pushalert import Pushalert
from server.dispatch.channels.sms_gateway import SmsGateway
from server.dispatch.channels.telegram import Telegram
from server.dispatch.channels.web_push import WebPush
from server.dispatch.channels.whatsapp_cloud import WhatsappCloud
from server.dispatch.channels.zalo_oa import ZaloOa
from server.dispatch.channels.zalo_zns import ZaloZns

HTTP_CHANNELS: Final[tuple[type[HttpChannel], ...]] = (
    EmailSendgrid,
    ZaloZns,
    ZaloOa,
    FacebookPage,
    Telegram,
    WhatsappCloud,
    PushFirebase,
    Pushalert,
    WebPush,
    SmsGateway,
)
CHANNEL_TYPES: Final[tuple[type[Channel], ...]] = (EmailSmtp, *HTTP_CHANNELS)
"""The classes, whose attributes say what each channel needs; e-mail over SMTP is built with its relay."""

RESEND_SAFE: Final = frozenset(
    kind.name
    for kind in CHANNEL_TYPES
    if all(other.resend_safe for other in CHANNEL_TYPES if other.name == kind.name)
)
"""Channels that may send again what may have been sent, by whatever provider."""

# Their requests go to URLs that tenants or customers name.
_NAMED_BY_OTHERS: Final = frozenset({WebPush.provider, SmsGateway.provider})
# Their tokens come from a host of its own: that of this name among the URLs.
_TOKENS: Final = {
    ZaloZns.provider: "zalo_oauth",
    ZaloOa.provider: "zalo_oauth",
    PushFirebase.provider: "google_oauth",
}


@dataclass(frozen=True, slots=True)
class ProviderSetup:
    """How this process talks to providers over HTTP.

    Args:
        connections: requests at once, to each provider.
        timeout_seconds: for one request, from its first byte to the last of the answer.
        urls: provider → the URL that stands for its own, such as a sandbox or a proxy.
        codes: provider → code of an answer → what it means here, over the adapter's own table.
        private_networks: whether addresses that tenants and customers name may be in private networks.
    """

    connections: int = 100
    timeout_seconds: float = 30.0
    urls: Mapping[str, str] = field(default_factory=dict)
    codes: Mapping[str, Mapping[str, ErrorClass]] = field(default_factory=dict)
    private_networks: bool = False


def http_channels(setup: ProviderSetup) -> list[Channel]:
    """One adapter for each provider that is reached over HTTP. No connection is opened yet."""
    return [_built(kind, setup) for kind in HTTP_CHANNELS]


def _built(kind: type[HttpChannel], setup: ProviderSetup) -> Channel:
    http = ProviderHttp(
        connections=setup.connections,
        timeout_seconds=setup.timeout_seconds,
        private_networks=(
            setup.private_networks or kind.provider not in _NAMED_BY_OTHERS or kind.provider in setup.urls
        ),
    )
    options: dict[str, Any] = {
        "url": setup.urls.get(kind.provider),
        "codes": setup.codes.get(kind.provider),
    }
    if kind.provider in _TOKENS:
        options["token_url"] = setup.urls.get(_TOKENS[kind.provider])
    return kind(http, **options)
