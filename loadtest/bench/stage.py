"""What a benchmark runs against: `leo serve` as users run it, on a fresh database of the embedded stack."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import asyncpg
import grpc
import redis.asyncio
from grpc_health.v1 import health_pb2, health_pb2_grpc

from loadtest.bench.processes import Consumption, cpu_of
from server.embedded.addresses import StackAddresses
from server.embedded.database_setup import DatabaseUrls, with_database
from server.embedded.errors import log_tail
from server.embedded.options import StackOptions
from server.embedded.ports import free_port
from server.embedded.stack import Stack
from server.embedded.state import checkout_directory

_START_SECONDS = 60.0
_STOP_SECONDS = 30.0
SERVE = ("server.cli.main", "serve")
WORK = ("server.cli.main", "worker")
ECHO = ("loadtest.bench.echo_server",)


@dataclass(frozen=True, slots=True)
class Server:
    """A running server: where it is, its process, and the database that it serves."""

    address: str
    process: subprocess.Popen[bytes]
    database: DatabaseUrls


class Stage:
    """The embedded stack of one benchmark run; databases and servers come and go on it."""

    def __init__(self, stack: Stack, addresses: StackAddresses, directory: Path) -> None:
        self._stack = stack
        self._addresses = addresses
        self._directory = directory
        self._count = 0

    def token(self, client_id: str, scopes: tuple[str, ...]) -> str:
        """A signed token of a tenant, good for an hour."""
        return self._stack.token_issuer().issue(client_id=client_id, scopes=scopes)

    @asynccontextmanager
    async def database(self, template: DatabaseUrls | None = None) -> AsyncIterator[DatabaseUrls]:
        """A database for the block: all tables and no rows, or a copy of a template."""
        urls, name = await self._create(template)
        try:
            yield urls
        finally:
            await self._as_superuser(f'drop database "{name}" with (force)')

    async def _create(self, template: DatabaseUrls | None) -> tuple[DatabaseUrls, str]:
        self._count += 1
        name = f"bench_{self._count}"
        source = (template or self._addresses.database).superuser_url.rpartition("/")[2]
        await self._as_superuser(f'create database "{name}" template "{source}" owner leo_owner')
        urls = asdict(self._addresses.database)
        return DatabaseUrls(**{role: with_database(url, name) for role, url in urls.items()}), name

    @asynccontextmanager
    async def server(
        self, database: DatabaseUrls, module: tuple[str, ...] = SERVE, **settings: str
    ) -> AsyncIterator[Server]:
        """A server process on this database, with an empty Redis, until the block ends.

        Args:
            settings: further LEO_ variables.
        """
        await self._empty_redis()
        listen = f"127.0.0.1:{free_port()}"
        variables = {
            **self._addresses.server_environment(),
            "LEO_DATABASE_URL": database.app_url,
            "LEO_ADMIN_DATABASE_URL": database.admin_url,
            "LEO_LISTEN": listen,
            **settings,
        }
        log_path = self._directory / "server.log"
        process = await asyncio.to_thread(_spawn, module, variables, log_path)
        try:
            await _until_serving(listen, process, log_path)
            yield Server(listen, process, database)
        finally:
            await asyncio.to_thread(stop, process)

    @asynccontextmanager
    async def worker(self, database: DatabaseUrls, **settings: str) -> AsyncIterator[Server]:
        """A worker process on this database, with an empty Redis and broker, until the block ends.

        Args:
            settings: further LEO_ variables.
        """
        await self._empty_redis()
        variables = {
            **self._addresses.worker_environment(),
            "LEO_DATABASE_URL": database.worker_url,
            **settings,
        }
        log_path = self._directory / f"worker-{self._count}.log"
        process = await asyncio.to_thread(_spawn, WORK, variables, log_path)
        try:
            await _until_working(process, log_path)
            yield Server("", process, database)
        finally:
            await asyncio.to_thread(stop, process)

    @property
    def worker_variables(self) -> dict[str, str]:
        """The LEO_ variables of a worker; its database is the benchmark's own."""
        return self._addresses.worker_environment()

    @property
    def broker_url(self) -> str:
        """Where workers are woken."""
        return self._addresses.broker_url

    @property
    def postgres_pid(self) -> int | None:
        """The postmaster's pid."""
        assert self._stack.postgres is not None
        return self._stack.postgres.pid

    async def settle(self) -> None:
        """Write what earlier runs left to the disk, so that nobody pays for another's pages."""
        await self._as_superuser("checkpoint")

    def consumption(self, server: Server) -> Consumption:
        """CPU seconds so far of the server, PostgreSQL and Redis."""
        assert self._stack.postgres is not None
        assert self._stack.redis is not None
        return Consumption(
            server=cpu_of(server.process.pid),
            postgres=cpu_of(self._stack.postgres.pid),
            redis=cpu_of(self._stack.redis.pid),
        )

    async def _empty_redis(self) -> None:
        for url in (self._addresses.redis_url, self._addresses.broker_url):
            connection = redis.asyncio.Redis.from_url(url)
            await connection.flushall()
            await connection.aclose()

    async def _as_superuser(self, statement: str) -> None:
        connection = await asyncpg.connect(with_database(self._addresses.database.superuser_url, "postgres"))
        try:
            await connection.execute(statement)
        finally:
            await connection.close()


@contextmanager
def open_stage() -> Iterator[Stage]:
    """A stage in a state directory of its own, which is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="leo-bench-", ignore_cleanup_errors=True) as name:
        directory = Path(name)
        directory.chmod(0o711)
        stack = Stack(StackOptions(state_directory=directory / "state"))
        with stack as addresses:
            yield Stage(stack, addresses, directory)


def _spawn(module: tuple[str, ...], variables: Mapping[str, str], log_path: Path) -> subprocess.Popen[bytes]:
    with log_path.open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", *module],
            cwd=checkout_directory(),
            env={**environment(), **variables},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )


def environment() -> dict[str, str]:
    """The environment for processes: without the user's own LEO_ variables, and with the stubs' folders."""
    root = checkout_directory()
    own = {name: value for name, value in os.environ.items() if not name.startswith("LEO_")}
    paths = [str(root), str(root / "clients" / "python"), str(root / "clients")]
    return {**own, "PYTHONPATH": os.pathsep.join(paths)}


def stop(process: subprocess.Popen[bytes]) -> None:
    """End a process in order, or, when it does not, at once."""
    process.terminate()
    try:
        process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


async def _until_serving(listen: str, process: subprocess.Popen[bytes], log_path: Path) -> None:
    async with grpc.aio.insecure_channel(listen) as channel:
        call = health_pb2_grpc.HealthStub(channel).Check(
            health_pb2.HealthCheckRequest(), wait_for_ready=True, timeout=_START_SECONDS
        )
        checking = asyncio.ensure_future(_answer(call))
        while not checking.done():
            if process.poll() is not None:
                checking.cancel()
                raise SystemExit(f"the server ended at its start:\n{log_tail(log_path)}")
            await asyncio.wait([checking], timeout=0.1)
        checking.result()


async def _until_working(process: subprocess.Popen[bytes], log_path: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while b'"working"' not in await asyncio.to_thread(log_path.read_bytes):
        if process.poll() is not None or time.monotonic() > deadline:
            raise SystemExit(f"the worker did not start:\n{log_tail(log_path)}")
        await asyncio.sleep(0.1)


async def _answer(call: grpc.aio.UnaryUnaryCall) -> None:
    await call
