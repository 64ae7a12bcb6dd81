"""The demo as a user starts it, against figures that were computed without the product."""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from server.embedded.state import checkout_directory
from tests.demo.expected import expected_figures

TIMES = {"setup_seconds", "seconds", "decide_p50_ms", "decide_p99_ms"}
LIMIT = 1500


@pytest.fixture
def state_directory() -> Iterator[Path]:
    """An empty directory that the servers' account may enter."""
    directory = Path(tempfile.mkdtemp(prefix="leo-demo-"))
    directory.chmod(0o711)
    yield directory / "state"
    shutil.rmtree(directory)


def run_demo(*arguments: str, state: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """`python -m loadtest.demo`, without the variables of whoever runs the tests."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("LEO_")}
    result = subprocess.run(
        [sys.executable, "-m", "loadtest.demo", *arguments],
        cwd=checkout_directory(),
        env=kept | {"LEO_STATE_DIRECTORY": str(state)} | variables,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-3000:]
    return result


def figures_of(result: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    """The last line, without the times."""
    last: dict[str, Any] = json.loads(result.stdout.splitlines()[-1])
    assert last.keys() >= TIMES
    return {name: value for name, value in last.items() if name not in TIMES}


def firings_in(state: Path) -> list[tuple[str, ...]]:
    """The file of firings, without its header."""
    with (state / "demo" / "firings.csv").open(newline="") as file:
        return [tuple(line) for line in csv.reader(file)][1:]


def test_all_purchases_come_to_the_figures_that_the_file_says(state_directory: Path) -> None:
    result = run_demo(state=state_directory)
    expected = expected_figures()
    assert figures_of(result) == expected.figures
    assert firings_in(state_directory) == expected.firings
    mailbox = state_directory / "demo" / "mailbox"
    assert str(mailbox) in result.stdout
    assert len(list(mailbox.glob("*.eml"))) == expected.send
    for reason in ("SELECTED", "CONDITION_MISS", "COOLDOWN", "NO_CONSENT", "SEGMENT_MISS", "LOST_TO"):
        assert reason in result.stdout
    assert "CAMPAIGN_INACTIVE" in result.stdout
    assert not (state_directory / "demo" / "pids.json").exists()


def test_two_server_processes_and_a_second_run_come_to_the_same(state_directory: Path) -> None:
    expected = expected_figures(LIMIT)
    arguments = ("--limit", str(LIMIT))
    for variables in ({"LEO_PROCESSES": "2"}, {}):
        result = run_demo(*arguments, state=state_directory, **variables)
        assert figures_of(result) == expected.figures
        assert firings_in(state_directory) == expected.firings
