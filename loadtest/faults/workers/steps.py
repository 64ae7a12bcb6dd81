"""At which step of a delivery a worker is struck: drawn from a seed."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from server.platform.queries import Queries

_LONGEST_WORK_SECONDS: Final = 2.0
_RANDOM_SHARE: Final = 0.4


@dataclass(frozen=True, slots=True)
class Step:
    """A named step.

    Args:
        statement: the one of `db/queries/dispatch.sql` at which it stands; None for while a provider has a message.
        text: a part of that statement.
        committed: whether it is carried out and committed before.
        outlives: whether the worker stands still past its lease and goes on for a while, before it is killed.
    """

    name: str
    statement: str | None = None
    text: str = ""
    committed: bool = False
    outlives: bool = False


_SENDING: Final = "destination, 'sending', subject, body"
_RESULT: Final = "SELECT record_and_redact_results("
RANDOM: Final = Step("at any moment")
STEPS: Final = (
    Step("before sending is recorded", "insert_sending", _SENDING),
    Step("after sending is recorded", "insert_sending", _SENDING, committed=True),
    Step("while the provider has it"),
    Step("before the result is recorded", "record_results", _RESULT),
    Step("past its lease, while the provider has it", outlives=True),
)


@dataclass(frozen=True, slots=True)
class Strike:
    """One kill.

    Args:
        work_seconds: how long a worker works before it is killed at any moment, or stands at its step.
    """

    step: Step
    work_seconds: float


def draw_strikes(seed: int, kills: int) -> Iterator[Strike]:
    """Each step at least once where there are as many kills, the rest as the seed says."""
    chance = random.Random(seed)
    every = [RANDOM, *STEPS][:kills]
    drawn = [
        RANDOM if chance.random() < _RANDOM_SHARE else chance.choice(STEPS) for _ in range(kills - len(every))
    ]
    steps = [*every, *drawn]
    chance.shuffle(steps)
    for step in steps:
        yield Strike(step, chance.uniform(0, _LONGEST_WORK_SECONDS))


def check_steps() -> None:
    """Refuse to play when a statement is not the one that a step names any more.

    Raises:
        LookupError: a statement has another text.
    """
    queries = Queries.load("dispatch")
    for step in STEPS:
        if step.statement is not None and step.text not in queries[step.statement]:
            raise LookupError(f"{step.name}: {step.statement} does not say {step.text!r}")
