"""Checks and renders templates, whatever engine they are written for. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from server.templates.errors import UnknownEngine
from server.templates.escaping import Escaping
from server.templates.jinja_engine import check_jinja, render_jinja, variables_of_jinja
from server.templates.limits import Budget, RenderLimits, current_budget
from server.templates.liquid_engine import check_liquid, render_liquid, variables_of_liquid
from server.templates.variables import VariablePath

DEFAULT_ENGINE: Final = "jinja2"
_CHECKS: Final[Mapping[str, Callable[[str], None]]] = {DEFAULT_ENGINE: check_jinja, "liquid": check_liquid}
_RENDERERS: Final[Mapping[str, Callable[[str, Mapping[str, Any], Budget, Escaping], str]]] = {
    DEFAULT_ENGINE: render_jinja,
    "liquid": render_liquid,
}
_READERS: Final[Mapping[str, Callable[[str], frozenset[VariablePath]]]] = {
    DEFAULT_ENGINE: variables_of_jinja,
    "liquid": variables_of_liquid,
}
ENGINES: Final = tuple(_CHECKS)
_USUAL_LIMITS: Final = RenderLimits()


def check(source: str, *, engine: str = DEFAULT_ENGINE) -> None:
    """Refuse a template that could never be rendered.

    Raises:
        UnknownEngine: no engine of this name is accepted.
        TemplateFault: the source has a fault, with its line.
    """
    _refuse_unknown(engine)
    _CHECKS[engine](source)


def required_variables(source: str, *, engine: str = DEFAULT_ENGINE) -> frozenset[VariablePath]:
    """The variables without which a template can not be rendered, whatever the others hold.

    What is read only where a condition holds, what has a default, and what is asked for with `is defined` is none of
    them.

    Raises:
        UnknownEngine, TemplateFault: as `check` says.
    """
    _refuse_unknown(engine)
    return _READERS[engine](source)


def render(
    source: str,
    variables: Mapping[str, Any],
    limits: RenderLimits = _USUAL_LIMITS,
    *,
    engine: str = DEFAULT_ENGINE,
    escaping: Escaping = Escaping.NONE,
) -> str:
    """Render a template.

    Args:
        source: a template that `check` accepts; each engine keeps the last 1,024 parsed.
        variables: plain values as JSON has them: text, numbers, lists, objects.
        escaping: what becomes of the values of variables.

    Raises:
        UnknownEngine: no engine of this name is accepted.
        MissingVariable: the template uses a variable that is not there.
        RenderLimitReached: a limit stopped it.
        TemplateFault: an expression fails with these variables.
    """
    _refuse_unknown(engine)
    budget = Budget(limits)
    token = current_budget.set(budget)
    try:
        return _RENDERERS[engine](source, variables, budget, escaping)
    finally:
        current_budget.reset(token)


def _refuse_unknown(engine: str) -> None:
    if engine == "handlebars":
        raise UnknownEngine(
            "there is no maintained Handlebars engine for this server:"
            ' write it for "liquid", which is close, or for "jinja2"'
        )
    if engine not in ENGINES:
        raise UnknownEngine(f"accepted engines: {', '.join(ENGINES)}")
