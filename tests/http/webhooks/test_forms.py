"""Forms of providers, against whatever arrives: they refuse with a reason, or read; they never fail otherwise."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.dispatch.receipts import Receipt, Report
from server.http.webhooks.form import Refusal
from server.http.webhooks.sources import SOURCES
from tests.http.webhooks.wires import WIRES, Wire

NAMES = [
    *("entry", "changes", "value", "statuses", "id", "status", "errors", "code", "timestamp", "messaging"),
    *("delivery", "mids", "watermark", "read", "sender", "event_name", "message", "msg_id", "msg_ids"),
    *("delivery_time", "tracking_id", "event", "sg_message_id", "delivery_key", "type"),
]
WORDS = [
    "delivered",
    "read",
    "failed",
    "bounce",
    "user_received_message",
    "user_seen_message",
    "a.b.c",
    "\x00",
]
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20)
    | st.sampled_from(WORDS)
)
DOCUMENTS = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=5),
    max_leaves=25,
)
ACCOUNTS: list[Wire] = [kind() for kind in WIRES]


def read(wire: Wire, body: bytes, headers: dict[str, str]) -> list[Report] | Refusal:
    """What the form makes of a request."""
    lower = {name.lower(): value for name, value in headers.items()}
    found: list[Report] | Refusal
    try:
        found = SOURCES[wire.name].read(body, lower, wire.values)
    except Refusal as refusal:
        found = refusal
    if isinstance(found, Refusal):
        assert found.status in (400, 401)
        assert found.reason.isupper()
        assert found.reason.replace("_", "").isalpha()
    return found


def storable(reports: list[Report]) -> None:
    """PostgreSQL takes any of it, and none of it is free text."""
    for report in reports:
        if isinstance(report, Receipt):
            assert report.message_ids
            assert all(0 < len(each) <= 400 and each.isprintable() for each in report.message_ids)
            assert "\\u0000" not in json.dumps(dict(report.details))
            assert (report.reason or "REASON").isprintable()


@pytest.mark.parametrize("wire", ACCOUNTS, ids=lambda wire: type(wire).__name__)
@given(body=st.binary(max_size=200), signed=st.booleans())
@settings(max_examples=60, deadline=None)
def test_any_bytes(wire: Wire, body: bytes, signed: bool) -> None:
    found = read(wire, body, wire.signed(body) if signed else {})
    if isinstance(found, Refusal):
        assert signed or found.reason == "SIGNATURE_MISSING"
    else:
        storable(found)


@pytest.mark.parametrize("wire", ACCOUNTS, ids=lambda wire: type(wire).__name__)
@given(document=DOCUMENTS)
@settings(max_examples=120, deadline=None)
def test_any_document(wire: Wire, document: Any) -> None:
    """Signed ones: what is inside may be of any shape."""
    for enclosed in (document, [document], {"entry": [document]}, enclosing(wire, document)):
        body = json.dumps(enclosed).encode()
        found = read(wire, body, wire.signed(body))
        if not isinstance(found, Refusal):
            storable(found)


@pytest.mark.parametrize("wire", ACCOUNTS, ids=lambda wire: type(wire).__name__)
@given(value=st.text(max_size=60))
@settings(max_examples=60, deadline=None)
def test_any_signature(wire: Wire, value: str) -> None:
    body = b'{"timestamp": 1}'
    headers = dict.fromkeys(wire.signed(body), value)
    found = read(wire, body, headers)
    assert isinstance(found, Refusal)
    assert found.status == 401


def enclosing(wire: Wire, document: Any) -> Any:
    """The document where the provider's events are."""
    return wire.enclosed([document if isinstance(document, dict) else {"event": document}])
