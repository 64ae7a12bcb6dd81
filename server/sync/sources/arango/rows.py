"""Rows of the queries, and what each says of a customer. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from server.mapping.values import value_at
from server.sync.sources.arango.settings import Tombstone
from server.sync.sources.source import Change


class NotARow(Exception):
    """An answer has something in it that was not asked for."""


class Row(NamedTuple):
    """One document as it was found.

    Args:
        at: the time of its last change, as it stands there; anything, where that is none.
        document: what it says; None where only its key was asked for.
    """

    at: Any
    key: str
    document: Any


def row_of(item: Any) -> Row:
    """A row of an answer.

    Raises:
        NotARow: it is none.
    """
    if not isinstance(item, dict) or not isinstance(item.get("key"), str):
        raise NotARow
    return Row(item.get("at"), item["key"], item.get("doc"))


def change_of(row: Row, tombstone: Tombstone | None) -> Change:
    """What a row says; a document that is too large to be read is rejected, and so is one that is no object."""
    if row.document is None:
        return Change({"_key": row.key}, fault="TOO_LARGE")
    if not isinstance(row.document, dict):
        return Change({"_key": row.key}, fault="NOT_A_DOCUMENT")
    return Change(row.document, deleted=tombstone is not None and _is_dead(row.document, tombstone))


def _is_dead(document: Mapping[str, Any], tombstone: Tombstone) -> bool:
    said = value_at(document, tombstone.attribute)
    return any(
        said == value and isinstance(said, bool) == isinstance(value, bool) for value in tombstone.values
    )
