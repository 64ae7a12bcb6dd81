"""The listener of webhooks, on an address of its own: providers reach it, and nothing else of this server."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web

from server.dispatch.credentials.store import CredentialStore
from server.dispatch.receipt_recorder import ReceiptRecorder
from server.dispatch.receipts import ReceiptStore
from server.http.sites import listen_at
from server.http.webhooks.accounts import WebhookAccounts
from server.http.webhooks.pages import WebhookPages
from server.platform.credential_keys import CredentialKeys
from server.platform.logging import get_logger
from server.platform.postgres import Database


@asynccontextmanager
async def webhooks(
    listen: str, *, database: Database, keys: CredentialKeys, share_port: bool, drain_seconds: float
) -> AsyncIterator[str]:
    """Takes what providers send while the block runs, and yields the address.

    Args:
        listen: host:port; port 0 picks a free one.
        keys: decrypt the accounts of tenants.
        share_port: whether other processes listen on the same port.
        drain_seconds: how long requests may finish at the end.

    Raises:
        PortNotFree: the address is used by somebody else.
    """
    pages = WebhookPages(
        accounts=WebhookAccounts(database=database, store=CredentialStore(), keys=keys),
        recorder=ReceiptRecorder(database=database, store=ReceiptStore()),
    )
    # A body is verified as it came: it is not decompressed.
    runner = web.AppRunner(
        pages.application(), access_log=None, auto_decompress=False, shutdown_timeout=drain_seconds
    )
    await runner.setup()
    try:
        address = await listen_at(runner, listen, share_port=share_port)
        get_logger().info("webhooks", address=address)
        yield address
    finally:
        await runner.cleanup()
