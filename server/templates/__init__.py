"""Message templates: what they may contain, and rendering them within limits. Knows no slice."""

from server.templates.engine import DEFAULT_ENGINE, ENGINES, check, render
from server.templates.errors import MissingVariable, RenderLimitReached, TemplateFault, UnknownEngine
from server.templates.escaping import Escaping, escape_markdown, escaping_of
from server.templates.limits import RenderLimits

__all__ = [
    "DEFAULT_ENGINE",
    "ENGINES",
    "Escaping",
    "MissingVariable",
    "RenderLimitReached",
    "RenderLimits",
    "TemplateFault",
    "UnknownEngine",
    "check",
    "escape_markdown",
    "escaping_of",
    "render",
]
