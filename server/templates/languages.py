"""In which languages a template is looked for. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

DEFAULT_LANGUAGE: Final = "default"


def languages(language: str | None) -> Iterator[str]:
    """What to look for, in this order: the language tag, less and less of it, and the default."""
    parts = (language or "").lower().replace("_", "-").split("-")
    for length in range(len(parts), 0, -1):
        if parts[length - 1]:
            yield "-".join(parts[:length])
    yield DEFAULT_LANGUAGE
