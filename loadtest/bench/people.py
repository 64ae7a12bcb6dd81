"""Made-up customers and what they did: the same for the same seed, and as uneven as real ones.

Cities, languages and interests follow Zipf's law; a few customers do most of what happens; not everybody has an
e-mail address or a phone number, or agreed to anything. Nothing here is drawn at random at run time.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import accumulate
from typing import Final

import orjson
from google.protobuf.timestamp_pb2 import Timestamp
from leo.activation.v1 import profile_service_pb2 as wire

_CITIES: Final = tuple(f"city-{number}" for number in range(200))
_INTERESTS: Final = tuple(f"interest-{number}" for number in range(120))
_SEGMENTS: Final = tuple(f"segment-{number}" for number in range(40))
_TITLES: Final = tuple(f"title-{number}" for number in range(300))
_LANGUAGES: Final = ("vi", "en", "zh-Hans", "ko", "ja", "th")
_DOMAINS: Final = ("gmail.com", "yahoo.com", "outlook.com", *(f"firm-{n}.example" for n in range(2_000)))
_KINDS: Final = ("view", "view", "view", "view", "click", "click", "convert")
_BEGIN: Final = int(datetime(2026, 1, 1, tzinfo=UTC).timestamp())
_DAYS: Final = 60
_DAY_SECONDS: Final = 86_400


@dataclass(frozen=True, slots=True)
class People:
    """Customers 0, 1, 2, … of one seed."""

    seed: int

    def patch(self, number: int) -> wire.ProfilePatch:
        """What the source first says of a customer: 15 fields, some 0.6 KB."""
        draw = random.Random(self.seed << 40 | number)
        patch = wire.ProfilePatch(
            profile_id=profile_id(number),
            ext_id=f"crm-{number}",
            identities=wire.TextList(values=[f"crm:{number}", f"web:{draw.getrandbits(48):x}"]),
            living_location=_zipf(draw, _CITIES),
            job_titles=wire.TextList(values=[_zipf(draw, _TITLES)]),
            interests=wire.TextList(values=_several(draw, _INTERESTS, 6)),
            segments=wire.TextList(values=_several(draw, _SEGMENTS, 4)),
            data_labels=wire.TextList(values=["crm"]),
            portfolio_risk_score=round(draw.betavariate(2, 3), 2),
            portfolio_snapshot=_portfolio(draw),
            raw_attributes=_attributes(draw),
            language=_zipf(draw, _LANGUAGES),
            time_zone="Asia/Ho_Chi_Minh",
            source_updated_at=Timestamp(seconds=_BEGIN - draw.randrange(365 * _DAY_SECONDS)),
        )
        if draw.random() < 0.8:
            patch.primary_email = f"person.{number}@{_zipf(draw, _DOMAINS)}"
        if draw.random() < 0.7:
            patch.mobile_number = f"+849{draw.choice('0123')}{number % 10_000_000:07d}"
        if draw.random() < 0.6:
            patch.consents.append(_consent("email" if patch.primary_email else "push", patch))
        return patch

    def change(self, number: int, times: int) -> wire.ProfilePatch:
        """What the source says of a customer who changed, the first, second, … time: always the portfolio and when
        they were last seen, and now and then where they live and what they are."""
        draw = random.Random(self.seed << 40 | number << 8 | times)
        patch = wire.ProfilePatch(
            profile_id=profile_id(number),
            portfolio_snapshot=_portfolio(draw),
            source_updated_at=Timestamp(seconds=_BEGIN + times * _DAY_SECONDS + draw.randrange(_DAY_SECONDS)),
        )
        if draw.random() < 0.5:
            patch.raw_attributes = orjson.dumps({"visits": draw.randrange(10_000), "last_page": "home"})
        if draw.random() < 0.2:
            patch.segments.values.extend(_several(draw, _SEGMENTS, 4))
        if draw.random() < 0.1:
            patch.living_location = _zipf(draw, _CITIES)
        return patch

    def event(self, number: int, people: int) -> wire.BehavioralEvent:
        """What happened; a tenth of the customers do half of it."""
        draw = random.Random(self.seed << 40 | 1 << 39 | number)
        whose = int(people * draw.random() ** 3)
        event = wire.BehavioralEvent(
            source_event_id=f"bench-{self.seed}-{number}",
            profile_id=profile_id(whose),
            event_type=draw.choice(_KINDS),
            occurred_at=Timestamp(seconds=_BEGIN + draw.randrange(_DAYS * _DAY_SECONDS)),
            entity_type="news",
            entity_id=f"article-{int(5_000 * draw.random() ** 2)}",
            attributes=orjson.dumps({"seconds": draw.randrange(300), "page": draw.choice(_CITIES)}),
        )
        if draw.random() < 0.3:
            event.sentiment = draw.choice((-1, 0, 1))
        return event


def profile_id(number: int) -> str:
    """The id of a customer."""
    return f"p{number:09d}"


def in_parts(first: int, count: int, size: int) -> Iterator[range]:
    """The numbers from `first` on, in parts of at most `size`."""
    for begin in range(first, first + count, size):
        yield range(begin, min(begin + size, first + count))


def _consent(channel: str, patch: wire.ProfilePatch) -> wire.Consent:
    return wire.Consent(
        channel=channel,
        status=wire.CONSENT_STATUS_GRANTED,
        legal_basis="consent",
        source="sign-up",
        stated_at=patch.source_updated_at,
    )


def _portfolio(draw: random.Random) -> bytes:
    holdings = {f"S{draw.randrange(500)}": draw.randrange(1, 2_000) for _ in range(1 + draw.randrange(4))}
    return orjson.dumps({"cash": int(draw.paretovariate(1.2) * 100), "positions": holdings})


def _attributes(draw: random.Random) -> bytes:
    return orjson.dumps(
        {
            "age": 18 + draw.randrange(60),
            "gender": draw.choice("fm"),
            "tier": draw.choice(("bronze", "bronze", "bronze", "silver", "gold")),
            "visits": int(draw.paretovariate(1.1)),
            "total_spent": round(draw.paretovariate(1.3) * 20, 2),
            "last_page": f"page-{draw.randrange(400)}",
        }
    )


def _several(draw: random.Random, words: Sequence[str], most: int) -> list[str]:
    return list(dict.fromkeys(_zipf(draw, words) for _ in range(draw.randrange(most + 1))))


def _zipf(draw: random.Random, words: Sequence[str]) -> str:
    return draw.choices(words, cum_weights=_weights(len(words)))[0]


def _weights(count: int) -> list[float]:
    if count not in _WEIGHTS:
        _WEIGHTS[count] = list(accumulate(1 / rank for rank in range(1, count + 1)))
    return _WEIGHTS[count]


_WEIGHTS: Final[dict[int, list[float]]] = {}
