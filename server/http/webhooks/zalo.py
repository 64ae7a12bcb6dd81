"""Zalo's events of an Official Account: of ZNS messages, and of its own ones.

The signature is a plain SHA-256 over app, body, timestamp and the account's secret. The timestamp stands in the body,
or in a header. Events of ZNS bear a delivery time; those without are of the Official Account.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any, Final

from server.dispatch.claims import Status
from server.dispatch.receipts import Receipt, Report
from server.http.webhooks import form

PROVIDER: Final = "zalo_zns"
ACCOUNT: Final = "zalo"
_ZNS: Final = "zalo"
_OFFICIAL_ACCOUNT: Final = "zalo_oa"
_STATUSES: Final = {"user_received_message": Status.DELIVERED, "user_seen_message": Status.READ}
_MILLISECOND: Final = 0.001
_TIMESTAMP: Final = re.compile(rb'"timestamp"\s*:\s*"?([0-9]{1,19})')
_MOST_TIMESTAMPS: Final = 4


def read(body: bytes, headers: Mapping[str, str], values: Mapping[str, str]) -> list[Report]:
    """What a request reports; other events are left out.

    Raises:
        Refusal: it is not Zalo's.
    """
    secret, app_id = values.get("oa_secret", ""), values.get("app_id", "")
    if not secret or not app_id:
        raise form.not_configured()
    presented = headers.get("x-zevent-signature", "")
    if not presented:
        raise form.Refusal(401, "SIGNATURE_MISSING")
    _verify(presented, body, [headers.get("x-zevent-timestamp", ""), *_timestamps(body)], app_id, secret)
    return list(_reports(form.document(body, dict)))


def _timestamps(body: bytes) -> list[str]:
    """What stands in the body as one: it is not parsed before the signature was compared."""
    found = islice(_TIMESTAMP.finditer(body), _MOST_TIMESTAMPS)
    return [match[1].decode("ascii") for match in found]


def _verify(presented: str, body: bytes, timestamps: list[str], app_id: str, secret: str) -> None:
    refusal = form.Refusal(401, "SIGNATURE_INVALID")
    for timestamp in dict.fromkeys(timestamps):
        signed = app_id.encode() + body + timestamp.encode("utf-8", "replace") + secret.encode()
        expected = "mac=" + hashlib.sha256(signed).hexdigest()
        try:
            form.check(presented, expected)
        except form.Refusal as error:
            refusal = error
        else:
            return
    raise refusal


def _reports(event: Mapping[str, Any]) -> Iterator[Report]:
    status = _STATUSES.get(form.code(event.get("event_name")) or "")
    if status is None:
        return
    # The fields of a message stand inside `message`, or beside the event's name.
    message = form.inner(event, "message") or event
    delivered_at = form.moment(message.get("delivery_time"), unit=_MILLISECOND)
    of_zns = "delivery_time" in message or "tracking_id" in message
    for message_id in _message_ids(message):
        yield Receipt(
            provider=PROVIDER,
            channel=_ZNS if of_zns else _OFFICIAL_ACCOUNT,
            message_ids=(message_id,),
            status=status,
            reference=form.reference(message.get("tracking_id")),
            details=form.details(
                at=delivered_at or form.moment(event.get("timestamp"), unit=_MILLISECOND),
            ),
        )


def _message_ids(message: Mapping[str, Any]) -> Iterator[str]:
    listed = message.get("msg_ids")
    for value in (message.get("msg_id"), *(listed if isinstance(listed, list) else ())):
        if (found := form.identifier(value)) is not None:
            yield found
