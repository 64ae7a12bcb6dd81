"""Server processes on one port: spawned before any gRPC object exists, watched, and stopped together."""

from __future__ import annotations

import asyncio
import multiprocessing
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection, wait
from types import FrameType
from typing import Any, Final, TypeAlias

from server.platform.logging import get_logger
from server.rpc.server import PortNotFree

STOP_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)
# Spawned, not forked: a child shares no thread, loop or gRPC state with its parent.
_CONTEXT: Final = multiprocessing.get_context("spawn")
_FIRST_PAUSE_SECONDS: Final = 0.2
_LONGEST_PAUSE_SECONDS: Final = 3.0

Body: TypeAlias = Callable[[Any, str, Callable[[], None]], None]
"""What a child runs: settings, the address to listen on, and what to call once it serves."""


class StartFailed(Exception):
    """A process ended before it served; its log says why."""


class _Child:
    """One process, and the pipe on which it says that it serves."""

    def __init__(self, body: Body, settings: Any, listen: str) -> None:
        self.ready, sender = _CONTEXT.Pipe(duplex=False)
        self.process = _CONTEXT.Process(target=_run_child, args=(body, settings, listen, sender))
        self.process.start()
        sender.close()

    def wait_until_ready(self) -> bool:
        """False when it ended first; then its end of the pipe is closed."""
        try:
            return bool(self.ready.recv())
        except EOFError:
            return False


class Supervisor:
    """Keeps a number of processes serving one address until SIGTERM or SIGINT.

    A process that dies later is replaced, after a pause that doubles while replacements die as well.

    Args:
        body: what each process runs; importable, since processes are spawned.
        settings: handed to each; must pickle.
        listen: host:port; port 0 picks a free one for all.
        count: how many processes.
        on_death: called with the pid of a process that died, before it is replaced.
    """

    def __init__(
        self,
        *,
        body: Body,
        settings: Any,
        listen: str,
        count: int,
        on_death: Callable[[int], None] = lambda _pid: None,
    ) -> None:
        self._body = body
        self._settings = settings
        self._listen = listen
        self._count = count
        self._on_death = on_death
        self._children: list[_Child] = []
        self._stopping = False
        self._pause_seconds = _FIRST_PAUSE_SECONDS

    def run(self, on_ready: Callable[[str], None]) -> None:
        """Blocks until stopped.

        Args:
            on_ready: called with the address once all processes serve.

        Raises:
            StartFailed: a process did not come to serve.
            PortNotFree: the address is used by somebody else.
        """
        with reserved(self._listen) as address, self._signals():
            try:
                self._start_all(address)
                if not self._stopping:
                    on_ready(address)
                while not self._stopping:
                    self._replace_dead(address)
            finally:
                self._stop_all()

    def _start_all(self, address: str) -> None:
        self._children = [_Child(self._body, self._settings, address) for _ in range(self._count)]
        for child in self._children:
            if not child.wait_until_ready() and not self._stopping:
                raise StartFailed("a server process did not start; its log says why")

    def _replace_dead(self, address: str) -> None:
        """Waits for a death or a signal; a signal shows as the children's end, since it is passed on."""
        wait([child.process.sentinel for child in self._children])
        for position, child in enumerate(self._children):
            if child.process.is_alive() or self._stopping:
                continue
            get_logger().error("process_died", pid=child.process.pid, exit_code=child.process.exitcode)
            self._on_death(child.process.pid or 0)
            time.sleep(self._pause_seconds)
            if self._stopping:
                return
            replacement = self._children[position] = _Child(self._body, self._settings, address)
            served = replacement.wait_until_ready()
            self._adapt_pause(served)
            if served:
                get_logger().info("process_replaced", pid=replacement.process.pid)

    def _adapt_pause(self, served: bool) -> None:
        longer = min(self._pause_seconds * 2, _LONGEST_PAUSE_SECONDS)
        self._pause_seconds = _FIRST_PAUSE_SECONDS if served else longer

    @contextmanager
    def _signals(self) -> Iterator[None]:
        previous = {number: signal.signal(number, self._pass_on) for number in STOP_SIGNALS}
        try:
            yield
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)

    def _pass_on(self, _number: int, _frame: FrameType | None) -> None:
        self._stopping = True
        self._terminate()

    def _terminate(self) -> None:
        for child in self._children:
            if child.process.is_alive():
                child.process.terminate()

    def _stop_all(self) -> None:
        self._stopping = True
        self._terminate()
        for child in self._children:
            child.process.join()


def _run_child(body: Body, settings: Any, listen: str, ready: Connection) -> None:
    def report() -> None:
        ready.send(True)
        ready.close()

    body(settings, listen, report)


async def parent_gone() -> None:
    """Returns when the process that spawned this one has ended; never in a process that nobody spawned."""
    parent = multiprocessing.parent_process()
    ended = asyncio.Event()
    if parent is None:
        await ended.wait()
        return
    loop = asyncio.get_running_loop()
    loop.add_reader(parent.sentinel, ended.set)
    try:
        await ended.wait()
    finally:
        loop.remove_reader(parent.sentinel)


@contextmanager
def reserved(listen: str) -> Iterator[str]:
    """Holds the port without listening on it, so that port 0 means the same port for every process.

    Args:
        listen: host:port.

    Raises:
        PortNotFree: it is used by somebody else.

    It is bound without sharing first: SO_REUSEPORT would quietly join a stranger's server.
    """
    host, _, port = listen.rpartition(":")
    family, bare_host = (socket.AF_INET6, host[1:-1]) if host.startswith("[") else (socket.AF_INET, host)
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((bare_host, int(port)))
            chosen = probe.getsockname()[1]
        with socket.socket(family, socket.SOCK_STREAM) as holder:
            holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            holder.bind((bare_host, chosen))
            yield f"{host}:{chosen}"
    except OSError as error:
        raise PortNotFree(f"can not listen on {listen}") from error
