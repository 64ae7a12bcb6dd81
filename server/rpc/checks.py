"""What holds for every request, whatever its method: checked before a servicer sees it.

Text has no NUL (PostgreSQL can not hold one) and, like bytes, at most 1 MiB; numbers are finite; enum numbers
are known; timestamps and durations are in range; bytes marked `json` are one JSON object. Checks of a type
are compiled from its descriptor once; types and fields without anything to check cost nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from math import isfinite
from typing import Any, Final, TypeAlias

import orjson
from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor
from google.protobuf.message import Message
from leo.activation.v1 import options_pb2

from server.errors import FieldViolation

LONGEST_TEXT_BYTES: Final = 1024 * 1024
"""No string and no bytes field of a request may be longer."""

Violations: TypeAlias = Sequence[FieldViolation]
MessageCheck: TypeAlias = Callable[[Any], Violations]
_ValueTest: TypeAlias = Callable[[Any], str | None]
_NONE: Final[Violations] = ()
_FLOATS: Final = (FieldDescriptor.TYPE_DOUBLE, FieldDescriptor.TYPE_FLOAT)


def violations_in(message: Message) -> Violations:
    """The violations of one item of a field that is `answered_each`; paths are relative to the item."""
    return check_of(message.DESCRIPTOR, text=True)(message)


@cache
def check_of(descriptor: Descriptor, *, text: bool) -> MessageCheck:
    """The compiled check of a message type.

    Args:
        text: whether to look into text as well; not needed where the raw bytes are short and have no NUL.
    """
    special = _SPECIAL.get(descriptor.full_name)
    if special is not None:
        return special
    return _MessageCheck(descriptor, text=text)


class _MessageCheck:
    """Calls the checks of the fields that have any; compiled at first use, since types may be recursive."""

    def __init__(self, descriptor: Descriptor, *, text: bool) -> None:
        self._descriptor = descriptor
        self._text = text
        self._fields: list[MessageCheck] | None = None

    def __call__(self, message: Any) -> Violations:
        fields = self._fields
        if fields is None:
            fields = self._fields = _field_checks(self._descriptor, text=self._text)
        found: list[FieldViolation] = []
        for check in fields:
            found.extend(check(message))
        return found


def _field_checks(descriptor: Descriptor, *, text: bool) -> list[MessageCheck]:
    checks = (_field_check(field, text=text) for field in descriptor.fields)
    return [check for check in checks if check is not None]


def _field_check(field: FieldDescriptor, *, text: bool) -> MessageCheck | None:
    if field.GetOptions().Extensions[options_pb2.answered_each]:
        return None
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        return _map_check(field.name, field.message_type, text=text)
    if field.message_type is not None:
        return _child_check(field, text=text) if _has_checks(field.message_type, text=text) else None
    test = _test_of(field, text=text)
    if test is None:
        return None
    if not field.is_repeated:
        return _value_check(field.name, test)
    check = _repeated_check(field.name, test)
    return _texts_check(field.name, check) if test is _test_text else check


def _has_checks(descriptor: Descriptor, *, text: bool) -> bool:
    """Whether anything below is checked."""
    seen: set[str] = set()
    waiting = [descriptor]
    while waiting:
        current = waiting.pop()
        if current.full_name in _SPECIAL:
            return True
        if current.full_name not in seen:
            seen.add(current.full_name)
            if any(_test_of(field, text=text) for field in current.fields):
                return True
            waiting.extend(field.message_type for field in current.fields if field.message_type)
    return False


def _test_of(field: FieldDescriptor, *, text: bool) -> _ValueTest | None:
    """The test of a field's single value, or None when every value is good."""
    if field.type in _FLOATS:
        return _test_finite
    if field.enum_type is not None:
        return _enum_test(field.enum_type)
    if field.type == FieldDescriptor.TYPE_BYTES and field.GetOptions().Extensions[options_pb2.json]:
        return _test_json
    if text and field.type == FieldDescriptor.TYPE_STRING:
        return _test_text
    if text and field.type == FieldDescriptor.TYPE_BYTES:
        return _test_length
    return None


def _value_check(name: str, test: _ValueTest) -> MessageCheck:
    def check(message: Any) -> Violations:
        description = test(getattr(message, name))
        return _NONE if description is None else (FieldViolation(name, description),)

    return check


def _repeated_check(name: str, test: _ValueTest) -> MessageCheck:
    def check(message: Any) -> Violations:
        described = ((position, test(value)) for position, value in enumerate(getattr(message, name)))
        return [FieldViolation(f"{name}[{position}]", text) for position, text in described if text]

    return check


