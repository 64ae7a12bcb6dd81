"""Calls that outlast an outage: repeated until the server is back."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

import grpc
from leo_client import LeoApiError

PATIENCE_SECONDS: Final = 60.0
_FIRST_PAUSE_SECONDS: Final = 0.1
_LONGEST_PAUSE_SECONDS: Final = 2.0
_AWAY: Final = frozenset(
    {
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        grpc.StatusCode.CANCELLED,
    }
)

Answer = TypeVar("Answer")


async def persistently(call: Callable[[], Awaitable[Answer]]) -> Answer:
    """The call's answer, however often it takes within a minute of the first failure.

    Only for calls that are idempotent: what failed may have been done.

    Raises:
        LeoApiError: the server refuses the call, or stayed away for a minute.
    """
    pause = _FIRST_PAUSE_SECONDS
    first_failure: float | None = None
    while True:
        try:
            return await call()
        except LeoApiError as error:
            first_failure = first_failure or time.monotonic()
            if error.code not in _AWAY or time.monotonic() - first_failure > PATIENCE_SECONDS:
                raise
        await asyncio.sleep(pause)
        pause = min(pause * 2, _LONGEST_PAUSE_SECONDS)
