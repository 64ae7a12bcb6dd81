"""What reply codes mean, what a message looks like, and what can not get into one."""

from __future__ import annotations

import email
import email.policy
from datetime import UTC, datetime
from email.headerregistry import Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.dispatch.channels.channel import BadAddress, ErrorClass, Message
from server.dispatch.channels.email_smtp import classify
from server.dispatch.channels.mime import compose, parse_address
from server.dispatch.channels.smtp_pool import Relay
from server.dispatch.rendering import one_line
from server.templates import languages

SENDER = Address(display_name="Cửa hàng", addr_spec="shop@leo.example")
DATE = datetime(2026, 11, 21, 8, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("step", "code", "expected"),
    [
        ("RCPT", 550, ErrorClass.RECIPIENT),
        ("RCPT", 553, ErrorClass.RECIPIENT),
        ("RCPT", 450, ErrorClass.TRANSIENT),
        ("RCPT", 451, ErrorClass.TRANSIENT),
        ("RCPT", 452, ErrorClass.QUOTA),
        ("RCPT", 421, ErrorClass.TRANSIENT),
        ("RCPT", 530, ErrorClass.AUTHENTICATION),
        ("MAIL", 535, ErrorClass.AUTHENTICATION),
        ("MAIL", 550, ErrorClass.AUTHENTICATION),
        ("MAIL", -1, ErrorClass.TRANSIENT),
        ("DATA", 554, ErrorClass.CONTENT),
        ("DATA", 552, ErrorClass.CONTENT),
        ("DATA", 451, ErrorClass.TRANSIENT),
        ("DATA", -1, ErrorClass.AMBIGUOUS),
        ("DATA", 251, ErrorClass.AMBIGUOUS),
    ],
)
def test_a_reply_code_means_what_its_step_says(step: str, code: int, expected: ErrorClass) -> None:
    assert classify(step, code) is expected


@given(subject=st.text(max_size=300), body=st.text(max_size=300))
def test_no_text_adds_a_header_or_a_recipient(subject: str, body: str) -> None:
    subject = one_line(subject.encode("utf-8", "ignore").decode())
    body = body.encode("utf-8", "ignore").decode()
    message = Message("f" * 64, "lan@example.com", subject, body, "text/plain")

    content = compose(message, sender=SENDER, date=DATE)

    parsed = email.message_from_bytes(content, policy=email.policy.default)
    assert sorted(parsed.keys()) == [
        "Content-Transfer-Encoding",
        "Content-Type",
        "Date",
        "From",
        "MIME-Version",
        "Message-ID",
        "Subject",
        "To",
    ]
    assert parsed["To"] == "lan@example.com"
    assert parsed["Message-ID"] == f"<{'f' * 32}@leo.example>"


def test_the_same_message_gives_the_same_bytes() -> None:
    message = Message("f" * 64, "lan@example.com", "Chào Lan", "Xin chào", "text/html")

    first, second = (compose(message, sender=SENDER, date=DATE) for _ in range(2))

    assert first == second
    parsed = email.message_from_bytes(first, policy=email.policy.default)
    assert parsed["Subject"] == "Chào Lan"
    assert parsed["From"].addresses[0].display_name == "Cửa hàng"
    assert parsed["Date"].datetime == DATE
    assert parsed.get_content_type() == "text/html"


@pytest.mark.parametrize(
    "address", ["", "a", "a@", "@b.c", "a b@c.de", "a@b.de,c@d.de", "a@b.de\nBcc: x@y.z"]
)
def test_what_is_no_single_address_is_refused(address: str) -> None:
    with pytest.raises(BadAddress):
        parse_address(address)


def test_a_relay_is_read_from_its_url() -> None:
    relay = Relay.from_url("smtps://us%40er:p%2Fw@mail.example", timeout_seconds=3)

    assert relay == Relay("mail.example", 465, True, "us@er", "p/w", 3)


@pytest.mark.parametrize(
    ("language", "order"),
    [
        ("vi-VN", ["vi-vn", "vi", "default"]),
        ("zh_Hant_TW", ["zh-hant-tw", "zh-hant", "zh", "default"]),
        ("", ["default"]),
        (None, ["default"]),
    ],
)
def test_languages_are_tried_from_the_narrowest_on(language: str | None, order: list[str]) -> None:
    assert list(languages(language)) == order
