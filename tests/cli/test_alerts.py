"""`leo alerts`, as a user types it, against a running server."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

import asyncpg

from tests.alerts.committed import add_rules, fire, rule_ids
from tests.cli.test_cli import leo
from tests.fixtures.tenants import Tenant
from tests.fixtures.tokens import TokenFor

SCOPES = ("alerts.read", "alerts.write")


async def test_alerts_are_listed_acknowledged_silenced_and_watched(
    running_server: str,
    token_for: TokenFor,
    app: asyncpg.Connection,
    proof: asyncpg.Connection,
    tenant_a: Tenant,
    tmp_path: Path,
) -> None:
    first, second, third = rule_ids(3)
    await add_rules(proof, tenant_a, [first, second, third])
    token = token_for(tenant_a, SCOPES)

    async def said(*arguments: str, code: int = 0) -> str:
        result = await asyncio.to_thread(
            leo, "alerts", *arguments, "--server", running_server, state=tmp_path, LEO_TOKEN=token
        )
        assert result.returncode == code, result.stderr
        return str(result.stdout if code == 0 else result.stderr)

    watching = await watch(running_server, token)
    assert watching.stdout is not None
    assert watching.stderr is not None
    assert (await watching.stderr.readline()).startswith(b"watching")
    await fire(app, tenant_a, [first])
    line = (await watching.stdout.readline()).decode()
    assert f"AAPL 0.000000007 above 0.000000005  ann  pending  {first} 1" in line
    watching.send_signal(signal.SIGINT)
    resume = (await watching.stderr.read()).decode().rpartition("--resume ")[2].strip()
    assert await watching.wait() == 0
    silenced = await said("silence", "--symbol", "AAPL", "--hours", "2", "--reason", "holidays")
    assert silenced.startswith("symbol AAPL  until ")
    await fire(app, tenant_a, [second])
    assert f"silenced  {second} 1" in await said("list", "--status", "silenced")
    seen = await said("acknowledge", first, "1", "--silence-hours", "1")
    assert "  seen by " in seen
    assert f"rule {first}  until " in seen
    assert first not in await said("list", "--unseen")
    silence_id = silenced.split()[-1]
    assert silence_id in await said("silences")
    assert "  ended  " in await said("unsilence", silence_id)
    assert silence_id not in await said("silences")
    assert "name one of" in await said("silence", "--hours", "2", code=1)
    watching = await watch(running_server, token, "--resume", resume)
    assert watching.stdout is not None
    assert second in (await watching.stdout.readline()).decode()
    watching.kill()
    await watching.wait()


async def watch(server: str, token: str, *arguments: str) -> asyncio.subprocess.Process:
    """A running `leo alerts watch`."""
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "server.cli.main", "alerts", "watch", "--server", server, *arguments),
        env={**os.environ, "LEO_TOKEN": token, "PYTHONUNBUFFERED": "1"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
