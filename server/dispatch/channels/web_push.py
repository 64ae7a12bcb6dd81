"""Standard Web Push, to the push services of browsers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, Final
from urllib.parse import urlsplit

import orjson
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

from server.dispatch.channels import web_push_encryption as encryption
from server.dispatch.channels.answers import Answer, classify_status
from server.dispatch.channels.channel import (
    Accepted,
    AddressKind,
    BadAddress,
    Credential,
    CredentialField,
    ErrorClass,
    Message,
    MetadataField,
    MetadataKind,
    RateLimit,
    Refused,
    SendResult,
)
from server.dispatch.channels.http_channel import HttpChannel
from server.dispatch.channels.multicast import to_each
from server.platform.clock import utc_now

_AUTH_BYTES: Final = 16
_LONGEST_ADDRESS: Final = 2_048
_USUAL_TTL_SECONDS: Final = "86400"
_TAKEN: Final = frozenset({200, 201, 202})
_DEAD: Final = frozenset({404, 410})


@dataclass(frozen=True, slots=True)
class Subscription:
    """A browser's subscription."""

    endpoint: str
    p256dh: bytes
    auth: bytes


class WebPush(HttpChannel):
    """The channel `web_push`: every browser of the profile; an address is the subscription in JSON.

    A message that a browser already shows is replaced by one with the same tag, so a resend shows once.
    """

    name = "web_push"
    provider = "web_push"
    account = "web_push"
    needs = AddressKind.OWN
    multicast = True
    resend_safe = True
    limits = RateLimit(per_second=1_000.0, burst=1_000)
    credential = (
        CredentialField(
            "vapid_private_key", True, True, "32 bytes in base64url; its public half is in the page."
        ),
        CredentialField("vapid_subject", False, True, "Whom push services may ask.", r"(mailto:|https://).+"),
    )
    metadata = (
        MetadataField("url", "What a click opens."),
        MetadataField("icon", "An https URL of an icon."),
        MetadataField("image", "An https URL of a large image."),
        MetadataField("data", "What the page's worker gets beside the text.", kind=MetadataKind.MAPPING),
        MetadataField("ttl_seconds", "How long it waits for a browser that is away; a day if left out."),
        MetadataField("urgency", "`normal` if left out.", choices=("very-low", "low", "normal", "high")),
    )
    # Statuses that mean something else than usual; WNS answers 406 when it is asked too often.
    CODES: ClassVar[Mapping[str, ErrorClass]] = {"406": ErrorClass.QUOTA}

    def accept_address(self, address: str) -> str:
        """The subscription, unchanged.

        Raises:
            BadAddress: it is none, or its endpoint is no https URL.
        """
        subscription = parse_subscription(address)
        if urlsplit(subscription.endpoint).scheme != "https" and not self._http.private_networks:
            raise BadAddress("ENDPOINT_NOT_HTTPS")
        return address

    async def _deliver(self, message: Message, credential: Credential, wait_seconds: float) -> SendResult:
        try:
            key = encryption.signing_key(credential.get("vapid_private_key"))
        except ValueError:
            return Refused(ErrorClass.AUTHENTICATION, "VAPID_KEY_UNREADABLE")
        payload = orjson.dumps(_notification(message))
        ttl = message.data.get("ttl_seconds") or _USUAL_TTL_SECONDS
        if len(payload) > encryption.LONGEST_PAYLOAD or not (ttl.isascii() and ttl.isdecimal()):
            return Refused(ErrorClass.CONTENT, "WEB_PUSH_NOT_SENDABLE", {"bytes": len(payload)})
        headers = {
            "TTL": ttl,
            "Urgency": message.data.get("urgency") or "normal",
            "Topic": message.reference,
            "Content-Encoding": "aes128gcm",
            "Content-Type": "application/octet-stream",
        }
        send = partial(self._send_one, payload, headers, key, credential, wait_seconds)
        return await to_each(message.destinations, send)

    async def _send_one(
        self,
        payload: bytes,
        headers: dict[str, str],
        key: EllipticCurvePrivateKey,
        credential: Credential,
        wait_seconds: float,
        address: str,
    ) -> SendResult:
        browser = parse_subscription(address)
        vapid = encryption.authorization(
            browser.endpoint, key=key, subject=credential.get("vapid_subject"), now=utc_now()
        )
        answer = await self._http.post(
            browser.endpoint,
            encryption.encrypt(payload, p256dh=browser.p256dh, auth=browser.auth),
            {**headers, "Authorization": vapid},
            wait_seconds=wait_seconds,
        )
        return answer if isinstance(answer, Refused) else self._read(answer, credential, address)

    def _read(self, answer: Answer, credential: Credential, address: str) -> SendResult:
        if answer.status in _TAKEN:
            return Accepted(answer.headers.get("location", ""), answer.record(credential))
        if answer.status in _DEAD:
            return answer.refused(
                ErrorClass.RECIPIENT, "SUBSCRIPTION_GONE", credential, dead_addresses=(address,)
            )
        error = self._codes.get(str(answer.status)) or classify_status(answer.status)
        return answer.refused(error, f"HTTP_{answer.status}", credential)


def parse_subscription(address: str) -> Subscription:
    """A subscription as `PushSubscription.toJSON()` gives it.

    Raises:
        BadAddress: it is none.
    """
    if len(address) > _LONGEST_ADDRESS:
        raise BadAddress("TOO_LONG")
    try:
        document = orjson.loads(address)
        keys = document["keys"]
        browser = Subscription(
            str(document["endpoint"]), encryption.decode(keys["p256dh"]), encryption.decode(keys["auth"])
        )
        encryption.browser_key(browser.p256dh)
        named = urlsplit(browser.endpoint).hostname
    except (KeyError, TypeError, ValueError):
        raise BadAddress("NO_SUBSCRIPTION") from None
    if (
        not named
        or len(browser.auth) != _AUTH_BYTES
        or urlsplit(browser.endpoint).scheme not in {"http", "https"}
    ):
        raise BadAddress("NO_SUBSCRIPTION")
    return browser


def _notification(message: Message) -> dict[str, Any]:
    """What the page's service worker gets; see docs/channels.md."""
    optional = {name: message.data.get(name) for name in ("url", "icon", "image", "data")}
    return {
        "title": message.subject,
        "body": message.body,
        "tag": message.reference,
        **{name: value for name, value in optional.items() if value},
    }
