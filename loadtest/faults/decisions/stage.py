"""What the drill plays on: an embedded stack, `leo serve` with two processes behind proxies, and two callers.

Whatever ends is started again by the keeper, as a service manager would; a server process of the two by `leo serve`
itself.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Final

import orjson
from leo_client import LeoClient

from loadtest.demo.processes import Keeper, Kept, LeoCommand, fresh_options, wait_until_listening
from loadtest.faults.decisions import shop
from loadtest.faults.decisions.caller_process import CallerProcess
from loadtest.faults.decisions.calling import Configuration
from loadtest.faults.decisions.ledger import LedgerReader
from loadtest.faults.decisions.proxy import Proxy, Traps
from loadtest.faults.decisions.server_processes import owner_of, serving_processes
from server.cli.token import TENANT_SCOPES
from server.embedded.addresses import StackAddresses
from server.embedded.ports import free_port
from server.embedded.postgres_server import PostgresServer
from server.embedded.redis_server import RedisServer
from server.embedded.stack import Stack
from server.embedded.state import write_private
from server.embedded.token_issuer import TokenIssuer

PROCESSES: Final = 2
_TOKEN_SECONDS: Final = 86_400
_STOP_SECONDS: Final = 60.0
CALLERS: Final = ("first", "second")


@dataclass(slots=True)
class Stage:
    """Everything that may be struck.

    Args:
        tenants: their ids.
        directory: where logs and ledgers are.
    """

    addresses: StackAddresses
    postgres: PostgresServer
    redis: RedisServer
    serve: LeoCommand
    keeper: Keeper
    traps: Traps
    configuration: Configuration
    callers: dict[str, CallerProcess]
    directory: Path

    @property
    def tenants(self) -> list[str]:
        """Ids of the tenants that callers ask for."""
        return list(self.configuration.tokens)

    @property
    def ledgers(self) -> list[LedgerReader]:
        """Of all callers, the dead ones too."""
        return [ledger for caller in self.callers.values() for ledger in caller.ledgers]

    def server_pids(self) -> list[int]:
        """The processes that serve, or are about to."""
        return [child.pid for child in serving_processes(self.serve.pid)]

    def client(self, tenant: str) -> LeoClient:
        """A client of the drill's own."""
        return LeoClient(self.configuration.address, token=self.configuration.tokens[tenant])


@asynccontextmanager
async def staged(seed: int) -> AsyncIterator[Stage]:
    """Start everything, furnish the tenants, let the callers begin; all is stopped in the end.

    Raises:
        StackError: something does not start.
        LeoApiError: the server refuses a definition.
    """
    # Servers of its own, whatever the environment names: nobody else's are to be killed.
    given = await asyncio.to_thread(fresh_options, "faults")
    options = replace(given, database_url=None, redis_url=None, broker_url=None)
    directory = options.state_directory
    for left in (*directory.glob("ledger-*.ndjson"), *directory.glob("*.json")):
        left.unlink()
    stack = Stack(options)
    addresses = await asyncio.to_thread(stack.__enter__)
    try:
        async with _serving(stack, addresses, directory) as (serve, traps, listen):
            assert stack.postgres is not None
            assert stack.redis is not None
            kept: dict[str, Kept] = {"serve": serve, "postgres": stack.postgres, "redis": stack.redis}
            keeper = Keeper(kept, (directory / "pids.json",))
            with keeper.running():
                configuration = await _configured(stack.token_issuer(), listen, seed)
                path = directory / "callers.json"
                write_private(path, orjson.dumps(asdict(configuration)).decode())
                with _calling(directory, path) as callers:
                    yield Stage(
                        *(
                            addresses,
                            stack.postgres,
                            stack.redis,
                            serve,
                            keeper,
                            traps,
                            configuration,
                            callers,
                        ),
                        directory=directory,
                    )
    finally:
        await asyncio.to_thread(stack.__exit__, None, None, None)


@asynccontextmanager
async def _serving(
    stack: Stack, addresses: StackAddresses, directory: Path
) -> AsyncIterator[tuple[LeoCommand, Traps, str]]:
    """`leo serve`, with proxies before what it uses."""
    traps = Traps()
    listen = f"127.0.0.1:{free_port()}"
    command: list[LeoCommand] = []

    def owner(port: int) -> int:
        return owner_of(port, command[0].pid)

    postgres = Proxy("postgres", addresses.database.app_url, traps, owner)
    redis = Proxy("redis", addresses.redis_url, traps, owner)
    variables = {
        "LEO_DATABASE_URL": await postgres.start(),
        "LEO_REDIS_URL": await redis.start(),
        "LEO_LISTEN": listen,
        "LEO_PROCESSES": str(PROCESSES),
    }
    environment = {**os.environ, **addresses.server_environment(), **variables}
    command.append(LeoCommand("serve", environment=environment, directory=directory))
    command[0].start()
    try:
        await asyncio.to_thread(wait_until_listening, command[0], listen, directory)
        yield command[0], traps, listen
    finally:
        await asyncio.to_thread(command[0].stop)
        postgres.stop()
        redis.stop()


async def _configured(issuer: TokenIssuer, listen: str, seed: int) -> Configuration:
    tokens = {}
    token = issuer.issue(client_id="drill", scopes=["admin"], lifetime_seconds=_TOKEN_SECONDS)
    async with LeoClient(listen, token=token, wait_for_ready=True) as admin:
        for _ in range(shop.TENANTS):
            client_id = f"drill-{secrets.token_hex(4)}"
            tenant = await shop.create_tenant(admin, client_id)
            tokens[str(tenant)] = issuer.issue(
                client_id=client_id, scopes=TENANT_SCOPES, lifetime_seconds=_TOKEN_SECONDS
            )
    for token in tokens.values():
        async with LeoClient(listen, token=token, wait_for_ready=True) as client:
            await shop.furnish(client)
    return Configuration(listen, seed, time.monotonic(), tokens)


@contextmanager
def _calling(directory: Path, configuration: Path) -> Iterator[dict[str, CallerProcess]]:
    callers = {name: CallerProcess(name, directory, configuration) for name in CALLERS}
    try:
        for caller in callers.values():
            caller.start()
        yield callers
    finally:
        for caller in callers.values():
            if caller.process is not None and caller.process.poll() is None:
                caller.kill()


async def end_calls(stage: Stage) -> list[str]:
    """Let the callers finish; what they did not get an answer to within a minute, in words."""
    for caller in stage.callers.values():
        caller.ask_to_end()
    faults = []
    for name, caller in stage.callers.items():
        status = await asyncio.to_thread(caller.wait, _STOP_SECONDS)
        if status != 0:
            faults.append(f"caller {name} ended with {status}: callers.log says why")
    for ledger in stage.ledgers:
        ledger.read()
    return faults
