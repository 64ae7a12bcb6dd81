"""Refuses Liquid source that would keep the library's parser busy, which backtracks over what is not closed. Pure.

The check itself is linear in the length of the source.
"""

from __future__ import annotations

import re
from typing import Final

from server.templates.errors import TemplateFault

_MOST_EXPRESSIONS: Final = 5_000
_MOST_RAW: Final = 20
_LONGEST_EXPRESSION: Final = 1_000
_MOST_PARENTHESES: Final = 10
_RAW: Final = re.compile(r"-?\s*(?:raw|doc)\b")
_MARKS: Final = re.compile(r"\{\{|\{%|\}\}|%\}")
_CLOSING: Final = {"{{": "}}", "{%": "%}"}


def refuse_what_takes_long(source: str) -> None:
    """Raises:
    TemplateFault: a tag or an expression is open, empty or too long, or there are too many of them.
    """
    opened: re.Match[str] | None = None
    count = raw = 0
    for mark in _MARKS.finditer(source):
        if opened is None:
            opened = mark if mark.group() in _CLOSING else None
        elif mark.group() == _CLOSING[opened.group()]:
            content = source[opened.end() : mark.start()]
            count += 1
            raw += _RAW.match(content) is not None
            fault = _fault(content, count, raw)
            if fault is not None:
                raise TemplateFault(fault, _line(source, opened))
            opened = None
        elif mark.group() in _CLOSING:
            break
    if opened is not None:
        fault = f"{opened.group()} is not closed by {_CLOSING[opened.group()]} before the next one opens"
        raise TemplateFault(fault, _line(source, opened))


def _fault(content: str, count: int, raw: int) -> str | None:
    if count > _MOST_EXPRESSIONS:
        return f"there are more than {_MOST_EXPRESSIONS:,} tags and expressions"
    if len(content) > _LONGEST_EXPRESSION:
        return f"a tag or an expression has more than {_LONGEST_EXPRESSION:,} characters"
    if not content.strip().strip("-").strip():
        return "a tag or an expression is empty"
    if content.count("(") > _MOST_PARENTHESES:
        return f"a tag or an expression has more than {_MOST_PARENTHESES} parentheses"
    return f"there are more than {_MOST_RAW} blocks of raw" if raw > _MOST_RAW else None


def _line(source: str, mark: re.Match[str]) -> int:
    return source.count("\n", 0, mark.start()) + 1
