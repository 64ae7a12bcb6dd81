"""The highest, or the lowest, of what came lately, found at once: what was surpassed is not kept."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from typing import Literal

Sign = Literal[1, -1]


class Extremes:
    """Values at places that grow (days, slices of time), without those that a later one reaches or surpasses.

    Args:
        sign: 1 for the highest, -1 for the lowest.
        entries: place and value, as `document` gave them.
    """

    __slots__ = ("_keys", "_places", "_sign")

    def __init__(self, sign: Sign, entries: Iterable[tuple[int, int]] = ()) -> None:
        self._sign = sign
        self._places: list[int] = []
        # Ascending, so that they can be searched: what is more extreme is smaller, and stands earlier.
        self._keys: list[int] = []
        for place, value in entries:
            self._places.append(place)
            self._keys.append(-sign * value)

    def __bool__(self) -> bool:
        return bool(self._places)

    @property
    def places(self) -> tuple[int, ...]:
        """Where the values that are kept came, the latest last."""
        return tuple(self._places)

    def copy(self) -> Extremes:
        """One that changes on its own."""
        other = Extremes(self._sign)
        other._places, other._keys = self._places.copy(), self._keys.copy()
        return other

    def push(self, place: int, value: int) -> None:
        """A value at the latest place, or at one behind it. O(1) in the long run."""
        key, places, keys = -self._sign * value, self._places, self._keys
        while keys and keys[-1] >= key:
            places.pop()
            keys.pop()
        if not places or places[-1] != place:
            places.append(place)
            keys.append(key)

    def forget(self, before: int) -> None:
        """Drop what came before a place."""
        if self._places and self._places[0] < before:
            start = bisect_left(self._places, before)
            del self._places[:start]
            del self._keys[:start]

    def since(self, place: int) -> int | None:
        """The extreme of this place and those behind it; None where there is none."""
        start = bisect_left(self._places, place)
        return -self._sign * self._keys[start] if start < len(self._keys) else None

    def reached(self, value: int) -> int | None:
        """The latest place whose value is as extreme as this one or more; None where this one surpasses all."""
        stop = bisect_right(self._keys, -self._sign * value)
        return self._places[stop - 1] if stop else None

    def document(self) -> list[list[int]]:
        """As it is stored."""
        return [[place, -self._sign * key] for place, key in zip(self._places, self._keys, strict=True)]
