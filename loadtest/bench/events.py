"""The stream of events that is decided on: in every ten, three are sent and seven are not.

Of the seven, four miss the conditions of all candidates, two come a minute after a message to the same
profile, and one is of a profile without consent. Sends to one profile are two hours apart in event time.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

from leo.activation.v1.decision_service_pb2 import Event

SENDS_OF_TEN: Final = 3
_BETWEEN_SENDS: Final = timedelta(hours=2)
_SOON: Final = timedelta(minutes=1)
_DAYS_AGO: Final = 20
_RICH: Final = b'{"amount":%d,"country":"VN","items":3,"currency":"USD","device":"mobile","store":"web"}'


def beginning() -> datetime:
    """When the first events of a run occur."""
    return datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(days=_DAYS_AGO)


class RoundsOfAll:
    """Events that would be answered with a message, one of every profile in turn, the turns a minute apart.

    Args:
        profiles: profiles with consent.
        label: makes the ids of this run's events its own.
    """

    def __init__(self, *, profiles: int, label: str) -> None:
        self._profiles = profiles
        self._label = label
        self._start = beginning()

    def event(self, number: int) -> Event:
        """The event of this number."""
        turn, profile = divmod(number, self._profiles)
        event = Event(
            source_event_id=f"{self._label}-{number}",
            profile_id=f"p{profile:09d}",
            event_type="purchase",
            attributes=_RICH % (250 + number % 7),
        )
        event.occurred_at.FromDatetime(self._start + (turn + 1) * _SOON)
        return event


class EventStream:
    """Events of one tenant by number.

    Args:
        profiles: profiles with consent that events are of.
        label: makes the ids of this run's events its own.
        population: profiles with consent that there are, a tenth more are without; those with events lie evenly
            among them. By default there are no others.
    """

    def __init__(self, *, profiles: int, label: str, population: int | None = None) -> None:
        self._profiles = profiles
        self._population = population or profiles
        self._apart = self._population // profiles
        self._anonymous = max(1, profiles // 10)
        self._label = label
        self._start = beginning()

    def event(self, number: int) -> Event:
        """The event of this number; two later numbers repeat the profile of a send."""
        block, place = divmod(number, 10)
        sent, amount = (place - SENDS_OF_TEN if place in (3, 4) else place), 250 if place < 6 else 40
        turn, profile = divmod(block * SENDS_OF_TEN + min(sent, 2), self._profiles)
        if place == 5:
            profile = self._population + block % self._anonymous
        else:
            profile *= self._apart
        occurred_at = self._start + turn * _BETWEEN_SENDS + (_SOON if place in (3, 4) else timedelta())
        event = Event(
            source_event_id=f"{self._label}-{number}",
            profile_id=f"p{profile:09d}",
            event_type="purchase",
            attributes=_RICH % (amount + number % 7),
        )
        event.occurred_at.FromDatetime(occurred_at)
        return event
