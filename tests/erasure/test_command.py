"""`leo profiles erase` and `readmit`, as a user types them."""

from __future__ import annotations

import asyncio

from click.testing import Result
from typer.testing import CliRunner

from server.cli.failure import CommandFailed
from server.cli.main import app
from tests.erasure.conftest import SCOPES, Everything, Shop
from tests.fixtures.tenants import Tenant
from tests.fixtures.tokens import TokenFor


async def test_a_person_is_erased_once_somebody_said_yes(
    shop: Shop, everything: Everything, running_server: str, token_for: TokenFor, tenant_a: Tenant
) -> None:
    await shop.put("ann", primary_email="ann@leo-erase.example", ext_id="crm-77")
    variables = {"LEO_TOKEN": token_for(tenant_a, SCOPES)}

    async def run(*arguments: str, typed: str = "") -> Result:
        command = ["profiles", *arguments, "--server", running_server]
        return await asyncio.to_thread(lambda: CliRunner().invoke(app, command, env=variables, input=typed))

    erase = ("erase", "--ext-id", "crm-77", "--reason", "ticket 7")
    unsure = await run(*erase, typed="n\n")
    assert unsure.exit_code == 1
    assert "Erase crm-77 for good?" in unsure.stderr
    twice = await run("erase", "ann", "--ext-id", "crm-77", "--reason", "ticket 7", "--yes")
    assert isinstance(twice.exception, CommandFailed)
    assert await everything.places(["crm-77"]) == ["cdp_profiles.ext_id"]
    done = await run(*erase, typed="y\n")
    assert done.exit_code == 0, done.output
    told = done.stdout.splitlines()[-1]
    assert "ann: erased at " in told
    assert "1 cdp_profiles" in told
    assert await everything.places(["crm-77"]) == []
    assert (await run("erase", "ann", "--reason", "ticket 7", "--yes")).stdout.strip() in told
    back = await run("readmit", "ann", "--reason", "signed up again")
    assert back.stdout == "ann: sources may create a new profile for this person.\n"
    unknown = await run("readmit", "nobody", "--reason", "signed up again")
    assert isinstance(unknown.exception, CommandFailed)
