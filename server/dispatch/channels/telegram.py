"""Messages of a Telegram bot."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, ClassVar, Final

from server.dispatch.channels.answers import Answer, classify_status
from server.dispatch.channels.channel import (
    MARKDOWN,
    PLAIN_TEXT,
    Accepted,
    AddressKind,
    BadAddress,
    Credential,
    CredentialField,
    ErrorClass,
    Message,
    MetadataField,
    RateLimit,
    Refused,
    SendResult,
)
from server.dispatch.channels.http_channel import JSON, HttpChannel, json_body
from server.dispatch.channels.telegram_text import marked_up, plain
from server.dispatch.channels.waiting import bounded

_CHAT: Final = re.compile(r"-?[0-9]{1,20}|@[A-Za-z][A-Za-z0-9_]{3,31}")
_NO_ENTITIES: Final = "can't parse entities"


class Telegram(HttpChannel):
    """The channel `telegram`: MarkdownV2, and once more as plain text when Telegram can not read the markup."""

    name = "telegram"
    provider = "telegram"
    account = "telegram"
    needs = AddressKind.OWN
    limits = RateLimit(per_second=30.0, burst=30)
    credential = (
        CredentialField("bot_token", True, True, "The token from BotFather.", r"[0-9]+:[A-Za-z0-9_-]+"),
        CredentialField(
            "webhook_secret",
            True,
            False,
            "The secret_token that setWebhook was given.",
            r"[A-Za-z0-9_-]{1,256}",
        ),
    )
    metadata = (MetadataField("disable_notification", "Deliver without a sound.", choices=("true", "false")),)
    content_types = (PLAIN_TEXT, MARKDOWN)
    URL = "https://api.telegram.org"
    # Descriptions of errors with status 400 or 403; the first one that is part of the answer counts.
    CODES: ClassVar[Mapping[str, ErrorClass]] = {
        "chat not found": ErrorClass.RECIPIENT,
        "user not found": ErrorClass.RECIPIENT,
        "peer_id_invalid": ErrorClass.RECIPIENT,
        "chat_write_forbidden": ErrorClass.RECIPIENT,
    }

    def accept_address(self, address: str) -> str:
        """The chat's id, or the name of a public channel.

        Raises:
            BadAddress: it is neither.
        """
        if not _CHAT.fullmatch(address):
            raise BadAddress("NO_CHAT")
        return address

    async def _deliver(self, message: Message, credential: Credential, wait_seconds: float) -> SendResult:
        """One request; a second one where Telegram refuses the markup or names the chat's new id."""
        fields: dict[str, Any] = {
            "chat_id": message.destination,
            "text": marked_up(message),
            "parse_mode": "MarkdownV2",
        }
        if message.data.get("disable_notification") == "true":
            fields["disable_notification"] = True
        answer = await self._post(fields, credential, wait_seconds)
        again = _corrected(answer, fields, message)
        if again is not None:
            answer = await self._post(again, credential, wait_seconds)
        return answer if isinstance(answer, Refused) else self._read(answer, credential)

    async def _post(
        self, fields: dict[str, Any], credential: Credential, wait_seconds: float
    ) -> Answer | Refused:
        url = f"{self._url}/bot{credential.get('bot_token')}/sendMessage"
        return await self._http.post(url, json_body(fields), JSON, wait_seconds=wait_seconds)

    def _read(self, answer: Answer, credential: Credential) -> SendResult:
        if answer.find("ok") is True:
            return Accepted(answer.text("result", "message_id"), answer.record(credential))
        if answer.find("ok") is not False:
            return answer.refused_by_status(credential)
        status = answer.find("error_code") or answer.status
        wait = _retry_after(answer)
        if wait is not None:
            return answer.refused(
                ErrorClass.QUOTA, f"TELEGRAM_{status}", credential, retry_after_seconds=wait
            )
        return answer.refused(self._error(answer, status), f"TELEGRAM_{status}", credential)

    def _error(self, answer: Answer, status: int) -> ErrorClass:
        description = answer.text("description").lower()
        named = next((error for part, error in self._codes.items() if part in description), None)
        if named is not None:
            return named
        # 403: the bot was blocked or kicked, or the account is gone. An error that Telegram itself reports was
        # not sent, 5xx included.
        known = {403: ErrorClass.RECIPIENT, 409: ErrorClass.TRANSIENT}
        error = known.get(status) or classify_status(status)
        return ErrorClass.TRANSIENT if error is ErrorClass.AMBIGUOUS else error


def _corrected(answer: Answer | Refused, fields: dict[str, Any], message: Message) -> dict[str, Any] | None:
    """The request that Telegram's answer asks for instead; None when it asks for none."""
    if isinstance(answer, Refused) or answer.find("ok") is not False or _retry_after(answer) is not None:
        return None
    chat = answer.text("parameters", "migrate_to_chat_id")
    if chat:
        return {**fields, "chat_id": chat}
    if answer.status == 400 and _NO_ENTITIES in answer.text("description"):
        unmarked = {name: value for name, value in fields.items() if name != "parse_mode"}
        return {**unmarked, "text": plain(message)}
    return None


def _retry_after(answer: Answer) -> float | None:
    seconds = answer.find("parameters", "retry_after")
    return bounded(float(seconds)) if isinstance(seconds, (int, float)) else None
