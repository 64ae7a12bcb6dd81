"""The drill of workers, once in its short form; and its judgement, which must be able to fail."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from loadtest.faults.workers.audit import Delivery, judged
from loadtest.faults.workers.steps import RANDOM, STEPS, check_steps, draw_strikes
from server.embedded.state import checkout_directory

KILLS = len(STEPS) + 1


def test_workers_die_at_every_step_and_nothing_is_lost_or_doubled() -> None:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("LEO_")}
    result = subprocess.run(
        [sys.executable, "-m", "loadtest.faults.workers", "--kills", str(KILLS)],
        cwd=checkout_directory(),
        env=kept,
        capture_output=True,
        text=True,
        timeout=550,
    )
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-3000:]
    last = json.loads(result.stdout.splitlines()[-1])
    assert last["kills"] == {step.name: 1 for step in (RANDOM, *STEPS)}
    assert last["acknowledged"] == last["deliveries"] == sum(last["ends"].values())
    assert last["faults"] == 0


def test_a_seed_draws_the_same_strikes_and_every_step() -> None:
    check_steps()
    drawn = list(draw_strikes(3, 40))
    assert drawn == list(draw_strikes(3, 40)) != list(draw_strikes(4, 40))
    assert {strike.step for strike in drawn} == {RANDOM, *STEPS}
    assert len(list(draw_strikes(3, 2))) == 2


@pytest.mark.parametrize(
    ("channel", "task", "status", "reason", "times", "fault"),
    [
        ("sms", "completed", "sent", None, 1, None),
        ("sms", "completed", "unknown", "WORKER_LOST", 0, None),
        ("push", "completed", "sent", None, 2, None),
        ("sms", "completed", "sent", None, 2, "sent 2 times"),
        ("sms", "completed", "unknown", "WORKER_LOST", 2, "sent 2 times"),
        ("sms", "completed", "sent", None, 0, "never got it"),
        ("sms", "completed", "unknown", None, 0, "nobody says why"),
        ("push", "pending", "deferred", "WORKER_LOST", 1, "not carried out"),
        ("push", "completed", None, None, 0, "not carried out"),
        ("push", "failed", "failed", "NO_ADDRESS", 0, "ended as failed"),
    ],
)
def test_what_must_not_be_is_named(
    channel: str, task: str, status: str | None, reason: str | None, times: int, fault: str | None
) -> None:
    found = judged([Delivery("t", task, channel, status, reason, times)], ["t"])
    assert len(found.faults) == (fault is not None)
    assert fault is None or fault in found.faults[0]


def test_what_was_acknowledged_has_to_be_there() -> None:
    assert judged([], ["t"]).faults == ["t: acknowledged, but not recorded"]
