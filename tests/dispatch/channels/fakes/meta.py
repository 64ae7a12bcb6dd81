"""Meta's Graph API: Messenger and WhatsApp."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from typing import Any

from server.dispatch.channels.channel import Credential
from tests.dispatch.channels.fakes.provider import Received, Reply
from tests.dispatch.channels.fakes.wire import KEY, TEXT, HttpWire

TOKEN = "EAAB-graph-token"
SECRET = "meta-app-secret"
PROOF = hmac.new(SECRET.encode(), TOKEN.encode(), hashlib.sha256).hexdigest()
USAGE = '{"1234":[{"type":"messenger","call_count":100,"estimated_time_to_regain_access":7}]}'


def failed(
    status: int, code: int, message: str, headers: Mapping[str, str] | None = None, **more: Any
) -> Reply:
    """An error as the Graph API tells it."""
    error = {"message": message, "type": "OAuthException", "code": code, "fbtrace_id": "A1", **more}
    return Reply(status, {"error": error}, headers or {})


class FacebookPageWire(HttpWire):
    name = "facebook_page"
    credential = Credential({"access_token": TOKEN, "app_secret": SECRET})
    golden = {
        "request": "POST /v25.0/me/messages",
        "query": {"access_token": TOKEN, "appsecret_proof": PROOF},
        "body": {
            "recipient": {"id": "5551234567890"},
            "messaging_type": "UPDATE",
            "message": {"text": TEXT},
        },
    }
    addresses = {"5551234567890": "5551234567890"}
    nonsense = ("", "lan", "+84901234567", "1" * 33)
    retry_after_seconds = 420.0
    answers = {
        "accepted": Reply(200, {"recipient_id": "5551234567890", "message_id": "m_AG5Hz2U"}),
        "refuses_the_recipient": failed(400, 551, "This person isn't available right now."),
        "refuses_the_content": failed(400, 100, "(#100) Length of param message[text] must be less"),
        "limits_the_rate": failed(
            403, 613, "Calls to this api have exceeded the rate limit.", {"X-Business-Use-Case-Usage": USAGE}
        ),
        "expires_the_token": failed(401, 190, "Error validating access token", error_subcode=463),
        "is_unavailable": failed(500, 2, "Service temporarily unavailable", is_transient=True),
        "answers_a_code_that_nobody_knows": failed(400, 99999, "New"),
    }

    def accept(self, received: Received) -> Reply:
        return self.answers["accepted"]

    def received(self) -> list[Any]:
        return [
            {"request": f"{each.method} {each.path}", "query": each.query, "body": each.json()}
            for each in self.fake.received
        ]

    def text_of(self, received: Any) -> str:
        return str(received["body"]["message"]["text"])


class WhatsappWire(HttpWire):
    name = "whatsapp_cloud"
    credential = Credential({"access_token": TOKEN, "phone_number_id": "106540352242922"})
    data: Mapping[str, Any] = {
        "template_name": "order_update",
        "template_language": "vi",
        "template_parameters": [TEXT],
    }
    golden = {
        "request": "POST /v25.0/106540352242922/messages",
        "authorization": f"Bearer {TOKEN}",
        "body": {
            "messaging_product": "whatsapp",
            "recipient_type": "individual",
            "to": "84901234567",
            "type": "template",
            "template": {
                "name": "order_update",
                "language": {"code": "vi"},
                "components": [{"type": "body", "parameters": [{"type": "text", "text": TEXT}]}],
            },
            "biz_opaque_callback_data": KEY,
        },
    }
    addresses = {"+84901234567": "84901234567", "090 123 4567": "84901234567"}
    nonsense = ("", "lan", "12", "+1")
    answers = {
        "accepted": Reply(
            200,
            {
                "messaging_product": "whatsapp",
                "contacts": [{"input": "84901234567", "wa_id": "84901234567"}],
                "messages": [{"id": "wamid.HBgLMTY0NjcwNDM1OTUVAgARGBI1RjQyNUE3NEYxMzAzMzQ5MkEA"}],
            },
        ),
        "refuses_the_recipient": failed(400, 131026, "Message undeliverable"),
        "refuses_the_content": failed(400, 132000, "Number of parameters does not match"),
        "limits_the_rate": failed(429, 130429, "Rate limit hit"),
        "expires_the_token": failed(401, 190, "Access token has expired"),
        "is_unavailable": failed(500, 131016, "Service unavailable"),
        "answers_a_code_that_nobody_knows": failed(400, 999999, "New"),
    }

    def message(self, body: str = TEXT, **fields: Any) -> Any:
        return super().message(body, **{"data": {**self.data, "template_parameters": [body]}, **fields})

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
        return str(received["body"]["template"]["components"][0]["parameters"][0]["text"])
