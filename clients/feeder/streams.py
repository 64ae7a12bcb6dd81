"""One open stream of ticks for each server that owns some of the symbols."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import grpc
from leo.activation.v1 import alert_service_pb2 as wire
from leo_client import LeoApiError, LeoClient


class _Requests:
    """What is to be sent, as gRPC asks for it.

    No generator: one whose stream breaks while it waits can not be ended, and fails when the event loop stops.
    """

    def __init__(self) -> None:
        self._waiting: asyncio.Queue[wire.StreamTicksRequest | None] = asyncio.Queue()

    def put(self, batch: wire.TickBatch) -> None:
        """Have it sent after those before it."""
        self._waiting.put_nowait(wire.StreamTicksRequest(batch=batch))

    def end(self) -> None:
        """No more follow; nobody is left waiting for one."""
        self._waiting.put_nowait(None)

    def __aiter__(self) -> _Requests:
        return self

    async def __anext__(self) -> wire.StreamTicksRequest:
        request = await self._waiting.get()
        if request is None:
            raise StopAsyncIteration
        return request


class OwnerStream:
    """A stream to one server. After an error it is of no more use.

    Args:
        client: calls that server; it is closed with the stream.
    """

    def __init__(self, client: LeoClient) -> None:
        self._client = client
        self._requests = _Requests()
        self._is_taken = False
        self._answers = aiter(client.alerts.StreamTicks(self._requests))

    async def send(self, batches: Sequence[wire.TickBatch]) -> list[wire.TickBatchResult]:
        """Send batches, and wait until each is acknowledged.

        Raises:
            LeoApiError: the stream broke; some of them may have been committed.
        """
        results: list[wire.TickBatchResult] = []
        # The first one goes alone: a server that refuses the stream would have its reason hidden by a later write.
        for part in (batches,) if self._is_taken else (batches[:1], batches[1:]):
            for batch in part:
                self._requests.put(batch)
            results += [await self._next() for _ in part]
            self._is_taken = True
        return results

    async def close(self) -> None:
        """End the stream and its connection."""
        self._requests.end()
        await self._client.close()

    async def _next(self) -> wire.TickBatchResult:
        try:
            return (await anext(self._answers)).result
        except StopAsyncIteration:
            raise LeoApiError(grpc.StatusCode.UNAVAILABLE, "the server ended the stream") from None


class Streams:
    """Open streams by address.

    Args:
        connect: makes the client of an address.
    """

    def __init__(self, connect: Callable[[str], LeoClient]) -> None:
        self._connect = connect
        self._open: dict[str, OwnerStream] = {}

    def to(self, address: str) -> OwnerStream:
        """The stream to a server, opened where it is not open."""
        stream = self._open.get(address)
        if stream is None:
            stream = self._open[address] = OwnerStream(self._connect(address))
        return stream

    async def drop(self, address: str) -> None:
        """Close the stream to a server."""
        stream = self._open.pop(address, None)
        if stream is not None:
            await stream.close()

    async def close(self) -> None:
        """Close all."""
        for address in list(self._open):
            await self.drop(address)
