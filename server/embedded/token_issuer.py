"""Issues tokens as an identity provider would: a key pair on disk, its public half as a JWKS file."""

from __future__ import annotations

import hashlib
import json
import secrets
import time
from collections.abc import Sequence
from pathlib import Path

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

from server.embedded.state import write_private

REALM = "leo"
ISSUER = f"http://leo.localhost/realms/{REALM}"
AUDIENCE = "leo-activation"
_KEY_BITS = 2048


def issuer_directory(state_directory: Path) -> Path:
    """Where a stack keeps its keys."""
    return state_directory / "issuer"


class TokenIssuer:
    """Signs tokens with the key of a directory, making the key at the first use."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._key_path = directory / "signing-key.pem"
        self.jwks_path = directory / "jwks.json"
        if not (self._key_path.exists() and self.jwks_path.exists()):
            self._make_key()
        # Read once: checking a private key takes 30 ms, signing with it one.
        self._key = self._read_key()
        self._key_id: str = json.loads(self.jwks_path.read_text())["keys"][0]["kid"]

    def issue(
        self, *, client_id: str, scopes: Sequence[str], lifetime_seconds: int = 3600, subject: str = "leo-cli"
    ) -> str:
        """A signed token.

        Args:
            client_id: the tenant's client at the identity provider (`azp`).
            scopes: what the token allows, e.g. `decisions.write`.
            lifetime_seconds: seconds until it expires; negative for one that already has.
        """
        now = int(time.time())
        claims = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "azp": client_id,
            "sub": subject,
            "scope": " ".join(scopes),
            "iat": now,
            "nbf": now,
            "exp": now + lifetime_seconds,
            "jti": secrets.token_urlsafe(12),
        }
        return jwt.encode(claims, self._key, algorithm="RS256", headers={"kid": self._key_id})

    def _read_key(self) -> rsa.RSAPrivateKey:
        key = serialization.load_pem_private_key(self._key_path.read_bytes(), password=None)
        assert isinstance(key, rsa.RSAPrivateKey)
        return key

    def _make_key(self) -> None:
        key = rsa.generate_private_key(public_exponent=65537, key_size=_KEY_BITS)
        pem = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        public = RSAAlgorithm.to_jwk(key.public_key(), as_dict=True)
        key_id = hashlib.sha256(json.dumps(public, sort_keys=True).encode()).hexdigest()[:16]
        jwk = {**public, "kid": key_id, "alg": "RS256", "use": "sig"}
        write_private(self._key_path, pem.decode())
        write_private(self.jwks_path, json.dumps({"keys": [jwk]}, indent=2))
