"""Redis: a bounded pool, scripts by name, and one place that turns its failures into domain errors.

Nothing is retried here. A command whose answer was lost may have run, and only the caller knows whether
running it again is harmless. Replies are `bytes`, `int`, lists of them, or None.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any, TypeAlias

from redis import exceptions
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from server.errors import Unavailable
from server.platform.redis_scripts import Script, Scripts

__all__ = ["RedisPool", "Script", "ScriptCall", "Scripts"]

Value: TypeAlias = str | bytes | int | float
ScriptCall: TypeAlias = tuple[Sequence[Value], Sequence[Value]]
"""Keys and arguments of one call."""

_AWAY = (
    exceptions.ConnectionError,
    exceptions.TimeoutError,
    exceptions.ReadOnlyError,
    OSError,
)


class RedisPool:
    """A pool of connections to one Redis."""

    def __init__(self, client: Redis) -> None:
        self._client = client

    @classmethod
    async def connect(
        cls,
        url: str,
        *,
        client_name: str,
        maximum_connections: int = 32,
        timeout_seconds: float = 2.0,
        required: bool = True,
    ) -> RedisPool:
        """Open the pool and ask for one PING, unless the caller can do without Redis for now.

        Args:
            url: `redis://`, `rediss://` or `unix:///path/to/socket`.
            client_name: shown by CLIENT LIST.
            required: whether no answer is an error; otherwise the pool connects once Redis is there.
            timeout_seconds: for connecting, for one answer, and for a connection to become free.

        Raises:
            Unavailable: Redis is required and does not answer.
            ValueError: the URL has another scheme.
        """
        pool = BlockingConnectionPool.from_url(
            url,
            max_connections=maximum_connections,
            timeout=timeout_seconds,
            socket_timeout=timeout_seconds,
            socket_connect_timeout=timeout_seconds,
            client_name=client_name,
            protocol=2,
            retry=Retry(NoBackoff(), 0),
        )
        opened = cls(Redis(connection_pool=pool))
        if not required:
            return opened
        try:
            await opened.ping()
        except BaseException:
            await opened.close()
            raise
        return opened

    async def ping(self) -> None:
        """Readiness: one round trip.

        Raises:
            Unavailable: no answer.
        """
        await self.command("PING")

    async def command(self, *parts: Value) -> Any:
        """One command, one round trip.

        Raises:
            Unavailable: no answer; the command may have run.
            redis.exceptions.ResponseError: Redis refused the command.
        """
        with _mapped_errors():
            return await self._client.execute_command(*parts)  # type: ignore[no-untyped-call]

    async def commands(self, commands: Sequence[Sequence[Value]]) -> list[Any]:
        """Several independent commands in one round trip; answers in their order.

        Raises:
            Unavailable: no answer; any of them may have run.
            redis.exceptions.ResponseError: the first refusal; the others have run.
        """
        answers = await self._pipelined(commands)
        for answer in answers:
            if isinstance(answer, exceptions.ResponseError):
                raise answer
        return answers

    async def run(self, script: Script, *, keys: Sequence[Value], arguments: Sequence[Value]) -> Any:
        """Run a script: one round trip, two when Redis doesn't know it yet.

        Raises:
            Unavailable: no answer; the script may have run.
            redis.exceptions.ResponseError: the script failed.
        """
        call = (len(keys), *keys, *arguments)
        try:
            return await self.command("EVALSHA", script.sha1, *call)
        except exceptions.NoScriptError:
            return await self.command("EVAL", script.source, *call)

    async def run_many(self, script: Script, calls: Sequence[ScriptCall]) -> list[Any]:
        """Run a script once per call, pipelined: one round trip, two when Redis doesn't know it yet.

        Answers come in the order of the calls. A call that failed gives its `redis.exceptions.ResponseError`
        as its answer, since its neighbours have run.

        Raises:
            Unavailable: no answer; any of the calls may have run.
        """
        commands = [("EVALSHA", script.sha1, len(keys), *keys, *arguments) for keys, arguments in calls]
        answers = await self._pipelined(commands)
        unknown = [i for i, answer in enumerate(answers) if isinstance(answer, exceptions.NoScriptError)]
        if unknown:
            again = await self._pipelined([("SCRIPT LOAD", script.source), *(commands[i] for i in unknown)])
            for position, answer in zip(unknown, again[1:], strict=True):
                answers[position] = answer
        return answers

    async def _pipelined(self, commands: Sequence[Sequence[Value]]) -> list[Any]:
        if not commands:
            return []
        async with self._mapped_pipeline() as pipeline:
            for command in commands:
                pipeline.execute_command(*command)
            answers: list[Any] = await pipeline.execute(raise_on_error=False)
        return answers

    @asynccontextmanager
    async def _mapped_pipeline(self) -> AsyncIterator[Any]:
        with _mapped_errors():
            async with self._client.pipeline(transaction=False) as pipeline:
                yield pipeline

    async def close(self) -> None:
        """Close every connection; calls that run get Unavailable."""
        await self._client.aclose(close_connection_pool=True)


@contextmanager
def _mapped_errors() -> Iterator[None]:
    try:
        yield
    except _AWAY as error:
        raise Unavailable("REDIS_UNAVAILABLE", "Redis can't be reached") from error
