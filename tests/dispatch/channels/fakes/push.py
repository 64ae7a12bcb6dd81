"""Firebase Cloud Messaging, PushAlert, and a push service of a browser."""

from __future__ import annotations

import hashlib
import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from functools import cached_property
from typing import Any

import jwt
import orjson
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from server.dispatch.channels.channel import Credential
from tests.dispatch.channels.fakes.provider import Received, Reply
from tests.dispatch.channels.fakes.wire import CONTENT, KEY, TEXT, HttpWire

TAG = KEY[:32]
DEVICE = "fGxq9-device:APA91bHun4MxP5egoKMwt2KZFBaFUH-1RYqx"


def failed(code: int, status: str, message: str, detail: str | None = None, **headers: str) -> Reply:
    """An error as Firebase tells it."""
    kind = "type.googleapis.com/google.firebase.fcm.v1.FcmError"
    details = [{"@type": kind, "errorCode": detail}] if detail else []
    error = {"code": code, "message": message, "status": status, "details": details}
    return Reply(code, {"error": error}, headers)


UNREGISTERED = failed(404, "NOT_FOUND", "Requested entity was not found.", "UNREGISTERED")


class FirebaseWire(HttpWire):
    name = "firebase"
    subject = "Đơn hàng"
    data: Mapping[str, Any] = {
        "data": {"order": "12"},
        "url": "https://shop.example/orders/12",
        "image": "https://shop.example/12.png",
    }
    golden = {
        "request": "POST /v1/projects/leo-shop/messages:send",
        "authorization": "Bearer ya29.firebase",
        "body": {
            "message": {
                "token": DEVICE,
                "notification": {
                    "title": "Đơn hàng",
                    "body": TEXT,
                    "image": "https://shop.example/12.png",
                },
                "data": {"order": "12", "url": "https://shop.example/orders/12"},
                "android": {"notification": {"tag": TAG}},
                "apns": {"headers": {"apns-collapse-id": TAG}},
                "webpush": {"notification": {"tag": TAG}},
            }
        },
    }
    addresses = {DEVICE: DEVICE}
    nonsense = ("", "lan", "a b c d e f g h", "x" * 5000, "{}")
    retry_after_seconds = 60.0
    answers = {
        "accepted": Reply(200, {"name": "projects/leo-shop/messages/0:1500415314455276%31bd1c9631bd1c96"}),
        "refuses_the_recipient": UNREGISTERED,
        "refuses_the_content": failed(400, "INVALID_ARGUMENT", "Invalid value at 'message.data'"),
        "limits_the_rate": failed(429, "RESOURCE_EXHAUSTED", "Quota exceeded", "QUOTA_EXCEEDED"),
        "expires_the_token": failed(
            401, "UNAUTHENTICATED", "Request had invalid authentication credentials."
        ),
        "is_unavailable": failed(503, "UNAVAILABLE", "Try later", "UNAVAILABLE"),
        "answers_a_code_that_nobody_knows": failed(400, "FAILED_PRECONDITION", "New", "SOMETHING_NEW"),
    }

    @cached_property
    def key(self) -> rsa.RSAPrivateKey:
        return rsa.generate_private_key(public_exponent=65537, key_size=2048)

    @property
    def credential(self) -> Credential:  # type: ignore[override]
        pem = self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
        account = {
            "type": "service_account",
            "project_id": "leo-shop",
            "private_key_id": "key-1",
            "private_key": pem,
            "client_email": "push@leo-shop.iam.gserviceaccount.com",
            "token_uri": "https://oauth2.googleapis.com/token",
        }
        return Credential(
            {"service_account": orjson.dumps(account).decode(), "access_token": "ya29.firebase"}
        )

    def claims(self, assertion: str) -> dict[str, Any]:
        """What the service account signed."""
        aud = "https://oauth2.googleapis.com/token"
        claims = jwt.decode(assertion, self.key.public_key(), algorithms=["RS256"], audience=aud)
        claims["lifetime"] = claims.pop("exp") - claims.pop("iat")
        return {**claims, "kid": jwt.get_unverified_header(assertion)["kid"]}

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
        return str(received["body"]["message"]["notification"]["body"])


