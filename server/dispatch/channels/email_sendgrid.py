"""E-mail over SendGrid's API."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

from server.dispatch.channels.answers import Answer, classify_status
from server.dispatch.channels.channel import (
    HTML,
    PLAIN_TEXT,
    Accepted,
    AddressKind,
    Credential,
    CredentialField,
    ErrorClass,
    Message,
    RateLimit,
    Refused,
    SendResult,
)
from server.dispatch.channels.http_channel import JSON, HttpChannel, json_body
from server.dispatch.channels.mime import parse_address
from server.dispatch.channels.waiting import bounded, until

_ACCEPTED: Final = 202
_RECIPIENT_FIELD: Final = "personalizations.0.to"
# A smaller number in X-RateLimit-Reset is no point in time but a number of seconds.
_EARLIEST_TIME: Final = 1_000_000_000


class EmailSendgrid(HttpChannel):
    """The channel `email` over SendGrid."""

    name = "email"
    provider = "sendgrid"
    account = "email"
    needs = AddressKind.EMAIL
    receipts = True
    limits = RateLimit(per_second=100.0, burst=100)
    credential = (
        CredentialField("api_key", True, True, "An API key with the permission Mail Send."),
        CredentialField("sender_email", False, True, "The verified sender.", r"[^@\s]+@[^@\s]+"),
        CredentialField("sender_name", False, False, "The sender's name as people see it."),
        CredentialField(
            "webhook_public_key",
            False,
            False,
            "The verification key of the signed event webhook.",
            r"[A-Za-z0-9+/]{100,200}={0,2}",
        ),
    )
    content_types = (PLAIN_TEXT, HTML)
    URL = "https://api.sendgrid.com"

    def accept_address(self, address: str) -> str:
        """The normalised address.

        Raises:
            BadAddress: it is none.
        """
        return parse_address(address).normalized

    async def _deliver(self, message: Message, credential: Credential, wait_seconds: float) -> SendResult:
        answer = await self._http.post(
            f"{self._url}/v3/mail/send",
            json_body(_mail(message, credential)),
            {**JSON, "Authorization": f"Bearer {credential.get('api_key')}"},
            wait_seconds=wait_seconds,
        )
        return answer if isinstance(answer, Refused) else _read(answer, credential)


def _mail(message: Message, credential: Credential) -> dict[str, Any]:
    sender = {"email": credential.get("sender_email")}
    if name := credential.get("sender_name"):
        sender["name"] = name
    return {
        "personalizations": [
            {"to": [{"email": message.destination}], "custom_args": {"delivery_key": message.delivery_key}}
        ],
        "from": sender,
        "subject": message.subject,
        "content": [{"type": message.content_type, "value": message.body}],
    }


def _read(answer: Answer, credential: Credential) -> SendResult:
    if answer.status == _ACCEPTED:
        return Accepted(answer.headers.get("x-message-id", ""), answer.record(credential))
    error = classify_status(answer.status)
    if error is ErrorClass.QUOTA:
        wait = _reset(answer)
        return answer.refused(error, "SENDGRID_RATE_LIMIT", credential, retry_after_seconds=wait)
    faults = answer.find("errors")
    if error is not ErrorClass.CONTENT or not isinstance(faults, list) or not faults:
        return answer.refused_by_status(credential)
    field = answer.text("errors", 0, "field")
    if field.startswith(_RECIPIENT_FIELD):
        return answer.refused(ErrorClass.RECIPIENT, "SENDGRID_RECIPIENT_REFUSED", credential)
    return answer.refused(ErrorClass.CONTENT, "SENDGRID_CONTENT_REFUSED", credential)


def _reset(answer: Answer) -> float | None:
    """Seconds until the limit is lifted, from X-RateLimit-Reset."""
    value = answer.headers.get("x-ratelimit-reset", "")
    if not (value.isascii() and value.isdecimal() and len(value) <= len(str(_EARLIEST_TIME))):
        return None
    number = int(value)
    if number < _EARLIEST_TIME:
        return bounded(float(number))
    return until(datetime.fromtimestamp(number, UTC))
