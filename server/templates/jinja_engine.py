"""Templates in jinja2's syntax, in its immutable sandbox, with limits on what a rendering may cost. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, Final

from jinja2 import Environment, StrictUndefined, Template, TemplateSyntaxError, UndefinedError, nodes
from jinja2.exceptions import SecurityError, TemplateRuntimeError
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import missing
from markupsafe import Markup

from server.templates.errors import MissingVariable, TemplateFault
from server.templates.escaping import Escaping, escape_markdown
from server.templates.filters import allowed_filters, concatenate, each, printable, read
from server.templates.jinja_variables import needed_by_jinja
from server.templates.limits import Budget
from server.templates.syntax import CONCATENATE, EACH, READ, make_it_count, refuse_what_is_not_accepted
from server.templates.variables import VariablePath

_LARGEST_INTEGER: Final = 10**30
# What Python raises for source that is nested too deeply, or for numbers that are too long.
_CANNOT_COMPILE: Final = (RecursionError, MemoryError, SyntaxError, ValueError, OverflowError)
_CANNOT_EVALUATE: Final = (ArithmeticError, LookupError, RecursionError, TypeError, ValueError, SecurityError)


def check_jinja(source: str) -> None:
    """Raises:
    TemplateFault: the source has a fault, with its line.
    """
    _compiled(source, Escaping.NONE)


def variables_of_jinja(source: str) -> frozenset[VariablePath]:
    """The variables that every rendering reads.

    Raises:
        TemplateFault: the source has a fault, with its line.
    """
    return needed_by_jinja(_tree(source, Escaping.NONE))


def render_jinja(source: str, variables: Mapping[str, Any], budget: Budget, escaping: Escaping) -> str:
    """Render within the budget, which is the current one.

    Raises:
        TemplateFault: as `render` says.
    """
    template = _compiled(source, escaping)
    try:
        return _collect(template, variables, budget)
    except _CANNOT_EVALUATE as error:
        raise TemplateFault(f"an expression fails with these variables ({type(error).__name__})") from error


def _collect(template: Template, variables: Mapping[str, Any], budget: Budget) -> str:
    pieces = []
    for piece in template.generate(dict(variables)):
        budget.emit(piece)
        pieces.append(piece)
    return "".join(pieces)


@lru_cache(maxsize=1024)
def _compiled(source: str, escaping: Escaping) -> Template:
    environment = _ENVIRONMENTS[escaping]
    tree = _tree(source, escaping)
    with _faults():
        make_it_count(tree)
        return Template.from_code(environment, environment.compile(tree), {})


def _tree(source: str, escaping: Escaping) -> nodes.Template:
    with _faults():
        tree = _ENVIRONMENTS[escaping].parse(source)
        refuse_what_is_not_accepted(tree)
        return tree


@contextmanager
def _faults() -> Iterator[None]:
    """What jinja2 and Python raise for source that is no template, as a fault of it."""
    try:
        yield
    except TemplateSyntaxError as error:
        raise TemplateFault(error.message or "is not a template", error.lineno) from error
    except _CANNOT_COMPILE as error:
        raise TemplateFault("the template is nested too deeply or has too long a number") from error


class _Missing(StrictUndefined):
    """A variable that is not there: any use but `default` and `is defined` raises its name."""

    def __init__(
        self,
        hint: str | None = None,
        obj: Any = missing,
        name: str | None = None,
        exc: type[TemplateRuntimeError] = UndefinedError,
    ) -> None:
        super().__init__(hint, obj, name, exc)
        self._undefined_exception = lambda _message: MissingVariable(str(name))  # type: ignore[assignment]


class _Sandbox(ImmutableSandboxedEnvironment):
    """The sandbox with bounded operators, in which keys of objects come before their methods."""

    intercepted_binops = frozenset({"+", "-", "*", "/", "//", "%"})

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """Numbers of a sensible size, and `+` between texts."""
        if operator == "+" and isinstance(left, str) and isinstance(right, str):
            return concatenate(left, right)
        for side in (left, right):
            if isinstance(side, (str, list, tuple, dict)):
                raise TemplateFault(f"{operator} takes numbers; join text with ~")
            if isinstance(side, int) and abs(side) > _LARGEST_INTEGER:
                raise TemplateFault("a number is too large")
        return super().call_binop(context, operator, left, right)

    def getattr(self, obj: Any, attribute: str) -> Any:
        """`event.items` is the key "items" where there is one."""
        if isinstance(obj, Mapping) and attribute in obj:
            return obj[attribute]
        return super().getattr(obj, attribute)

    def call(self, context: Context, function: Any, *arguments: Any, **options: Any) -> Any:
        """One of the accepted methods, which reads its object."""
        read(getattr(function, "__self__", None))
        for argument in arguments:
            read(argument)
        return super().call(context, function, *arguments, **options)


def _markdown(value: Any) -> Any:
    """A plain value as text in which MarkdownV2 reads no markup, unless a filter said that it is safe."""
    shown = printable(value)
    return shown if isinstance(shown, Markup) else escape_markdown(str(shown))


def _environment(escaping: Escaping) -> Environment:
    environment = _Sandbox(
        undefined=_Missing,
        finalize=_markdown if escaping is Escaping.MARKDOWN else printable,
        autoescape=escaping is Escaping.HTML,
        keep_trailing_newline=True,
        optimized=False,
        cache_size=0,
    )
    environment.globals.clear()
    environment.filters.clear()
    environment.filters.update(allowed_filters())
    environment.filters.update({READ: read, EACH: each, CONCATENATE: concatenate})
    return environment


_ENVIRONMENTS: Final = {escaping: _environment(escaping) for escaping in Escaping}
