"""From a bearer token to a `Caller`. There is no anonymous mode.

A token is verified once (RS256 takes 44 µs) and remembered by its hash until it expires.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import Any, Final, NoReturn
from uuid import UUID

import jwt

from server.errors import PermissionDenied, Unauthenticated
from server.platform.clock import utc_now
from server.rpc.caller import NO_TENANT, Caller
from server.rpc.expiring_cache import ExpiringCache
from server.rpc.keys import ALGORITHMS, KeySource
from server.rpc.tenant_directory import TenantDirectory

ADMIN_SCOPE: Final = "admin"
_MOST_TOKENS: Final = 10_000
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@-]{0,254}")
_REALM: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,254}")
_DECODE_OPTIONS: Final[Any] = {"require": ["exp", "iss"], "verify_aud": False, "verify_iat": False}


@dataclass(frozen=True, slots=True)
class VerifiedToken:
    """What a token says, after its signature, times, issuer and audience were checked.

    Args:
        subject: the account at the issuer.
        realm: last part of the issuer's path.
        client: `azp`, else `client_id`; empty when the token has neither.
        scopes: the words of `scope`.
        expires_at: seconds since 1970.
    """

    subject: str
    realm: str
    client: str
    scopes: frozenset[str]
    expires_at: float


class Authenticator:
    """Turns tokens into callers.

    Args:
        issuer: a realm's URL, or the URL right above the realms.
        audience: what `aud` or `azp` must name.
        keys: the issuer's keys.
        tenants: finds the tenant of a realm and client.
    """

    def __init__(self, *, issuer: str, audience: str, keys: KeySource, tenants: TenantDirectory) -> None:
        self._issuer = issuer
        self._audience = audience
        self._keys = keys
        self._tenants = tenants
        self._verified: ExpiringCache[bytes, VerifiedToken] = ExpiringCache(
            most_entries=_MOST_TOKENS, now=lambda: utc_now().timestamp()
        )

    async def authenticate(self, authorization: str | None, required_scope: str) -> Caller:
        """The caller behind the metadata entry `authorization`.

        Raises:
            Unauthenticated: no token, or one that does not verify.
            PermissionDenied: the token lacks the scope, or no active tenant belongs to it.
            Unavailable: keys or tenants can not be looked up.
        """
        token = _bearer_token(authorization)
        fingerprint = hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()
        verified = self._verified.get(fingerprint)
        if verified is None:
            verified = await self._verify(token)
            self._verified.put(fingerprint, verified, expires_at=verified.expires_at)
        if required_scope not in verified.scopes:
            raise PermissionDenied(
                "SCOPE_MISSING",
                "the token lacks the required scope",
                {"required_scope": required_scope},
            )
        tenant_id = NO_TENANT if required_scope == ADMIN_SCOPE else await self._tenant_of(verified)
        return Caller(tenant_id=tenant_id, subject=verified.subject, scopes=verified.scopes)

    async def _tenant_of(self, token: VerifiedToken) -> UUID:
        tenant_id = await self._tenants.resolve(token.realm, token.client) if token.client else None
        if tenant_id is None:
            raise PermissionDenied("TENANT_UNKNOWN", "no active tenant belongs to the realm and client")
        return tenant_id

    async def _verify(self, token: str) -> VerifiedToken:
        header, realm = self._read_unverified(token)
        key = await self._keys.key(header.get("kid"), realm)
        claims = _decode(token, key)
        self._check_audience(claims)
        return _verified_token(claims, realm)

    def _read_unverified(self, token: str) -> tuple[dict[str, Any], str]:
        """Header and realm, just enough to choose the key; nothing here is believed until it is verified."""
        try:
            parts = jwt.decode_complete(token, options={"verify_signature": False})
        except (jwt.PyJWTError, ValueError, TypeError, RecursionError):
            _refuse("TOKEN_INVALID", "the token is no JWT")
        header = parts["header"]
        if header.get("alg") not in ALGORITHMS or not isinstance(header.get("kid"), (str, type(None))):
            _refuse("TOKEN_INVALID", "the token must be signed with RS256 or ES256")
        return header, self._realm_of(parts["payload"].get("iss"))

    def _realm_of(self, issuer: object) -> str:
        """Last part of the issuer's path, when it is the trusted issuer or a realm right below it."""
        if not isinstance(issuer, str):
            _refuse("TOKEN_WRONG_ISSUER", "the token names no issuer")
        parent, _, realm = issuer.rpartition("/")
        if self._issuer not in {issuer, parent} or _REALM.fullmatch(realm) is None:
            _refuse("TOKEN_WRONG_ISSUER", "the token comes from an issuer that is not trusted here")
        return realm

    def _check_audience(self, claims: dict[str, Any]) -> None:
        audience = claims.get("aud")
        named = audience if isinstance(audience, list) else [audience]
        if self._audience not in [*named, claims.get("azp")]:
            _refuse("TOKEN_WRONG_AUDIENCE", "the token was made for another service")


def _bearer_token(authorization: str | None) -> str:
    scheme, _, token = (authorization or "").partition(" ")
    if scheme.lower() != "bearer" or not token:
        _refuse("TOKEN_MISSING", "the metadata needs an entry `authorization: Bearer <token>`")
    return token


def _decode(token: str, key: jwt.PyJWK) -> dict[str, Any]:
    try:
        claims: dict[str, Any] = jwt.decode(
            token, key, algorithms=[key.algorithm_name], options=_DECODE_OPTIONS
        )
    except jwt.ExpiredSignatureError:
        _refuse("TOKEN_EXPIRED", "the token's time is over")
    except jwt.ImmatureSignatureError:
        _refuse("TOKEN_NOT_YET_VALID", "the token is not valid yet")
    except (jwt.PyJWTError, ValueError, TypeError, OverflowError):
        _refuse("TOKEN_INVALID", "the token does not verify")
    return claims


def _verified_token(claims: dict[str, Any], realm: str) -> VerifiedToken:
    client = claims.get("azp") or claims.get("client_id") or ""
    scope = claims.get("scope", "")
    if not isinstance(client, str) or (client and _NAME.fullmatch(client) is None):
        _refuse("TOKEN_INVALID", "the token's client is no name")
    if not isinstance(scope, str):
        _refuse("TOKEN_INVALID", "the token's scope is no text")
    return VerifiedToken(
        subject=str(claims.get("sub", client)),
        realm=realm,
        client=client,
        scopes=frozenset(scope.split()),
        expires_at=float(claims["exp"]),
    )


def _refuse(reason: str, message: str) -> NoReturn:
    raise Unauthenticated(reason, message)
