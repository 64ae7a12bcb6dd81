"""What a caller may send, and what each fault is called."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from server.decisions.intake import IncomingEvent, accept, member_events, task_id
from server.decisions.model import DispatchTarget
from server.errors import InvalidInput

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
TENANT = UUID(int=1)
GOOD = IncomingEvent("order-1", "ann", "purchase", NOW, b'{"amount": 5}')


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"source_event_id": ""}, "source_event_id"),
        ({"source_event_id": " \t"}, "source_event_id"),
        ({"source_event_id": "x" * 201}, "source_event_id"),
        ({"source_event_id": "a\x00b"}, "source_event_id"),
        ({"profile_id": ""}, "profile_id"),
        ({"profile_id": "x" * 201}, "profile_id"),
        ({"event_type": ""}, "event_type"),
        ({"event_type": "x" * 101}, "event_type"),
        ({"event_type": "leo.dispatch"}, "event_type"),
        ({"occurred_at": None}, "occurred_at"),
        ({"occurred_at": datetime(1989, 12, 31, tzinfo=UTC)}, "occurred_at"),
        ({"occurred_at": NOW + timedelta(days=1, microseconds=1)}, "occurred_at"),
        ({"attributes": b"{"}, "attributes"),
        ({"attributes": b"[]"}, "attributes"),
        ({"attributes": b'{"a": "\xff"}'}, "attributes"),
        ({"attributes": b'{"a": "\\u0000"}'}, "attributes"),
        ({"attributes": b'{"a": 1e400}'}, "attributes"),
        ({"attributes": b'{"a": ' + b"[" * 40 + b"]" * 40 + b"}"}, "attributes"),
        ({"attributes": b'{"a": "%s"}' % (b"x" * 16_384)}, "attributes"),
    ],
)
def test_faults(change: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        accept(TENANT, GOOD._replace(**change), "events[3]", NOW)
    (violation,) = refused.value.violations
    assert violation.field == f"events[3].{field}"
    assert violation.description


def test_all_faults_are_told_at_once() -> None:
    with pytest.raises(InvalidInput) as refused:
        accept(TENANT, IncomingEvent("", "", "", None, b"x"), "event", NOW)
    assert [violation.field for violation in refused.value.violations] == [
        "event.source_event_id",
        "event.profile_id",
        "event.event_type",
        "event.attributes",
        "event.occurred_at",
    ]


@pytest.mark.parametrize(
    "change",
    [
        {"source_event_id": "x" * 200, "profile_id": "y" * 200, "event_type": "z" * 100},
        {"occurred_at": datetime(1990, 1, 1, tzinfo=UTC)},
        {"occurred_at": NOW + timedelta(days=1)},
        {"attributes": b""},
    ],
)
def test_what_lies_on_a_bound_is_accepted(change: dict[str, Any]) -> None:
    accept(TENANT, GOOD._replace(**change), "event", NOW)


def test_the_fingerprint_is_of_the_meaning_not_of_the_bytes() -> None:
    first = accept(TENANT, GOOD._replace(attributes=b'{"a": 1, "b": [2]}'), "event", NOW)
    spaced = accept(TENANT, GOOD._replace(attributes=b'{ "b":[ 2 ],"a":1 }'), "event", NOW)
    assert first.input_sha256 == spaced.input_sha256
    changes: list[dict[str, Any]] = [
        {"attributes": b'{"a": 1, "b": [3]}'},
        {"profile_id": "bob"},
        {"event_type": "visit"},
        {"occurred_at": NOW + timedelta(microseconds=1)},
    ]
    for change in changes:
        body: dict[str, Any] = {"attributes": b'{"a": 1, "b": [2]}', **change}
        changed = accept(TENANT, GOOD._replace(**body), "event", NOW)
        assert changed.input_sha256 != first.input_sha256
        assert changed.task_id == first.task_id


def test_ids_belong_to_a_tenant() -> None:
    assert task_id(TENANT, "order-1") != task_id(UUID(int=2), "order-1")


def test_members_of_a_dispatch_have_ids_of_their_own() -> None:
    targets = [DispatchTarget(plan, "m", "s") for plan in ("plan-1", "plan-2")]
    made = [
        event.task_id for target in targets for event in member_events(TENANT, target, ["ann", "bob"], NOW)
    ]
    assert len(set(made)) == 4