class PushalertWire(HttpWire):
    name = "pushalert"
    credential = Credential({"api_key": "pa-api-key-1"})
    subject = "Đơn hàng"
    data: Mapping[str, Any] = {"url": "https://shop.example/12", "icon": "https://shop.example/i.png"}
    golden = {
        "request": "POST /rest/v1/send",
        "authorization": "api_key=pa-api-key-1",
        "type": "application/x-www-form-urlencoded",
        "form": {
            "title": "Đơn hàng",
            "message": TEXT,
            "url": "https://shop.example/12",
            "icon": "https://shop.example/i.png",
            "subscriber": "subscriber-000001",
        },
    }
    addresses = {"subscriber-000001": "subscriber-000001"}
    nonsense = ("", "a", "a b c d e f", "x" * 300, '["all"]')
    expected = {"answers_a_code_that_nobody_knows": CONTENT}
    answers = {
        "accepted": Reply(200, {"success": True, "id": 90210}),
        # PushAlert documents no errors but success: their meaning is given by configuration, or by the status.
        "refuses_the_recipient": Reply(200, {"success": False, "msg": "Invalid subscriber"}),
        "refuses_the_content": Reply(200, {"success": False, "msg": "Title is too long"}),
        "limits_the_rate": Reply(429, {"success": False, "msg": "Too many requests"}),
        "expires_the_token": Reply(401, {"success": False, "msg": "Invalid API key"}),
        "is_unavailable": Reply(503, b"down for maintenance"),
        "answers_a_code_that_nobody_knows": Reply(200, {"success": False, "msg": "Something new"}),
    }

    def accept(self, received: Received) -> Reply:
        fields = received.form()
        if not {"subscriber", "subscribers", "attributes"} & set(fields):
            raise AssertionError("without a target it would go to every subscriber")
        return self.answers["accepted"]

    def received(self) -> list[Any]:
        return [
            {
                "request": f"{each.method} {each.path}",
                "authorization": each.headers.get("authorization"),
                "type": each.headers.get("content-type"),
                "form": each.form(),
            }
            for each in self.fake.received
        ]

    def text_of(self, received: Any) -> str:
        return str(received["form"]["message"])


def encode(data: bytes) -> str:
    """base64url without padding."""
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def point(key: ec.EllipticCurvePublicKey) -> bytes:
    """65 bytes."""
    return key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


class Browser:
    """A browser's subscription, which decrypts what comes (RFC 8291, written from its formulas)."""

    def __init__(self, endpoint: str) -> None:
        self.private = ec.generate_private_key(ec.SECP256R1())
        self.secret = b"sixteen bytes !!"
        self.endpoint = endpoint

    @property
    def address(self) -> str:
        keys = {"p256dh": encode(point(self.private.public_key())), "auth": encode(self.secret)}
        document = {"endpoint": self.endpoint, "expirationTime": None, "keys": keys}
        return orjson.dumps(document).decode()

    def read(self, body: bytes) -> Any:
        salt, record, length = body[:16], int.from_bytes(body[16:20], "big"), body[20]
        sender, sealed = body[21 : 21 + length], body[21 + length :]
        assert len(sealed) <= record <= 4096
        peer = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), sender)
        shared = self.private.exchange(ec.ECDH(), peer)
        first = _hmac(self.secret, shared)
        info = b"WebPush: info\0" + point(self.private.public_key()) + sender
        secret = _hmac(salt, _hmac(first, info + b"\1"))
        key = _hmac(secret, b"Content-Encoding: aes128gcm\0\1")[:16]
        nonce = _hmac(secret, b"Content-Encoding: nonce\0\1")[:12]
        padded = AESGCM(key).decrypt(nonce, sealed, None)
        text, end, padding = padded.rpartition(b"\2")
        assert end
        assert not padding.strip(b"\0")
        return orjson.loads(text)


