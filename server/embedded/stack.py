"""The whole stack: its servers started in order, stopped in reverse."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from types import TracebackType
from typing import Protocol

import asyncpg

from server.embedded.account import server_account
from server.embedded.addresses import StackAddresses, publish_addresses, withdraw_addresses
from server.embedded.database_setup import DatabaseUrls, prepare_database
from server.embedded.errors import StackError
from server.embedded.first_tenant import ensure_first_tenant
from server.embedded.mailbox import Mailbox
from server.embedded.options import StackOptions
from server.embedded.postgres_server import PostgresServer
from server.embedded.redis_server import RedisServer
from server.embedded.smtp_sink import SmtpSink
from server.embedded.state import StateDirectory
from server.embedded.token_issuer import TokenIssuer, issuer_directory

_DATABASE = "leo"


class _Server(Protocol):
    def start(self) -> None: ...

    def stop(self) -> None: ...


class Stack:
    """Use as a context manager: entering starts what the options do not replace, leaving stops it.

    `postgres`, `redis`, `broker` and `smtp_sink` are the embedded servers, None where a URL replaces one;
    a test may kill and start each.
    """

    def __init__(self, options: StackOptions) -> None:
        self._options = options
        self._account = server_account()
        self._state = StateDirectory(options.state_directory, self._account)
        self._running = ExitStack()
        self.postgres: PostgresServer | None = None
        self.redis: RedisServer | None = None
        self.broker: RedisServer | None = None
        self.smtp_sink: SmtpSink | None = None

    def __enter__(self) -> StackAddresses:
        """Start everything and publish the addresses.

        Raises:
            StackAlreadyRunning: another process runs the stack of this state directory.
            StackError: a server does not start; those that did were stopped again.
        """
        with ExitStack() as starting:
            self._state.open()
            self._state.lock()
            starting.callback(self._state.unlock)
            addresses = self._start(starting)
            publish_addresses(self._state.path, addresses)
            starting.callback(withdraw_addresses, self._state.path)
            self._running = starting.pop_all()
        return addresses

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._running.close()

    def _start(self, starting: ExitStack) -> StackAddresses:
        redis_url = self._options.redis_url or self._start_redis(starting)
        broker_url = self._options.broker_url or self._start_broker(starting)
        smtp_url = self._options.smtp_url or self._start_smtp_sink(starting)
        database_url = self._options.database_url or self._start_postgres(starting)
        return StackAddresses(
            database=asyncio.run(_prepare(database_url)),
            redis_url=redis_url,
            broker_url=broker_url,
            smtp_url=smtp_url,
            mailbox_directory=str(self._state.path / "mailbox"),
            jwks_path=str(self.token_issuer().jwks_path),
            credential_key=self._state.secrets()["credential_key"],
        )

    def token_issuer(self) -> TokenIssuer:
        """The issuer whose keys the stack's servers trust."""
        return TokenIssuer(issuer_directory(self._state.path))

    def _start_postgres(self, starting: ExitStack) -> str:
        self.postgres = PostgresServer(
            state=self._state, account=self._account, shared_buffers_mb=self._options.shared_buffers_mb
        )
        _start_server(self.postgres, starting)
        return self.postgres.url(_DATABASE)

    def _start_redis(self, starting: ExitStack) -> str:
        self.redis = self._redis_server("redis", "LEO_REDIS_URL")
        _start_server(self.redis, starting)
        return self.redis.url

    def _start_broker(self, starting: ExitStack) -> str:
        self.broker = self._redis_server("broker", "LEO_BROKER_URL")
        _start_server(self.broker, starting)
        return self.broker.url

    def _redis_server(self, name: str, variable: str) -> RedisServer:
        password = self._state.secrets()[f"{name}_password"]
        return RedisServer(
            state=self._state, account=self._account, name=name, password=password, variable=variable
        )

    def _start_smtp_sink(self, starting: ExitStack) -> str:
        self.smtp_sink = SmtpSink(Mailbox(self._state.path / "mailbox"))
        _start_server(self.smtp_sink, starting)
        return self.smtp_sink.url


def _start_server(server: _Server, starting: ExitStack) -> None:
    # Registered first: a start that fails half-way, or is interrupted, leaves something to stop.
    starting.callback(server.stop)
    server.start()


async def _prepare(database_url: str) -> DatabaseUrls:
    try:
        urls = await prepare_database(database_url)
        await ensure_first_tenant(urls.admin_url)
    except (asyncpg.PostgresError, OSError) as error:
        raise StackError(
            f"cannot prepare the database; LEO_DATABASE_URL has to be a superuser's: {error}"
        ) from error
    return urls
