"""Long lists in parts: the caller gets an opaque token that says after which key to go on. Pure.

Lists are read by key (`where key > last`), so a page costs the same however far down the list it is, and rows
that are added or removed meanwhile shift nothing.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Generic, TypeAlias, TypeVar

import orjson

from server.errors import FieldViolation, InvalidInput

Key: TypeAlias = tuple[str | int, ...]
Item = TypeVar("Item")

_DEFAULT_SIZE: Final = 100
_LARGEST_SIZE: Final = 1000
_LONGEST_TOKEN: Final = 4096
_LARGEST_NUMBER: Final = 2**31 - 1


@dataclass(frozen=True, slots=True)
class PageRequest:
    """Which part of a list is wanted.

    Args:
        size: how many items at most; 0 means 100.
        token: `next_token` of the page before; empty for the first page.
    """

    size: int = 0
    token: str = ""


@dataclass(frozen=True, slots=True)
class Page(Generic[Item]):
    """One part of a list, and the token of the next one; empty on the last page."""

    items: tuple[Item, ...]
    next_token: str


@dataclass(frozen=True, slots=True)
class Cursor:
    """A checked request for a page.

    Args:
        after: the key that the page begins after.
        size: how many items the page holds.
        listing: what is listed, with its filters; a token serves only the list that it came from.
    """

    after: Key
    size: int
    listing: str

    @property
    def limit(self) -> int:
        """How many rows to read: one more than the page, to know whether there is a next one."""
        return self.size + 1

    def token(self, key: Key) -> str:
        """What goes on after this key, also where the page ends before it was full."""
        return _encode(self.listing, key)

    def page(self, rows: Sequence[Item], key: Callable[[Item], Key]) -> Page[Item]:
        """The page out of at most `limit` rows."""
        items = tuple(rows[: self.size])
        more = len(rows) > self.size
        return Page(items, _encode(self.listing, key(items[-1])) if more else "")


def open_cursor(request: PageRequest, *, listing: Sequence[str], first: Key) -> Cursor:
    """Check a request for a page.

    Args:
        listing: name of the list and the values of its filters.
        first: a key before every row; its types are those of every key of the list.

    Raises:
        InvalidInput: the size is out of range, or the token is not from this list.
    """
    if not 0 <= request.size <= _LARGEST_SIZE:
        raise InvalidInput([FieldViolation("page.page_size", f"must be 0 to {_LARGEST_SIZE}")])
    name = hashlib.sha256(orjson.dumps(list(listing))).hexdigest()[:16]
    after = _decode(request.token, name, first) if request.token else first
    return Cursor(after=after, size=request.size or _DEFAULT_SIZE, listing=name)


def _encode(listing: str, key: Key) -> str:
    return base64.urlsafe_b64encode(orjson.dumps([listing, *key])).decode().rstrip("=")


def _decode(token: str, listing: str, first: Key) -> Key:
    key = _parts(token)[1:] if _parts(token)[:1] == (listing,) else ()
    if tuple(type(part) for part in key) != tuple(type(part) for part in first) or not all(map(_sound, key)):
        raise InvalidInput(
            [FieldViolation("page.page_token", "is not a next_page_token of this list with these filters")]
        )
    return key


def _parts(token: str) -> Key:
    """What the token holds; nothing where it is no token."""
    if len(token) > _LONGEST_TOKEN:
        return ()
    try:
        parts = orjson.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
    except (binascii.Error, orjson.JSONDecodeError, ValueError):
        return ()
    return tuple(parts) if isinstance(parts, list) else ()


def _sound(part: str | int) -> bool:
    """Whether the database can compare with it: tokens are opaque, not secret, so anyone can make one up."""
    return "\x00" not in part if isinstance(part, str) else abs(part) <= _LARGEST_NUMBER
