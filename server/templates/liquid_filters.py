"""The filters of Liquid that templates may use. None can make text or numbers out of proportion. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import wraps
from typing import Any, Final

from liquid import Undefined
from markupsafe import Markup

from server.templates.errors import TemplateFault
from server.templates.filters import printable
from server.templates.limits import current_budget

_TEXT: Final = (
    *("capitalize", "downcase", "upcase", "escape", "escape_once", "strip", "lstrip", "rstrip"),
    *("strip_newlines", "newline_to_br", "remove", "remove_first", "remove_last", "slice", "split"),
    *("truncate", "truncatewords", "url_encode", "first", "last", "size", "reverse", "default", "safe"),
    *("map", "compact", "concat", "where", "replace_first", "replace_last"),
)
_NUMBERS: Final = (
    *(
        "abs",
        "at_least",
        "at_most",
        "ceil",
        "divided_by",
        "floor",
        "minus",
        "modulo",
        "plus",
        "round",
        "times",
    ),
)
_LARGEST_INTEGER: Final = 10**30
_LONGEST_NUMBER: Final = 40
_MOST_DIGITS: Final = 20
_LONGEST_DATE_FORMAT: Final = 100
# One letter for each directive, without the width that would only produce padding.
_DATE_FORMAT: Final = re.compile(r"(?:[^%]|%-?[aAbBcdeHIjmMpSuUwWxXyYZz%])*")

_Filter = Callable[..., Any]


def allowed_filters(library: Mapping[str, _Filter]) -> dict[str, _Filter]:
    """Name → filter, for an environment.

    Args:
        library: the filters that the library brings.
    """
    texts = {name: _charged(library[name]) for name in _TEXT}
    numbers = {name: _numeric(library[name]) for name in _NUMBERS}
    own: dict[str, _Filter] = {
        "append": _append,
        "prepend": _prepend,
        "replace": _replace,
        "join": _join,
        "date": _date,
    }
    return {**texts, **numbers, **own}


def is_missing(value: object) -> bool:
    """Whether it stands for a variable that is not there, which raises even when it is asked for its class."""
    return issubclass(type(value), Undefined)


def _charged(function: _Filter) -> _Filter:
    """The filter, which charges its arguments."""

    @wraps(function)
    def charging(*arguments: Any, **options: Any) -> Any:
        for argument in arguments:
            if not is_missing(argument):
                current_budget.get().charge(argument)
        return function(*arguments, **options)

    return charging


def _numeric(function: _Filter) -> _Filter:
    """The filter, which takes numbers of a sensible size."""

    @wraps(function)
    def counting(*arguments: Any, **options: Any) -> Any:
        current_budget.get().charge(None)
        for argument in arguments:
            _refuse_large(argument)
        if function.__name__ == "round_" and len(arguments) > 1:
            _refuse_digits(arguments[1])
        return function(*arguments, **options)

    return counting


def _refuse_large(number: Any) -> None:
    if is_missing(number):
        str(number)
    if isinstance(number, str) and len(number) > _LONGEST_NUMBER:
        raise TemplateFault("a text is no number")
    if isinstance(number, int) and abs(number) > _LARGEST_INTEGER:
        raise TemplateFault("a number is too large")


def _refuse_digits(digits: Any) -> None:
    if not isinstance(digits, int) or abs(digits) > _MOST_DIGITS:
        raise TemplateFault(f"round: the number of digits must be -{_MOST_DIGITS} to {_MOST_DIGITS}")


def _append(value: Any, suffix: Any) -> str:
    """One text after another."""
    return _joined([value, suffix], "")


def _prepend(value: Any, prefix: Any) -> str:
    """One text before another."""
    return _joined([prefix, value], "")


def _join(values: Any, separator: Any = " ") -> str:
    """The texts of a list, with a separator between them."""
    if not isinstance(values, (list, tuple)):
        raise TemplateFault("join takes a list")
    return _joined(list(values), _text(separator))


def _replace(value: Any, old: Any, new: Any = "") -> str:
    """Every occurrence of one text by another."""
    text, old, new = _text(value), _text(old), _text(new)
    current_budget.get().require(len(text) + (text.count(old) if old else len(text) + 1) * len(new))
    return text.replace(old, new)


def _joined(parts: list[Any], separator: str) -> str:
    texts = [_text(part) for part in parts]
    current_budget.get().require(sum(map(len, texts)) + len(separator) * len(texts))
    return separator.join(texts)


def _date(value: Any, pattern: Any) -> str:
    """A moment in ISO 8601, written by strftime's letters."""
    pattern = _text(pattern)
    if len(pattern) > _LONGEST_DATE_FORMAT or not _DATE_FORMAT.fullmatch(pattern):
        raise TemplateFault('date: a short format of plain directives, e.g. "%d/%m/%Y"')
    try:
        return datetime.fromisoformat(_text(value)).strftime(pattern)
    except ValueError:
        raise TemplateFault("date takes a moment in ISO 8601, e.g. event.occurred_at") from None


def _text(value: Any) -> str:
    """The text of a plain value; what is safe already is ordinary text again."""
    if is_missing(value):
        return str(value)
    shown = printable(value)
    return str(shown) if isinstance(shown, Markup) or not isinstance(shown, str) else shown
