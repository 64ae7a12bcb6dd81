"""Message templates: what they may contain, and rendering them within limits. Knows no slice."""

from server.templates.engine import DEFAULT_ENGINE, ENGINES, check, render, required_variables
from server.templates.errors import MissingVariable, RenderLimitReached, TemplateFault, UnknownEngine
from server.templates.escaping import Escaping, escape_markdown, escaping_of
from server.templates.languages import DEFAULT_LANGUAGE, languages
from server.templates.limits import RenderLimits
from server.templates.variables import VariablePath, holds, name_of, without_nulls

__all__ = [
    "DEFAULT_ENGINE",
    "DEFAULT_LANGUAGE",
    "ENGINES",
    "Escaping",
    "MissingVariable",
    "RenderLimitReached",
    "RenderLimits",
    "TemplateFault",
    "UnknownEngine",
    "VariablePath",
    "check",
    "escape_markdown",
    "escaping_of",
    "holds",
    "languages",
    "name_of",
    "render",
    "required_variables",
    "without_nulls",
]
