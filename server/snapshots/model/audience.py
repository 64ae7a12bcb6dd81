"""From a wish to the members that PostgreSQL is to find. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from server.conditions import Condition, compile_sql, parse
from server.errors import InvalidInput
from server.platform.ids import content_id
from server.snapshots.model.wanted import Combination, GivenCondition, GivenList
from server.validation import Violations

FIRST_PARAMETER: Final = 2
"""Number of the first parameter of a query for members; the one before it is the tenant."""

_LABEL_VERSION: Final = "label"
_LIST_VERSION: Final = "list"


@dataclass(frozen=True, slots=True)
class Members:
    """Who is to be frozen, and under which name.

    Args:
        name: what the segment is called.
        version: which definition of it.
        query: the named query that finds them.
        parameters: its values, from `FIRST_PARAMETER` on.
        condition: what takes the place of the condition in the query, as SQL; empty where it has none.
        record: how they were meant, as it is recorded.
    """

    name: str
    version: str
    query: str
    parameters: tuple[object, ...]
    record: dict[str, object]
    condition: str = ""


@dataclass(frozen=True, slots=True)
class Audience:
    """A definition of who is meant.

    Args:
        name: what the segment is called.
        version: which definition of it.
        condition: who is in it.
    """

    name: str
    version: str
    condition: Condition

    def members(self, *, at: datetime, field: str) -> Members:
        """Who is in it at this instant.

        Raises:
            InvalidInput: the condition reads an event; paths begin with `field`.
        """
        try:
            fragment = compile_sql(self.condition, at=at, first_parameter=FIRST_PARAMETER)
        except InvalidInput as error:
            raise _under(field, error) from error
        return Members(
            self.name,
            self.version,
            query="members_by_condition",
            parameters=fragment.parameters,
            record={"condition": self.condition.canonical()},
            condition=fragment.text,
        )


def label_audience(label: str) -> Audience:
    """The audience of a label."""
    condition = parse({"attribute": "segment", "operator": "contains", "value": label}, path="label")
    return Audience(label, _LABEL_VERSION, condition)


def condition_audience(tenant_id: UUID, given: GivenCondition) -> Audience:
    """The audience of a condition; its version is the one that a campaign gives the same condition.

    Raises:
        InvalidInput: with every fault of the condition.
    """
    try:
        condition = parse(given.condition)
    except InvalidInput as error:
        raise _under("condition.condition", error) from error
    return Audience(given.name, content_id("segment", tenant_id, condition.canonical()), condition)


def listed_members(given: GivenList) -> Members:
    """The members of a list: those that the tenant has, each once."""
    return Members(
        given.name,
        _LIST_VERSION,
        query="members_by_list",
        parameters=(sorted(set(given.profile_ids)),),
        record={},
    )


def combined_members(tenant_id: UUID, given: Combination) -> Members:
    """What two snapshots give together; its version is the hash of how they are combined."""
    return Members(
        given.name,
        content_id("snapshot_combination", tenant_id, given.document()),
        query=f"members_{given.operation}",
        parameters=(given.snapshot_id, given.other_snapshot_id),
        record={},
    )


def _under(field: str, error: InvalidInput) -> InvalidInput:
    """The faults of a document, with paths in the request."""
    violations = Violations()
    violations.include(field, error.violations)
    return InvalidInput(violations.found)
