"""Sends ticks in order, follows the owners of their symbols, and tries again until they are acknowledged."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import grpc
from google.protobuf.json_format import MessageToJson
from leo.activation.v1 import alert_service_pb2 as wire
from leo_client import LeoApiError, LeoClient, TokenUnavailable

from feeder.position import Position
from feeder.routes import Routes
from feeder.sources import Source
from feeder.streams import Streams
from feeder.ticks import Sequenced, Tick

_FIRST_PAUSE_SECONDS: Final = 0.1
_LONGEST_PAUSE_SECONDS: Final = 2.0
_ELSEWHERE: Final = "SHARD_OWNED_ELSEWHERE"
_PASSING: Final = frozenset(
    {
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        grpc.StatusCode.CANCELLED,
    }
)


@dataclass(frozen=True, slots=True)
class Answer:
    """Ticks of one message, and what the server says of them."""

    ticks: Sequence[Sequenced]
    result: wire.TickBatchResult

    def refused(self) -> Iterator[tuple[int, Tick, str]]:
        """Sequence, tick and fault of each that the server refused."""
        for bad in self.result.bad_ticks:
            sequence, tick = self.ticks[bad.index]
            yield sequence, tick, wire.TickFault.Name(bad.fault).removeprefix("TICK_FAULT_")

    def firings(self) -> Iterator[str]:
        """Each rule that fired, as a line of JSON."""
        for firing in self.result.firings:
            yield MessageToJson(firing, preserving_proto_field_name=True, indent=None)


@dataclass(slots=True)
class Summary:
    """What became of the ticks, as far as answers arrived; one that was lost with its server counts as duplicate."""

    accepted: int = 0
    duplicates: int = 0
    bad: int = 0
    fired: int = 0

    def add(self, result: wire.TickBatchResult) -> None:
        """Count an answer."""
        self.accepted += result.accepted_count
        self.duplicates += result.duplicate_count
        self.bad += len(result.bad_ticks)
        self.fired += result.fired_count


class Feeder:
    """Streams one feed.

    Args:
        connect: makes the client of a server's address.
        addresses: servers to begin with; they name others.
        feed: name of the feed.
        position: where it notes how far it came.
        global_instruments: whether the symbols are global ones.
        batch_size: ticks in a message.
        window: messages under way at once.
        patience_seconds: how long it tries without any progress.
        on_answer: gets the ticks of each message with what became of them.
    """

    def __init__(
        self,
        *,
        connect: Callable[[str], LeoClient],
        addresses: Sequence[str],
        feed: str,
        position: Position,
        global_instruments: bool = False,
        batch_size: int = 500,
        window: int = 8,
        patience_seconds: float = 60.0,
        on_answer: Callable[[Answer], None] = lambda _: None,
    ) -> None:
        self._streams = Streams(connect)
        self._routes = Routes(addresses)
        self._feed = feed
        self._position = position
        self._global_instruments = global_instruments
        self._batch_size = batch_size
        self._limit = batch_size * window
        self._patience_seconds = patience_seconds
        self._on_answer = on_answer
        self._stopping = asyncio.Event()

    def stop(self) -> None:
        """Take no more from the source; `run` ends when what was taken is acknowledged."""
        self._stopping.set()

    async def run(self, source: Source, on_progress: Callable[[int], None]) -> Summary:
        """Send everything that the source gives.

        Args:
            source: gives the ticks after the position.
            on_progress: is told the sequence up to which everything is acknowledged.

        Raises:
            LeoApiError: refused for good, or no progress for too long. A later run goes on from there.
        """
        summary = Summary()
        stopping = asyncio.create_task(self._stopping.wait())
        reading = self._read(source)
        try:
            on_progress(self._position.acknowledged)
            while part := await self._next(reading, stopping, source):
                # While these are under way, the next ones are read.
                reading = self._read(source)
                await self._persist(part, summary)
                self._position.advance(part[-1][0])
                on_progress(part[-1][0])
        finally:
            for task in (reading, stopping):
                task.cancel()
            await asyncio.gather(reading, stopping, return_exceptions=True)
            await self._streams.close()
        return summary

    def _read(self, source: Source) -> asyncio.Task[list[Sequenced]]:
        return asyncio.create_task(source.take(self._limit))

    async def _next(
        self, reading: asyncio.Task[list[Sequenced]], stopping: asyncio.Task[Literal[True]], source: Source
    ) -> list[Sequenced]:
        """What is read; once the feeder stops, only what the source does not leave to the next run."""
        await asyncio.wait((reading, stopping), return_when=asyncio.FIRST_COMPLETED)
        if stopping.done():
            source.stop()
            if not reading.done():
                reading.cancel()
                await asyncio.wait((reading,))
                return await source.take(self._limit)
        return reading.result()

    async def _persist(self, part: Sequence[Sequenced], summary: Summary) -> None:
        """Until everything is acknowledged. What was committed before an error comes back as duplicate."""
        remaining = list(part)
        pause, give_up_at = _FIRST_PAUSE_SECONDS, time.monotonic() + self._patience_seconds
        while remaining:
            by_address = self._by_address(remaining)
            found = await asyncio.gather(
                *(self._send(address, ticks) for address, ticks in by_address.items())
            )
            errors = [answers for answers in found if isinstance(answers, LeoApiError)]
            done = [answer for answers in found if not isinstance(answers, LeoApiError) for answer in answers]
            self._tell(done, summary)
            if done:
                acknowledged = {sequence for answer in done for sequence, _ in answer.ticks}
                remaining = [item for item in remaining if item[0] not in acknowledged]
                pause, give_up_at = _FIRST_PAUSE_SECONDS, time.monotonic() + self._patience_seconds
            elif errors and time.monotonic() > give_up_at:
                raise errors[0]
            if any(error.reason != _ELSEWHERE for error in errors):
                await asyncio.sleep(max(pause, *(error.retry_after_seconds or 0.0 for error in errors)))
                pause = min(pause * 2, _LONGEST_PAUSE_SECONDS)

    def _tell(self, answers: Iterable[Answer], summary: Summary) -> None:
        for answer in answers:
            summary.add(answer.result)
            self._on_answer(answer)

    def _by_address(self, part: Iterable[Sequenced]) -> dict[str, list[Sequenced]]:
        split: dict[str, list[Sequenced]] = {}
        for sequence, tick in part:
            split.setdefault(self._routes.address_of(tick.symbol), []).append((sequence, tick))
        return split

    async def _send(self, address: str, part: Sequence[Sequenced]) -> list[Answer] | LeoApiError:
        """The answers, or an error that passes.

        Raises:
            LeoApiError: one that does not.
        """
        cuts = range(0, len(part), self._batch_size)
        batches = [part[start : start + self._batch_size] for start in cuts]
        try:
            results = await self._streams.to(address).send([self._message(batch) for batch in batches])
            return list(map(Answer, batches, results))
        except TokenUnavailable as error:
            await self._streams.drop(address)
            return LeoApiError(grpc.StatusCode.UNAVAILABLE, str(error))
        except LeoApiError as error:
            await self._streams.drop(address)
            if error.reason == _ELSEWHERE:
                self._routes.learn(error.metadata)
            elif error.code in _PASSING:
                self._routes.forget(address)
            else:
                raise
            return error

    def _message(self, part: Sequence[Sequenced]) -> wire.TickBatch:
        symbols = list(dict.fromkeys(tick.symbol for _, tick in part))
        place = {symbol: index for index, symbol in enumerate(symbols)}
        return wire.TickBatch(
            symbols=symbols,
            symbol_indices=[place[tick.symbol] for _, tick in part],
            price_nanos=[tick.price_nanos for _, tick in part],
            observed_at_us=[tick.observed_at_us for _, tick in part],
            feed=self._feed,
            sequences=[sequence for sequence, _ in part],
            global_instruments=self._global_instruments,
            volume_micros=[tick.volume_micros for _, tick in part],
        )
