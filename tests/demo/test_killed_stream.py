"""The server is killed while prices stream: no alert is missed, and none fires twice."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console

from loadtest.demo.alerts import Fired
from loadtest.demo.play import Played, play
from loadtest.demo.processes import Running, running_stack
from loadtest.demo.purchases import read_purchases
from tests.demo.expected import expected_figures

LIMIT = 300
# After how many prices a kill is due, and how many seconds later it comes: at different steps of a batch.
KILLS = {2_000: 0.001, 4_000: 0.01, 20_000: 0.02}


@pytest.fixture
def stack(monkeypatch: pytest.MonkeyPatch) -> Iterator[Running]:
    """The demo's stack, in an empty directory that the servers' account may enter."""
    for name in [name for name in os.environ if name.startswith("LEO_")]:
        monkeypatch.delenv(name)
    directory = Path(tempfile.mkdtemp(prefix="leo-stream-"))
    directory.chmod(0o711)
    monkeypatch.setenv("LEO_STATE_DIRECTORY", str(directory / "state"))
    with running_stack(processes=1, pid_path=None) as running:
        yield running
    shutil.rmtree(directory)


def test_a_server_killed_in_mid_stream_misses_no_alert_and_doubles_none(stack: Running) -> None:
    killed: set[int] = set()
    played = asyncio.run(_played_with_kills(stack, killed))
    expected = expected_figures(LIMIT)
    assert [_line(fired) for fired in played.fired] == expected.firings
    assert len(killed) == len(KILLS) == stack.keeper.restarts.count("serve")
    figures = played.figures
    assert (figures.decisions, figures.send) == (expected.decisions, expected.send)
    assert (figures.alerts_fired, figures.mailbox_messages) == (len(expected.firings), expected.send)
    assert not any(figures.orphans.values())
    assert figures.mail_faults == []


async def _played_with_kills(stack: Running, killed: set[int]) -> Played:
    def on_ticks(acknowledged: int) -> None:
        due = KILLS.get(acknowledged)
        if due is not None:
            asyncio.get_running_loop().call_later(due, _kill, stack, killed)

    console = Console(quiet=True)
    return await play(console, stack, read_purchases(LIMIT), started=time.perf_counter(), on_ticks=on_ticks)


def _kill(stack: Running, killed: set[int]) -> None:
    pid = stack.keeper.kept["serve"].pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    killed.add(pid)


def _line(fired: Fired) -> tuple[str, ...]:
    moment, price = fired.fired_at.isoformat(), f"{fired.price:f}"
    return (fired.profile_id, fired.alert, moment, price, fired.outcome, fired.reason)
