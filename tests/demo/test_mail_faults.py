"""The demo's comparison of mailbox and log finds what differs."""

from __future__ import annotations

from email.message import EmailMessage
from typing import Any

import pytest

from loadtest.demo.reconcile import mail_faults

ROW = {
    "delivery_status": "sent",
    "destination": "ann@example.com",
    "subject": "Hello",
    "body": "First line\nsecond line\n",
    "provider_message_id": "<k1@shop.example>",
}


def mail(**changed: str) -> EmailMessage:
    """The message of `ROW`, with some headers or the text changed."""
    message = EmailMessage()
    headers = {
        "Message-ID": "<k1@shop.example>",
        "Delivered-To": "ann@example.com",
        "To": "ann@example.com",
        "Subject": "Hello",
    }
    names = {"message_id": "Message-ID", "envelope": "Delivered-To", "recipient": "To", "subject": "Subject"}
    for key, name in names.items():
        message[name] = changed.get(key, headers[name])
    message.set_content(changed.get("text", ROW["body"]))
    return message


def test_a_message_that_is_what_its_row_says_is_no_fault() -> None:
    assert mail_faults({"k1": ROW}, [mail()]) == []


@pytest.mark.parametrize(
    ("changed", "fault"),
    [
        ({"envelope": "bob@example.com"}, "k1: envelope differ from the log"),
        ({"recipient": "bob@example.com"}, "k1: recipient differ from the log"),
        ({"subject": "Bye"}, "k1: subject differ from the log"),
        ({"text": "something else"}, "k1: text differ from the log"),
        ({"message_id": "<k1@other.example>"}, "k1: message id differ from the log"),
    ],
)
def test_each_part_is_compared(changed: dict[str, str], fault: str) -> None:
    assert mail_faults({"k1": ROW}, [mail(**changed)]) == [fault]


def test_missing_repeated_and_strange_messages_are_found() -> None:
    assert mail_faults({"k1": ROW}, []) == ["k1: sent, but not in the mailbox"]
    assert mail_faults({"k1": ROW}, [mail(), mail()]) == ["k1: came 2 times"]
    strange: dict[str, Any] = {}
    assert mail_faults(strange, [mail()]) == ["k1: nothing in the log led to this message"]


def test_a_delivery_that_nobody_knows_of_may_have_arrived_or_not() -> None:
    unknown = {**ROW, "delivery_status": "unknown", "provider_message_id": None}
    assert mail_faults({"k1": unknown}, []) == []
    assert mail_faults({"k1": unknown}, [mail()]) == []
