"""An SMS gateway that takes JSON."""

from __future__ import annotations

from typing import Any

from server.dispatch.channels.channel import Credential
from tests.dispatch.channels.fakes.provider import Received, Reply
from tests.dispatch.channels.fakes.wire import KEY, TEXT, HttpWire


def failed(status: int, code: str, **headers: str) -> Reply:
    """An error as gateways tell it."""
    return Reply(status, {"error": {"code": code, "message": "no"}}, headers)


class SmsWire(HttpWire):
    name = "sms_gateway"
    golden = {
        "request": "POST /v1/sms",
        "authorization": "Basic c21zOmdhdGV3YXk=",
        "idempotency-key": KEY,
        "body": {"to": "+84901234567", "from": "LEO", "text": TEXT, "reference": KEY},
    }
    addresses = {"0901234567": "+84901234567", "+84 901 234 567": "+84901234567"}
    nonsense = ("", "lan", "123", "+84")
    retry_after_seconds = 35.0
    answers = {
        "accepted": Reply(202, {"id": "sms-1"}),
        "refuses_the_recipient": failed(422, "UNKNOWN_SUBSCRIBER"),
        "refuses_the_content": failed(400, "TEXT_TOO_LONG"),
        "limits_the_rate": failed(429, "SLOW_DOWN", **{"Retry-After": "35"}),
        "expires_the_token": failed(401, "UNAUTHORISED"),
        "is_unavailable": failed(503, "MAINTENANCE"),
        "answers_a_code_that_nobody_knows": failed(408, "SOMETHING_NEW"),
    }

    @property
    def credential(self) -> Credential:  # type: ignore[override]
        return Credential(
            {
                "url": f"{self.fake.url}/v1/sms",
                "authorization": "Basic c21zOmdhdGV3YXk=",
                "sender": "LEO",
            }
        )

    def accept(self, received: Received) -> Reply:
        return self.answers["accepted"]

    def received(self) -> list[Any]:
        return [
            {
                "request": f"{each.method} {each.path}",
                "authorization": each.headers.get("authorization"),
                "idempotency-key": each.headers.get("idempotency-key"),
                "body": each.json(),
            }
            for each in self.fake.received
        ]

    def text_of(self, received: Any) -> str:
        return str(received["body"]["text"])
