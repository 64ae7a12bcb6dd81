"""A message template: one version of what a message says."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Protocol
from uuid import UUID

from server.templates import (
    DEFAULT_ENGINE,
    DEFAULT_LANGUAGE,
    TemplateFault,
    UnknownEngine,
    VariablePath,
    check,
    name_of,
    required_variables,
)
from server.validation import Violations, normal_language

_CONTENT_TYPES: Final = ("text/plain", "text/html", "text/markdown")
_LONGEST_SUBJECT: Final = 1_000
_LONGEST_BODY: Final = 200_000
_MOST_VARIABLES: Final = 200


class TemplateRules(Protocol):
    """What channels ask of the metadata of templates."""

    def check(self, channel: str, metadata: Mapping[str, Any], violations: Violations) -> None:
        """Note every fault of the metadata, under `metadata`; templates in it are not parsed."""
        ...

    def texts(self, channel: str, metadata: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        """Path and template of each text in the metadata that the channel reads."""
        ...


@dataclass(frozen=True, slots=True)
class MessageTemplate:
    """A version, as the caller wants it or as it is stored (then with id, version and times).

    Args:
        language: BCP 47 tag, or "default".
        subject_template: empty where the channel has no subject.
        metadata: JSON object for the channel; `content_type` says whether values are escaped.
        required_variables: what every message needs, of all its texts; known once it was checked.
    """

    template_name: str
    channel: str
    body_template: str
    language: str = DEFAULT_LANGUAGE
    subject_template: str = ""
    template_engine: str = DEFAULT_ENGINE
    metadata: bytes = b""
    status: str = "active"
    template_id: UUID | None = None
    version: int = 0
    created_at: datetime | None = None
    updated_at: datetime | None = None
    required_variables: tuple[VariablePath, ...] = ()

    def normal_language(self) -> str | None:
        """The language in its one spelling, so that "EN-gb" and "en-GB" are one; None where it is none."""
        return DEFAULT_LANGUAGE if self.language == DEFAULT_LANGUAGE else normal_language(self.language)

    def check(self, rules: TemplateRules, violations: Violations) -> dict[str, Any]:
        """Note every fault; returns the metadata."""
        violations.text("template_name", self.template_name, maximum=200)
        violations.channel("channel", self.channel)
        if self.normal_language() is None:
            violations.add("language", 'must be a BCP 47 tag such as "vi" or "en-GB", or "default"')
        violations.one_of("status", self.status, ("draft", "active"))
        return self.check_text(rules, violations)

    def check_text(self, rules: TemplateRules, violations: Violations) -> dict[str, Any]:
        """Note the faults of what is rendered; returns the metadata. Without a channel, no rules apply to it."""
        violations.text("subject_template", self.subject_template, maximum=_LONGEST_SUBJECT, required=False)
        violations.text("body_template", self.body_template, maximum=_LONGEST_BODY)
        if len(self.subject_template) <= _LONGEST_SUBJECT and len(self.body_template) <= _LONGEST_BODY:
            self._check_syntax(violations)
        metadata = violations.document("metadata", self.metadata)
        if metadata.get("content_type", _CONTENT_TYPES[0]) not in _CONTENT_TYPES:
            violations.add("metadata.content_type", f"must be one of {', '.join(_CONTENT_TYPES)}")
        else:
            self._check_metadata(rules, metadata, violations)
        return metadata

    def content(self, metadata: dict[str, Any]) -> dict[str, object]:
        """What the id is made of: everything but status, version and times."""
        return {
            "template_name": self.template_name,
            "channel": self.channel,
            "language": self.language,
            "subject_template": self.subject_template,
            "body_template": self.body_template,
            "template_engine": self.template_engine,
            "metadata": metadata,
        }

    def needed_variables(self, rules: TemplateRules, metadata: Mapping[str, Any]) -> tuple[VariablePath, ...]:
        """What every message needs, in the order of the names. The texts were checked."""
        texts = (source for _, source in rules.texts(self.channel, metadata))
        sources = (self.subject_template, self.body_template, *texts)
        found = {
            path for source in sources for path in required_variables(source, engine=self.template_engine)
        }
        return tuple(sorted(found, key=name_of))

    def _check_metadata(self, rules: TemplateRules, metadata: dict[str, Any], violations: Violations) -> None:
        before = len(violations.found)
        rules.check(self.channel, metadata, violations)
        if len(violations.found) == before:
            for path, source in rules.texts(self.channel, metadata):
                self._check_template(path, source, violations)

    def _check_syntax(self, violations: Violations) -> None:
        for field, source in (
            ("subject_template", self.subject_template),
            ("body_template", self.body_template),
        ):
            self._check_template(field, source, violations)

    def _check_template(self, field: str, source: str, violations: Violations) -> None:
        try:
            check(source, engine=self.template_engine)
            needed = required_variables(source, engine=self.template_engine)
        except UnknownEngine as fault:
            if field == "body_template":
                violations.add("template_engine", str(fault))
        except TemplateFault as fault:
            violations.add(field, str(fault))
        else:
            if len(needed) > _MOST_VARIABLES:
                violations.add(field, f"needs more than {_MOST_VARIABLES} variables")


@dataclass(frozen=True, slots=True)
class Rendered:
    """A rendered message.

    Args:
        metadata: path → text, of the metadata that the channel reads.
    """

    subject: str
    body: str
    metadata: Mapping[str, str]
