"""SendGrid's Mail Send."""

from __future__ import annotations

from typing import Any

from server.dispatch.channels.channel import Credential
from tests.dispatch.channels.fakes.provider import Received, Reply
from tests.dispatch.channels.fakes.wire import CONTENT, KEY, TEXT, HttpWire


def failed(status: int, message: str, field: str | None = None, **headers: str) -> Reply:
    """An error as SendGrid tells it."""
    return Reply(status, {"errors": [{"message": message, "field": field, "help": None}]}, headers)


class SendgridWire(HttpWire):
    name = "sendgrid"
    credential = Credential(
        {"api_key": "SG.sendgrid-key", "sender_email": "shop@leo.example", "sender_name": "Cửa hàng"}
    )
    subject = "Đơn hàng"
    golden = {
        "request": "POST /v3/mail/send",
        "authorization": "Bearer SG.sendgrid-key",
        "body": {
            "personalizations": [
                {"to": [{"email": "lan@example.com"}], "custom_args": {"delivery_key": KEY}}
            ],
            "from": {"email": "shop@leo.example", "name": "Cửa hàng"},
            "subject": "Đơn hàng",
            "content": [{"type": "text/plain", "value": TEXT}],
        },
    }
    addresses = {"lan@example.com": "lan@example.com", "Lan@EXAMPLE.com": "Lan@example.com"}
    nonsense = ("", "lan", "a@", "@b.c", "a b@c.de", "a@b.de,c@d.de", "a@b.de\nBcc: x@y.z")
    retry_after_seconds = 40.0
    expected = {"answers_a_code_that_nobody_knows": CONTENT}
    answers = {
        "accepted": Reply(202, b"", {"X-Message-Id": "14c5d75ce93.dfd.64b469"}),
        "refuses_the_recipient": failed(
            400, "Does not contain a valid address.", "personalizations.0.to.0.email"
        ),
        "refuses_the_content": failed(400, "The content value must be a string", "content.0.value"),
        "limits_the_rate": failed(429, "too many requests", **{"X-RateLimit-Reset": "40"}),
        "expires_the_token": failed(401, "The provided authorization grant is invalid, expired, or revoked"),
        "is_unavailable": Reply(503, b""),
        "answers_a_code_that_nobody_knows": failed(422, "New"),
    }
    cut_short = Reply(500, b"Internal Server Error")

    def swollen(self) -> Reply:
        return Reply(500, b"a" * 1_000_000)

    def accept(self, received: Received) -> Reply:
        return self.answers["accepted"]

    def received(self) -> list[Any]:
        return [
            {
                "request": f"{each.method} {each.path}",
                "authorization": each.headers.get("authorization"),
                "body": each.json(),
            }
            for each in self.fake.received
        ]

    def text_of(self, received: Any) -> str:
        return str(received["body"]["content"][0]["value"])
