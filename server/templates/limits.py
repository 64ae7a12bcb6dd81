"""How much one rendering may produce, loop and work. The sandbox of jinja2 itself has no such limits."""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass

from server.templates.errors import RenderLimitReached


@dataclass(frozen=True, slots=True)
class RenderLimits:
    """Bounds of one rendering.

    Args:
        output_characters: longest text that comes out, and longest text in between.
        iterations: rounds of all loops together.
        work: characters and items that filters and operators may read, all together.
    """

    output_characters: int = 256 * 1024
    iterations: int = 10_000
    work: int = 4_000_000


class Budget:
    """What is left of the limits of one rendering."""

    def __init__(self, limits: RenderLimits) -> None:
        self._limits = limits
        self._characters = limits.output_characters
        self._iterations = limits.iterations
        self._work = limits.work

    def iterate(self, rounds: int = 1) -> None:
        """Count rounds of a loop."""
        self._iterations -= rounds
        if self._iterations < 0:
            raise RenderLimitReached(f"loops run more than {self._limits.iterations:,} times")

    def emit(self, text: str) -> None:
        """Count text that comes out."""
        self._characters -= len(text)
        if self._characters < 0:
            raise RenderLimitReached(f"the text is longer than {self._limits.output_characters:,} characters")

    def charge(self, value: object) -> None:
        """Count what an operation reads: the length of text and lists, at least 1."""
        self._work -= max(1, len(value)) if isinstance(value, (str, list, tuple, dict)) else 1
        if self._work < 0:
            raise RenderLimitReached("the template works longer than a message may take")

    def require(self, characters: int) -> None:
        """Refuse an intermediate text of this length before it is made."""
        self._work -= characters
        if characters > self._limits.output_characters or self._work < 0:
            raise RenderLimitReached(
                f"a text in between is longer than {self._limits.output_characters:,} characters"
            )


current_budget: ContextVar[Budget] = ContextVar("leo_render_budget")
"""The budget of the rendering that runs; compiled templates are shared, budgets are not."""
