"""What the forms of all providers are read with. Pure; whatever arrives, nothing here raises but `Refusal`."""

from __future__ import annotations

import hmac
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Final

import orjson

_LONGEST_ID: Final = 400
_CODE: Final = re.compile(r"[A-Za-z0-9_.-]{1,40}")
_REFERENCE: Final = re.compile(r"[0-9a-f]{32,64}")
_EARLIEST: Final = datetime(2000, 1, 1, tzinfo=UTC).timestamp()
_LATEST: Final = datetime(2200, 1, 1, tzinfo=UTC).timestamp()


class Refusal(Exception):
    """A request is not taken.

    Args:
        status: 401 where nothing shows that the provider sent it, 400 where it is not in the provider's form.
        reason: a code in capitals; it never repeats what arrived.
    """

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


def not_configured() -> Refusal:
    """The tenant has no account at this provider, or one without what verifies."""
    return Refusal(401, "WEBHOOK_NOT_CONFIGURED")


def check(presented: str, expected: str) -> None:
    """Compare in constant time.

    Raises:
        Refusal: nothing was presented, or something else.
    """
    if not presented:
        raise Refusal(401, "SIGNATURE_MISSING")
    if not hmac.compare_digest(presented.encode("utf-8", "replace"), expected.encode("utf-8", "replace")):
        raise Refusal(401, "SIGNATURE_INVALID")


def document(body: bytes, kind: type) -> Any:
    """The body as JSON of this kind.

    Raises:
        Refusal: it is none.
    """
    try:
        found = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise Refusal(400, "BODY_NOT_JSON") from None
    if not isinstance(found, kind):
        raise Refusal(400, "BODY_NOT_OF_THIS_PROVIDER")
    return found


def objects(found: Any) -> Iterator[Mapping[str, Any]]:
    """The objects of a list; nothing where there is none."""
    return (each for each in found if isinstance(each, dict)) if isinstance(found, list) else iter(())


def inner(found: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """An object inside; an empty one where there is none."""
    value = found.get(name)
    return value if isinstance(value, dict) else {}


def identifier(value: Any) -> str | None:
    """An id of the provider; None for what can be none."""
    text = _text(value)
    return text if text and len(text) <= _LONGEST_ID and text.isprintable() else None


def code(value: Any) -> str | None:
    """A short code of the provider; None for free text, which may name people."""
    text = _text(value)
    return text if _CODE.fullmatch(text) else None


def reference(value: Any) -> str | None:
    """Our own id of the delivery that the provider gives back; None for what can be none."""
    return value if isinstance(value, str) and _REFERENCE.fullmatch(value) else None


def moment(value: Any, *, unit: float = 1.0) -> datetime | None:
    """A time as a number, or as text with one; None for what is none.

    Args:
        unit: seconds of one.
    """
    text = _text(value)
    if not (text.isascii() and text.isdecimal() and len(text) <= 15):
        return None
    seconds = int(text) * unit
    return datetime.fromtimestamp(seconds, UTC) if _EARLIEST <= seconds < _LATEST else None


def details(**known: Any) -> dict[str, Any]:
    """What is recorded beside a receipt: without what is not known, times as text."""
    return {
        name: value.isoformat() if isinstance(value, datetime) else value
        for name, value in known.items()
        if value is not None
    }


def _text(value: Any) -> str:
    """A text, or a whole number as one."""
    if isinstance(value, bool):
        return ""
    return str(value) if isinstance(value, int) else value if isinstance(value, str) else ""
