"""Message templates: what they may contain, and rendering them within limits. Knows no slice."""

from server.templates.engine import DEFAULT_ENGINE, ENGINES, check, render
from server.templates.errors import MissingVariable, RenderLimitReached, TemplateFault, UnknownEngine
from server.templates.limits import RenderLimits

__all__ = [
    "DEFAULT_ENGINE",
    "ENGINES",
    "MissingVariable",
    "RenderLimitReached",
    "RenderLimits",
    "TemplateFault",
    "UnknownEngine",
    "check",
    "render",
]
