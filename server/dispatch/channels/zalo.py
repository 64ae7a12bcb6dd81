"""What Zalo's two channels share: one account, its token, and how answers are read.

Zalo answers with status 200 whatever happened; only `error` 0 is a success. What is no JSON may have been sent.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from typing import Final

from server.dispatch.channels.answers import Answer
from server.dispatch.channels.channel import (
    Accepted,
    Credential,
    CredentialField,
    ErrorClass,
    Refreshed,
    Refused,
    SendResult,
)
from server.dispatch.channels.http_channel import FORM, JSON, form_body
from server.dispatch.channels.provider_http import ProviderHttp

CREDENTIAL: Final = (
    CredentialField("app_id", False, True, "The id of the app at developers.zalo.me.", r"\d+"),
    CredentialField("app_secret", True, True, "The secret key of the app."),
    CredentialField(
        "refresh_token", True, True, "From the consent of the Official Account; each one can be used once."
    ),
    CredentialField("access_token", True, False, "Renewed by itself; leave it out."),
    CredentialField(
        "send_proof", False, False, 'Give "true" when the app demands appsecret_proof.', "true|false"
    ),
    CredentialField(
        "oa_secret", True, False, "The secret key of the Official Account's webhook, which it verifies."
    ),
)
TOKEN_URL: Final = "https://oauth.zaloapp.com"  # noqa: S105
_USUAL_SECONDS: Final = 90_000.0
_STATUSES: Final = {
    401: ErrorClass.AUTHENTICATION,
    403: ErrorClass.AUTHENTICATION,
    429: ErrorClass.QUOTA,
    **dict.fromkeys((301, 302, 303, 307, 308), ErrorClass.AUTHENTICATION),
}


def headers(credential: Credential) -> dict[str, str]:
    """The headers of a request in the account's name."""
    token = credential.get("access_token")
    proof = hmac.new(credential.get("app_secret").encode(), token.encode(), hashlib.sha256).hexdigest()
    optional = {"appsecret_proof": proof} if credential.get("send_proof") == "true" else {}
    return {**JSON, "access_token": token, **optional}


def no_token() -> Refused:
    """Before the first refresh there is no access token."""
    return Refused(ErrorClass.AUTHENTICATION, "ACCESS_TOKEN_MISSING")


def read(
    answer: Answer, credential: Credential, codes: Mapping[str, ErrorClass], id_field: str
) -> SendResult:
    """What an answer says.

    Args:
        codes: error → what it means.
        id_field: where the message's id is, inside `data`.
    """
    error = answer.text("error")
    if error == "0":
        return Accepted(answer.text("data", id_field), answer.record(credential))
    if not error:
        kind = _STATUSES.get(answer.status, ErrorClass.AMBIGUOUS)
        return answer.refused(kind, f"HTTP_{answer.status}", credential)
    kind = codes.get(error, ErrorClass.TRANSIENT)
    return answer.refused(kind, f"ZALO_{error.replace('-', 'MINUS_')}", credential)


async def refresh(http: ProviderHttp, url: str, credential: Credential) -> Refreshed | Refused:
    """A new pair of tokens for the refresh token, which is used up by it."""
    answer = await http.post(
        f"{url}/v4/oa/access_token",
        form_body(
            {
                "refresh_token": credential.get("refresh_token"),
                "app_id": credential.get("app_id"),
                "grant_type": "refresh_token",
            }
        ),
        {**FORM, "secret_key": credential.get("app_secret")},
        wait_seconds=http.timeout_seconds,
    )
    if isinstance(answer, Refused):
        return answer
    access, renewed = answer.text("access_token"), answer.text("refresh_token")
    if access and renewed:
        # The answer holds the tokens, and is recorded nowhere.
        return Refreshed({"access_token": access, "refresh_token": renewed}, _lifetime(answer))
    if answer.document is None:
        return answer.refused(ErrorClass.AMBIGUOUS, f"HTTP_{answer.status}", credential)
    return answer.refused(ErrorClass.AUTHENTICATION, "ZALO_REFRESH_REFUSED", credential)


def _lifetime(answer: Answer) -> float:
    """Seconds; Zalo writes them as a number or as text."""
    value = answer.text("expires_in")
    return float(value) if value.isascii() and value.isdecimal() else _USUAL_SECONDS
