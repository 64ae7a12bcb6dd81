"""The condition language: one JSON tree, read as a closure, as SQL and as a sentence.

Pure: no clock, no randomness, no I/O. `docs/conditions.md` is its reference.
"""

from server.conditions.closure import Predicate, compile_predicate
from server.conditions.facts import Facts
from server.conditions.model import Condition
from server.conditions.parser import parse
from server.conditions.sentence import Explainer, compile_explainer, describe, explain
from server.conditions.sql import SqlFragment, compile_sql
from server.conditions.windows import PastEvent, Window, measure

__all__ = [
    "Condition",
    "Explainer",
    "Facts",
    "PastEvent",
    "Predicate",
    "SqlFragment",
    "Window",
    "compile_explainer",
    "compile_predicate",
    "compile_sql",
    "describe",
    "explain",
    "measure",
    "parse",
]
