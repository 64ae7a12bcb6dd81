"""`leo channels`, as a user types it: put, list, delete, and keys that follow one another."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

from server.embedded.database_setup import DatabaseUrls
from tests.cli.test_cli import leo
from tests.fixtures import planted
from tests.fixtures.server import CREDENTIAL_KEYS
from tests.fixtures.tenants import Tenant
from tests.fixtures.tokens import TokenFor


async def test_an_account_is_put_listed_encrypted_anew_and_removed(
    running_server: str,
    database: DatabaseUrls,
    token_for: TokenFor,
    tenant_a: Tenant,
    tmp_path: Path,
) -> None:
    file = tmp_path / "bot.json"
    file.write_text(json.dumps({"bot_token": f"123:{planted.SECRET}"}))
    called = {"LEO_TOKEN": token_for(tenant_a, ["channels.read", "channels.write"])}
    shown = ""

    async def run(code: int, *arguments: str, **variables: str) -> str:
        nonlocal shown
        result = await asyncio.to_thread(leo, "channels", *arguments, state=tmp_path, **called, **variables)
        shown += result.stdout + result.stderr
        assert result.returncode == code, result.stderr
        assert "Traceback" not in result.stderr
        return result.stdout + result.stderr

    at = ("--server", running_server)
    put = ("put", "telegram", "telegram", str(file), *at)
    assert "telegram telegram: version 1, key test" in await run(0, *put)
    file.write_text(json.dumps({"bot_tokens": planted.SECRET}))
    assert "values.bot_token: is required" in await run(1, *put)
    keys = {"LEO_CREDENTIAL_KEYS": f"newer:{'n' * 43},{CREDENTIAL_KEYS}"}
    rotated = await run(0, "rotate-keys", LEO_DATABASE_URL=database.worker_url, **keys)
    assert "1 encrypted anew, 0 were current, 0 unreadable" in rotated
    listed = await run(0, "list", *at)
    assert "telegram" in listed
    assert "newer" in listed
    assert "removed" in await run(0, "delete", "telegram", *at)
    assert planted.SECRET not in shown
