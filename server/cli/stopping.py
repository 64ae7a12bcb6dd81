"""Ctrl-C, SIGTERM and a closed terminal all end a command in the same orderly way."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Stopped(KeyboardInterrupt):
    """The user or the system asked this command to end; of the kind that event loops let through."""


@contextmanager
def ends_on_signal() -> Iterator[None]:
    """Within the block, the first stop signal unwinds it; those that follow do not disturb the unwinding."""
    previous = {number: signal.signal(number, _stop) for number in _STOP_SIGNALS}
    try:
        yield
    except Stopped:
        pass
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def wait_for_signal() -> None:
    """Block until a stop signal unwinds the block of `ends_on_signal`."""
    while True:
        signal.pause()


def _stop(_number: int, _frame: FrameType | None) -> None:
    for number in _STOP_SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    raise Stopped
