"""`leo news` and `leo embeddings`, as a user types them, against a running server."""

from __future__ import annotations

import asyncio
import subprocess
from pathlib import Path
from uuid import UUID

import asyncpg

from tests.cli.test_cli import leo
from tests.fixtures.tenants import Tenant
from tests.fixtures.tokens import TokenFor

LINES = """
{"title": "VNM rises", "published_at": "2026-01-31T09:00:00Z", "source_name": "Wire", "sentiment_score": 0.8}
{"title": "Oil falls", "published_at": "2026-01-30T09:00:00Z", "metadata": {"desk": 7}}

{"title": "", "published_at": "2026-01-30T09:00:00Z"}
"""


async def test_news_are_taken_in_searched_and_requeued(
    running_server: str, token_for: TokenFor, proof: asyncpg.Connection, tenant_a: Tenant, tmp_path: Path
) -> None:
    token = token_for(tenant_a, ["news.read", "news.write", "embeddings.read", "embeddings.write"])

    async def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return await asyncio.to_thread(
            leo, *arguments, "--server", running_server, state=tmp_path, LEO_TOKEN=token
        )

    (tmp_path / "news.ndjson").write_text(LINES)
    taken = await run("news", "ingest", str(tmp_path / "news.ndjson"))
    assert (taken.returncode, taken.stdout) == (1, "2 new, 0 known already, 1 refused\n")
    assert "line 5: title: is required" in taken.stderr

    found = await run("news", "search", "rises")
    assert found.stdout.startswith("2026-01-31 09:00Z  VNM rises  0.80  (Wire, ")
    newest = await run("news", "search", "--published-until", "2026-01-31")
    assert [line[:28] for line in newest.stdout.splitlines()] == ["2026-01-30 09:00Z  Oil falls"]

    await proof.execute(
        "update embedding_job set status = 'failed', last_error = 'HTTP_400' where tenant_id = $1",
        UUID(int=tenant_a.int),
    )
    assert "news      failed               2" in (await run("embeddings")).stdout
    assert "HTTP_400" in (await run("embeddings", "failed")).stdout
    assert (await run("embeddings", "requeue", "--kind", "profile")).stdout == "0 jobs wait again\n"
    assert (await run("embeddings", "requeue")).stdout == "2 jobs wait again\n"
    assert (await run("embeddings", "requeue", "--kind", "mail")).returncode == 1

    (tmp_path / "bad.ndjson").write_text('{"headline": "x"}\n')
    refused = await run("news", "ingest", str(tmp_path / "bad.ndjson"))
    assert refused.returncode == 1
    assert "line 1 is no news item" in refused.stderr
    assert "Traceback" not in refused.stderr
