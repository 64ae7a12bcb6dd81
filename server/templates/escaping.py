"""What becomes of a variable's value where it is put into a text."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Final

_MARKDOWN: Final = re.compile(r"([\\_*\[\]()~`>#+\-=|{}.!])")


class Escaping(StrEnum):
    """The markup that a text is written in; what variables bring can not become part of the markup."""

    NONE = "none"
    HTML = "html"
    MARKDOWN = "markdown"
    """Telegram's MarkdownV2."""


_OF_CONTENT_TYPE: Final = {"text/html": Escaping.HTML, "text/markdown": Escaping.MARKDOWN}


def escaping_of(content_type: str) -> Escaping:
    """What the values of variables need in a body of this type."""
    return _OF_CONTENT_TYPE.get(content_type, Escaping.NONE)


def escape_markdown(text: str) -> str:
    """The text as MarkdownV2 that shows it."""
    return _MARKDOWN.sub(r"\\\1", text)
