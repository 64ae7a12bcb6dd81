"""Ticks as JSON, one form for lines and for messages of a WebSocket.

    {"symbol": "AAPL", "price": 187.25, "time": "2026-11-21T14:30:00.5Z", "volume": 300, "sequence": 17}

`price` and `volume` are numbers or texts that hold one; they are read exactly. `time` is ISO 8601 with its zone, or a
number since 1970 in seconds, milli-, micro- or nanoseconds. `volume` and `sequence` may be missing. A message of a
WebSocket may hold several: a list, or an object with a list `ticks`. Sources with other names are read with `Fields`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from decimal import Decimal
from typing import Any, Final, NoReturn

from feeder.ticks import Tick, moment_of, price_of, shown, symbol_of, volume_of

_LARGEST: Final = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Fields:
    """What a source calls the parts of a tick, and the list of ticks in a message."""

    symbol: str = "symbol"
    price: str = "price"
    time: str = "time"
    volume: str = "volume"
    sequence: str = "sequence"
    ticks: str = "ticks"

    @classmethod
    def parse(cls, text: str) -> Fields:
        """Of `symbol=s,price=p`; what is not named keeps its name.

        Raises:
            ValueError: it names something that a tick does not have.
        """
        named = [part.partition("=") for part in text.replace(",", " ").split()]
        known = [field.name for field in fields(cls)]
        for name, _, given in named:
            if name not in known or not given:
                raise ValueError(f"fields are like symbol=s,price=p, of {', '.join(known)}; not {text!r}")
        return cls(**{name: given for name, _, given in named})


@dataclass(frozen=True, slots=True)
class ReadTick:
    """A tick as it was read.

    Args:
        sequence: what the source calls it; None where it says nothing.
    """

    tick: Tick
    sequence: int | None


def read_json(data: bytes) -> Any:
    """The document, its numbers exact.

    Raises:
        ValueError: it is no JSON; NaN and Infinity are none.
    """
    try:
        return json.loads(data.decode(), parse_float=Decimal, parse_constant=_refuse)
    except RecursionError:
        raise ValueError("that is nested too deeply") from None
    except UnicodeDecodeError:
        raise ValueError("that is no UTF-8") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"that is no JSON: {error.msg} at column {error.colno}") from None


def parts_of(document: Any, names: Fields) -> list[Any]:
    """What should be ticks in a message; nothing where it is about something else, such as a greeting."""
    if isinstance(document, dict) and names.ticks in document:
        document = document[names.ticks]
    if isinstance(document, list):
        return document
    is_other = isinstance(document, dict) and names.symbol not in document and names.price not in document
    return [] if is_other else [document]


def tick_of(document: Any, names: Fields) -> ReadTick:
    """The tick of an object.

    Raises:
        ValueError: it holds none.
    """
    if not isinstance(document, dict):
        raise ValueError(f"a tick is a JSON object, not {shown(document)}")
    missing = [name for name in (names.symbol, names.price, names.time) if document.get(name) is None]
    if missing:
        raise ValueError(f"{' and '.join(missing)} is missing")
    tick = Tick(
        symbol_of(document[names.symbol]),
        price_of(document[names.price]),
        moment_of(document[names.time]),
        volume_of(document.get(names.volume)),
    )
    return ReadTick(tick, _sequence_of(document.get(names.sequence)))


def _sequence_of(value: object) -> int | None:
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or not 0 < value <= _LARGEST:
        raise ValueError(f"a sequence is a whole number from 1, not {shown(value)}")
    return value


def _refuse(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number")
