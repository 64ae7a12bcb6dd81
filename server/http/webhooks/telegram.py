"""Updates of a Telegram bot. Telegram tells of messages that people write, never of ours that arrived."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from server.dispatch.receipts import Report
from server.http.webhooks import form

PROVIDER: Final = "telegram"
CHANNEL: Final = "telegram"


def read(body: bytes, headers: Mapping[str, str], values: Mapping[str, str]) -> list[Report]:
    """Nothing: an update is verified and acknowledged, so that Telegram does not repeat it.

    Raises:
        Refusal: it is not Telegram's.
    """
    secret = values.get("webhook_secret", "")
    if not secret:
        raise form.not_configured()
    form.check(headers.get("x-telegram-bot-api-secret-token", ""), secret)
    form.document(body, dict)
    return []
