"""`leo snapshots`, as a user types it, against a running server."""

from __future__ import annotations

import asyncio
from pathlib import Path

import asyncpg
from click.testing import Result
from typer.testing import CliRunner

from server.cli.failure import CommandFailed
from server.cli.main import app
from server.embedded.database_setup import DatabaseUrls
from tests.cli.test_cli import leo
from tests.fixtures.tenants import Tenant
from tests.fixtures.tokens import TokenFor
from tests.snapshots.rows import acting_for, add_profiles, insert


async def test_an_audience_is_frozen_compared_and_verified(
    running_server: str,
    token_for: TokenFor,
    database: DatabaseUrls,
    proof: asyncpg.Connection,
    tenant_a: Tenant,
    tmp_path: Path,
) -> None:
    servers = await asyncpg.connect(database.app_url)
    await add_profiles(servers, tenant_a, "ann", "ben", "cy", segments=["vip"])
    await servers.close()
    variables = {"LEO_TOKEN": token_for(tenant_a, ("snapshots.read", "snapshots.write"))}
    (tmp_path / "board.txt").write_text("cy\ndan\nben\n")
    (tmp_path / "ours.json").write_text('{"all": []}')

    async def run(*arguments: str) -> Result:
        typed = ["snapshots", *arguments, "--server", running_server]
        return await asyncio.to_thread(CliRunner().invoke, app, typed, env=variables)

    async def said(*arguments: str) -> str:
        result = await run(*arguments)
        assert result.exit_code == 0, result.output
        return result.stdout

    async def frozen(*arguments: str) -> str:
        return (await said("create", *arguments, "--reason", "a test")).split()[0]

    vip = await frozen("--label", "vip")
    assert "as before" in await said("create", "--label", "vip", "--reason", "again")
    listed = await run("create", "--list", str(tmp_path / "board.txt"), "--reason", "a test")
    board = listed.stdout.split()[0]
    assert "unknown: dan" in listed.stderr
    assert await said("estimate", "--label", "vip") == "3 members: ann, ben, cy\n"
    everybody = await frozen("--condition", str(tmp_path / "ours.json"))
    rest = await frozen("--combine", vip, "minus", board, "--name", "rest")
    assert await said("members", rest) == "ann\n"
    assert await said("members", everybody) == "ann\nben\ncy\n"
    assert await said("diff", vip, board) == "0 entered, 1 left, 2 kept\n- ann\n"
    assert await said("diff", rest, vip, "--kept") == "2 entered, 0 left, 1 kept\n= ann\n+ ben\n+ cy\n"
    assert await said("diff", rest, vip, "--counts") == "2 entered, 0 left, 1 kept\n"
    assert (await said("list", "vip")).startswith(f"{vip}  vip  3 members")
    assert "reason    a test" in await said("show", vip)
    assert await said("verify", vip) == f"{vip} is intact: 3 members\n"
    async with acting_for(proof, tenant_a):
        await insert(proof, tenant_a, "segment_snapshot_member", snapshot_id=vip, profile_id="more")
    changed = await asyncio.to_thread(
        leo, "snapshots", "verify", vip, "--server", running_server, state=tmp_path, **variables
    )
    assert changed.returncode == 1
    assert "was changed: 3 members" in changed.stderr
    for arguments in ((), ("--label", "a", "--segment", "b"), ("--combine", vip, "times", board)):
        refused = await run("create", *arguments, "--reason", "a test")
        assert isinstance(refused.exception, CommandFailed)
