"""Which variables a template of Liquid needs whatever happens, without rendering it. Pure.

As `jinja_variables` says; what has a default here is the whole path.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

from liquid import BoundTemplate
from liquid.ast import BlockNode, Node
from liquid.builtin.expressions import FilteredExpression, Path, TernaryFilteredExpression
from liquid.builtin.expressions.logical import LogicalAndExpression, LogicalOrExpression
from liquid.builtin.tags.assign_tag import AssignNode
from liquid.builtin.tags.capture_tag import CaptureNode
from liquid.builtin.tags.case_tag import CaseNode, MultiExpressionBlockNode
from liquid.builtin.tags.for_tag import ForNode
from liquid.builtin.tags.if_tag import IfNode
from liquid.builtin.tags.unless_tag import UnlessNode
from liquid.expression import Expression

from server.templates.variables import Scope, VariablePath

_Found = frozenset[VariablePath]
_NONE: Final[_Found] = frozenset()
# Parts that lists and texts answer to as well: what is needed is what they are asked of.
_ANSWERED_BY_LISTS: Final = frozenset({"first", "last", "size"})


def needed_by_liquid(template: BoundTemplate) -> _Found:
    """The variables that a rendering reads."""
    return _Reader(Scope()).block(template.nodes)


class _Reader:
    def __init__(self, scope: Scope) -> None:
        self._scope = scope

    def block(self, nodes: Iterable[Node]) -> _Found:
        """What nodes read, one after the other."""
        return _union(self._node(node) for node in nodes)

    def _node(self, node: Node) -> _Found:
        if isinstance(node, (IfNode, UnlessNode)):
            arms = [(node.condition, node.consequence)]
            arms += [(other.expression, other.block) for other in node.alternatives]
            return self._if(arms, node.default)
        if isinstance(node, ForNode):
            return self._for(node)
        if isinstance(node, CaseNode):
            self._pass_over(node.blocks)
            return self.expression(node.expression)
        if isinstance(node, AssignNode):
            return self._assign(node)
        if isinstance(node, CaptureNode):
            found = self.block(node.block.nodes)
            self._scope.set(node.name, None)
            return found
        if isinstance(node, BlockNode):
            return self.block(node.nodes)
        return _union(map(self.expression, node.expressions()))

    def _if(self, arms: Sequence[tuple[Expression, BlockNode]], otherwise: BlockNode | None) -> _Found:
        """The first condition, and what is read on either way."""
        (test, body), *rest = arms
        found = self.expression(test)
        other = _Reader(self._scope.copy())
        taken = self.block(body.nodes)
        passed = other._if(rest, otherwise) if rest else other.block(otherwise.nodes if otherwise else ())
        self._scope.merge(other._scope)
        return found | (taken & passed)

    def _for(self, node: ForNode) -> _Found:
        loop = node.expression
        found = _union(map(self.expression, _given(loop.iterable, loop.limit, loop.offset)))
        inside = _Reader(self._scope.copy())
        inside._scope.set("forloop", None)
        items = _path(loop.iterable)
        inside._scope.set(str(loop.identifier), None if items is None else (*items, None))
        found |= inside.block(node.block.nodes)
        inside._scope.set(str(loop.identifier), (str(loop.identifier),))
        self._scope.merge(inside._scope)
        return found

    def _pass_over(self, blocks: Sequence[BlockNode | MultiExpressionBlockNode]) -> None:
        """Blocks that may not be rendered: what they set is not known any more."""
        for block in blocks:
            inside = _Reader(self._scope.copy())
            inside.block((block.block if isinstance(block, MultiExpressionBlockNode) else block).nodes)
            self._scope.merge(inside._scope)

    def _assign(self, node: AssignNode) -> _Found:
        """A name for a variable reads it only where the name is read."""
        value = node.expression
        path = _path(value.left) if isinstance(value, FilteredExpression) and not value.filters else None
        found = self.expression(value) if path is None else _NONE
        self._scope.set(str(node.name), path)
        return found

    def expression(self, expression: Any) -> _Found:
        """What evaluating an expression reads in any case."""
        if isinstance(expression, Path):
            return self._read(expression)
        if isinstance(expression, FilteredExpression):
            return self._filtered(expression)
        if isinstance(expression, TernaryFilteredExpression):
            other = self.expression(expression.alternative) if expression.alternative else _NONE
            return self.expression(expression.condition) | (self._filtered(expression.left) & other)
        if isinstance(expression, (LogicalAndExpression, LogicalOrExpression)):
            return self.expression(expression.left)
        return _union(map(self.expression, expression.children()))

    def _filtered(self, expression: FilteredExpression) -> _Found:
        filters = expression.filters or []
        arguments = [argument.value for used in filters for argument in used.args]
        if filters and filters[0].name == "default" and isinstance(expression.left, Path):
            return _union(map(self.expression, arguments))
        return _union(map(self.expression, [expression.left, *arguments]))

    def _read(self, path: Path) -> _Found:
        found = _union(self.expression(part) for part in path.path if isinstance(part, Path))
        spelled = _beginning(path)
        variable = self._scope.resolve(spelled) if spelled else None
        return found if variable is None else found | {variable}


def _path(expression: Any) -> VariablePath | None:
    """The path that an expression spells; None where it is anything else, or asks something of a list."""
    if not isinstance(expression, Path):
        return None
    beginning = _beginning(expression)
    return beginning if len(beginning) == len(expression.path) else None


def _beginning(path: Path) -> VariablePath:
    """A path as far as its parts are keys and places."""
    parts: list[str | int] = []
    for part in path.path:
        if not isinstance(part, (str, int)) or (parts and part in _ANSWERED_BY_LISTS):
            break
        parts.append(part)
    return tuple(parts)


def _given(*expressions: Any) -> list[Any]:
    return [expression for expression in expressions if isinstance(expression, Expression)]


def _union(found: Iterable[_Found]) -> _Found:
    return _NONE.union(*found)
