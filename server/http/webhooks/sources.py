"""Every provider that tells us something, by its name in the path."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from server.dispatch.receipts import Report
from server.http.webhooks import facebook, meta, sendgrid, telegram, whatsapp, zalo

Read = Callable[[bytes, Mapping[str, str], Mapping[str, str]], list[Report]]
"""From the raw body, the headers by their names in lower case, and the values of the account; raises `Refusal`."""
Challenge = Callable[[Mapping[str, str], Mapping[str, str]], str]
"""From the query and the values of the account to what is answered; raises `Refusal`."""


@dataclass(frozen=True, slots=True)
class Source:
    """One provider.

    Args:
        provider: its name, also in the path.
        account: the channel under whose name tenants keep their accounts there.
        challenge: answers the provider's question when the webhook is set up; None where it asks none.
    """

    provider: str
    account: str
    read: Read
    challenge: Challenge | None = None


SOURCES: Final[Mapping[str, Source]] = {
    source.provider: source
    for source in (
        Source(sendgrid.PROVIDER, sendgrid.CHANNEL, sendgrid.read),
        Source(whatsapp.PROVIDER, whatsapp.CHANNEL, whatsapp.read, meta.challenge),
        Source(facebook.PROVIDER, facebook.CHANNEL, facebook.read, meta.challenge),
        Source(zalo.PROVIDER, zalo.ACCOUNT, zalo.read),
        Source(telegram.PROVIDER, telegram.CHANNEL, telegram.read),
    )
}
