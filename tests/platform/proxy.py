"""A TCP proxy that can lose a server's answers, which a real network does and a test otherwise can't."""

from __future__ import annotations

import asyncio
from types import TracebackType
from urllib.parse import urlsplit


class CuttingProxy:
    """Stands before PostgreSQL. After `lose_answers` requests arrive, but answers cut the connection."""

    def __init__(self, url: str) -> None:
        self._target = urlsplit(url)
        self._losing = False
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> CuttingProxy:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        port = self._server.sockets[0].getsockname()[1]
        credentials = self._target.netloc.rpartition("@")[0]
        self.url = f"postgresql://{credentials}@127.0.0.1:{port}{self._target.path}?sslmode=disable"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def lose_answers(self) -> None:
        """From now on no answer arrives."""
        self._losing = True

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        upstream_reader, upstream_writer = await asyncio.open_connection(
            self._target.hostname, self._target.port
        )
        for source, sink, is_answer in ((reader, upstream_writer, False), (upstream_reader, writer, True)):
            task = asyncio.create_task(self._pump(source, sink, is_answer=is_answer))
            self._tasks.add(task)

    async def _pump(
        self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, *, is_answer: bool
    ) -> None:
        while data := await source.read(65536):
            if is_answer and self._losing:
                break
            sink.write(data)
            await sink.drain()
        sink.close()
