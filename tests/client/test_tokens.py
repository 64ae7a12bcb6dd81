"""The client-credentials flow against a small issuer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import web
from leo_client import ClientCredentials, TokenUnavailable


@dataclass
class Issuer:
    """Counts what it is asked, and answers what a test sets."""

    url: str = ""
    answer: Any = field(default_factory=lambda: {"access_token": "t-1", "expires_in": 300})
    status: int = 200
    forms: list[dict[str, str]] = field(default_factory=list)

    async def handle(self, request: web.Request) -> web.Response:
        """One request for a token."""
        self.forms.append({key: str(value) for key, value in (await request.post()).items()})
        return web.json_response(self.answer, status=self.status)


@pytest.fixture
async def issuer() -> AsyncIterator[Issuer]:
    issuer = Issuer()
    application = web.Application()
    application.router.add_post("/token", issuer.handle)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    issuer.url = f"http://127.0.0.1:{runner.addresses[0][1]}/token"
    yield issuer
    await runner.cleanup()


def credentials(issuer: Issuer) -> ClientCredentials:
    return ClientCredentials(issuer.url, client_id="c", client_secret="s", scope="catalog.read")


async def test_a_token_is_fetched_once_while_it_is_good(issuer: Issuer) -> None:
    source = credentials(issuer)
    assert source.current() is None
    tokens = await asyncio.gather(*(asyncio.to_thread(source.fetch) for _ in range(5)))
    assert (set(tokens), source.current(), len(issuer.forms)) == ({"t-1"}, "t-1", 1)
    assert issuer.forms[0] == {
        "grant_type": "client_credentials",
        "client_id": "c",
        "client_secret": "s",
        "scope": "catalog.read",
    }


async def test_a_token_about_to_expire_is_renewed(issuer: Issuer) -> None:
    issuer.answer = {"access_token": "t-1", "expires_in": 20}
    source = credentials(issuer)
    await asyncio.to_thread(source.fetch)
    assert source.current() is None
    issuer.answer = {"access_token": "t-2", "expires_in": 300}
    assert await asyncio.to_thread(source.fetch) == "t-2"


@pytest.mark.parametrize(("status", "answer"), [(401, {}), (200, {}), (200, [])])
async def test_an_issuer_that_gives_none_is_named(issuer: Issuer, status: int, answer: Any) -> None:
    issuer.status, issuer.answer = status, answer
    with pytest.raises(TokenUnavailable):
        await asyncio.to_thread(credentials(issuer).fetch)
