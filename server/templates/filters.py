"""The filters that templates may use. Each charges what it reads; none can make text out of proportion."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import wraps
from typing import Any, Final

from jinja2 import Undefined
from jinja2.filters import FILTERS
from markupsafe import Markup, escape

from server.templates.errors import TemplateFault
from server.templates.limits import current_budget

_BUILT_IN: Final = (
    *(
        "abs",
        "capitalize",
        "count",
        "d",
        "default",
        "dictsort",
        "e",
        "escape",
        "first",
        "float",
        "forceescape",
    ),
    *("int", "last", "length", "list", "lower", "max", "min", "reverse", "safe", "sort", "string"),
    *("sum", "title", "tojson", "trim", "truncate", "unique", "upper", "urlencode", "wordcount"),
)
# At most 99 characters wide: a wider field would only produce padding.
_FORMAT: Final = re.compile(r"%(?:%|[-+ 0#]{0,5}\d{0,2}(?:\.\d{1,2})?[sdfgxXo])")
_PLAIN: Final = (str, int, float)


def allowed_filters() -> Mapping[str, Callable[..., Any]]:
    """Name → filter, for an environment."""
    filters = {name: _charged(FILTERS[name]) for name in _BUILT_IN}
    return {**filters, "join": _join, "replace": _replace, "format": _format, "round": _round}


def _charged(function: Callable[..., Any]) -> Callable[..., Any]:
    """The filter, which charges its arguments; what jinja2 passes first is not the caller's."""

    @wraps(function)
    def charging(*arguments: Any, **options: Any) -> Any:
        budget = current_budget.get()
        for argument in (*arguments, *options.values()):
            if not isinstance(argument, Undefined):
                budget.charge(argument)
        return function(*arguments, **options)

    return charging


def read(value: Any) -> Any:
    """The value itself, charged as read."""
    if not isinstance(value, Undefined):
        current_budget.get().charge(value)
    return value


def each(values: Any) -> Iterator[Any]:
    """What a loop runs over, each round counted."""
    for value in values:
        current_budget.get().iterate()
        yield value


def concatenate(first: Any, *others: Any) -> str:
    """The operator `~`."""
    return _joined([_text(part) for part in (first, *others)], "")


def _join(values: Iterable[Any], separator: str = "", attribute: str | None = None) -> str:
    """The texts of the values, or of one of their attributes, with a separator between them."""
    texts = [_text(value if attribute is None else _attribute(value, attribute)) for value in values]
    return _joined(texts, _text(separator))


def _attribute(value: Any, name: str) -> Any:
    if not isinstance(value, Mapping) or name not in value:
        raise TemplateFault(f'join: an item has no attribute "{name}"')
    return value[name]


def _joined(texts: list[str], separator: str) -> str:
    current_budget.get().require(sum(map(len, texts)) + len(separator) * len(texts))
    if any(isinstance(text, Markup) for text in (*texts, separator)):
        return escape(separator).join(texts)
    return separator.join(texts)


def _replace(value: Any, old: str, new: str) -> str:
    """Every occurrence of one text by another."""
    text, old, new = _text(value), _text(old), _text(new)
    current_budget.get().require(len(text) + text.count(old) * len(new))
    return text.replace(old, new)


def _round(value: Any, precision: int = 0, method: str = "common") -> Any:
    """As jinja2's, with at most 20 digits."""
    if not isinstance(precision, int) or abs(precision) > 20:
        raise TemplateFault("round: the precision must be -20 to 20")
    return FILTERS["round"](value, precision, method)


def _format(pattern: str, *values: Any) -> str:
    """printf-style, e.g. `"%.2f"|format(amount)`: s, d, f, g, x, X and o, at most 99 wide."""
    if "%" in _FORMAT.sub("", pattern):
        raise TemplateFault('format: only %s, %d, %f, %g, %x and %o, at most 99 wide, e.g. "%.2f"')
    current_budget.get().require(
        len(pattern) + 100 * len(values) + sum(len(_text(value)) for value in values)
    )
    return pattern % values


def _text(value: Any) -> str:
    """The text of a plain value; Undefined raises."""
    shown = printable(value)
    return shown if isinstance(shown, str) else str(shown)


def printable(value: Any) -> Any:
    """What may become text: plain values only. "None" in a message is a mistake, and so is a list."""
    if isinstance(value, (Undefined, *_PLAIN)):
        return value
    if value is None:
        raise TemplateFault('a value is null: give another with default("…", true)')
    raise TemplateFault("a list or an object is not text: loop over it, or use the filters join or tojson")
