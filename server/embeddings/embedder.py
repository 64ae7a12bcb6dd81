"""What turns texts into vectors, and how it may fail."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol, TypeAlias

DIMENSIONS: Final = 1536
"""Of every vector that the database holds."""

Vector: TypeAlias = Sequence[float]


class Embedder(Protocol):
    """One model."""

    @property
    def model(self) -> str:
        """Its name: vectors of different models do not compare."""
        ...

    @property
    def batch_size(self) -> int:
        """How many texts it takes at once."""
        ...

    async def embed(self, texts: Sequence[str]) -> list[Vector]:
        """The vectors of 1 to `batch_size` texts, none of them blank, in their order, each of `DIMENSIONS`.

        Raises:
            EmbedderAway: it makes no vectors for anybody at this moment.
            EmbeddingFailed: it did not manage this time; one of the texts may be the reason.
            TextRefused: it will never take these texts, or one of them.
        """
        ...

    async def close(self) -> None:
        """Close what it holds open."""
        ...


class EmbedderError(Exception):
    """Base of what an embedder raises.

    Args:
        reason: a code of this source, such as "HTTP_429"; no text of the caller's or the other side's.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class EmbedderAway(EmbedderError):
    """Nothing is to be had from it now, whatever the text: ask again after a while.

    Args:
        retry_after_seconds: the least wait that it asked for, where it did.
    """

    def __init__(self, reason: str, *, retry_after_seconds: float | None = None) -> None:
        super().__init__(reason)
        self.retry_after_seconds = retry_after_seconds


class EmbeddingFailed(EmbedderError):
    """The request came to nothing: the embedder's doing, or a text's that it can not digest."""


class TextRefused(EmbedderError):
    """It answered that the request can never succeed as it stands."""
