"""What channels ask of the metadata of templates, as the catalogue checks it when a template is put. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, Protocol

from server.dispatch.channels.channel import MetadataField, MetadataKind
from server.validation import Violations

_MOST_TEXTS: Final = 100
_LONGEST_TEXT: Final = 4_000


class Declares(Protocol):
    """What a kind of channel says about its templates; classes of channels do."""

    name: str
    metadata: tuple[MetadataField, ...]
    content_types: tuple[str, ...]


class TemplateRules:
    """The rules of every channel. Where a channel has several providers, a template may serve any of them.

    Args:
        channels: kinds of channels.
    """

    def __init__(self, channels: Iterable[type[Declares] | Declares]) -> None:
        self._fields: dict[str, dict[str, MetadataField]] = {}
        self._content_types: dict[str, set[str]] = {}
        for channel in channels:
            fields = self._fields.setdefault(channel.name, {})
            fields.update({field.name: field for field in channel.metadata})
            self._content_types.setdefault(channel.name, set()).update(channel.content_types)

    def check(self, channel: str, metadata: Mapping[str, Any], violations: Violations) -> None:
        """Note every fault of a template's metadata, under `metadata`; templates in it are not parsed."""
        accepted = sorted(self._content_types.get(channel, ()))
        content_type = metadata.get("content_type", "text/plain")
        if accepted and content_type not in accepted:
            violations.add("metadata.content_type", f"{channel} takes {', '.join(accepted)}")
        for field in self._fields.get(channel, {}).values():
            fault = _fault(field, metadata.get(field.name))
            if fault is not None:
                violations.add(f"metadata.{field.name}", f"{fault}. {field.comment}")

    def texts(self, channel: str, metadata: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        """Path and template of each text in the metadata that the channel reads."""
        for field in self._fields.get(channel, {}).values():
            value, path = metadata.get(field.name), f"metadata.{field.name}"
            if isinstance(value, str):
                yield path, value
            elif isinstance(value, list):
                yield from ((f"{path}[{place}]", text) for place, text in enumerate(value))
            elif isinstance(value, dict):
                yield from ((f"{path}.{name}", text) for name, text in value.items())


def _fault(field: MetadataField, value: Any) -> str | None:
    if value is None:
        return "is required" if field.required else None
    if field.choices and value not in field.choices:
        return f"must be one of {', '.join(field.choices)}"
    if field.kind is MetadataKind.TEXT:
        return _text_fault([value], "must be a text")
    if field.kind is MetadataKind.TEXTS:
        return _text_fault(value if isinstance(value, list) else [None], "must be a list of texts")
    return _text_fault(
        list(value.values()) if isinstance(value, dict) else [None], "must be an object of texts"
    )


def _text_fault(texts: Sequence[Any], otherwise: str) -> str | None:
    if not all(isinstance(text, str) for text in texts):
        return otherwise
    if len(texts) > _MOST_TEXTS or any(len(text) > _LONGEST_TEXT for text in texts):
        return f"has more than {_MOST_TEXTS} texts, or one of more than {_LONGEST_TEXT:,} characters"
    return None
