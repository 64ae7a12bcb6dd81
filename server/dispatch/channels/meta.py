"""How answers of Meta's Graph API are read, for Messenger and WhatsApp."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from typing import Any, Final

import orjson

from server.dispatch.channels.answers import Answer
from server.dispatch.channels.channel import Credential, CredentialField, ErrorClass, Refused
from server.dispatch.channels.waiting import bounded

URL: Final = "https://graph.facebook.com"
USUAL_VERSION: Final = "v25.0"
VERSION: Final = CredentialField(
    "api_version", False, False, f"The version of the Graph API; {USUAL_VERSION} if left out.", r"v\d+\.\d+"
)
APP_SECRET: Final = CredentialField(
    "app_secret", True, False, "The app's secret: signs requests, and verifies webhooks."
)
VERIFY_TOKEN: Final = CredentialField(
    "verify_token", True, False, "Any text of your own: Meta shows it when the webhook is set up."
)
_USAGE: Final = "x-business-use-case-usage"


def proof(credential: Credential) -> dict[str, str]:
    """The parameter `appsecret_proof`, where the account names its app's secret."""
    secret = credential.get("app_secret")
    if not secret:
        return {}
    token = credential.get("access_token").encode()
    return {"appsecret_proof": hmac.new(secret.encode(), token, hashlib.sha256).hexdigest()}


def read_error(answer: Answer, credential: Credential, codes: Mapping[str, ErrorClass]) -> Refused:
    """What an error means: by its code and subcode, then by its code, never by its title or status."""
    code = answer.text("error", "code")
    if not code:
        return answer.refused_by_status(credential)
    subcode = answer.text("error", "error_subcode")
    error = codes.get(f"{code}/{subcode}") or codes.get(code) or _permission(code) or ErrorClass.TRANSIENT
    reason = f"META_{code}_{subcode}" if subcode else f"META_{code}"
    return answer.refused(error, reason, credential, retry_after_seconds=_regained(answer))


def _permission(code: str) -> ErrorClass | None:
    """200 to 299 are permissions that the app lacks."""
    return ErrorClass.AUTHENTICATION if len(code) == 3 and code.startswith("2") else None


def _regained(answer: Answer) -> float | None:
    """Seconds until access is regained, which Meta estimates in minutes in a header of usage."""
    try:
        usage = orjson.loads(answer.headers.get(_USAGE, ""))
    except orjson.JSONDecodeError:
        return None
    minutes = max(_estimates(usage), default=0.0)
    return bounded(minutes * 60) if minutes > 0 else None


def _estimates(usage: Any) -> list[float]:
    accounts = usage.values() if isinstance(usage, dict) else ()
    entries = [entry for listed in accounts if isinstance(listed, list) for entry in listed]
    found = [entry.get("estimated_time_to_regain_access") for entry in entries if isinstance(entry, dict)]
    return [float(minutes) for minutes in found if isinstance(minutes, (int, float))]
