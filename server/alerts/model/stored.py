"""Rules as they are read from the database, and how books come to hold them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple, TypeVar
from uuid import UUID

from server.alerts.model.book import Book
from server.alerts.model.ladder import Rung
from server.alerts.model.logic import Direction, Operator
from server.alerts.model.watch import Watch

PLAIN: Final = frozenset({Operator.ABOVE, Operator.BELOW, Operator.CROSSES})
"""The operators whose rules, without modifiers, stand in the ladders of their book."""

BookName = TypeVar("BookName")


class StoredRule(NamedTuple):
    """A rule as the engine reads it; a million of them are made at a start.

    Args:
        price_nanos: of a plain operator; else 0.
        active: false takes it away.
        watch: a rule that is not plain, with its terms and runtime; None for one that is.
    """

    tenant_id: UUID
    rule_id: str
    operator: Operator
    direction: Direction | None
    price_nanos: int
    generation: int
    active: bool = True
    watch: Watch | None = None

    @property
    def key(self) -> bytes:
        """Tenant and rule id, which name it everywhere."""
        return self.tenant_id.bytes + bytes.fromhex(self.rule_id)

    def apply_to(self, book: Book) -> None:
        """Make the book hold the rule as it is now, or not."""
        key = self.key
        book.disturb()
        # Terms may have changed: a plain rule may have become another one, or the other way round.
        book.unwatch(key)
        if self.operator in PLAIN:
            ladder = book.ladder(self.operator, self.direction)
            if self.active and self.watch is None:
                ladder.put(self.price_nanos, key, self.generation)
            else:
                ladder.remove(self.price_nanos, key)
        if self.active and self.watch is not None:
            book.watch(self.watch)


def fill(books: Mapping[BookName, Book], rules: Iterable[tuple[BookName, StoredRule]]) -> None:
    """Put many active rules into their books, each ladder sorted once.

    Args:
        rules: each with the name that its book has in `books`.
    """
    # Names hold a UUID, whose hash is slow: each is looked up once.
    by_book: dict[BookName, list[StoredRule]] = {}
    for name, rule in rules:
        by_book.setdefault(name, []).append(rule)
    for name, given in by_book.items():
        _fill(books[name], given)


def _fill(book: Book, rules: Iterable[StoredRule]) -> None:
    rungs: dict[tuple[Operator, Direction | None], list[Rung]] = {}
    for rule in rules:
        if rule.watch is not None:
            rule.apply_to(book)
        else:
            place = (rule.operator, rule.direction)
            rungs.setdefault(place, []).append((rule.price_nanos, rule.key, rule.generation))
    for (operator, direction), given in rungs.items():
        book.ladder(operator, direction).put_all(given)
