"""Thresholds of one kind on one symbol, sorted: what a price passes is a slice."""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from typing import TypeAlias

Rung: TypeAlias = tuple[int, bytes, int]
"""A threshold, the key of its rule (16 bytes of tenant, 32 of rule id), the rule's generation."""

_SORT_FROM = 8


class Ladder:
    """Rungs in the order of threshold, then key. About 120 bytes a rung, most of them the key."""

    __slots__ = ("generations", "keys", "thresholds")

    def __init__(self) -> None:
        self.thresholds = array("q")
        self.keys: list[bytes] = []
        self.generations = array("q")

    def __len__(self) -> int:
        return len(self.thresholds)

    def put(self, threshold: int, key: bytes, generation: int) -> None:
        """Add a rung, or renew its generation. O(log n), and a move of memory."""
        place, found = self._find(threshold, key)
        if found:
            self.generations[place] = generation
            return
        self.thresholds.insert(place, threshold)
        self.keys.insert(place, key)
        self.generations.insert(place, generation)

    def put_all(self, rungs: Iterable[Rung]) -> None:
        """Add many; a large number is sorted once."""
        given = list(rungs)
        if len(given) < _SORT_FROM:
            for rung in given:
                self.put(*rung)
            return
        merged = {(t, k): g for t, k, g in zip(self.thresholds, self.keys, self.generations, strict=True)}
        merged.update({(threshold, key): generation for threshold, key, generation in given})
        ordered = sorted(merged)
        self.thresholds = array("q", [threshold for threshold, _ in ordered])
        self.keys = [key for _, key in ordered]
        self.generations = array("q", [merged[rung] for rung in ordered])

    def remove(self, threshold: int, key: bytes) -> None:
        """Take a rung away, where it is there."""
        place, found = self._find(threshold, key)
        if found:
            self.cut(place, place + 1)

    def cut(self, start: int, stop: int) -> None:
        """Take a slice away."""
        del self.thresholds[start:stop]
        del self.keys[start:stop]
        del self.generations[start:stop]

    def _find(self, threshold: int, key: bytes) -> tuple[int, bool]:
        start = bisect_left(self.thresholds, threshold)
        stop = bisect_right(self.thresholds, threshold, start)
        place = bisect_left(self.keys, key, start, stop)
        return place, place < stop and self.keys[place] == key
