"""Templates in Liquid, with the same limits as those of jinja2 and as strict. Pure.

Every value that an expression reads is charged to the budget where it is looked up, loops where they begin, and
text where it is written, so that no tag or filter of the library has to be trusted with it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from io import StringIO
from typing import Any, Final, TextIO

from liquid import BoundTemplate, Environment, RenderContext, StrictDefaultUndefined, Token
from liquid.builtin.output import Output, OutputNode
from liquid.exceptions import LiquidError
from liquid.undefined import UNDEFINED
from markupsafe import Markup, escape

from server.templates.errors import MissingVariable, TemplateFault
from server.templates.escaping import Escaping, escape_markdown
from server.templates.filters import printable
from server.templates.limits import Budget, current_budget
from server.templates.liquid_filters import allowed_filters, is_missing
from server.templates.liquid_source import refuse_what_takes_long
from server.templates.liquid_variables import needed_by_liquid
from server.templates.variables import VariablePath

# The last two are the library's names for what is no tag: text, and what it can not read.
_TAGS: Final = (
    *("if", "unless", "case", "for", "break", "continue", "assign", "capture", "comment", "#"),
    *("content", "illegal"),
)
_LONGEST_FAULT: Final = 200
_CANNOT_PARSE: Final = (RecursionError, MemoryError, ValueError, OverflowError)
_CANNOT_EVALUATE: Final = (
    ArithmeticError,
    LookupError,
    RecursionError,
    TypeError,
    ValueError,
    AttributeError,
)


def check_liquid(source: str) -> None:
    """Raises:
    TemplateFault: the source has a fault, with its line.
    """
    _parsed(source, Escaping.NONE)


def variables_of_liquid(source: str) -> frozenset[VariablePath]:
    """The variables that every rendering reads.

    Raises:
        TemplateFault: the source has a fault, with its line.
    """
    return needed_by_liquid(_parsed(source, Escaping.NONE))


def render_liquid(source: str, variables: Mapping[str, Any], _budget: Budget, escaping: Escaping) -> str:
    """Render within the budget, which is the current one.

    Raises:
        TemplateFault: as `render` says.
    """
    template = _parsed(source, escaping)
    try:
        return template.render(variables)
    except LiquidError as error:
        raise _fault(error) from error
    except _CANNOT_EVALUATE as error:
        raise TemplateFault(f"an expression fails with these variables ({type(error).__name__})") from error


@lru_cache(maxsize=1024)
def _parsed(source: str, escaping: Escaping) -> BoundTemplate:
    refuse_what_takes_long(source)
    try:
        return _ENVIRONMENTS[escaping].from_string(source)
    except LiquidError as error:
        raise _fault(error) from error
    except _CANNOT_PARSE as error:
        raise TemplateFault("the template is nested too deeply or has too long a number") from error


def _fault(error: LiquidError) -> TemplateFault:
    found = error.context()
    return TemplateFault(str(error.message)[:_LONGEST_FAULT], found[0] if found else None)


class _Missing(StrictDefaultUndefined):
    """A variable that is not there: any use but `default` raises its name."""

    def __init__(
        self, name: str, *, token: Token | None, obj: object = UNDEFINED, hint: str | None = None
    ) -> None:
        super().__init__(name, token=token, obj=obj, hint=hint)
        self.msg = (hint or name).removesuffix(" is undefined").strip("'")

    def __getattribute__(self, name: str) -> object:
        if name in StrictDefaultUndefined.allowed_properties or name == "_raise":
            return object.__getattribute__(self, name)
        raise MissingVariable(object.__getattribute__(self, "msg"))

    def _raise(self, *_arguments: object) -> Any:
        raise MissingVariable(object.__getattribute__(self, "msg"))

    __bool__ = __contains__ = __eq__ = __getitem__ = __hash__ = __int__ = __iter__ = _raise
    __len__ = __reversed__ = __str__ = _raise


class _Text(StringIO):
    """Text that is being written, within the budget."""

    def write(self, text: str) -> int:
        current_budget.get().emit(text)
        return super().write(text)


class _Context(RenderContext):
    """Looks variables up, and charges what it finds."""

    def get(self, path: list[object], *, token: Token | None, default: object = UNDEFINED) -> object:
        """A variable or a part of it."""
        found = super().get(path, token=token, default=default)
        if not is_missing(found):
            current_budget.get().charge(found)
        return found

    def get_item(self, obj: Any, key: Any) -> Any:
        """A part of an object: its keys, before `size`, `first` and `last`. There are no attributes."""
        if not is_missing(obj) and isinstance(obj, Mapping) and key not in obj and key != "size":
            raise KeyError(key)
        return super().get_item(obj, key)

    @contextmanager
    def loop(self, namespace: Mapping[str, object], forloop: Any) -> Iterator[RenderContext]:
        """A loop, whose rounds are counted before it begins."""
        current_budget.get().iterate(forloop.length)
        with super().loop(namespace, forloop) as context:
            yield context

    def get_buffer(self, buf: TextIO | None = None) -> StringIO:
        """Where a block writes to before it is kept or dropped."""
        return _Text()


class _Template(BoundTemplate):
    context_class = _Context

    def _get_buffer(self) -> StringIO:
        return _Text()


class _PlainNode(OutputNode):
    """Writes plain values only: what is null, a list or an object is a mistake."""

    def render_to_output(self, context: RenderContext, buffer: TextIO) -> int:
        """Write one value."""
        return buffer.write(self.shown(self.expression.evaluate(context)))

    def shown(self, value: Any) -> str:
        """A value as text."""
        if isinstance(value, bool):
            return str(value).lower()
        return str(printable(str(value) if is_missing(value) else value))


class _HtmlNode(_PlainNode):
    def shown(self, value: Any) -> str:
        return str(escape(value)) if isinstance(value, Markup) else str(escape(super().shown(value)))


class _MarkdownNode(_PlainNode):
    def shown(self, value: Any) -> str:
        return str(value) if isinstance(value, Markup) else escape_markdown(super().shown(value))


_NODES: Final = {
    Escaping.NONE: _PlainNode,
    Escaping.HTML: _HtmlNode,
    Escaping.MARKDOWN: _MarkdownNode,
}


def _environment(escaping: Escaping) -> Environment:
    environment = Environment(undefined=_Missing, autoescape=escaping is Escaping.HTML)
    environment.template_class = _Template

    class Written(Output):
        node_class = _NODES[escaping]

    environment.tags = {name: environment.tags[name] for name in _TAGS}
    environment.add_tag(Written)
    environment.filters = dict(allowed_filters(environment.filters))
    return environment


_ENVIRONMENTS: Final = {escaping: _environment(escaping) for escaping in Escaping}
