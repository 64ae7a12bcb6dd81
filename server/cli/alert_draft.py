"""A rule as people write it: the message's JSON, or prices and percents in its place."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, Final

from feeder.json_ticks import read_json
from feeder.ticks import price_of, volume_of
from google.protobuf.json_format import ParseDict, ParseError
from leo.activation.v1 import alert_service_pb2 as wire

from server.cli.failure import CommandFailed

_PPM_OF_A_PERCENT: Final = 10_000


def _ppm_of(value: object) -> int:
    if not isinstance(value, (Decimal, int)) or value * _PPM_OF_A_PERCENT % 1:
        raise ValueError(f"a percentage is a number with at most four decimal places, not {value}")
    return int(value * _PPM_OF_A_PERCENT)


_NUMBERS: Final[Mapping[str, tuple[str, Callable[[object], int]]]] = {
    **{name: (f"{name}_nanos", price_of) for name in ("price", "low_price", "high_price", "clear_price")},
    "change_percent": ("change_ppm", _ppm_of),
    "clear_change_percent": ("clear_change_ppm", _ppm_of),
    "volume": ("volume_micros", volume_of),
}
_NAMES: Final = {
    "operator": "ALERT_OPERATOR_",
    "direction": "ALERT_DIRECTION_",
    "repeat": "ALERT_REPEAT_",
}


def read_draft(text: str) -> wire.AlertDraft:
    """The draft of a JSON object: fields of AlertDraft. One that does not say so re-arms.

    Beside the message's own fields, a logic may have `price`, `low_price`, `high_price`, `clear_price` and `volume` as
    decimals, `change_percent` and `clear_change_percent`; enums need no prefix (`ABOVE`, `UP`, `ONCE`).

    Raises:
        CommandFailed: no JSON object, or with fields that a draft does not have.
    """
    try:
        document = _plain(read_json(text.encode()))
        document["logic"] = _plain(document.get("logic", {}))
        document.setdefault("repeat", "ALERT_REPEAT_REARM")
        return ParseDict(json.loads(json.dumps(document, default=str)), wire.AlertDraft())
    except (ValueError, TypeError, ParseError) as error:
        raise CommandFailed(f"the rule is no JSON object of its fields: {error}") from error


def _plain(given: Any) -> dict[str, Any]:
    """As the message has it.

    Raises:
        ValueError: a number is none, or this is no object.
    """
    if not isinstance(given, dict):
        raise ValueError("an object is needed")
    plain: dict[str, Any] = {}
    for name, value in given.items():
        if name in _NUMBERS:
            target, convert = _NUMBERS[name]
            plain[target] = convert(value)
        elif name in _NAMES and isinstance(value, str):
            plain[name] = _NAMES[name] + value.upper().removeprefix(_NAMES[name])
        else:
            plain[name] = value
    return plain
