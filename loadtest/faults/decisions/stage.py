"""What the drill plays on: an embedded stack, `leo serve` with two processes behind proxies, and two callers.

Whatever ends is started again by the keeper, as a service manager would; a server process of the two by `leo serve`
itself.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Final

import orjson
import psutil  # type: ignore[import-untyped]
from leo_client import LeoClient

from loadtest.demo.processes import Keeper, Kept, LeoCommand, fresh_options, wait_until_listening
from loadtest.faults.decisions import shop
from loadtest.faults.decisions.caller import STREAM, Configuration
from loadtest.faults.decisions.ledger import LedgerReader
from loadtest.faults.decisions.proxy import Proxy, Traps
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
_SPAWNED: Final = "spawn_main"
CALLERS: Final = ("first", "second")


@dataclass(slots=True)
class CallerProcess:
    """A caller and all that its predecessors of the same name wrote."""

    name: str
    directory: Path
    configuration: Path
    ledgers: list[LedgerReader] = field(default_factory=list)
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, or its successor, with a ledger of its own."""
        number = len(self.ledgers) + 1
        old = [str(self.ledgers[-1].path)] if self.ledgers else []
        self.ledgers.append(LedgerReader(self.directory / f"ledger-{self.name}-{number}.ndjson"))
        arguments = [str(self.configuration), f"{self.name}-{number}", str(self.ledgers[-1].path), *old]
        with (self.directory / "callers.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "loadtest.faults.decisions.caller", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    @property
    def has_message_under_way(self) -> bool:
        """Whether a message of a stream has no answer yet, as far as the ledger was read."""
        return any(call.lane.endswith(STREAM) for call in self.ledgers[-1].open_calls.values())

    def kill(self) -> int:
        """End it as a crash would; its pid."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()
        return self.process.pid

    def ask_to_end(self) -> None:
        """It begins nothing new."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)

    def wait(self, seconds: float) -> int | None:
        """Its status, or None when it was still waiting for answers and had to be killed."""
        assert self.process is not None
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            return None


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
        return [child.pid for child in _children(self.serve.pid)]

    def client(self, tenant: str) -> LeoClient:
        """A client of the drill's own."""
        return LeoClient(self.configuration.address, token=self.configuration.tokens[tenant])


def _children(pid: int | None) -> list[psutil.Process]:
    """The processes that `leo serve` spawned; not those that ended, nor the one that Python's own bookkeeping adds."""
    try:
        children = psutil.Process(pid).children() if pid is not None else []
    except psutil.Error:
        return []
    return [child for child in children if _is_spawned(child)]


def _is_spawned(child: psutil.Process) -> bool:
    try:
        return any(_SPAWNED in argument for argument in child.cmdline())
    except psutil.Error:
        return False


def _owner_of(port: int, parent: int | None) -> int:
    """The server process that has this local port; 0 when there is none."""
    for child in _children(parent):
        try:
            if any(c.laddr and c.laddr.port == port for c in child.net_connections("tcp")):
                return int(child.pid)
        except psutil.Error:
            continue
    return 0


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

    def owner_of(port: int) -> int:
        return _owner_of(port, command[0].pid)

    postgres = Proxy("postgres", addresses.database.app_url, traps, owner_of)
    redis = Proxy("redis", addresses.redis_url, traps, owner_of)
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
