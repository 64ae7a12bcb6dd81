"""Documents of a collection as ArangoDB keeps and orders them, and what the queries of the source select."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any, Final, TypeAlias

Json: TypeAlias = dict[str, Any]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_KEYS: Final = count(1_000_000)
_REVISIONS: Final = count()


@dataclass(slots=True)
class Collection:
    """Documents by key. A document is never changed in place, so that a query can keep what it began with."""

    name: str
    documents: dict[str, Json] = field(default_factory=dict)

    def put(self, document: Mapping[str, Any], *, at: datetime | None = None) -> Json:
        """Write a document with a new revision; `at` stands for the server's own time."""
        key = str(document.get("_key") or next(_KEYS))
        revision = _new_revision(time.time() if at is None else at.timestamp())
        stored = {**document, "_key": key, "_id": f"{self.name}/{key}", "_rev": revision}
        self.documents[key] = stored
        return stored

    def remove(self, key: str) -> None:
        """Delete a document without a trace."""
        self.documents.pop(key, None)


def _new_revision(seconds: float) -> str:
    """Milliseconds and a counter, spelled so that their order as text is not that of time."""
    return f"{next(_REVISIONS):06x}{round(seconds * 1000):012x}"


def revision_time(revision: str) -> str:
    """What DECODE_REV gives as date."""
    moment = _EPOCH + timedelta(milliseconds=int(revision[-12:], 16))
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"


def ordered(value: Any) -> tuple[Any, ...]:
    """A value's place in ArangoDB's order: null, booleans, numbers, texts, lists, objects; texts by a collation."""
    if value is None:
        return (0,)
    if isinstance(value, bool):
        return (1, value)
    if isinstance(value, (int, float)):
        return (2, value)
    if isinstance(value, str):
        return (3, value.casefold(), value.swapcase())
    if isinstance(value, list):
        return (4, *map(ordered, value))
    return (5, *(part for name in sorted(value) for part in (ordered(name), ordered(value[name]))))


def value_at(document: Any, path: str | list[str]) -> Any:
    """What `doc.@path` gives."""
    for part in [path] if isinstance(path, str) else path:
        document = document.get(part) if isinstance(document, dict) else None
    return document


def select(documents: Iterable[Json], bind: Json) -> list[Json]:
    """What CHANGED, CHANGED_BY_REVISION and UNDATED give, by which variables are bound."""

    def time_of(document: Json) -> Any:
        return value_at(document, bind["updated"]) if "updated" in bind else revision_time(document["_rev"])

    def place(document: Json) -> tuple[Any, ...]:
        return (() if "lowest" in bind else ordered(time_of(document)), ordered(document["_key"]))

    since, until, after = (ordered(bind.get(name)) for name in ("since", "until", "after"))
    lowest = ordered(bind.get("lowest"))

    def is_wanted(document: Json) -> bool:
        at = ordered(time_of(document))
        if "lowest" in bind:
            return (at < lowest or at > until) and ordered(document["_key"]) > after
        return since <= at <= until and (at > since or ordered(document["_key"]) > after)

    found = sorted(filter(is_wanted, documents), key=place)[: bind["most"]]
    return [
        {
            "at": None if "lowest" in bind else time_of(document),
            "key": document["_key"],
            "doc": _unset(document, bind["without"]) if bind["whole"] else None,
        }
        for document in found
    ]


def _unset(document: Json, names: Iterable[str]) -> Json:
    left_out = set(names)
    return {name: value for name, value in document.items() if name not in left_out}


def profile_document(number: int, at: str) -> Json:
    """A customer as LEO CDP writes one."""
    return {
        "_key": f"p{number}",
        "crmRefId": f"CRM-{number}",
        "firstName": "Lan",
        "lastName": f"Nguyễn {number}",
        "primaryEmail": f"customer{number}@example.com",
        "primaryPhone": f"+8491{number:07d}",
        "livingLocation": "Hà Nội",
        "jobTitles": ["engineer"],
        "personalInterests": ["funds", "travel"],
        "visitorId": f"v{number}",
        "password": "d3b0738",
        "status": 1,
        "totalCLV": number * 1.5,
        "createdAt": at,
        "updatedAt": at,
    }
