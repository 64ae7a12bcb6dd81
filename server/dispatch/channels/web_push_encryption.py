"""Encrypts push messages for one browser (RFC 8291, aes128gcm of RFC 8188), and signs for its service (RFC 8292)."""

from __future__ import annotations

import os
from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import datetime, timedelta
from typing import Final
from urllib.parse import urlsplit

import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

LONGEST_PAYLOAD: Final = 3_993
"""Bytes of text that fit into the 4,096 that every push service takes."""

_RECORD_SIZE: Final = 4_096
_LAST_RECORD: Final = b"\x02"
_TOKEN_LIFETIME: Final = timedelta(hours=12)


def decode(text: str) -> bytes:
    """Bytes from base64url, with or without padding.

    Raises:
        ValueError: it is none.
    """
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


def browser_key(p256dh: bytes) -> ec.EllipticCurvePublicKey:
    """A browser's public key.

    Raises:
        ValueError: it is no point of the curve.
    """
    return ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), p256dh)


def encrypt(
    payload: bytes,
    *,
    p256dh: bytes,
    auth: bytes,
    own: ec.EllipticCurvePrivateKey | None = None,
    salt: bytes | None = None,
) -> bytes:
    """The body of a request.

    Args:
        payload: at most `LONGEST_PAYLOAD` bytes.
        p256dh, auth: of the subscription.
        own, salt: fresh ones unless given.
    """
    own, salt = own or ec.generate_private_key(ec.SECP256R1()), salt or os.urandom(16)
    public = _point(own.public_key())
    shared = own.exchange(ec.ECDH(), browser_key(p256dh))
    secret = _derive(shared, auth, b"WebPush: info\x00" + p256dh + public, 32)
    key = _derive(secret, salt, b"Content-Encoding: aes128gcm\x00", 16)
    nonce = _derive(secret, salt, b"Content-Encoding: nonce\x00", 12)
    header = salt + _RECORD_SIZE.to_bytes(4, "big") + bytes([len(public)]) + public
    return header + AESGCM(key).encrypt(nonce, payload + _LAST_RECORD, None)


def signing_key(text: str) -> ec.EllipticCurvePrivateKey:
    """The private VAPID key from base64url of its 32 bytes.

    Raises:
        ValueError: it is none.
    """
    return ec.derive_private_key(int.from_bytes(decode(text), "big"), ec.SECP256R1())


def authorization(endpoint: str, *, key: ec.EllipticCurvePrivateKey, subject: str, now: datetime) -> str:
    """The header Authorization for one endpoint: the token names its origin."""
    origin = "{0.scheme}://{0.netloc}".format(urlsplit(endpoint))
    token = jwt.encode({"aud": origin, "exp": now + _TOKEN_LIFETIME, "sub": subject}, key, algorithm="ES256")
    public = urlsafe_b64encode(_point(key.public_key())).rstrip(b"=").decode()
    return f"vapid t={token}, k={public}"


def _point(key: ec.EllipticCurvePublicKey) -> bytes:
    return key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


def _derive(secret: bytes, salt: bytes, info: bytes, length: int) -> bytes:
    return HKDF(algorithm=SHA256(), length=length, salt=salt, info=info).derive(secret)
