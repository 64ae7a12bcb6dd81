"""From a template to a message: language, variables, text. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from server.dispatch.channels.channel import MetadataField, MetadataKind
from server.dispatch.claims import ClaimedTask, Template
from server.templates import MissingVariable, TemplateFault, escaping_of, languages, render

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
    data: Mapping[str, Any] = field(default_factory=dict)


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


def render_message(
    template: Template, variables: Mapping[str, Any], fields: Sequence[MetadataField] = ()
) -> Rendered:
    """The message.

    Args:
        fields: what the channel reads from the template's metadata.

    Raises:
        CannotRender: TEMPLATE_VARIABLE_MISSING, TEMPLATE_METADATA_MISSING, or TEMPLATE_FAULT for anything else.
    """
    try:
        subject = _plain(template, template.subject_template or "", variables)
        body = render(
            template.body_template,
            variables,
            engine=template.engine,
            escaping=escaping_of(template.content_type),
        )
        data = _data(template, variables, fields)
    except MissingVariable as error:
        raise CannotRender("TEMPLATE_VARIABLE_MISSING") from error
    except TemplateFault as error:
        raise CannotRender("TEMPLATE_FAULT") from error
    return Rendered(one_line(subject), _storable(body), template.content_type, data)


def _data(
    template: Template, variables: Mapping[str, Any], fields: Sequence[MetadataField]
) -> dict[str, Any]:
    """The fields that the channel reads, each text of them rendered."""
    data: dict[str, Any] = {}
    for wanted in fields:
        value = template.metadata.get(wanted.name)
        if value is not None:
            data[wanted.name] = _rendered_field(template, value, variables, wanted.kind)
        elif wanted.required:
            raise CannotRender("TEMPLATE_METADATA_MISSING")
    return data


def _rendered_field(
    template: Template, value: Any, variables: Mapping[str, Any], kind: MetadataKind
) -> str | list[str] | dict[str, str]:
    if kind is MetadataKind.TEXTS and isinstance(value, list):
        return [_plain(template, text, variables) for text in value]
    if kind is MetadataKind.MAPPING and isinstance(value, dict):
        return {name: _plain(template, text, variables) for name, text in value.items()}
    return _plain(template, value, variables)


def _plain(template: Template, source: Any, variables: Mapping[str, Any]) -> str:
    """A text without markup; what is no text was stored before the channel was known."""
    if not isinstance(source, str):
        raise CannotRender("TEMPLATE_FAULT")
    return _storable(render(source, variables, engine=template.engine))


def variables_of(task: ClaimedTask) -> dict[str, Any]:
    """What templates may use: `profile`, `event`, `digest`, `campaign`, `marketing_event`, `tenant`."""
    events = list(task.digest or [task.event])
    digest = {"items": events, "count": len(events)}
    return {"profile": task.profile, "event": task.event, "digest": digest, **task.definitions}


def one_line(text: str) -> str:
    """The text on one line: control characters and line ends become single spaces, at most 900 characters.

    A header can so not be ended by what a variable holds, and the log keeps what is sent.
    """
    printable = "".join(character if character.isprintable() else " " for character in text)
    return " ".join(printable.split())[:_LONGEST_SUBJECT]


def _storable(text: str) -> str:
    return text.replace("\0", "")
