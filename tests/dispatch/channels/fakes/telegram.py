"""Telegram's Bot API."""

from __future__ import annotations

import re
from typing import Any

from server.dispatch.channels.channel import Credential
from tests.dispatch.channels.fakes.provider import Received, Reply
from tests.dispatch.channels.fakes.wire import HttpWire

TOKEN = "123456:ABC-DEF1234ghIkl-zyx57W2v1u123ew11"
BOLD = re.compile(r"^\*((?:[^*\\]|\\.)*)\*")
SPECIAL = "_*[]()~`>#+-=|{}.!\\"


def failed(code: int, description: str, **parameters: Any) -> Reply:
    """An error as Telegram tells it."""
    body = {"ok": False, "error_code": code, "description": description}
    return Reply(code, {**body, "parameters": parameters} if parameters else body)


def shown(markdown: str) -> str:
    """What a person reads of MarkdownV2 without entities; an error as Telegram's where it is none."""
    text, escaped = "", False
    for character in markdown:
        if escaped or character not in SPECIAL:
            text, escaped = text + character, False
        elif character == "\\":
            escaped = True
        else:
            raise ValueError(f"character '{character}' is reserved and must be escaped")
    return text


class TelegramWire(HttpWire):
    name = "telegram"
    credential = Credential({"bot_token": TOKEN})
    golden = {
        "request": f"POST /bot{TOKEN}/sendMessage",
        "body": {
            "chat_id": "987654321",
            "text": "Chào Lan, đơn \\#12 – 1\\.5 kg \\> 1\\!",
            "parse_mode": "MarkdownV2",
        },
    }
    addresses = {"987654321": "987654321", "-1001234567890": "-1001234567890", "@leo_shop": "@leo_shop"}
    nonsense = ("", "lan", "@", "12a", "1" * 21, "@1")
    retry_after_seconds = 35.0
    answers = {
        "accepted": Reply(
            200, {"ok": True, "result": {"message_id": 4711, "date": 1764000000, "chat": {"id": 987654321}}}
        ),
        "refuses_the_recipient": failed(403, "Forbidden: bot was blocked by the user"),
        "refuses_the_content": failed(400, "Bad Request: message is too long"),
        "limits_the_rate": failed(429, "Too Many Requests: retry after 35", retry_after=35),
        "expires_the_token": failed(401, "Unauthorized"),
        "is_unavailable": failed(500, "Internal Server Error"),
        "answers_a_code_that_nobody_knows": failed(409, "Conflict: terminated by other getUpdates request"),
    }

    def accept(self, received: Received) -> Reply:
        body = received.json()
        if body.get("parse_mode") == "MarkdownV2":
            try:
                shown(BOLD.sub(r"\1", body["text"]))
            except ValueError as error:
                return failed(400, f"Bad Request: can't parse entities: {error}")
        return self.answers["accepted"]

    def received(self) -> list[Any]:
        return [{"request": f"{each.method} {each.path}", "body": each.json()} for each in self.fake.received]

    def text_of(self, received: Any) -> str:
        return shown(BOLD.sub(r"\1", received["body"]["text"]))