def _texts_check(name: str, check: MessageCheck) -> MessageCheck:
    """Many short texts are looked at as one; only where that has a fault, or is long, each of them is."""

    def check_all(message: Any) -> Violations:
        return check(message) if _test_text("".join(getattr(message, name))) else _NONE

    return check_all


def _child_check(field: FieldDescriptor, *, text: bool) -> MessageCheck:
    name, child = field.name, check_of(field.message_type, text=text)

    def check_one(message: Any) -> Violations:
        return _under(name, child(getattr(message, name))) if message.HasField(name) else _NONE

    def check_each(message: Any) -> Violations:
        found: list[FieldViolation] = []
        for position, item in enumerate(getattr(message, name)):
            violations = child(item)
            if violations:
                found.extend(_under(f"{name}[{position}]", violations))
        return found

    return check_each if field.is_repeated else check_one


def _map_check(name: str, entry: Descriptor, *, text: bool) -> MessageCheck | None:
    key_field, value_field = (entry.fields_by_name[part] for part in ("key", "value"))
    key_test, value_test = _test_of(key_field, text=text), _test_of(value_field, text=text)
    child = check_of(value_field.message_type, text=text) if value_field.message_type else None
    if key_test is None and value_test is None and child is None:
        return None

    def check(message: Any) -> Violations:
        found: list[FieldViolation] = []
        entries = getattr(message, name)
        for key in entries:
            if key_test is not None and (fault := key_test(key)):
                found.append(FieldViolation(name, f"a key {fault}"))
            if value_test is not None and (fault := value_test(entries[key])):
                found.append(FieldViolation(f"{name}[{key!r:.60}]", fault))
            if child is not None:
                found.extend(_under(f"{name}[{key!r:.60}]", child(entries[key])))
        return found

    return check


def _under(parent: str, violations: Violations) -> Violations:
    """The violations of a child, with paths that begin at the parent; an empty path is the parent itself."""
    return [FieldViolation(f"{parent}.{v.field}" if v.field else parent, v.description) for v in violations]


def _test_finite(value: float) -> str | None:
    return None if isfinite(value) else "must be a finite number"


def _test_text(value: str) -> str | None:
    if "\0" in value:
        return "must not contain the character NUL"
    # A character takes at most four bytes, so short text needs no encoding to be measured.
    if len(value) * 4 > LONGEST_TEXT_BYTES and len(value.encode()) > LONGEST_TEXT_BYTES:
        return f"must be at most {LONGEST_TEXT_BYTES} bytes of UTF-8"
    return None


def _test_length(value: bytes) -> str | None:
    return None if len(value) <= LONGEST_TEXT_BYTES else f"must be at most {LONGEST_TEXT_BYTES} bytes"


def _test_json(value: bytes) -> str | None:
    """Empty stands for no object."""
    if not value:
        return None
    if len(value) > LONGEST_TEXT_BYTES:
        return _test_length(value)
    try:
        document = orjson.loads(value)
    except orjson.JSONDecodeError:
        return "must be JSON in UTF-8"
    if not isinstance(document, dict):
        return "must be a JSON object"
    if b"\\u0000" in value and _holds_nul(document):
        return "must not contain the character NUL"
    return None


def _holds_nul(value: object) -> bool:
    waiting = [value]
    while waiting:
        current = waiting.pop()
        if isinstance(current, str) and "\0" in current:
            return True
        if isinstance(current, dict):
            waiting.extend(current.keys())
            waiting.extend(current.values())
        elif isinstance(current, list):
            waiting.extend(current)
    return False


def _enum_test(descriptor: EnumDescriptor) -> _ValueTest:
    numbers = frozenset(descriptor.values_by_number)
    description = f"is no value of {descriptor.name}"

    def test(value: int) -> str | None:
        return None if value in numbers else description

    return test


def _timestamp_check(value: Any) -> Violations:
    if -62_135_596_800 <= value.seconds <= 253_402_300_799 and 0 <= value.nanos <= 999_999_999:
        return _NONE
    return (FieldViolation("", "must be between the years 1 and 9999, with nanos of 0 to 999999999"),)


def _duration_check(value: Any) -> Violations:
    same_sign = value.seconds == 0 or value.nanos == 0 or (value.seconds > 0) == (value.nanos > 0)
    if abs(value.seconds) <= 315_576_000_000 and abs(value.nanos) <= 999_999_999 and same_sign:
        return _NONE
    return (FieldViolation("", "must be within 10,000 years, with seconds and nanos of one sign"),)


_SPECIAL: Final[dict[str, MessageCheck]] = {
    "google.protobuf.Timestamp": _timestamp_check,
    "google.protobuf.Duration": _duration_check,
}
