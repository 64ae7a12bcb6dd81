"""Access tokens of Google service accounts: a signed assertion against a token of an hour (RFC 7523)."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any, Final

import jwt
import orjson

from server.dispatch.channels.answers import Answer
from server.dispatch.channels.channel import Credential, ErrorClass, Refreshed, Refused
from server.dispatch.channels.http_channel import FORM, form_body
from server.dispatch.channels.provider_http import ProviderHttp
from server.platform.clock import utc_now

TOKEN_URL: Final = "https://oauth2.googleapis.com/token"  # noqa: S105
_GRANT: Final = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_SCOPE: Final = "https://www.googleapis.com/auth/firebase.messaging"
_LIFETIME: Final = timedelta(hours=1)
_PROJECT: Final = re.compile(r"[a-z0-9.:-]{1,64}")


def project_of(credential: Credential) -> str | None:
    """The project of the service account; None where its key can not be read."""
    project = _account(credential).get("project_id")
    return project if isinstance(project, str) and _PROJECT.fullmatch(project) else None


async def refresh(http: ProviderHttp, url: str, credential: Credential) -> Refreshed | Refused:
    """An access token. Asking again is harmless."""
    try:
        assertion = _assertion(_account(credential))
    except (KeyError, TypeError, ValueError, jwt.PyJWTError):
        return Refused(ErrorClass.AUTHENTICATION, "SERVICE_ACCOUNT_UNREADABLE")
    body = form_body({"grant_type": _GRANT, "assertion": assertion})
    answer = await http.post(url, body, FORM, wait_seconds=http.timeout_seconds)
    return answer if isinstance(answer, Refused) else _read(answer, credential)


def _read(answer: Answer, credential: Credential) -> Refreshed | Refused:
    token, lifetime = answer.text("access_token"), answer.find("expires_in")
    if answer.status == 200 and token:
        seconds = float(lifetime) if isinstance(lifetime, (int, float)) else _LIFETIME.total_seconds()
        return Refreshed({"access_token": token}, seconds)
    if answer.text("error"):
        return answer.refused(ErrorClass.AUTHENTICATION, "GOOGLE_TOKEN_REFUSED", credential)
    return answer.refused(ErrorClass.TRANSIENT, f"HTTP_{answer.status}", credential)


def _account(credential: Credential) -> dict[str, Any]:
    try:
        account = orjson.loads(credential.get("service_account"))
    except orjson.JSONDecodeError:
        return {}
    return account if isinstance(account, dict) else {}


def _assertion(account: dict[str, Any]) -> str:
    now = utc_now()
    claims = {
        "iss": account["client_email"],
        "scope": _SCOPE,
        "aud": account.get("token_uri") or TOKEN_URL,
        "iat": now,
        "exp": now + _LIFETIME,
    }
    key_id = account.get("private_key_id")
    return jwt.encode(
        claims, account["private_key"], algorithm="RS256", headers={"kid": key_id} if key_id else None
    )
