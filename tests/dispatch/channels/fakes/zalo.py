"""Zalo: always status 200, `error` says what happened."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from typing import Any

from server.dispatch.channels.channel import Credential
from tests.dispatch.channels.fakes.provider import Received, Reply
from tests.dispatch.channels.fakes.wire import KEY, TEXT, HttpWire

TOKEN = "zalo-access-token-1"
SECRET = "zalo-app-secret"
PROOF = hmac.new(SECRET.encode(), TOKEN.encode(), hashlib.sha256).hexdigest()
ACCOUNT = {
    "app_id": "4040",
    "app_secret": SECRET,
    "refresh_token": "zalo-refresh-token-1",
    "access_token": TOKEN,
    "send_proof": "true",
}


def failed(code: int, message: str) -> Reply:
    """A failure as Zalo tells it."""
    return Reply(200, {"error": code, "message": message})


def seen(received: Received) -> dict[str, Any]:
    """What Zalo looks at."""
    return {
        "request": f"{received.method} {received.path}",
        "access_token": received.headers.get("access_token"),
        "appsecret_proof": received.headers.get("appsecret_proof"),
        "body": received.json(),
    }


class ZaloZnsWire(HttpWire):
    name = "zalo_zns"
    credential = Credential(ACCOUNT)
    data: Mapping[str, Any] = {
        "template_id": "7895417",
        "template_data": {"customer": TEXT, "total": "120000"},
    }
    golden = {
        "request": "POST /message/template",
        "access_token": TOKEN,
        "appsecret_proof": PROOF,
        "body": {
            "phone": "84901234567",
            "template_id": "7895417",
            "template_data": {"customer": TEXT, "total": "120000"},
            "tracking_id": KEY[:32],
        },
    }
    addresses = {
        "+84 90 123 45 67": "84901234567",
        "0901234567": "84901234567",
        "84901234567": "84901234567",
        "901234567": "84901234567",
        "+66812345678": "66812345678",
    }
    nonsense = (
        "",
        "0",
        "lan@example.com",
        "090123456789012",
        "+84",
        "1" * 100,
        "0901234567 ext 5",
        "+999123456",
    )
    answers = {
        "accepted": Reply(
            200,
            {
                "error": 0,
                "message": "Success",
                "data": {
                    "msg_id": "a4d0243feb163bd3af90",
                    "sent_time": "1626926349402",
                    "sending_mode": "1",
                    "quota": {"dailyQuota": "500", "remainingQuota": "499"},
                },
            },
        ),
        "refuses_the_recipient": failed(-118, "Zalo account not existed"),
        "refuses_the_content": failed(-1122, "Template data is missing param"),
        "limits_the_rate": failed(-144, "OA has reached the daily quota"),
        "expires_the_token": failed(-124, "Access token invalid"),
        "is_unavailable": failed(-100, "Please try again later"),
        "answers_a_code_that_nobody_knows": failed(-99999, "New"),
    }

    def message(self, body: str = TEXT, **fields: Any) -> Any:
        data = {**self.data, "template_data": {"customer": body, "total": "120000"}}
        return super().message(body, **{"data": data, **fields})

    def accept(self, received: Received) -> Reply:
        return self.answers["accepted"]

    def received(self) -> list[Any]:
        return [seen(each) for each in self.fake.received]

    def text_of(self, received: Any) -> str:
        return str(received["body"]["template_data"]["customer"])


class ZaloOaWire(HttpWire):
    name = "zalo_oa"
    credential = Credential(ACCOUNT)
    golden = {
        "request": "POST /v3.0/oa/message/cs",
        "access_token": TOKEN,
        "appsecret_proof": PROOF,
        "body": {"recipient": {"user_id": "186729651760683225"}, "message": {"text": TEXT}},
    }
    addresses = {"186729651760683225": "186729651760683225"}
    nonsense = ("", "lan", "+84901234567", "1" * 33, "12 34")
    answers = {
        "accepted": Reply(200, {"error": 0, "message": "Success", "data": {"message_id": "oa-msg-1"}}),
        "refuses_the_recipient": failed(-230, "User has not interacted with the OA in the past 7 days"),
        "limits_the_rate": failed(-32, "Rate limit"),
        "expires_the_token": failed(-216, "Access token is invalid"),
        "is_unavailable": failed(-200, "Send message failed"),
        "answers_a_code_that_nobody_knows": failed(-99999, "New"),
        # The reference names no code for content: one is given by configuration.
        "refuses_the_content": failed(-210, "Parameter exceeds the limit"),
    }

    def accept(self, received: Received) -> Reply:
        return self.answers["accepted"]

    def received(self) -> list[Any]:
        return [seen(each) for each in self.fake.received]

    def text_of(self, received: Any) -> str:
        return str(received["body"]["message"]["text"])
