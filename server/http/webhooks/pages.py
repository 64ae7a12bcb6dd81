"""`/webhooks/{provider}/{tenant_id}`: verified on the raw body before it is read, answered after the commit."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final
from uuid import UUID

import asyncpg
from aiohttp import web
from prometheus_client import Counter

from server.dispatch.receipt_recorder import ReceiptRecorder
from server.errors import LeoError
from server.http.webhooks.accounts import WebhookAccounts
from server.http.webhooks.form import Refusal
from server.http.webhooks.sources import SOURCES, Source
from server.platform.logging import get_logger

LARGEST_BODY: Final = 1024 * 1024
"""Bytes; providers send at most some hundred thousand."""

_MOST_BYTES_AT_ONCE: Final = 64 * LARGEST_BODY
# What a request takes beside its body.
_BYTES_OF_A_REQUEST: Final = 16 * 1024
_BODY_SECONDS: Final = 10.0
_LOG_EVERY_SECONDS: Final = 1.0
_requests = Counter(
    "leo_webhook_requests",
    "Requests of providers by what they were answered: OK, or the reason why not",
    ["provider", "code"],
)
Answer = Callable[[web.Request, Source, UUID], Awaitable[web.Response]]


class WebhookPages:
    """The paths of all providers.

    Args:
        accounts: what verifies requests.
        recorder: where receipts go.
    """

    def __init__(self, *, accounts: WebhookAccounts, recorder: ReceiptRecorder) -> None:
        self._accounts = accounts
        self._recorder = recorder
        self._bytes = 0
        self._logged_at = 0.0

    def application(self) -> web.Application:
        """The pages under their paths."""
        application = web.Application(client_max_size=LARGEST_BODY)
        path = "/webhooks/{provider}/{tenant_id}"
        application.add_routes(
            [web.get(path, self._challenged, allow_head=False), web.post(path, self._received)]
        )
        return application

    async def _received(self, request: web.Request) -> web.Response:
        return await self._answered(request, self._record)

    async def _challenged(self, request: web.Request) -> web.Response:
        return await self._answered(request, self._challenge)

    async def _record(self, request: web.Request, source: Source, tenant_id: UUID) -> web.Response:
        async with asyncio.timeout(_BODY_SECONDS):
            body = await request.read()
        values = await self._accounts.values(tenant_id, source)
        headers = {name.lower(): value for name, value in request.headers.items()}
        reports = source.read(body, headers, values)
        await self._recorder.record(tenant_id, source.provider, reports)
        return web.Response()

    async def _challenge(self, request: web.Request, source: Source, tenant_id: UUID) -> web.Response:
        if source.challenge is None:
            raise Refusal(404, "NO_SUCH_WEBHOOK")
        text = source.challenge(request.query, await self._accounts.values(tenant_id, source))
        return web.Response(text=text, headers={"X-Content-Type-Options": "nosniff"})

    async def _answered(self, request: web.Request, answer: Answer) -> web.Response:
        """Whatever happens, an answer with a status and a reason that tell nothing of what arrived."""
        source = SOURCES.get(request.match_info["provider"])
        tenant_id = _uuid(request.match_info["tenant_id"])
        if source is None or tenant_id is None:
            return self._refused(None, None, 404, "NO_SUCH_WEBHOOK")
        size = _BYTES_OF_A_REQUEST + _announced(request)
        if self._bytes + size > _MOST_BYTES_AT_ONCE:
            return self._refused(source, tenant_id, 503, "SERVER_OVERLOADED")
        self._bytes += size
        try:
            response = await answer(request, source, tenant_id)
        except Refusal as error:
            return self._refused(source, tenant_id, error.status, error.reason)
        except web.HTTPRequestEntityTooLarge:
            return self._refused(source, tenant_id, 413, "BODY_TOO_LARGE")
        except TimeoutError:
            return self._refused(source, tenant_id, 408, "BODY_TOO_SLOW")
        except LeoError as error:
            return self._refused(source, tenant_id, 503, error.reason)
        except asyncpg.PostgresError as error:
            get_logger().error("receipts_not_recorded", provider=source.provider, exc_info=error)
            return self._refused(source, tenant_id, 500, "INTERNAL")
        finally:
            self._bytes -= size
        _requests.labels(source.provider, "OK").inc()
        return response

    def _refused(
        self, source: Source | None, tenant_id: UUID | None, status: int, reason: str
    ) -> web.Response:
        provider = "" if source is None else source.provider
        _requests.labels(provider, reason).inc()
        now = time.monotonic()
        # Whoever floods us with requests does not flood the log.
        if source is not None and now >= self._logged_at + _LOG_EVERY_SECONDS:
            self._logged_at = now
            get_logger().warning(
                "webhook_refused", provider=provider, tenant_id=str(tenant_id), status=status, reason=reason
            )
        headers = {"Retry-After": "1"} if status == 503 else {}
        return web.json_response({"reason": reason}, status=status, headers=headers)


def _announced(request: web.Request) -> int:
    """Bytes that the body may have; more is refused while it is read."""
    length = request.content_length
    return LARGEST_BODY if length is None else min(length, LARGEST_BODY)


def _uuid(text: str) -> UUID | None:
    """The id in its usual form only."""
    try:
        found = UUID(text)
    except ValueError:
        return None
    return found if str(found) == text.lower() else None
