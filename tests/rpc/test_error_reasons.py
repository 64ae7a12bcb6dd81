"""Every reason in the source is a name of the wire enum, and every name is documented and used."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from leo.activation.v1 import error_reason_pb2

from server import errors

ROOT = Path(__file__).resolve().parents[2]
NEVER_RAISED = {
    "ERROR_REASON_UNSPECIFIED",  # protocol buffers want a zero
    "MESSAGE_TOO_LARGE",  # for limits of a service; the transport's own limit has no details
}
_ERROR_CLASSES = {name for name, value in vars(errors).items() if isinstance(value, type)}


def reasons_in(path: Path) -> Iterator[tuple[str, str]]:
    """Reasons that a file gives to domain errors, each with its place."""
    tree = ast.parse(path.read_text())
    own = {
        node.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef) and any(_name(base) in _ERROR_CLASSES for base in node.bases)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and node.args and _raises(node.func, own):
            first = node.args[0]
            if isinstance(first, ast.Constant) and re.fullmatch(r"[A-Z][A-Z_]+", str(first.value)):
                yield str(first.value), f"{path.relative_to(ROOT)}:{node.lineno}"


def _name(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")


def _raises(function: ast.expr, own: set[str]) -> bool:
    name = _name(function)
    is_super_call = (
        isinstance(function, ast.Attribute)
        and name == "__init__"
        and isinstance(function.value, ast.Call)
        and _name(function.value.func) == "super"
    )
    return is_super_call or name in _ERROR_CLASSES | own | {"_refuse"}


def test_reasons_are_names_of_the_enum_and_all_are_used() -> None:
    found = {reason: place for path in (ROOT / "server").rglob("*.py") for reason, place in reasons_in(path)}
    names = set(error_reason_pb2.ErrorReason.keys())
    unknown = {reason: place for reason, place in found.items() if reason not in names}
    assert unknown == {}
    assert names - set(found) - NEVER_RAISED == {"INTERNAL_FAULT"}


def test_every_reason_is_in_the_documentation() -> None:
    documented = set(re.findall(r"^\| `([A-Z_]+)` \|", (ROOT / "docs/errors.md").read_text(), re.MULTILINE))
    assert documented == set(error_reason_pb2.ErrorReason.keys()) - {"ERROR_REASON_UNSPECIFIED"}


def test_every_reason_says_its_code_and_what_to_do() -> None:
    text = (ROOT / "proto/leo/activation/v1/error_reason.proto").read_text()
    for name in set(error_reason_pb2.ErrorReason.keys()) - {"ERROR_REASON_UNSPECIFIED"}:
        comment = re.search(rf"((?:  //.*\n)+)  {name} = ", text)
        assert comment is not None, name
        assert re.match(r"  // ([A-Z_]+|Never sent)\. ", comment.group(1)), name
