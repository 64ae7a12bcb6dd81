"""Checks of the caller's input that every slice needs. All faults are collected, then raised. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from datetime import UTC, datetime
from math import isfinite
from typing import Any, Final
from uuid import UUID

import orjson

from server.channels import CHANNELS
from server.errors import FieldViolation, InvalidInput

EARLIEST: Final = datetime(1990, 1, 1, tzinfo=UTC)
LATEST: Final = datetime(2200, 1, 1, tzinfo=UTC)
LARGEST_DOCUMENT: Final = 64 * 1024
_DEEPEST_DOCUMENT: Final = 32
_LARGEST_NUMBER: Final = 1e100
_IDENTIFIER: Final = re.compile(r"[A-Za-z0-9._:-]+")
_LANGUAGE: Final = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8}){0,3}")
# What a NUL and a number beyond `_LARGEST_NUMBER` look like in JSON, and some harmless things beside. One pattern for
# all takes four times as long.
_ESCAPED_NUL: Final = rb"\u0000"
_LIKE_LARGE_NUMBERS: Final = (re.compile(rb"[0-9][eE]"), re.compile(rb"[0-9]{90}"))
_FLAT: Final = frozenset({str, int, bool, type(None), float})
_SHA256: Final = re.compile(r"[0-9a-f]{64}")


class Violations:
    """The faults found so far, under one path of the request.

    Args:
        path: prefix of every field that is named from here on, e.g. `campaign`.
    """

    def __init__(self, path: str = "") -> None:
        self._path = path
        self._found: list[FieldViolation] = []

    @property
    def found(self) -> tuple[FieldViolation, ...]:
        """All faults, in the order in which they were found."""
        return tuple(self._found)

    def under(self, path: str) -> Violations:
        """The same collection, for a message inside this one."""
        inner = Violations(self._field(path))
        inner._found = self._found
        return inner

    def add(self, field: str, description: str) -> None:
        """Note one fault; an empty field is the path itself."""
        self._found.append(FieldViolation(field=self._field(field), description=description))

    def include(self, field: str, violations: Iterable[FieldViolation]) -> None:
        """Note the faults of a document whose paths are relative to the field."""
        for violation in violations:
            inner = violation.field.removeprefix("$").removeprefix(".")
            joint = "" if not field or not inner or inner.startswith("[") else "."
            self.add(f"{field}{joint}{inner}", violation.description)

    def raise_if_any(self) -> None:
        """Raises:
        InvalidInput: at least one fault was noted.
        """
        if self._found:
            raise InvalidInput(self._found)

    def text(self, field: str, value: str, *, maximum: int, required: bool = True) -> None:
        """Text of at most `maximum` characters, without NUL, and not blank where it is required."""
        if required and not value.strip():
            self.add(field, f"is required: 1 to {maximum} characters")
        elif len(value) > maximum:
            self.add(field, f"has {len(value)} characters; at most {maximum} are accepted")
        elif "\x00" in value:
            self.add(field, "must not contain NUL")

    def identifier(self, field: str, value: str, *, maximum: int = 100) -> None:
        """An id that the caller chose: letters, digits and `-_.:`."""
        if not value or len(value) > maximum or not _IDENTIFIER.fullmatch(value):
            self.add(field, f'must be 1 to {maximum} letters, digits, "-", "_", "." or ":"')

    def sha256(self, field: str, value: str) -> None:
        """An id of this server that is a hash."""
        if not _SHA256.fullmatch(value):
            self.add(field, "must be 64 lower-case hexadecimal digits, as a Put returned it")

    def uuid(self, field: str, value: str) -> UUID | None:
        """The UUID, or None with a fault noted."""
        try:
            parsed = UUID(value) if len(value) == 36 else None
        except ValueError:
            parsed = None
        if parsed is None:
            self.add(field, "must be a UUID in its 36-character form")
        return parsed

    def between(self, field: str, value: float, lowest: float, highest: float) -> None:
        """A number of a closed range; NaN and infinities lie in none."""
        if not lowest <= value <= highest:
            self.add(field, f"must be {lowest:,} to {highest:,}")

    def fraction(self, field: str, value: float) -> None:
        """A share of all: 0 up to but not 1, with at most four decimals; NaN is none."""
        if not (0 <= value < 1 and round(value, 4) == value):
            self.add(field, "must be at least 0 and less than 1, with at most four decimals")

    def one_of(self, field: str, value: str, accepted: Collection[str]) -> None:
        """One of a few words, in their exact spelling."""
        if value not in accepted:
            self.add(field, f"must be one of {', '.join(accepted)}")

    def channel(self, field: str, value: str) -> None:
        """A channel of the catalogue."""
        self.one_of(field, value, CHANNELS)

    def count(self, field: str, items: Sequence[object], *, lowest: int, highest: int) -> None:
        """A list of this many items."""
        if not lowest <= len(items) <= highest:
            self.add(field, f"has {len(items)} items; {lowest} to {highest:,} are accepted")

    def moment(self, field: str, value: datetime | None, *, latest: datetime = LATEST) -> None:
        """An instant from 1990 up to `latest`; None passes."""
        if value is not None and not EARLIEST <= value <= latest:
            self.add(field, f"must be from {EARLIEST:%Y-%m-%d} up to {latest:%Y-%m-%dT%H:%M:%SZ}")

    def period(self, start_at: datetime | None, end_at: datetime | None) -> None:
        """`start_at` and `end_at`, each optional, the end after the start."""
        self.moment("start_at", start_at)
        self.moment("end_at", end_at)
        if start_at is not None and end_at is not None and end_at <= start_at:
            self.add("end_at", "must be after start_at")

    def document(self, field: str, data: bytes, *, maximum: int = LARGEST_DOCUMENT) -> dict[str, Any]:
        """A JSON object that jsonb can hold; an empty one stands for no bytes, and for faulty ones."""
        fault = _document_fault(data, maximum)
        if fault is not None:
            self.add(field, fault)
            return {}
        return dict(orjson.loads(data)) if data else {}

    def _field(self, field: str) -> str:
        joint = "." if self._path and field and not field.startswith("[") else ""
        return f"{self._path}{joint}{field}"


def plain_document(data: bytes, *, maximum: int = LARGEST_DOCUMENT) -> dict[str, Any] | None:
    """The JSON object that `Violations.document` would accept, where its bytes alone tell so; an empty one for no
    bytes; None where it must be looked at more closely, or has a fault."""
    if len(data) > maximum:
        return None
    try:
        document = orjson.loads(data) if data else {}
    except orjson.JSONDecodeError:
        return None
    return document if type(document) is dict and _is_plain(data, document) else None


def normal_language(tag: str) -> str | None:
    """The BCP 47 tag in its usual case, e.g. "en-GB"; None where it is none."""
    if not _LANGUAGE.fullmatch(tag):
        return None
    first, *others = tag.split("-")
    return "-".join([first.lower(), *map(_usual_case, others)])


def _usual_case(subtag: str) -> str:
    if len(subtag) == 4 and subtag.isalpha():
        return subtag.title()
    return subtag.upper() if len(subtag) == 2 else subtag.lower()


def _document_fault(data: bytes, maximum: int) -> str | None:
    if not data:
        return None
    if len(data) > maximum:
        return f"has {len(data)} bytes; at most {maximum} are accepted"
    try:
        document = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        return f"is not JSON in UTF-8 (line {error.lineno}, column {error.colno})"
    if not isinstance(document, dict):
        return "must be a JSON object"
    return None if _is_plain(data, document) else _unstorable(document, 0)


def _is_plain(data: bytes, document: dict[str, Any]) -> bool:
    """Whether the document can surely be stored, told without walking through it: the usual cases."""
    if _ESCAPED_NUL in data:
        return False
    values = document.values()
    kinds = set(map(type, values))
    if kinds <= _FLAT:
        return float not in kinds or all(
            abs(each) < _LARGEST_NUMBER for each in values if type(each) is float
        )
    if data.count(b"{") + data.count(b"[") > _DEEPEST_DOCUMENT:
        return False
    return not any(pattern.search(data) for pattern in _LIKE_LARGE_NUMBERS)


def _unstorable(value: object, depth: int) -> str | None:
    """Why jsonb could not hold the value, or not give it back as it came; None when it can."""
    if depth > _DEEPEST_DOCUMENT:
        return f"is nested deeper than {_DEEPEST_DOCUMENT} levels"
    if isinstance(value, str):
        return "must not contain NUL" if "\x00" in value else None
    if isinstance(value, float):
        return None if isfinite(value) and abs(value) < _LARGEST_NUMBER else "has a number that is too large"
    inner = [*value.keys(), *value.values()] if isinstance(value, dict) else value
    if not isinstance(inner, list):
        return None
    return next((fault for item in inner if (fault := _unstorable(item, depth + 1)) is not None), None)
