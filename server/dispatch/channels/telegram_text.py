"""Text in Telegram's MarkdownV2. Pure."""

from __future__ import annotations

import re
from typing import Final

from server.dispatch.channels.channel import MARKDOWN, Message
from server.templates import escape_markdown

_ESCAPED: Final = re.compile(r"\\([\\_*\[\]()~`>#+\-=|{}.!])")


def marked_up(message: Message) -> str:
    """The message in MarkdownV2: the title in bold, plain text escaped, Markdown as it was written."""
    body = message.body if message.content_type == MARKDOWN else escape_markdown(message.body)
    return f"*{escape_markdown(message.subject)}*\n\n{body}" if message.subject else body


def plain(message: Message) -> str:
    """The same without any markup that Telegram would read; what was escaped stands as it was meant."""
    if message.content_type != MARKDOWN:
        return message.text
    unescaped = _ESCAPED.sub(r"\1", message.body)
    return f"{message.subject}\n\n{unescaped}" if message.subject else unescaped
