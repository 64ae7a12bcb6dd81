"""Every channel that this server knows: a new one is a file beside this one, and a line here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from server.dispatch.channels.channel import Channel, ErrorClass
from server.dispatch.channels.email_smtp import EmailSmtp

CHANNEL_TYPES: Final[tuple[type[Channel], ...]] = (EmailSmtp,)
"""The classes, whose attributes say what each channel needs; e-mail over SMTP is built with its relay."""


@dataclass(frozen=True, slots=True)
class ProviderSetup:
    """How this process talks to providers over HTTP.

    Args:
        timeout_seconds: for one request, from its first byte to the last of the answer.
        urls: provider → the URL that stands for its own, such as a sandbox or a proxy.
        codes: provider → code of an answer → what it means here, over the adapter's own table.
        private_networks: whether addresses that tenants and customers name may be in private networks.
    """

    timeout_seconds: float = 30.0
    urls: Mapping[str, str] = field(default_factory=dict)
    codes: Mapping[str, Mapping[str, ErrorClass]] = field(default_factory=dict)
    private_networks: bool = False


def http_channels(setup: ProviderSetup) -> list[Channel]:
    """One adapter for each provider that is reached over HTTP. No connection is opened yet."""
    return []
