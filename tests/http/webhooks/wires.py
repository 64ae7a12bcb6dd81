"""What each provider sends, and how it signs: written from the providers' documentation, without the product's code."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar
from uuid import uuid4

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

PSID = "5551234567890"
NOW = 1_763_740_000


@dataclass(frozen=True, slots=True)
class Sent:
    """One request of a provider."""

    body: bytes
    headers: Mapping[str, str]


class Wire:
    """A provider with one account of it.

    Attributes:
        name: in the path, and of the account.
        account: the channel under which the account is kept.
        channel: whose messages it tells of.
        reads: whether it tells of single messages that they were read.
    """

    name: ClassVar[str]
    account: ClassVar[str]
    channel: ClassVar[str]
    reads: ClassVar[bool] = True
    values: dict[str, str]

    def sent(self, *events: Any) -> Sent:
        """Events as one signed request."""
        body = json.dumps(self.enclosed(list(events))).encode()
        return Sent(body, self.signed(body))

    def signed(self, body: bytes) -> dict[str, str]:
        """The headers of a body."""
        raise NotImplementedError

    def enclosed(self, events: list[Any]) -> Any:
        """What goes around events."""
        raise NotImplementedError

    def delivered(self, message_id: str, reference: str = "") -> Any:
        """An event."""
        raise NotImplementedError

    def read(self, message_id: str) -> Any:
        """An event."""
        raise NotImplementedError


class Sendgrid(Wire):
    name, account, channel = "sendgrid", "email", "email"

    def __init__(self) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        public = self.key.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        self.values = {
            "api_key": "SG.webhook-api-key",
            "sender_email": "shop@leo.example",
            "webhook_public_key": base64.b64encode(public).decode(),
        }

    def signed(self, body: bytes) -> dict[str, str]:
        timestamp = str(NOW)
        signature = self.key.sign(timestamp.encode() + body, ec.ECDSA(hashes.SHA256()))
        return {
            "X-Twilio-Email-Event-Webhook-Signature": base64.b64encode(signature).decode(),
            "X-Twilio-Email-Event-Webhook-Timestamp": timestamp,
        }

    def enclosed(self, events: list[Any]) -> Any:
        return events

    def event(self, kind: str, message_id: str, **more: Any) -> dict[str, Any]:
        """One event of the list."""
        return {
            "email": "lan@example.com",
            "timestamp": NOW,
            "event": kind,
            "sg_event_id": uuid4().hex,
            "sg_message_id": f"{message_id}.filterdrecv-5645d9c87f-78xnl-1-5FCE5A5C-1.0",
            **more,
        }

    def delivered(self, message_id: str, reference: str = "") -> Any:
        return self.event("delivered", message_id, **({"delivery_key": reference} if reference else {}))

    def read(self, message_id: str) -> Any:
        return self.event("open", message_id)


class _Meta(Wire):
    def __init__(self) -> None:
        self.values = {
            "access_token": "EAAB-webhook-token",
            "app_secret": f"meta-secret-{uuid4().hex}",
            "verify_token": f"my-own-text-{uuid4().hex}",
        }

    def signed(self, body: bytes) -> dict[str, str]:
        mac = hmac.new(self.values["app_secret"].encode(), body, hashlib.sha256)
        return {"X-Hub-Signature-256": f"sha256={mac.hexdigest()}"}


class Whatsapp(_Meta):
    name, account, channel = "whatsapp_cloud", "whatsapp", "whatsapp"

    def __init__(self) -> None:
        super().__init__()
        self.values["phone_number_id"] = "106540352242922"

    def enclosed(self, events: list[Any]) -> Any:
        value = {"messaging_product": "whatsapp", "metadata": {}, "statuses": events}
        return {
            "object": "whatsapp_business_account",
            "entry": [{"id": "1", "changes": [{"field": "messages", "value": value}]}],
        }

    def status(self, status: str, message_id: str, **more: Any) -> dict[str, Any]:
        """One status."""
        return {
            "id": message_id,
            "status": status,
            "timestamp": str(NOW),
            "recipient_id": "84901234567",
            **more,
        }

    def delivered(self, message_id: str, reference: str = "") -> Any:
        return self.status(
            "delivered", message_id, **({"biz_opaque_callback_data": reference} if reference else {})
        )

    def read(self, message_id: str) -> Any:
        return self.status("read", message_id)


class Facebook(_Meta):
    name, account, channel = "facebook_page", "facebook", "facebook"
    reads = False

    def enclosed(self, events: list[Any]) -> Any:
        return {"object": "page", "entry": [{"id": "200", "time": NOW * 1000, "messaging": events}]}

    def event(self, **more: Any) -> dict[str, Any]:
        """One event of a person at the Page."""
        return {"sender": {"id": PSID}, "recipient": {"id": "200"}, **more}

    def delivered(self, message_id: str, reference: str = "") -> Any:
        return self.event(delivery={"mids": [message_id], "watermark": NOW * 1000})


class Zalo(Wire):
    name, account, channel = "zalo_zns", "zalo", "zalo"
    timestamp_in_header: ClassVar[bool] = False

    def __init__(self) -> None:
        self.values = {
            "app_id": "4040",
            "app_secret": "zalo-app-secret",
            "refresh_token": "zalo-refresh-token",
            "oa_secret": f"oa-secret-{uuid4().hex}",
        }

    def signed(self, body: bytes) -> dict[str, str]:
        text = self.values["app_id"].encode() + body + str(NOW * 1000).encode()
        mac = hashlib.sha256(text + self.values["oa_secret"].encode()).hexdigest()
        headers = {"X-ZEvent-Signature": f"mac={mac}"}
        return {**headers, "X-ZEvent-Timestamp": str(NOW * 1000)} if self.timestamp_in_header else headers

    def enclosed(self, events: list[Any]) -> Any:
        [event] = events
        timestamp = {} if self.timestamp_in_header else {"timestamp": str(NOW * 1000)}
        return {"app_id": "4040", "oa_id": "3040", **event, **timestamp}

    def delivered(self, message_id: str, reference: str = "") -> Any:
        message = {"msg_id": message_id, "delivery_time": str(NOW * 1000), "tracking_id": reference[:32]}
        return {
            "event_name": "user_received_message",
            "sender": {"id": "3040"},
            "recipient": {"id": "84901234567"},
            "message": message,
        }

    def read(self, message_id: str) -> Any:
        told = self.delivered(message_id)
        return {**told, "event_name": "user_seen_message"}


class ZaloFlat(Zalo):
    """The fields of the message beside the event's name, and the timestamp in its header."""

    timestamp_in_header = True

    def delivered(self, message_id: str, reference: str = "") -> Any:
        told = super().delivered(message_id, reference)
        return {**told.pop("message"), **told}


class ZaloOfficialAccount(Zalo):
    """Messages of the account itself bear no delivery time."""

    channel = "zalo_oa"

    def delivered(self, message_id: str, reference: str = "") -> Any:
        return {"event_name": "user_received_message", "message": {"msg_id": message_id}}

    def read(self, message_id: str) -> Any:
        return {"event_name": "user_seen_message", "message": {"msg_ids": [message_id]}}


class Telegram(Wire):
    name, account, channel = "telegram", "telegram", "telegram"
    reads = False

    def __init__(self) -> None:
        self.values = {
            "bot_token": "110201543:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw",
            "webhook_secret": uuid4().hex,
        }

    def signed(self, body: bytes) -> dict[str, str]:
        return {"X-Telegram-Bot-Api-Secret-Token": self.values["webhook_secret"]}

    def enclosed(self, events: list[Any]) -> Any:
        return {"update_id": 10000, "message": {"message_id": 1, "text": "Hello", "chat": {"id": 42}}}


TELLING = (Sendgrid, Whatsapp, Facebook, Zalo, ZaloFlat, ZaloOfficialAccount)
"""Those that tell what became of messages."""
WIRES = (*TELLING, Telegram)