def _hmac(key: bytes, text: bytes) -> bytes:
    return hmac.new(key, text, hashlib.sha256).digest()


class WebPushWire(HttpWire):
    name = "web_push"
    subject = "Đơn hàng"
    data: Mapping[str, Any] = {"url": "https://shop.example/12", "ttl_seconds": "3600", "urgency": "high"}
    nonsense = ("", "lan", "{}", '{"endpoint":"https://push.example/x"}', "[]", "1")
    retry_after_seconds = 17.0
    answers = {
        "accepted": Reply(201, b"", {"Location": "https://push.example/m/abc"}),
        "refuses_the_recipient": Reply(410, b"gone"),
        "refuses_the_content": Reply(413, b"too large"),
        "limits_the_rate": Reply(429, b"", {"Retry-After": "17"}),
        "expires_the_token": Reply(403, b"invalid vapid"),
        "is_unavailable": Reply(503, b""),
        "answers_a_code_that_nobody_knows": Reply(418, b"teapot"),
        # Push services answer by status alone, and have no words that could be garbage.
        "answers_garbage": Reply(299, b"<html>fine</html>"),
        "answers_nothing": Reply(204, b""),
    }
    cut_short = Reply(500, b"Internal Server Error")
    expected = {"answers_a_code_that_nobody_knows": CONTENT}

    def __init__(self) -> None:
        super().__init__()
        self.vapid = ec.generate_private_key(ec.SECP256R1())
        self.browser = Browser("")

    @property
    def credential(self) -> Credential:  # type: ignore[override]
        number = self.vapid.private_numbers().private_value.to_bytes(32, "big")
        return Credential({"vapid_private_key": encode(number), "vapid_subject": "mailto:ops@shop.example"})

    def start(self) -> None:
        super().start()
        self.browser = Browser(f"{self.fake.url}/push/abc")

    @property
    def addresses(self) -> Mapping[str, str]:  # type: ignore[override]
        return {self.browser.address: self.browser.address}

    @property
    def golden(self) -> Any:  # type: ignore[override]
        return {
            "request": "POST /push/abc",
            "ttl": "3600",
            "urgency": "high",
            "topic": TAG,
            "encoding": "aes128gcm",
            "vapid": {"aud": self.fake.url, "sub": "mailto:ops@shop.example"},
            "payload": {
                "title": "Đơn hàng",
                "body": TEXT,
                "tag": TAG,
                "url": "https://shop.example/12",
            },
        }

    def swollen(self) -> Reply:
        return Reply(500, b"a" * 1_000_000)

    def accept(self, received: Received) -> Reply:
        return self.answers["accepted"]

    def received(self) -> list[Any]:
        return [self._seen(each) for each in self.fake.received]

    def text_of(self, received: Any) -> str:
        return str(received["payload"]["body"])

    def _seen(self, received: Received) -> dict[str, Any]:
        return {
            "request": f"{received.method} {received.path}",
            "ttl": received.headers.get("ttl"),
            "urgency": received.headers.get("urgency"),
            "topic": received.headers.get("topic"),
            "encoding": received.headers.get("content-encoding"),
            "vapid": self._claims(received.headers["authorization"]),
            "payload": self.browser.read(received.body),
        }

    def _claims(self, authorization: str) -> dict[str, Any]:
        scheme, _, parameters = authorization.partition(" ")
        values = dict(part.strip().split("=", 1) for part in parameters.split(","))
        known = ec.EllipticCurvePublicKey.from_encoded_point(
            ec.SECP256R1(), urlsafe_b64decode(values["k"] + "=")
        )
        assert scheme == "vapid"
        assert point(known) == point(self.vapid.public_key())
        claims = jwt.decode(values["t"], known, algorithms=["ES256"], audience=self.fake.url)
        assert isinstance(claims.pop("exp"), int)
        return claims
