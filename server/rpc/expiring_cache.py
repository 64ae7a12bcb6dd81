"""A bounded dictionary whose entries end at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

_Key = TypeVar("_Key")
_Value = TypeVar("_Value")


class ExpiringCache(Generic[_Key, _Value]):
    """Keeps at most `most_entries`; the oldest makes room for a new one.

    Args:
        most_entries: the bound.
        now: the clock that expiry times are compared with, in seconds.
    """

    def __init__(self, *, most_entries: int, now: Callable[[], float]) -> None:
        self._most_entries = most_entries
        self._now = now
        self._entries: dict[_Key, tuple[float, _Value]] = {}

    def get(self, key: _Key) -> _Value | None:
        """The value, or None when there is none or its time is over."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        if entry[0] <= self._now():
            del self._entries[key]
            return None
        return entry[1]

    def put(self, key: _Key, value: _Value, *, expires_at: float) -> None:
        """Keeps the value until `expires_at`, or until it has to make room."""
        self._entries.pop(key, None)
        if len(self._entries) >= self._most_entries:
            del self._entries[next(iter(self._entries))]
        self._entries[key] = (expires_at, value)

    def __len__(self) -> int:
        return len(self._entries)
