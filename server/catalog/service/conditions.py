"""What the catalogue asks of the condition language."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from server.errors import InvalidInput
from server.validation import Violations


class ParsedCondition(Protocol):
    """A condition that was found good."""

    def canonical(self) -> Mapping[str, object]:
        """The one spelling of the condition."""
        ...

    @property
    def attributes(self) -> frozenset[str]:
        """Names of the attributes that it reads."""
        ...


class ConditionCompiler(Protocol):
    """Reads conditions."""

    def parse(self, document: object) -> ParsedCondition:
        """Raises:
        InvalidInput: with every fault and its JSON path.
        """
        ...


def parse_condition(
    conditions: ConditionCompiler, document: bytes, violations: Violations, field: str
) -> ParsedCondition | None:
    """The condition; None where it has faults, which are noted under the field."""
    try:
        return conditions.parse(document)
    except InvalidInput as error:
        violations.include(field, error.violations)
        return None
