"""From a template to a message: language, variables, text. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from server.dispatch.claims import ClaimedTask, Template
from server.templates import MissingVariable, TemplateFault, render

DEFAULT_LANGUAGE: Final = "default"
_LONGEST_SUBJECT: Final = 900


class CannotRender(Exception):
    """No message can be made.

    Args:
        reason: a code in capitals.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Rendered:
    """The text of a message, as it is sent and as it is recorded."""

    subject: str
    body: str
    content_type: str


class TemplateShelf:
    """The active templates of a tenant, found by name, channel and language."""

    def __init__(self, templates: Sequence[Template]) -> None:
        self._templates = {(t.template_name, t.channel, t.language.lower()): t for t in templates}

    def find(self, name: str | None, channel: str, language: str | None) -> Template | None:
        """The template in the first language there is: `vi-VN`, then `vi`, then the default."""
        for candidate in languages(language):
            template = self._templates.get((name or "", channel, candidate))
            if template is not None:
                return template
        return None


def languages(language: str | None) -> Iterator[str]:
    """What to look for, in this order: the language tag, less and less of it, and the default."""
    parts = (language or "").lower().replace("_", "-").split("-")
    for length in range(len(parts), 0, -1):
        if parts[length - 1]:
            yield "-".join(parts[:length])
    yield DEFAULT_LANGUAGE


def render_message(template: Template, variables: Mapping[str, Any]) -> Rendered:
    """The message.

    Raises:
        CannotRender: TEMPLATE_VARIABLE_MISSING, or TEMPLATE_FAULT for anything else.
    """
    html = template.content_type == "text/html"
    try:
        subject = render(template.subject_template or "", variables)
        body = render(template.body_template, variables, html=html)
    except MissingVariable as error:
        raise CannotRender("TEMPLATE_VARIABLE_MISSING") from error
    except TemplateFault as error:
        raise CannotRender("TEMPLATE_FAULT") from error
    return Rendered(one_line(subject), _storable(body), template.content_type)


def variables_of(task: ClaimedTask) -> dict[str, Any]:
    """What templates may use: `profile`, `event`, `campaign`, `marketing_event`, `tenant`."""
    return {"profile": task.profile, "event": task.event, **task.definitions}


def one_line(text: str) -> str:
    """The text on one line: control characters and line ends become single spaces, at most 900 characters.

    A header can so not be ended by what a variable holds, and the log keeps what is sent.
    """
    printable = "".join(character if character.isprintable() else " " for character in text)
    return " ".join(printable.split())[:_LONGEST_SUBJECT]


def _storable(text: str) -> str:
    return text.replace("\0", "")
