"""Which variables a template of jinja2 needs whatever happens, without rendering it. Pure.

What is read only where a condition holds, what has a default, and what is tested with `is defined` may be missing. The
body of a loop counts as read, since most lists have items, and so does a variable that stands in for another one. What
is found is what a message needs that can be told without its values.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from jinja2 import nodes

from server.templates.variables import Part, Scope, VariablePath

_Found = frozenset[VariablePath]
_NONE: Final[_Found] = frozenset()
_DEFAULTS: Final = frozenset({"default", "d"})
# Tests that answer for a variable that is not there; all others fail.
_TOLERANT: Final = frozenset({"defined", "undefined"})


def needed_by_jinja(tree: nodes.Template) -> _Found:
    """The variables that a rendering reads.

    Args:
        tree: as it was parsed, before it is rewritten.
    """
    return _Reader(Scope()).block(tree.body)


class _Reader:
    def __init__(self, scope: Scope) -> None:
        self._scope = scope

    def block(self, body: Iterable[nodes.Node]) -> _Found:
        """What statements read, one after the other."""
        return _union(self._statement(node) for node in body)

    def _statement(self, node: nodes.Node) -> _Found:
        if isinstance(node, nodes.If):
            return self._if([(node.test, node.body), *((n.test, n.body) for n in node.elif_)], node.else_)
        if isinstance(node, nodes.For):
            return self._for(node)
        if isinstance(node, nodes.Assign):
            return self._assign(node)
        return _union(self.expression(child) for child in node.iter_child_nodes())

    def _if(
        self, arms: Sequence[tuple[nodes.Node, Sequence[nodes.Node]]], otherwise: Sequence[nodes.Node]
    ) -> _Found:
        """The first condition, and what is read on either way."""
        (test, body), *rest = arms
        found = self.expression(test)
        other = _Reader(self._scope.copy())
        taken = self.block(body)
        passed = other._if(rest, otherwise) if rest else other.block(otherwise)
        self._scope.merge(other._scope)
        return found | (taken & passed)

    def _for(self, node: nodes.For) -> _Found:
        found = self.expression(node.iter)
        inside = _Reader(self._scope.copy())
        inside._scope.set("loop", None)
        items = self._path(node.iter)
        for name in node.target.find_all(nodes.Name):
            inside._scope.set(name.name, None)
        if isinstance(node.target, nodes.Name):
            inside._scope.set(
                node.target.name, None if items is None or node.test is not None else (*items, None)
            )
        return found | inside.block(node.body)

    def _assign(self, node: nodes.Assign) -> _Found:
        """A name for a variable reads it only where the name is read."""
        assert isinstance(node.target, nodes.Name)
        path = _path(node.node)
        found = self.expression(node.node) if path is None else self._guarded(node.node)
        self._scope.set(node.target.name, path)
        return found

    def expression(self, node: nodes.Node) -> _Found:
        """What evaluating an expression reads in any case."""
        path = _path(node)
        if path is not None:
            return self._required(path)
        if isinstance(node, nodes.Filter) and node.name in _DEFAULTS and node.node is not None:
            return self._guarded(node.node) | _union(map(self.expression, (*node.args, *node.kwargs)))
        if isinstance(node, nodes.Test) and node.name in _TOLERANT:
            return self._guarded(node.node)
        if isinstance(node, (nodes.And, nodes.Or)):
            return self.expression(node.left)
        if isinstance(node, nodes.CondExpr):
            other = self.expression(node.expr2) if node.expr2 is not None else _NONE
            return self.expression(node.test) | (self.expression(node.expr1) & other)
        if isinstance(node, nodes.Compare):
            return self.expression(node.expr) | self.expression(node.ops[0].expr)
        if isinstance(node, nodes.Call) and isinstance(node.node, nodes.Getattr):
            return _union(map(self.expression, (node.node.node, *node.args, *node.kwargs)))
        return _union(self.expression(child) for child in node.iter_child_nodes())

    def _guarded(self, node: nodes.Node) -> _Found:
        """What is read of something that may be missing: all but its last part."""
        path = _path(node)
        if path is None:
            return self.expression(node)
        return self._required(path[:-1]) if len(path) > 1 else _NONE

    def _required(self, path: VariablePath) -> _Found:
        variable = self._scope.resolve(path)
        return _NONE if variable is None else frozenset({variable})

    def _path(self, node: nodes.Node) -> VariablePath | None:
        path = _path(node)
        return None if path is None else self._scope.resolve(path)


def _path(node: nodes.Node) -> VariablePath | None:
    """The path that an expression spells; None where it is anything else."""
    if isinstance(node, nodes.Name):
        return (node.name,)
    part: Part
    if isinstance(node, nodes.Getattr):
        part = node.attr
    elif (
        isinstance(node, nodes.Getitem)
        and isinstance(node.arg, nodes.Const)
        and type(node.arg.value) in (str, int)
    ):
        part = node.arg.value
    else:
        return None
    inner = _path(node.node)
    return None if inner is None else (*inner, part)


def _union(found: Iterable[_Found]) -> _Found:
    return _NONE.union(*found)
