"""SendGrid's signed event webhook: ECDSA over P-256 and SHA-256, of timestamp and body; a list of events."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_der_public_key

from server.dispatch.claims import Status
from server.dispatch.receipts import Receipt, Report
from server.http.webhooks import form

PROVIDER: Final = "sendgrid"
CHANNEL: Final = "email"
_PREFIX: Final = "x-twilio-email-event-webhook-"
_STATUSES: Final = {
    "delivered": Status.DELIVERED,
    "open": Status.READ,
    "click": Status.READ,
    "bounce": Status.BOUNCED,
    "dropped": Status.BOUNCED,
}
_MOST_CUTS: Final = 8


def read(body: bytes, headers: Mapping[str, str], values: Mapping[str, str]) -> list[Report]:
    """What a request reports; opens and clicks as read, what is processed or deferred as nothing.

    Raises:
        Refusal: it is not SendGrid's.
    """
    _verify(body, headers, values)
    return [report for event in form.objects(form.document(body, list)) for report in _reports(event)]


def _verify(body: bytes, headers: Mapping[str, str], values: Mapping[str, str]) -> None:
    encoded = values.get("webhook_public_key", "")
    if not encoded:
        raise form.not_configured()
    signature, timestamp = headers.get(f"{_PREFIX}signature", ""), headers.get(f"{_PREFIX}timestamp", "")
    if not signature or not timestamp:
        raise form.Refusal(401, "SIGNATURE_MISSING")
    try:
        signed = timestamp.encode("ascii") + body
        _key(encoded).verify(b64decode(signature, validate=True), signed, ECDSA(SHA256()))
    except (InvalidSignature, ValueError):
        raise form.Refusal(401, "SIGNATURE_INVALID") from None


@lru_cache(maxsize=1024)
def _key(encoded: str) -> EllipticCurvePublicKey:
    """The key from its base64.

    Raises:
        Refusal: it is none of this kind, so that nothing can be verified.
    """
    try:
        key = load_der_public_key(b64decode(encoded, validate=True))
    except ValueError:
        raise form.not_configured() from None
    if not isinstance(key, EllipticCurvePublicKey) or not isinstance(key.curve, SECP256R1):
        raise form.not_configured()
    return key


def _reports(event: Mapping[str, Any]) -> Iterator[Report]:
    status = _STATUSES.get(form.code(event.get("event")) or "")
    message_id = form.identifier(event.get("sg_message_id"))
    if status is None or message_id is None:
        return
    yield Receipt(
        provider=PROVIDER,
        channel=CHANNEL,
        message_ids=_beginnings(message_id),
        status=status,
        reason=_reason(event) if status is Status.BOUNCED else None,
        reference=form.reference(event.get("delivery_key")),
        details=form.details(
            event=form.code(event.get("event")),
            event_id=form.identifier(event.get("sg_event_id")),
            at=form.moment(event.get("timestamp")),
            status=form.code(event.get("status")),
        ),
    )


def _reason(event: Mapping[str, Any]) -> str:
    """A bounce for ever, one for now (which SendGrid does not repeat either), or mail that was never tried."""
    if event.get("event") == "dropped":
        return "SENDGRID_DROPPED"
    return "SENDGRID_BLOCKED" if event.get("type") == "blocked" else "SENDGRID_BOUNCED"


def _beginnings(message_id: str) -> tuple[str, ...]:
    """The id that the request was answered with is the first part of this one, or its first parts."""
    parts = message_id.split(".")
    cuts = range(1, min(len(parts), _MOST_CUTS))
    beginnings = (".".join(parts[:cut]) for cut in cuts)
    return tuple(dict.fromkeys((message_id, *filter(None, beginnings))))
