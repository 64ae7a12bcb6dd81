"""`leo profiles similar`, as a user types it, against a running server; export has its own tests."""

from __future__ import annotations

import asyncio
from uuid import UUID

import asyncpg
from click.testing import Result
from typer.testing import CliRunner

from server.cli.failure import CommandFailed
from server.cli.main import app
from server.embeddings.hashing import HashingEmbedder, hashed
from server.platform.postgres_codecs import register_codecs
from tests.fixtures.tenants import Tenant
from tests.fixtures.tokens import TokenFor


async def test_look_alikes_of_a_customer_and_of_a_segment_are_listed(
    running_server: str, token_for: TokenFor, proof: asyncpg.Connection, tenant_a: Tenant
) -> None:
    await register_codecs(proof)
    for profile_id, interests, segments in (
        ("ann", "gold coins", '["vip"]'),
        ("ben", "gold coins and bars", '["vip"]'),
        ("cy", "gold", "[]"),
        ("dee", "volleyball", "[]"),
    ):
        await proof.execute(
            "insert into cdp_profiles (tenant_id, profile_id, interest_embedding, interest_embedding_model, segments)"
            " values ($1, $2, $3, $4, $5)",
            UUID(int=tenant_a.int),
            profile_id,
            hashed(interests),
            HashingEmbedder.model,
            segments,
        )
    variables = {"LEO_TOKEN": token_for(tenant_a, ["profiles.read"])}

    async def similar(*arguments: str) -> Result:
        typed = ["profiles", "similar", *arguments, "--server", running_server]
        return await asyncio.to_thread(CliRunner().invoke, app, typed, env=variables)

    def found(result: Result) -> list[str]:
        assert result.exit_code == 0, result.output
        return [line.split()[1] for line in result.stdout.splitlines()]

    of_ann = await similar("ann")
    assert found(of_ann) == ["ben", "cy", "dee"]
    assert f"one profile, exactly, by {HashingEmbedder.model}" in of_ann.stderr
    assert found(await similar("--segment", "vip", "--limit", "1")) == ["cy"]
    of_members = await similar("--segment", "vip", "--members", "--limit", "2")
    assert set(found(of_members)) == {"ann", "ben"}
    assert "the mean of 2 members" in of_members.stderr
    for arguments in ((), ("ann", "--segment", "vip")):
        assert isinstance((await similar(*arguments)).exception, CommandFailed)
