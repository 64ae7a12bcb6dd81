"""Messenger's receipts of a Page: of single messages, or of all to a person until a time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from server.dispatch.claims import Status
from server.dispatch.receipts import Receipt, Report, Watermark
from server.http.webhooks import form, meta

PROVIDER: Final = "facebook_page"
CHANNEL: Final = "facebook"
_MILLISECOND: Final = 0.001


def read(body: bytes, headers: Mapping[str, str], values: Mapping[str, str]) -> list[Report]:
    """What a request reports; messages are left out.

    Raises:
        Refusal: it is not Meta's.
    """
    meta.verify(body, headers, values)
    found = form.document(body, dict)
    return [
        report
        for entry in form.objects(found.get("entry"))
        for told in form.objects(entry.get("messaging"))
        for report in (*_delivered(told), *_read(told))
    ]


def _delivered(told: Mapping[str, Any]) -> Iterator[Report]:
    """By their ids, which may be absent."""
    delivery = form.inner(told, "delivery")
    until = form.moment(delivery.get("watermark"), unit=_MILLISECOND)
    listed = delivery.get("mids")
    ids = [found for value in listed if (found := form.identifier(value))] if isinstance(listed, list) else []
    for message_id in ids:
        yield Receipt(
            provider=PROVIDER,
            channel=CHANNEL,
            message_ids=(message_id,),
            status=Status.DELIVERED,
            details=form.details(at=until),
        )
    if not ids:
        yield from _until(told, delivery, Status.DELIVERED)


def _read(told: Mapping[str, Any]) -> Iterator[Report]:
    yield from _until(told, form.inner(told, "read"), Status.READ)


def _until(told: Mapping[str, Any], event: Mapping[str, Any], status: Status) -> Iterator[Report]:
    recipient = form.identifier(form.inner(told, "sender").get("id"))
    until = form.moment(event.get("watermark"), unit=_MILLISECOND)
    if recipient is not None and until is not None:
        yield Watermark(recipient, until, status)
