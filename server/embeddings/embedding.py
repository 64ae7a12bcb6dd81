"""Embeds many texts by an embedder that may fail as a whole, or at some of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from server.embeddings.embedder import (
    Embedder,
    EmbedderAway,
    EmbedderError,
    EmbeddingFailed,
    TextRefused,
    Vector,
)

_HARMLESS: Final = "price"


@dataclass(frozen=True, slots=True)
class NoVector:
    """Why a text has none.

    Args:
        final: whether trying again is useless.
    """

    reason: str
    final: bool


Outcome: TypeAlias = Vector | NoVector


async def embed_each(embedder: Embedder, texts: Sequence[str]) -> list[Outcome]:
    """An outcome for each text, in their order: one bad text costs the others nothing but time.

    Where a request comes to nothing, a harmless text shows whether the embedder works at all. Then the texts are
    divided until those are alone that it does not manage.

    Raises:
        EmbedderAway: it does not work at all; no text is to blame.
    """
    try:
        return list(await embedder.embed(texts))
    except TextRefused as error:
        alone = NoVector(error.reason, final=True)
    except EmbeddingFailed as error:
        await _prove_working(embedder, error)
        alone = NoVector(error.reason, final=False)
    if len(texts) == 1:
        return [alone]
    half = len(texts) // 2
    return [*await embed_each(embedder, texts[:half]), *await embed_each(embedder, texts[half:])]


async def _prove_working(embedder: Embedder, failure: EmbedderError) -> None:
    try:
        await embedder.embed([_HARMLESS])
    except EmbedderAway:
        raise
    except EmbedderError:
        raise EmbedderAway(failure.reason) from None
