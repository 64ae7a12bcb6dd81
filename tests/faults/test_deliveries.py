"""The drill as a user starts it, on the first purchases; and the parts of its judgement, which must be able to fail."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from loadtest.demo.reconcile import Figures
from loadtest.faults.deliveries.kills import TARGETS, Killer, draw_kills
from loadtest.faults.deliveries.verdict import delivery_faults, differences, longest_pause, unplanned_ends
from server.embedded.state import checkout_directory
from tests.demo.expected import expected_figures

LIMIT = 700
SLOTS_OF_ONE_WORKER = 32


@pytest.fixture
def state_directory() -> Iterator[Path]:
    """An empty directory that the servers' account may enter."""
    directory = Path(tempfile.mkdtemp(prefix="leo-faults-"))
    directory.chmod(0o711)
    yield directory / "state"
    shutil.rmtree(directory)


def test_the_job_survives_the_death_of_each_process(state_directory: Path) -> None:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("LEO_")}
    result = subprocess.run(
        [sys.executable, "-m", "loadtest.faults.deliveries", "--limit", str(LIMIT), "--no-compare"],
        cwd=checkout_directory(),
        env=kept | {"LEO_STATE_DIRECTORY": str(state_directory)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-3000:]
    last = json.loads(result.stdout.splitlines()[-1])
    expected = expected_figures(LIMIT)
    assert last["kills"].keys() == set(TARGETS)
    assert (last["events"], last["decisions"]) == (LIMIT, expected.decisions)
    assert (last["send"], last["suppressed"]) == (expected.send, expected.suppressed)
    assert last["figures_equal"] is True
    assert last["acknowledged"] == LIMIT
    assert (last["missing"], last["duplicates"], last["orphans"]) == (0, 0, 0)
    assert last["deliveries"].get("sent", 0) + last["unknown"] == expected.send
    assert last["unknown"] <= SLOTS_OF_ONE_WORKER


def test_a_seed_always_draws_the_same_kills_in_the_middle() -> None:
    plan = draw_kills(7, 1000)
    assert plan == draw_kills(7, 1000) != draw_kills(8, 1000)
    assert {kill.target for kill in plan} == set(TARGETS)
    assert all(100 <= kill.after < 900 for kill in plan)
    assert [kill.after for kill in plan] == sorted(kill.after for kill in plan)


def test_each_target_is_killed_once_and_only_when_it_runs(tmp_path: Path) -> None:
    victims = [subprocess.Popen(["sleep", "60"]) for _ in TARGETS]
    running: dict[str, int | None] = {name: victim.pid for name, victim in zip(TARGETS, victims, strict=True)}
    plan = draw_kills(1, 1000)
    first = plan[0].target
    killer = Killer(plan, {**running, first: None}.get, tmp_path)
    assert killer.acknowledged(plan[0].after - 1) == []
    assert {kill.target for kill in killer.acknowledged(1000)} == set(TARGETS) - {first}
    killer.pid_of = running.get
    assert [kill.target for kill in killer.acknowledged(1000)] == [first]
    assert killer.acknowledged(1000) == []
    assert [victim.wait() for victim in victims] == [-9] * len(TARGETS)


def test_a_figure_that_differs_is_named() -> None:
    assert differences({"send": 3, "orphans": 0}, {"send": 3, "decisions": 9}, "a plan") == []
    assert differences({"send": 3}, {"send": 2}, "a plan") == ["send: 2, but 3 in a plan"]


def test_deliveries_and_mailbox_have_to_agree() -> None:
    assert delivery_faults(figures(sent=7, unknown=3, mailbox=8), 1) == []
    assert len(delivery_faults(figures(sent=6, unknown=3, mailbox=7), 1)) == 1
    assert len(delivery_faults(figures(sent=7, unknown=3, mailbox=9), 1)) == 1
    assert delivery_faults(figures(sent=7, unknown=3, mailbox=7, tasks_past_due=2), 0) == ["2 tasks past due"]
    assert len(delivery_faults(figures(sent=7, unknown=2, failed=1, mailbox=7), 0)) == 1


def figures(*, mailbox: int, tasks_past_due: int = 0, **deliveries: int) -> Figures:
    """Ten decisions to send, and what became of them."""
    return Figures(
        outcomes={("send", "SELECTED"): 10},
        candidates={"SELECTED": 10},
        deliveries=deliveries,
        orphans={"tasks_past_due": tasks_past_due},
        mailbox_messages=mailbox,
    )


def test_a_pause_counts_from_the_kill_to_the_next_kill() -> None:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    times = [start + timedelta(seconds=second) for second in (-5, 2, 3, 9, 20)]
    assert longest_pause(times, start, start + timedelta(seconds=2.5)) == 2
    assert longest_pause(times, start, start + timedelta(seconds=8)) == 5
    assert longest_pause(times, start, None) == 11
    assert longest_pause([], start, None) == 0


def test_a_process_that_ended_by_itself_is_named(tmp_path: Path) -> None:
    served = '{"event":"serving"}\n'
    (tmp_path / "serve.log").write_text(served * 2)
    # Killed once; then PostgreSQL was away at its start.
    (tmp_path / "worker.log").write_text('{"event":"working"}\nleo: not reachable\n{"event":"working"}\n')
    restarts = ["redis", "serve", "worker", "postgres", "worker", "broker"]
    assert unplanned_ends(restarts, tmp_path) == []
    assert unplanned_ends([*restarts, "redis"], tmp_path) == ["redis ended 2 times, but was killed once"]
    (tmp_path / "serve.log").write_text(served * 3)
    assert unplanned_ends(restarts, tmp_path) == ["serve ended 2 times, but was killed once"]
