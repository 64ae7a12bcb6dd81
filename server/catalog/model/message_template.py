"""A message template: one version of what a message says."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from server.templates import DEFAULT_ENGINE, TemplateFault, UnknownEngine, check
from server.validation import Violations, normal_language

DEFAULT_LANGUAGE: Final = "default"
_CONTENT_TYPES: Final = ("text/plain", "text/html")
_LONGEST_SUBJECT: Final = 1_000
_LONGEST_BODY: Final = 200_000


@dataclass(frozen=True, slots=True)
class MessageTemplate:
    """A version, as the caller wants it or as it is stored (then with id, version and times).

    Args:
        language: BCP 47 tag, or "default".
        subject_template: empty where the channel has no subject.
        metadata: JSON object for the channel; `content_type` says whether values are escaped.
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

    def normal_language(self) -> str | None:
        """The language in its one spelling, so that "EN-gb" and "en-GB" are one; None where it is none."""
        return DEFAULT_LANGUAGE if self.language == DEFAULT_LANGUAGE else normal_language(self.language)

    def check(self, violations: Violations) -> dict[str, Any]:
        """Note every fault; returns the metadata."""
        violations.text("template_name", self.template_name, maximum=200)
        violations.channel("channel", self.channel)
        if self.normal_language() is None:
            violations.add("language", 'must be a BCP 47 tag such as "vi" or "en-GB", or "default"')
        violations.one_of("status", self.status, ("draft", "active"))
        return self.check_text(violations)

    def check_text(self, violations: Violations) -> dict[str, Any]:
        """Note the faults of what is rendered; returns the metadata."""
        violations.text("subject_template", self.subject_template, maximum=_LONGEST_SUBJECT, required=False)
        violations.text("body_template", self.body_template, maximum=_LONGEST_BODY)
        if len(self.subject_template) <= _LONGEST_SUBJECT and len(self.body_template) <= _LONGEST_BODY:
            self._check_syntax(violations)
        metadata = violations.document("metadata", self.metadata)
        if metadata.get("content_type", _CONTENT_TYPES[0]) not in _CONTENT_TYPES:
            violations.add("metadata.content_type", f"must be one of {', '.join(_CONTENT_TYPES)}")
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

    def _check_syntax(self, violations: Violations) -> None:
        for field, source in (
            ("subject_template", self.subject_template),
            ("body_template", self.body_template),
        ):
            try:
                check(source, engine=self.template_engine)
            except UnknownEngine as fault:
                violations.add("template_engine", str(fault))
                return
            except TemplateFault as fault:
                violations.add(field, str(fault))


@dataclass(frozen=True, slots=True)
class Rendered:
    """A rendered message."""

    subject: str
    body: str
