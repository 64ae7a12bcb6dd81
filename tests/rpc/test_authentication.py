"""Which tokens are good: every fault that a token can have, and keys that change."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import jwt
import pytest
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from server.errors import PermissionDenied, Unauthenticated, Unavailable
from server.rpc.authentication import Authenticator
from server.rpc.caller import NO_TENANT
from server.rpc.keys import KeySet, UrlKeys
from tests.rpc.conftest import KnownTenants

REALMS = "https://id.example.com/realms"
AUDIENCE = "leo-activation"
TENANT = uuid4()


@dataclass(frozen=True)
class Signer:
    """A private key, and its public half as a JWK."""

    key: Any
    algorithm: str
    key_id: str

    @classmethod
    def rs256(cls, key_id: str) -> Signer:
        return cls(rsa.generate_private_key(public_exponent=65537, key_size=2048), "RS256", key_id)

    @classmethod
    def es256(cls, key_id: str) -> Signer:
        return cls(ec.generate_private_key(ec.SECP256R1()), "ES256", key_id)

    @property
    def jwk(self) -> Mapping[str, Any]:
        algorithm: Any = RSAAlgorithm if self.algorithm == "RS256" else ECAlgorithm
        document = algorithm.to_jwk(self.key.public_key(), as_dict=True)
        return {**document, "kid": self.key_id, "use": "sig", "alg": self.algorithm}

    def sign(self, claims: Mapping[str, Any], **header: Any) -> str:
        return jwt.encode(
            dict(claims), self.key, algorithm=self.algorithm, headers={"kid": self.key_id, **header}
        )


@pytest.fixture(scope="module")
def signer() -> Signer:
    return Signer.rs256("k-1")


class Issuer:
    """Serves key documents over HTTP, one per path, and counts how often it is asked."""

    def __init__(self) -> None:
        self.url = ""
        self.signers: dict[str, list[Signer]] = {}
        self.asked = 0

    async def handle(self, request: web.Request) -> web.Response:
        """One request for keys."""
        self.asked += 1
        signers = self.signers.get(request.match_info["realm"])
        if signers is None:
            return web.Response(status=404)
        return web.json_response({"keys": [signer.jwk for signer in signers]})


@pytest.fixture
async def issuer(signer: Signer) -> AsyncIterator[Issuer]:
    issuer = Issuer()
    issuer.signers["acme"] = [signer]
    application = web.Application()
    application.router.add_get("/{realm}/certs", issuer.handle)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    issuer.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield issuer
    await runner.cleanup()


@pytest.fixture
async def authenticator(issuer: Issuer) -> AsyncIterator[Authenticator]:
    keys = UrlKeys(f"{issuer.url}/acme/certs", refetch_seconds=0)
    yield Authenticator(issuer=REALMS, audience=AUDIENCE, keys=keys, tenants=KnownTenants({"shop": TENANT}))
    await keys.close()


def claims(**changes: Any) -> dict[str, Any]:
    """The claims of a good token; None removes one."""
    now = int(time.time())
    good = {
        "iss": f"{REALMS}/acme",
        "aud": [AUDIENCE, "account"],
        "azp": "shop",
        "sub": "u-1",
        "scope": "catalog.read catalog.write",
        "exp": now + 600,
        "nbf": now - 1,
    }
    return {key: value for key, value in {**good, **changes}.items() if value is not None}


async def refused(authenticator: Authenticator, token: str) -> str:
    """The reason why a token is refused."""
    with pytest.raises(Unauthenticated) as caught:
        await authenticator.authenticate(f"Bearer {token}", "catalog.read")
    return caught.value.reason


async def test_a_good_token_gives_its_caller(authenticator: Authenticator, signer: Signer) -> None:
    caller = await authenticator.authenticate(f"Bearer {signer.sign(claims())}", "catalog.write")
    assert (caller.tenant_id, caller.subject) == (TENANT, "u-1")
    assert caller.scopes == {"catalog.read", "catalog.write"}


@pytest.mark.parametrize(
    "changes",
    [
        {"aud": AUDIENCE},
        {"aud": "account", "azp": AUDIENCE},
        {"azp": None, "client_id": "shop"},
        {"nbf": None},
    ],
    ids=str,
)
async def test_other_shapes_of_good_tokens(
    authenticator: Authenticator, signer: Signer, changes: dict[str, Any]
) -> None:
    authenticator._tenants = KnownTenants({"shop": TENANT, AUDIENCE: TENANT})
    token = signer.sign(claims(**changes))
    assert (await authenticator.authenticate(f"bearer {token}", "catalog.read")).tenant_id == TENANT


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"exp": 1_000_000_000}, "TOKEN_EXPIRED"),
        ({"exp": None}, "TOKEN_INVALID"),
        ({"exp": "soon"}, "TOKEN_INVALID"),
        ({"nbf": 4_000_000_000}, "TOKEN_NOT_YET_VALID"),
        ({"iss": "https://evil.example.com/realms/acme"}, "TOKEN_WRONG_ISSUER"),
        ({"iss": f"{REALMS}/acme/more"}, "TOKEN_WRONG_ISSUER"),
        ({"iss": f"{REALMS}/"}, "TOKEN_WRONG_ISSUER"),
        ({"iss": f"{REALMS}/a b"}, "TOKEN_WRONG_ISSUER"),
        ({"iss": None}, "TOKEN_WRONG_ISSUER"),
        ({"aud": "account"}, "TOKEN_WRONG_AUDIENCE"),
        ({"aud": None}, "TOKEN_WRONG_AUDIENCE"),
        ({"aud": {"a": 1}}, "TOKEN_WRONG_AUDIENCE"),
        ({"azp": "a\0b"}, "TOKEN_INVALID"),
        ({"azp": ["shop"]}, "TOKEN_INVALID"),
        ({"scope": ["catalog.read"]}, "TOKEN_INVALID"),
    ],
    ids=str,
)
async def test_claims_that_are_not_good(
    authenticator: Authenticator, signer: Signer, changes: dict[str, Any], reason: str
) -> None:
    assert await refused(authenticator, jwt_of(signer, claims(**changes))) == reason


def jwt_of(signer: Signer, payload: Mapping[str, Any]) -> str:
    """Signs any payload, also those that a JWT library would not sign."""
    return jwt.api_jws.encode(
        json.dumps(payload).encode(), signer.key, algorithm=signer.algorithm, headers={"kid": signer.key_id}
    )


async def test_tokens_that_nobody_trusted_signed(authenticator: Authenticator, signer: Signer) -> None:
    stranger = Signer.rs256("k-1")
    public = jwt.api_jws.encode(b"{}", "x" * 32, algorithm="HS256", headers={"kid": "k-1"})
    tokens = {
        "another key": stranger.sign(claims()),
        "an unknown key": Signer.rs256("k-9").sign(claims()),
        "unsigned": jwt.encode(claims(), None, algorithm="none", headers={"kid": "k-1"}),
        "symmetric": jwt.encode(claims(), "s" * 32, algorithm="HS256", headers={"kid": "k-1"}),
        "symmetric, empty": public,
        "other curve for the key": Signer.es256("k-1").sign(claims()),
        "strange key id": signer.sign(claims(), kid="\0"),
        "no token": "abc",
        "three empty parts": "..",
        "not base64": "!.!.!",
        "deep": _deep_token(),
        "changed": signer.sign(claims())[:-8] + "AAAAAAAA",
    }
    reasons = {name: await refused(authenticator, token) for name, token in tokens.items()}
    assert set(reasons.values()) == {"TOKEN_INVALID"}, reasons


def _deep_token() -> str:
    header = base64.urlsafe_b64encode(b'{"alg":"RS256","kid":"k-1"}').rstrip(b"=").decode()
    payload = base64.urlsafe_b64encode(b"[" * 100_000).rstrip(b"=").decode()
    return f"{header}.{payload}.AAAA"


@pytest.mark.parametrize("authorization", [None, "", "Bearer", "Bearer ", "Basic abc", "abc"])
async def test_no_token(authenticator: Authenticator, authorization: str | None) -> None:
    with pytest.raises(Unauthenticated) as caught:
        await authenticator.authenticate(authorization, "catalog.read")
    assert caught.value.reason == "TOKEN_MISSING"


async def test_scope_and_tenant_are_needed(authenticator: Authenticator, signer: Signer) -> None:
    with pytest.raises(PermissionDenied) as scope:
        await authenticator.authenticate(f"Bearer {signer.sign(claims())}", "profiles.read")
    assert scope.value.reason == "SCOPE_MISSING"
    for client in ("nobody", None):
        with pytest.raises(PermissionDenied) as tenant:
            await authenticator.authenticate(f"Bearer {signer.sign(claims(azp=client))}", "catalog.read")
        assert tenant.value.reason == "TENANT_UNKNOWN"


async def test_an_administrator_has_no_tenant(authenticator: Authenticator, signer: Signer) -> None:
    token = signer.sign(claims(azp="shop", scope="admin"))
    assert (await authenticator.authenticate(f"Bearer {token}", "admin")).tenant_id == NO_TENANT


async def test_a_token_is_verified_once_and_ends_with_its_time(
    authenticator: Authenticator, signer: Signer, issuer: Issuer
) -> None:
    expires_at = int(time.time()) + 2
    token = signer.sign(claims(exp=expires_at))
    await authenticator.authenticate(f"Bearer {token}", "catalog.read")
    await authenticator.authenticate(f"Bearer {token}", "catalog.read")
    assert issuer.asked == 1
    await asyncio.sleep(expires_at - time.time())
    assert await refused(authenticator, token) == "TOKEN_EXPIRED"


async def test_a_new_key_is_found_and_an_old_one_forgotten(
    authenticator: Authenticator, signer: Signer, issuer: Issuer
) -> None:
    await authenticator.authenticate(f"Bearer {signer.sign(claims())}", "catalog.read")
    rotated = Signer.es256("k-2")
    issuer.signers["acme"] = [rotated]
    await authenticator.authenticate(f"Bearer {rotated.sign(claims())}", "catalog.read")
    assert issuer.asked == 2
    assert await refused(authenticator, signer.sign(claims(sub="other"))) == "TOKEN_INVALID"


async def test_unknown_keys_do_not_flood_the_issuer(issuer: Issuer) -> None:
    keys = UrlKeys(f"{issuer.url}/acme/certs", refetch_seconds=3_600)
    for number in range(20):
        with pytest.raises(Unauthenticated):
            await keys.key(f"unknown-{number}", "acme")
    await keys.key("k-1", "acme")
    assert issuer.asked == 1
    await keys.close()


async def test_calls_that_come_together_share_one_reading(issuer: Issuer) -> None:
    keys = UrlKeys(f"{issuer.url}/acme/certs")
    await asyncio.gather(*(keys.key("k-1", "acme") for _ in range(10)))
    assert issuer.asked == 1
    await keys.close()


async def test_an_issuer_that_is_away_is_unavailable_but_known_keys_stay(
    issuer: Issuer, signer: Signer
) -> None:
    keys = UrlKeys(f"{issuer.url}/acme/certs", refetch_seconds=0)
    del issuer.signers["acme"]
    with pytest.raises(Unavailable) as caught:
        await keys.key("k-1", "acme")
    assert caught.value.reason == "KEYS_UNAVAILABLE"
    issuer.signers["acme"] = [signer]
    await keys.key("k-1", "acme")
    del issuer.signers["acme"]
    with pytest.raises(Unauthenticated):
        await keys.key("k-2", "acme")
    await keys.key("k-1", "acme")
    await keys.close()


async def test_keys_of_one_realm_verify_no_token_of_another(issuer: Issuer, signer: Signer) -> None:
    other = Signer.rs256("k-1")
    issuer.signers["other"] = [other]
    keys = UrlKeys(f"{issuer.url}/{{realm}}/certs")
    authenticator = Authenticator(
        issuer=REALMS, audience=AUDIENCE, keys=keys, tenants=KnownTenants({"shop": TENANT})
    )
    await authenticator.authenticate(f"Bearer {signer.sign(claims())}", "catalog.read")
    elsewhere = claims(iss=f"{REALMS}/other")
    await authenticator.authenticate(f"Bearer {other.sign(elsewhere)}", "catalog.read")
    assert await refused(authenticator, signer.sign(elsewhere)) == "TOKEN_INVALID"
    for _ in range(5):
        with pytest.raises(Unavailable):
            await authenticator.authenticate(
                f"Bearer {signer.sign(claims(iss=f'{REALMS}/unknown'))}", "catalog.read"
            )
    assert issuer.asked == 3
    await keys.close()


@pytest.mark.parametrize("document", [b"", b"[]", b'{"keys": 1}', b"\xff"])
async def test_a_document_that_holds_no_keys(document: bytes) -> None:
    async def fetch() -> bytes:
        return document

    with pytest.raises(Unavailable):
        await KeySet(fetch).key("k-1")


async def test_keys_for_other_uses_and_weaker_algorithms_are_left_out(signer: Signer) -> None:
    entries = [
        {**signer.jwk, "use": "enc"},
        {"kty": "oct", "k": "c2VjcmV0", "kid": "k-1", "alg": "HS256"},
        {**signer.jwk, "alg": "RS512"},
        {"kty": "RSA", "kid": "k-1"},
        "text",
    ]

    async def fetch() -> bytes:
        return json.dumps({"keys": entries}).encode()

    with pytest.raises(Unauthenticated):
        await KeySet(fetch).key("k-1")
