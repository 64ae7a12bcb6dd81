"""What can be wrong with a template. The texts hold parts of the template, never values of variables."""

from __future__ import annotations


class TemplateFault(Exception):
    """The template cannot be used, or an expression of it fails with these variables.

    Args:
        message: what is wrong, and what would be right.
        line: where, from 1; None where it is not known.
    """

    def __init__(self, message: str, line: int | None = None) -> None:
        super().__init__(message if line is None else f"line {line}: {message}")


class UnknownEngine(TemplateFault):
    """No engine of this name is accepted."""


class MissingVariable(TemplateFault):
    """The template uses a variable that it was not given.

    Args:
        name: the variable's or the attribute's name.
    """

    def __init__(self, name: str) -> None:
        super().__init__(f'the variable "{name}" is missing')
        self.name = name


class RenderLimitReached(TemplateFault):
    """Rendering was stopped: it produced too much text, looped too often, or worked too long."""
