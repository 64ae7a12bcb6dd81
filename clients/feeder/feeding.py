"""Sends ticks in order, follows the owners of their symbols, and tries again until they are acknowledged."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import grpc
from leo.activation.v1 import alert_service_pb2 as wire
from leo_client import LeoApiError, LeoClient

from feeder.bars import Tick
from feeder.position import Position
from feeder.routes import Routes
from feeder.streams import Streams

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
Sequenced = tuple[int, Tick]


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
        position: where it goes on, and where it notes how far it came.
        global_instruments: whether the symbols are global ones.
        batch_size: ticks in a message.
        window: messages under way at once.
        patience_seconds: how long it tries without any progress.
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
    ) -> None:
        self._streams = Streams(connect)
        self._routes = Routes(addresses)
        self._feed = feed
        self._position = position
        self._global_instruments = global_instruments
        self._batch_size = batch_size
        self._window = window
        self._patience_seconds = patience_seconds

    async def run(self, ticks: Sequence[Tick], on_progress: Callable[[int], None]) -> Summary:
        """Send everything that is not acknowledged yet.

        Args:
            ticks: the whole feed, always in the same order; the first one has sequence 1.
            on_progress: is told how many ticks are acknowledged.

        Raises:
            LeoApiError: refused for good, or no progress for too long. A later run goes on from there.
        """
        summary = Summary()
        step = self._batch_size * self._window
        try:
            on_progress(self._position.acknowledged)
            for start in range(self._position.acknowledged, len(ticks), step):
                part = list(enumerate(ticks[start : start + step], start=start + 1))
                for result in await self._persist(part):
                    summary.add(result)
                self._position.advance(part[-1][0])
                on_progress(part[-1][0])
        finally:
            await self._streams.close()
        return summary

    async def _persist(self, part: Sequence[Sequenced]) -> list[wire.TickBatchResult]:
        """Until everything is acknowledged. What was committed before an error comes back as duplicate."""
        remaining, results = list(part), list[wire.TickBatchResult]()
        pause, give_up_at = _FIRST_PAUSE_SECONDS, time.monotonic() + self._patience_seconds
        while remaining:
            by_address = self._by_address(remaining)
            answers = await asyncio.gather(
                *(self._send(address, ticks) for address, ticks in by_address.items())
            )
            errors = [answer for answer in answers if isinstance(answer, LeoApiError)]
            for ticks, answer in zip(by_address.values(), answers, strict=True):
                if not isinstance(answer, LeoApiError):
                    results += answer
                    sent = {sequence for sequence, _ in ticks}
                    remaining = [item for item in remaining if item[0] not in sent]
            if errors and time.monotonic() > give_up_at:
                raise errors[0]
            if any(error.reason != _ELSEWHERE for error in errors):
                await asyncio.sleep(pause)
                pause = min(pause * 2, _LONGEST_PAUSE_SECONDS)
        return results

    def _by_address(self, part: Iterable[Sequenced]) -> dict[str, list[Sequenced]]:
        split: dict[str, list[Sequenced]] = {}
        for sequence, tick in part:
            split.setdefault(self._routes.address_of(tick.symbol), []).append((sequence, tick))
        return split

    async def _send(
        self, address: str, part: Sequence[Sequenced]
    ) -> list[wire.TickBatchResult] | LeoApiError:
        """The answers, or an error that passes.

        Raises:
            LeoApiError: one that does not.
        """
        cuts = range(0, len(part), self._batch_size)
        batches = [self._batch(part[start : start + self._batch_size]) for start in cuts]
        try:
            return await self._streams.to(address).send(batches)
        except LeoApiError as error:
            await self._streams.drop(address)
            if error.reason == _ELSEWHERE:
                self._routes.learn(error.metadata)
            elif error.code in _PASSING:
                self._routes.forget(address)
            else:
                raise
            return error

    def _batch(self, part: Sequence[Sequenced]) -> wire.TickBatch:
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
        )
