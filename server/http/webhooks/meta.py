"""What Meta's webhooks share: the signature of the app, and the question whether somebody is there."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from typing import Final

from server.http.webhooks import form

_LONGEST_CHALLENGE: Final = 256


def verify(body: bytes, headers: Mapping[str, str], values: Mapping[str, str]) -> None:
    """HMAC-SHA256 of the body with the app's secret.

    Raises:
        Refusal: it is not Meta's.
    """
    secret = values.get("app_secret", "")
    if not secret:
        raise form.not_configured()
    expected = "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    form.check(headers.get("x-hub-signature-256", ""), expected)


def challenge(query: Mapping[str, str], values: Mapping[str, str]) -> str:
    """What Meta wants to read when the webhook is set up.

    Raises:
        Refusal: it does not show the token of the account, or asks something else.
    """
    token = values.get("verify_token", "")
    if not token:
        raise form.not_configured()
    form.check(query.get("hub.verify_token", ""), token)
    found = query.get("hub.challenge", "")
    if query.get("hub.mode") != "subscribe" or not 0 < len(found) <= _LONGEST_CHALLENGE:
        raise form.Refusal(400, "CHALLENGE_MISSING")
    if not (found.isascii() and found.isprintable()):
        raise form.Refusal(400, "CHALLENGE_MISSING")
    return found
