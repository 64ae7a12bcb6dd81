"""Attributes: what a rule may read, where each comes from and what kind it is."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from server.conditions.values import Kind
from server.conditions.windows import Window, is_window, parse_window

MAX_PATH_DEPTH = 8
MAX_SYMBOL_LENGTH = 64

COLUMNS = {
    "profile_id": Kind.TEXT,
    "ext_id": Kind.TEXT,
    "primary_email": Kind.TEXT,
    "mobile_number": Kind.TEXT,
    "living_location": Kind.TEXT,
    "language": Kind.TEXT,
    "time_zone": Kind.TEXT,
    "latitude": Kind.NUMBER,
    "longitude": Kind.NUMBER,
    "portfolio_risk_score": Kind.NUMBER,
    "identities": Kind.LIST,
    "job_titles": Kind.LIST,
    "interests": Kind.LIST,
    "data_labels": Kind.LIST,
    "source_updated_at": Kind.TIME,
    "created_at": Kind.TIME,
}
LOCATION = "location"
DOUBLE_COLUMNS = frozenset({"latitude", "longitude"})

_PERSONAL_COLUMNS = frozenset(
    {"primary_email", "mobile_number", "living_location", "latitude", "longitude", "identities", LOCATION}
)
_PERSONAL_WORDS = re.compile(r"e?mail|phone|mobile|address|location|latitude|longitude", re.IGNORECASE)

# A first character that is no digit keeps PostgreSQL from taking a key for an array index.
_KEY = re.compile(r"[^\W\d][\w-]{0,63}")
_UNREADABLE = {
    "segments": "is read through the attribute segment",
    "raw_attributes": "is read by the name inside it: profile.<name>",
    "segment_snapshots": "is not for rules: use the attribute segment",
    "portfolio_snapshot": "needs a path inside it: profile.portfolio_snapshot.<name>",
    "channel_addresses": "is not for rules: consent and address are checked by every decision",
    "interest_embedding": "is not for rules",
    "tenant_id": "is not for rules: a rule only ever sees its own tenant",
    "erased_at": "is not for rules: an erased profile is never selected",
    "updated_at": "is not for rules: it changes with every write, use source_updated_at",
}


class Source(StrEnum):
    """Where a value lives."""

    COLUMN = "column"
    DOCUMENT = "document"
    EVENT = "event"
    EVENT_TYPE = "event.type"
    EVENT_TIME = "event.occurred_at"
    SEGMENT = "segment"
    MARKET = "market"
    WINDOW = "window"


@dataclass(frozen=True, slots=True)
class Attribute:
    """One attribute of a rule.

    Args:
        name: its one spelling, as in the canonical rule.
        source: where the value lives.
        kind: its kind; None for JSON, whose kind is that of the rule's value.
        column: column of cdp_profiles or of market_snapshot, or empty.
        path: keys inside a JSON document, or the market symbol.
        window: the aggregate, when the source is one.
    """

    name: str
    source: Source
    kind: Kind | None
    column: str = ""
    path: tuple[str, ...] = ()
    window: Window | None = None

    @property
    def personal(self) -> bool:
        """Whether its values may identify a person, and must not be written into a reason."""
        if self.source is Source.COLUMN:
            return self.column in _PERSONAL_COLUMNS
        path = self.window.path if self.window else self.path
        return self.source is not Source.MARKET and any(_PERSONAL_WORDS.search(key) for key in path)


def parse_attribute(name: object) -> Attribute:
    """The attribute that a rule names.

    Raises:
        ValueError: what is wrong with the name, and which names there are.
    """
    if not isinstance(name, str):
        raise ValueError("must be a string")
    if name == "segment":
        return Attribute(name, Source.SEGMENT, Kind.LIST, "segments")
    if is_window(name):
        return _window(name)
    prefix, _, rest = name.partition(".")
    reader = {"profile": _profile, "event": _event, "market": _market}.get(prefix)
    if reader is None or not rest:
        raise ValueError(
            "must be profile.<name>, event.<name>, segment, market.<symbol>.price, "
            "market.<symbol>.change_percent, or a window such as count(purchase, 30d)"
        )
    return reader(name, rest)


def _window(name: str) -> Attribute:
    window = parse_window(name)
    if window.path:
        _keys(".".join(window.path))
    return Attribute(window.key, Source.WINDOW, window.kind, window=window)


def _profile(name: str, rest: str) -> Attribute:
    path = _keys(rest)
    if path[0] == "portfolio_snapshot" and len(path) > 1:
        return Attribute(name, Source.DOCUMENT, None, "portfolio_snapshot", path[1:])
    if path[0] in _UNREADABLE:
        raise ValueError(_UNREADABLE[path[0]])
    if path[0] != LOCATION and path[0] not in COLUMNS:
        return Attribute(name, Source.DOCUMENT, None, "raw_attributes", path)
    if len(path) > 1:
        raise ValueError(f"names nothing: profile.{path[0]} has no parts")
    return Attribute(name, Source.COLUMN, COLUMNS.get(path[0], Kind.POINT), path[0])


def _event(name: str, rest: str) -> Attribute:
    path = _keys(rest)
    if path == ("type",):
        return Attribute(name, Source.EVENT_TYPE, Kind.TEXT)
    if path == ("occurred_at",):
        return Attribute(name, Source.EVENT_TIME, Kind.TIME)
    return Attribute(name, Source.EVENT, None, path=path)


def _market(name: str, rest: str) -> Attribute:
    symbol, _, column = rest.rpartition(".")
    if column not in ("price", "change_percent") or not symbol:
        raise ValueError("must be market.<symbol>.price or market.<symbol>.change_percent")
    if len(symbol) > MAX_SYMBOL_LENGTH or not symbol.isprintable() or " " in symbol:
        raise ValueError(
            f"names a symbol that is no printable text of at most {MAX_SYMBOL_LENGTH} characters"
        )
    return Attribute(name, Source.MARKET, Kind.NUMBER, column, (symbol,))


def _keys(path: str) -> tuple[str, ...]:
    keys = tuple(path.split("."))
    if len(keys) > MAX_PATH_DEPTH:
        raise ValueError(f"must have at most {MAX_PATH_DEPTH} parts")
    if not all(_KEY.fullmatch(key) for key in keys):
        raise ValueError(
            "must have parts of at most 64 letters, digits, '_' and '-', each starting with a letter or '_'"
        )
    return keys
