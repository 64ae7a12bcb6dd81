"""The words of a comparison: its subject, its verb, its operand and the value that was found."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal

from server.conditions.attributes import Attribute, Source
from server.conditions.model import Comparison
from server.conditions.values import Circle, write_duration, write_time
from server.conditions.windows import Window

HIDDEN = "[hidden]"
_UNITS = {"d": "day", "h": "hour", "m": "minute", "s": "second"}
MAX_SHOWN_TEXT = 64
MAX_SHOWN_MEMBERS = 5
_UNREADABLY_LARGE = Decimal("1e21")

_VERBS = {
    "==": ("is", "is not"),
    "!=": ("is not", "is"),
    "<": ("<", "is not <"),
    "<=": ("≤", "is not ≤"),
    ">": (">", "is not >"),
    ">=": ("≥", "is not ≥"),
    "between": ("is between", "is not between"),
    "in": ("is one of", "is not one of"),
    "not_in": ("is not one of", "is one of"),
    "contains": ("contains", "does not contain"),
    "contains_any": ("contains one of", "contains none of"),
    "starts_with": ("starts with", "does not start with"),
    "ends_with": ("ends with", "does not end with"),
    "glob": ("matches", "does not match"),
    "within_km": ("is within", "is not within"),
    "before": ("is before", "is not before"),
    "after": ("is after", "is not after"),
    "older_than": ("is older than", "is not older than"),
}
_PLURAL_VERBS = {
    "contains": "contain",
    "does not contain": "do not contain",
    "contains one of": "contain one of",
    "contains none of": "contain none of",
}
_NEVER_QUOTED = frozenset({"contains", "contains_any", "exists", "within_km"})

# What looks like an address or a telephone number is one, whatever the attribute is called.
_ADDRESS = re.compile(r"[^\s@]+@[^\s@]+")
# Any other text is quoted, so that a reader sees where it begins and ends.
_ONE_WORD = re.compile(r"[^\s',()]+")
_TELEPHONE = re.compile(r"(?!\d{4}-\d{2}-\d{2})\+?\d(?:[ ().-]*\d){7,}")


def subject_of(attribute: Attribute) -> str:
    """What the comparison is about, e.g. `basket`, `profile country`, `30-day count of purchase`."""
    match attribute.source:
        case Source.SEGMENT:
            return "segments"
        case Source.EVENT:
            return _spaced(attribute.path)
        case Source.MARKET:
            return f"{attribute.path[0]} {_spaced((attribute.column,))}"
        case Source.WINDOW if attribute.window:
            return _window_subject(attribute.window)
    return _spaced(tuple(attribute.name.split(".")))


def missing_words(attribute: Attribute) -> str:
    """That there is no such value."""
    return f"{subject_of(attribute)} {'are' if attribute.source is Source.SEGMENT else 'is'} missing"


def _window_subject(window: Window) -> str:
    subject = _spaced((window.event_type, *window.path))
    if window.duration is None:
        return f"last {subject}"
    name = {"count": "count of", "sum": "sum of", "max": "highest"}[window.function]
    count, unit = _counted(window.duration)
    return f"{count}-{unit} {name} {subject}"


def _counted(duration: timedelta) -> tuple[int, str]:
    """How many of which unit, e.g. 30 of "day"."""
    written = write_duration(duration)
    return int(written[:-1]), _UNITS[written[-1]]


def _duration(duration: timedelta) -> str:
    count, unit = _counted(duration)
    return f"{count} {unit}{'' if count == 1 else 's'}"


def _spaced(keys: tuple[str, ...]) -> str:
    return " ".join(keys).replace("_", " ")


def verb_of(leaf: Comparison, *, holds: bool) -> str:
    """What the comparison says of its subject, or the opposite."""
    if leaf.operator == "exists":
        return "is present" if leaf.operand is holds else "is missing"
    verb = _VERBS[leaf.operator][0 if holds else 1]
    return _PLURAL_VERBS.get(verb, verb) if leaf.attribute.source is Source.SEGMENT else verb


def operand_words(leaf: Comparison, *, private: bool) -> str:
    """The rule's value.

    Args:
        leaf: the comparison.
        private: hide values that may identify a person.
    """
    if leaf.operator == "exists":
        return ""
    hide = private and leaf.attribute.personal and not isinstance(leaf.operand, Circle)
    return HIDDEN if hide else _operand(leaf, private=private)


def _operand(leaf: Comparison, *, private: bool) -> str:
    match leaf.operand:
        case Circle(latitude, longitude, km):
            return f"{km:g} km of {latitude:g}, {longitude:g}"
        case timedelta():
            return _duration(leaf.operand)
        case tuple() if leaf.operator == "between":
            return " and ".join(_shown(end, private=private) for end in leaf.operand)
        case tuple():
            return _members(leaf.operand, private=private)
    return _shown(leaf.operand, private=private)


def _members(members: tuple[object, ...], *, private: bool) -> str:
    shown = ", ".join(_shown(member, private=private) for member in members[:MAX_SHOWN_MEMBERS])
    more = len(members) - MAX_SHOWN_MEMBERS
    return f"{shown} and {more} more" if more > 0 else shown


def contrasts(leaf: Comparison, *, holds: bool) -> bool:
    """Whether the reason is that the value is another one: told as `country is VN, not TH`."""
    return leaf.operator in ("==", "!=") and _VERBS[leaf.operator][0 if holds else 1] == "is not"


def quotes_the_fact(leaf: Comparison, *, holds: bool) -> bool:
    """Whether the value that was found says more than the rule's own value does."""
    return leaf.operator not in _NEVER_QUOTED and _VERBS[leaf.operator][0 if holds else 1] != "is"


def fact_writer(attribute: Attribute) -> Callable[[object], str]:
    """A function that writes a value that was found, unless the attribute may identify a person."""
    if attribute.personal:
        return lambda _: HIDDEN
    return lambda value: _shown(value, private=True)


def _shown(value: object, *, private: bool) -> str:
    match value:
        case str():
            return _text(value, private=private)
        case bool():
            return "true" if value else "false"
        case int() | Decimal():
            return _number(value)
        case float():
            return _number(Decimal(repr(value)))
        case datetime():
            return write_time(value)
    return "(a list)" if isinstance(value, list | tuple | set | frozenset) else "(an object)"


def _number(number: int | Decimal) -> str:
    exact = Decimal(number)
    if not exact.is_finite() or abs(exact) >= _UNREADABLY_LARGE:
        return f"{exact:.6e}"
    text = f"{exact:f}"[:MAX_SHOWN_TEXT]
    return text.rstrip("0").rstrip(".") if "." in text else text


def _text(text: str, *, private: bool) -> str:
    if private and (_ADDRESS.search(text) or _TELEPHONE.search(text)):
        return HIDDEN
    plain = text if text.isprintable() else "".join(c if c.isprintable() else " " for c in text)
    short = plain if len(plain) <= MAX_SHOWN_TEXT else f"{plain[:MAX_SHOWN_TEXT]}…"
    return short if _ONE_WORD.fullmatch(short) else f"'{short}'"
