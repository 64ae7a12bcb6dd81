"""Vectors of what people search for: quickly, or not at all."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final

from server.embeddings.embedder import Embedder, EmbedderError, TextRefused, Vector
from server.platform.logging import get_logger

_PAUSE: Final = timedelta(seconds=5)
_LONG_AGO: Final = datetime(1970, 1, 1, tzinfo=UTC)


class QueryVectors:
    """Asks an embedder once. After a failure it is left alone for some seconds, so that searches do not all wait.

    Args:
        clock: tells when it may be asked again.
    """

    def __init__(self, *, embedder: Embedder, clock: Callable[[], datetime]) -> None:
        self._embedder = embedder
        self._clock = clock
        self._away_until = _LONG_AGO

    @property
    def model(self) -> str:
        """The embedder's."""
        return self._embedder.model

    async def vector_of(self, text: str) -> Vector | None:
        """The vector of a text that is not blank; None where it can not be had now."""
        if self._clock() < self._away_until:
            return None
        try:
            return (await self._embedder.embed([text]))[0]
        except TextRefused as error:
            get_logger().warning("query_not_embedded", reason=error.reason)
        except EmbedderError as error:
            self._away_until = self._clock() + _PAUSE
            get_logger().warning("embedder_away", reason=error.reason, seconds=_PAUSE.total_seconds())
        return None
