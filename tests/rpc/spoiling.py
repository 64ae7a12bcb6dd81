"""Spoils requests: from a good message to every bad one that its descriptor allows."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from leo.activation.v1 import options_pb2

_DEEPEST: Final = 4
_TEN_MEGABYTES: Final = 10 * 1024 * 1024
_FLOATS: Final = (FieldDescriptor.TYPE_DOUBLE, FieldDescriptor.TYPE_FLOAT)
_WHOLE: Final = {
    FieldDescriptor.TYPE_INT32: (-(2**31), -1, 2**31 - 1),
    FieldDescriptor.TYPE_INT64: (-(2**63), -1, 2**63 - 1),
    FieldDescriptor.TYPE_UINT32: (2**32 - 1,),
    FieldDescriptor.TYPE_UINT64: (2**64 - 1,),
}
_BROKEN_JSON: Final = (
    b"{",
    b"[1]",
    b'"text"',
    b"\xff{}",
    b'{"a": NaN}',
    b'{"a": "\\u0000"}',
    b'{"\\u0000": 1}',
)


@dataclass(frozen=True)
class Spoiled:
    """A bad request.

    Args:
        what: what is wrong with it, and where.
        message: the request.
        answered_each: whether the fault is in an item that is answered on its own, inside an OK.
    """

    what: str
    message: Message
    answered_each: bool


def spoiled(good: Message) -> Iterator[Spoiled]:
    """Every way to break what no request may break."""
    return _spoiled(good, _bad_values, depth=0)


def stretched(good: Message) -> Iterator[Spoiled]:
    """Every number at the ends of its range; some of these may be good."""
    return _spoiled(good, _extreme_values, depth=0)


def _spoiled(good: Message, values: Any, *, depth: int) -> Iterator[Spoiled]:
    for field in good.DESCRIPTOR.fields:
        each = bool(field.GetOptions().Extensions[options_pb2.answered_each])
        for what, bad in _field_spoiled(good, field, values, depth):
            yield Spoiled(f"{field.name}{what.what}", bad, each or what.answered_each)


def _field_spoiled(
    good: Message, field: FieldDescriptor, values: Any, depth: int
) -> Iterator[tuple[Spoiled, Message]]:
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        return
    if field.message_type is None:
        for name, value in values(field):
            yield Spoiled(f" = {name}", good, False), _with(good, field, value)
    elif depth < _DEEPEST:
        for child in _spoiled(_child(good, field), values, depth=depth + 1):
            yield Spoiled(f".{child.what}", good, child.answered_each), _with(good, field, child.message)


def _child(good: Message, field: FieldDescriptor) -> Message:
    """The field's own value, the first of several, or an empty one."""
    value = getattr(good, field.name)
    if not field.is_repeated:
        child: Message = value
        return child
    return value[0] if value else getattr(type(good)(), field.name).add()  # type: ignore[no-any-return]


def _with(good: Message, field: FieldDescriptor, value: Any) -> Message:
    copy = type(good)()
    copy.CopyFrom(good)
    if field.is_repeated:
        copy.ClearField(field.name)
        getattr(copy, field.name).append(value)
    elif field.message_type is not None:
        getattr(copy, field.name).CopyFrom(value)
        getattr(copy, field.name).SetInParent()
    else:
        setattr(copy, field.name, value)
    return copy


def _bad_values(field: FieldDescriptor) -> Iterator[tuple[str, Any]]:
    if field.type == FieldDescriptor.TYPE_STRING:
        yield "NUL", "a\0b"
        yield "10 MB", "x" * _TEN_MEGABYTES
    elif field.type in _FLOATS:
        for number in (math.nan, math.inf, -math.inf):
            yield str(number), number
    elif field.enum_type is not None:
        yield "unknown enum", 4711
    elif field.type == FieldDescriptor.TYPE_BYTES:
        if field.GetOptions().Extensions[options_pb2.json]:
            yield from ((f"broken JSON {document!r}", document) for document in _BROKEN_JSON)
        yield "10 MB", b" " * _TEN_MEGABYTES
    elif field.containing_type.full_name == "google.protobuf.Timestamp":
        # One second before 1970 is a good time; a nanosecond before a second is not.
        values = (value for value in _WHOLE[field.type] if field.name == "nanos" or value != -1)
        yield from ((f"out of range {value}", value) for value in values)


def _extreme_values(field: FieldDescriptor) -> Iterator[tuple[str, Any]]:
    if field.enum_type is None:
        yield from ((str(value), value) for value in _WHOLE.get(field.type, ()))
