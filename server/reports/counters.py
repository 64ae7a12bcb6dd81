"""The counters in Redis: for each tenant a hash for each day, and a state that says how far the log is counted.

The state and what is added move together in one script, so that a fact counts once, whichever workers count, and
whichever of them die. Redis may lose everything at any time: a day without `_complete`, or of another epoch than the
state, is not answered from.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Final
from uuid import UUID, uuid4

import orjson

from server.platform.redis import RedisPool, Scripts
from server.reports.model import CountKey, Counts, DayCounts

KEPT_DAYS: Final = 100
_STATE_SECONDS: Final = KEPT_DAYS * 86_400
# A day is compared by one worker at a time; one that died holds it for so long.
_COMPLETE_SECONDS: Final = 240
_INCOMPLETE_SECONDS: Final = 60


@dataclass(frozen=True, slots=True)
class State:
    """How far the log of a tenant is counted.

    Args:
        epoch: names this line of counting; another one begins when Redis lost it.
        counted: the last fact that is counted.
        as_of: everything that was recorded up to here is counted.
        seen: the last fact that was visible at `seen_at`; it is counted next.
    """

    epoch: str
    counted: int
    as_of: datetime
    seen: int
    seen_at: datetime

    @classmethod
    def begun(cls, newest: int, now: datetime) -> State:
        """Counting begins after the newest fact; days count what was before."""
        return cls(uuid4().hex, newest, now, newest, now)

    def moved_on(self, newest: int, now: datetime) -> State:
        """What was seen the last time is counted, and the newest is seen."""
        return State(self.epoch, self.seen, self.seen_at, max(newest, self.seen), now)

    @property
    def settled(self) -> bool:
        """Whether what is counted was looked at twice: transactions that were open the first time are over."""
        return self.as_of < self.seen_at

    def encoded(self) -> bytes:
        """As Redis holds it."""
        return orjson.dumps(self)

    @classmethod
    def decoded(cls, document: bytes) -> State:
        """Out of Redis."""
        values = orjson.loads(document)
        moments = {name: datetime.fromisoformat(values[name]) for name in ("as_of", "seen_at")}
        return cls(**{**values, **moments})


@dataclass(frozen=True, slots=True)
class OpenDay:
    """The counters of a day, and up to which fact they count.

    Args:
        version: changes with each repair.
    """

    counted: int
    version: bytes
    complete: bool
    counts: Counts


class MetricsCounters:
    """Each method is one round trip to Redis, and raises Unavailable where Redis is away."""

    def __init__(self, redis: RedisPool) -> None:
        self._redis = redis
        self._scripts = Scripts.load("reports")

    async def state(self, tenant_id: UUID) -> State | None:
        """How far the tenant's log is counted; None where Redis does not know."""
        stored = await self._redis.command("GET", _state_key(tenant_id))
        return State.decoded(stored) if stored else None

    async def advance(self, tenant_id: UUID, before: State | None, after: State, days: DayCounts) -> bool:
        """Add counts and move on; False, and nothing was added, where somebody else moved on."""
        keys = [_state_key(tenant_id), *(_day_key(tenant_id, day) for day in days)]
        arguments: list[str | bytes | int] = [
            before.encoded() if before else b"",
            after.encoded(),
            _STATE_SECONDS,
        ]
        for position, counts in enumerate(days.values(), start=2):
            for key, number in counts.items():
                arguments += (position, _field(key), number)
        return bool(await self._redis.run(self._scripts["advance"], keys=keys, arguments=arguments))

    async def open_day(self, tenant_id: UUID, state: State, day: date, now: datetime) -> OpenDay | None:
        """The counters of a day, begun where they are not there; None where somebody compared them a short while
        ago, or counting began anew meanwhile."""
        expires = datetime.combine(day, time.min, UTC) + timedelta(days=KEPT_DAYS)
        answer = await self._redis.run(
            self._scripts["open_day"],
            keys=[_state_key(tenant_id), _day_key(tenant_id, day)],
            arguments=[
                state.epoch,
                uuid4().hex,
                int(expires.timestamp()),
                int(now.timestamp()),
                _COMPLETE_SECONDS,
                _INCOMPLETE_SECONDS,
            ],
        )
        if answer is None:
            return None
        fields = _fields(answer[1])
        return OpenDay(
            counted=State.decoded(answer[0]).counted,
            version=fields[b"_version"],
            complete=b"_complete" in fields,
            counts=_counts(fields),
        )

    async def repair_day(
        self, tenant_id: UUID, day: date, found: OpenDay, changes: Mapping[CountKey, int]
    ) -> bool:
        """Add the changes, and call the day complete; False where somebody else did meanwhile."""
        arguments: list[str | bytes | int] = [found.version, uuid4().hex]
        for key, change in changes.items():
            arguments += (_field(key), change)
        keys = [_day_key(tenant_id, day)]
        return bool(await self._redis.run(self._scripts["repair_day"], keys=keys, arguments=arguments))

    async def incomplete(self, tenant_id: UUID, state: State, days: Sequence[date]) -> list[date]:
        """The days that can not be answered from."""
        answers = await self._redis.commands(
            [("HMGET", _day_key(tenant_id, day), "_epoch", "_complete") for day in days]
        )
        whole = [state.epoch.encode(), b"1"]
        return [day for day, answer in zip(days, answers, strict=True) if answer != whole]

    async def read(self, tenant_id: UUID, days: Sequence[date]) -> tuple[State, DayCounts] | None:
        """The days and up to when they count; None where any of them is not complete."""
        stored, *hashes = await self._redis.commands(
            [("GET", _state_key(tenant_id)), *(("HGETALL", _day_key(tenant_id, day)) for day in days)]
        )
        state = State.decoded(stored) if stored else None
        if state is None or not all(_is_complete(fields, state) for fields in hashes):
            return None
        return state, {day: _counts(fields) for day, fields in zip(days, hashes, strict=True)}


def _is_complete(fields: Mapping[bytes, bytes], state: State) -> bool:
    return b"_complete" in fields and fields.get(b"_epoch") == state.epoch.encode()


def _state_key(tenant_id: UUID) -> str:
    return f"leo:metrics:{tenant_id}:state"


def _day_key(tenant_id: UUID, day: date) -> str:
    return f"leo:metrics:{tenant_id}:{day.isoformat()}"


def _field(key: CountKey) -> bytes:
    return orjson.dumps(list(key))


def _counts(fields: Mapping[bytes, bytes]) -> dict[CountKey, int]:
    return {
        CountKey(*orjson.loads(name)): int(number) for name, number in fields.items() if name.startswith(b"[")
    }


def _fields(answer: Sequence[bytes]) -> dict[bytes, bytes]:
    return dict(_pairs(answer))


def _pairs(answer: Sequence[bytes]) -> Iterator[tuple[bytes, bytes]]:
    values = iter(answer)
    return zip(values, values, strict=True)
