"""Which part of jinja2 templates may use, and the rewriting that makes loops and operators count.

Messages need text, variables, conditions, loops and filters. Macros, imports, blocks and calls of anything
but a few methods are refused on write: without them the cost of a rendering can be bounded.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, cast

from jinja2 import nodes

from server.templates.errors import TemplateFault

# No template can spell these names.
READ: Final = "leo:read"
EACH: Final = "leo:each"
CONCATENATE: Final = "leo:concatenate"

METHODS: Final = frozenset(
    {
        *("upper", "lower", "title", "capitalize", "strip", "lstrip", "rstrip"),
        *("split", "startswith", "endswith", "get", "items", "keys", "values"),
    }
)
_ACCEPTED: Final = (
    *(nodes.Template, nodes.Output, nodes.TemplateData, nodes.If, nodes.For, nodes.Assign, nodes.CondExpr),
    *(nodes.Name, nodes.Const, nodes.Filter, nodes.Test, nodes.Compare, nodes.Operand, nodes.Keyword),
    *(nodes.And, nodes.Or, nodes.Not, nodes.Add, nodes.Sub, nodes.Mul, nodes.Div, nodes.FloorDiv, nodes.Mod),
    *(nodes.Neg, nodes.Pos, nodes.Concat, nodes.Getattr, nodes.Getitem, nodes.Slice, nodes.Call),
    *(nodes.List, nodes.Tuple, nodes.Dict, nodes.Pair),
)
_MOST_NODES: Final = 20_000


def refuse_what_is_not_accepted(template: nodes.Template) -> None:
    """Raises:
    TemplateFault: the template uses something outside the accepted part, with its line.
    """
    for count, node in enumerate(_walk(template)):
        fault = "the template has too many expressions" if count > _MOST_NODES else _fault(node)
        if fault is not None:
            raise TemplateFault(fault, node.lineno)


def make_it_count(template: nodes.Template) -> None:
    """Rewrite loops, comparisons, slices and `~` so that each charges the budget of the rendering."""
    for node in list(_walk(template)):
        if isinstance(node, nodes.For):
            node.iter = _filtered(node.iter, EACH)
        elif isinstance(node, (nodes.Compare, nodes.Operand)):
            node.expr = _filtered(node.expr, READ)
        elif isinstance(node, nodes.Getitem) and isinstance(node.arg, nodes.Slice):
            node.node = _filtered(node.node, READ)
        for field, value in list(node.iter_fields()):
            setattr(node, field, _without_concat(value))


def _without_concat(value: object) -> object:
    if isinstance(value, list):
        return [_without_concat(item) for item in value]
    if isinstance(value, nodes.Concat):
        return _filtered(value.nodes[0], CONCATENATE, value.nodes[1:])
    return value


def _filtered(expression: nodes.Node, name: str, arguments: list[nodes.Expr] | None = None) -> nodes.Filter:
    return nodes.Filter(
        cast(nodes.Expr, expression), name, arguments or [], [], None, None, lineno=expression.lineno
    )


def _walk(node: nodes.Node) -> Iterator[nodes.Node]:
    waiting = [node]
    while waiting:
        current = waiting.pop()
        yield current
        waiting.extend(current.iter_child_nodes())


def _fault(node: nodes.Node) -> str | None:
    if not isinstance(node, _ACCEPTED):
        return f'"{type(node).__name__.lower()}" is not accepted: use variables, if, for, set and filters'
    if isinstance(node, nodes.For) and node.recursive:
        return "recursive loops are not accepted"
    if isinstance(node, nodes.Assign) and not isinstance(node.target, nodes.Name):
        return "set takes one plain name"
    if isinstance(node, nodes.Call):
        return _call_fault(node)
    return _literal_fault(node)


def _call_fault(node: nodes.Call) -> str | None:
    if (
        isinstance(node.node, nodes.Getattr)
        and node.node.attr in METHODS
        and not (node.dyn_args or node.dyn_kwargs)
    ):
        return None
    return f"only these methods may be called: {', '.join(sorted(METHODS))}; use filters for the rest"


def _literal_fault(node: nodes.Node) -> str | None:
    """Lists and objects come from variables; one that is written out holds constants only: none can grow."""
    if isinstance(node, nodes.Filter) and (node.dyn_args or node.dyn_kwargs):
        return "arguments with * or ** are not accepted"
    if isinstance(node, (nodes.List, nodes.Tuple)) and getattr(node, "ctx", "load") == "load":
        items = node.items
    elif isinstance(node, nodes.Dict):
        items = [part for pair in node.items for part in (pair.key, pair.value)]
    else:
        return None
    constant = all(isinstance(item, (nodes.Const, nodes.Neg)) for item in items)
    return None if constant else "a list or an object that is written out may hold constants only"
