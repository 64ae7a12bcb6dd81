"""What is struck, where and in which order: drawn from a seed, so that a run that went wrong can be played again."""

from __future__ import annotations

import random
from dataclasses import dataclass
from itertools import count
from typing import Final, Literal

Link = Literal["postgres", "redis"]
Moment = Literal["request", "sent", "answer"]

# The step that makes a decision durable: COMMIT, or the recording statement itself where it commits alone.
COMMIT: Final = "commit"
RECORD: Final = "record_decisions"


@dataclass(frozen=True, slots=True)
class FaultPoint:
    """A place in the work of a batch, as it is seen from outside: on the wire behind a server.

    Args:
        name: what it is called in reports.
        link: where the step is seen.
        step: a query of db/queries/decisions.sql, a script of the reservations, or `COMMIT`.
        moment: as it is asked for and not passed on; once it was passed on; or once it was answered, the answer kept.
        kills: whether the server process is killed there; otherwise its connection is cut.
    """

    name: str
    link: Link
    step: str
    moment: Moment
    kills: bool = True


FAULT_POINTS: Final = (
    FaultPoint("after load", "redis", "reserve", "request"),
    FaultPoint("after reserve", "redis", "reserve", "answer"),
    FaultPoint("before record", "postgres", RECORD, "request"),
    FaultPoint("in commit", "postgres", COMMIT, "sent"),
    FaultPoint("after commit, before the answer", "postgres", COMMIT, "answer"),
    FaultPoint("before confirmation", "redis", "settle", "request"),
)
CUTS: Final = (
    FaultPoint("answer of COMMIT lost", "postgres", COMMIT, "answer", kills=False),
    FaultPoint("record lost on its way", "postgres", RECORD, "request", kills=False),
    FaultPoint("answer of reserve lost", "redis", "reserve", "answer", kills=False),
)

Target = Literal[
    "server",
    "all servers",
    "PostgreSQL stopped",
    "PostgreSQL killed",
    "Redis killed",
    "Redis emptied",
    "caller",
]
_RANDOM_KILLS: Final[tuple[Target, ...]] = (
    *("server", "server", "all servers", "PostgreSQL stopped", "PostgreSQL killed"),
    *("Redis killed", "Redis killed", "caller", "caller"),
)
_LONGEST_PAUSE_SECONDS: Final = 1.5
_OVERLAPPING: Final = 0.3


@dataclass(frozen=True, slots=True)
class Fault:
    """One strike.

    Args:
        what: a process at this very moment, or the point at which a server process is struck.
        pause_seconds: how long load runs undisturbed before it.
        overlaps: whether the one before may still be recovered from.
    """

    number: int
    what: Target | FaultPoint
    pause_seconds: float
    overlaps: bool

    @property
    def name(self) -> str:
        """What it is called in reports."""
        if isinstance(self.what, FaultPoint):
            return f"server {self.what.name}" if self.what.kills else self.what.name
        return self.what

    @property
    def kills(self) -> bool:
        """Whether a process dies of it."""
        return self.what.kills if isinstance(self.what, FaultPoint) else self.what != "Redis emptied"


def draw_plan(seed: int, kills: int) -> list[Fault]:
    """So many kills, shuffled deck by deck, with Redis emptied and connections cut in between.

    A deck holds every point and every target: as many kills as one has reach all of them.
    """
    chance = random.Random(seed)
    numbers = count(1)
    plan: list[Fault] = []
    while sum(fault.kills for fault in plan) < kills:
        deck: list[Target | FaultPoint] = [
            *FAULT_POINTS,
            *_RANDOM_KILLS,
            *CUTS,
            "Redis emptied",
            "Redis emptied",
        ]
        chance.shuffle(deck)
        for what in deck:
            pause = chance.uniform(0.0, _LONGEST_PAUSE_SECONDS)
            overlaps = chance.random() < _OVERLAPPING and not (plan and plan[-1].overlaps)
            plan.append(Fault(next(numbers), what, pause, overlaps))
            if sum(fault.kills for fault in plan) == kills:
                break
    return plan
