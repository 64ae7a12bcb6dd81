"""Fields of type `bytes` that hold one JSON object."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any


def to_json(value: Mapping[str, Any]) -> bytes:
    """The object as the server takes it.

    Raises:
        ValueError: a number is NaN or infinite.
        TypeError: a value has no JSON form, e.g. a Decimal or a datetime: say how it is to be written.
    """
    return json.dumps(value, allow_nan=False, ensure_ascii=False, separators=(",", ":")).encode()


def from_json(document: bytes) -> dict[str, Any]:
    """The object of a field; an empty field is an empty object."""
    value: dict[str, Any] = json.loads(document) if document else {}
    return value
