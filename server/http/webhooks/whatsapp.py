"""Statuses of WhatsApp's Cloud API. Many failures are told here only."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from server.dispatch.claims import Status
from server.dispatch.receipts import Receipt, Report
from server.http.webhooks import form, meta

PROVIDER: Final = "whatsapp_cloud"
CHANNEL: Final = "whatsapp"
_STATUSES: Final = {
    "delivered": Status.DELIVERED,
    "read": Status.READ,
    "played": Status.READ,
    "failed": Status.BOUNCED,
}


def read(body: bytes, headers: Mapping[str, str], values: Mapping[str, str]) -> list[Report]:
    """What a request reports; people's own messages are left out.

    Raises:
        Refusal: it is not Meta's.
    """
    meta.verify(body, headers, values)
    found = form.document(body, dict)
    return [report for status in _statuses(found) for report in _reports(status)]


def _statuses(found: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for entry in form.objects(found.get("entry")):
        for change in form.objects(entry.get("changes")):
            yield from form.objects(form.inner(change, "value").get("statuses"))


def _reports(told: Mapping[str, Any]) -> Iterator[Report]:
    status = _STATUSES.get(form.code(told.get("status")) or "")
    message_id = form.identifier(told.get("id"))
    if status is None or message_id is None:
        return
    yield Receipt(
        provider=PROVIDER,
        channel=CHANNEL,
        message_ids=(message_id,),
        status=status,
        reason=_reason(told) if status is Status.BOUNCED else None,
        reference=form.reference(told.get("biz_opaque_callback_data")),
        details=form.details(at=form.moment(told.get("timestamp"))),
    )


def _reason(told: Mapping[str, Any]) -> str:
    error = next(form.objects(told.get("errors")), {})
    return f"META_{form.code(error.get('code')) or 'UNKNOWN'}"
