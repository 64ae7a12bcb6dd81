"""Lag, staleness, health, pauses and counts: pure, so any numbers may come."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.errors import FieldViolation
from server.mapping.files import mapping_of
from server.mapping.mapping import ProfileMapping
from server.sync.documents import Written, read_documents
from server.sync.model import (
    Condition,
    Counts,
    DataSource,
    Definition,
    Health,
    SourceType,
    advanced,
    after_absence,
    after_refusal,
    after_success,
    pause_after,
    with_usual_staleness,
)
from server.sync.reach import NotAllowed, Reach
from server.sync.sources.source import Change

NOW = datetime(2026, 5, 1, tzinfo=UTC)
moments = st.integers(-(10**7), 10**7).map(lambda seconds: NOW + timedelta(seconds=seconds))
counts = st.builds(
    Counts,
    read=st.integers(0, 99),
    written=st.integers(0, 99),
    rejected=st.integers(0, 99),
    reasons=st.dictionaries(st.text(max_size=3), st.integers(1, 99), max_size=40),
)


def source(condition: Condition, *, stale_after: int | None = 60, paused: bool = False) -> DataSource:
    definition = Definition("crm", "CRM", SourceType.FILE, {}, {}, 30, stale_after, paused)
    return DataSource(definition, condition)


@given(
    success=st.none() | moments, now=moments, allowed=st.none() | st.integers(1, 10**7), paused=st.booleans()
)
def test_stale_is_who_had_no_success_for_too_long(
    success: datetime | None, now: datetime, allowed: int | None, paused: bool
) -> None:
    stale = source(
        Condition(created_at=NOW, last_success_at=success), stale_after=allowed, paused=paused
    ).is_stale(now)
    assert stale == (
        allowed is not None and not paused and now - (success or NOW) > timedelta(seconds=allowed)
    )


@given(known=st.none() | moments, newest=st.none() | moments, now=moments)
def test_what_is_taken_in_goes_neither_back_nor_beyond_the_present(
    known: datetime | None, newest: datetime | None, now: datetime
) -> None:
    until = advanced(known, newest, now)
    assert known is None or (until is not None and until >= known)
    assert until is None or until <= max(now, known or now)
    assert newest is None or newest > now or (until is not None and until >= newest)
    lag = source(Condition(created_at=NOW, synced_until=until)).lag_seconds(now)
    assert (lag is None) == (until is None)
    assert lag is None or lag >= 0


@given(failures=st.integers(1, 10**9))
def test_pauses_grow_and_end_growing(failures: int) -> None:
    assert 5 <= pause_after(failures) <= pause_after(failures + 1) <= 300


@given(failures=st.integers(0, 50), frequency=st.none() | st.integers(1, 10**6))
def test_health_follows_how_the_run_ended(failures: int, frequency: int | None) -> None:
    away = after_absence("away", failures)
    assert (away.health, away.failures) == (Health.DEGRADED, failures + 1)
    assert away.pause_seconds is not None, "also where it is run only on request"
    refused = after_refusal("no", failures, frequency)
    assert refused.health is Health.FAILING
    assert (refused.pause_seconds is None) == (frequency is None)
    assert frequency is None or (refused.pause_seconds or 0) >= frequency
    well = after_success(Counts(read=2, rejected=1), frequency)
    assert (well.health, well.failures, well.error) == (Health.HEALTHY, 0, None)
    assert after_success(Counts(read=2, rejected=2, reasons={"X": 2}), frequency).health is Health.DEGRADED


@given(parts=st.lists(counts, max_size=6))
def test_counts_add_up_and_reasons_stay_few(parts: list[Counts]) -> None:
    total = Counts()
    for part in parts:
        total = total.plus(part)
    assert total.read == sum(part.read for part in parts)
    assert sum(total.reasons.values()) == sum(sum(part.reasons.values()) for part in parts)
    assert len(total.reasons) <= 51


def test_staleness_is_three_missed_runs_where_nobody_says_otherwise() -> None:
    usual = with_usual_staleness(Definition("a", "A", SourceType.FILE, {}, {}, 3_600, None))
    assert usual.stale_after_seconds == 10_800
    often = with_usual_staleness(Definition("a", "A", SourceType.FILE, {}, {}, 1, None))
    assert often.stale_after_seconds == 300
    assert (
        with_usual_staleness(Definition("a", "A", SourceType.FILE, {}, {}, None, None)).stale_after_seconds
        is None
    )


def test_documents_become_arrivals_or_reasons_without_what_they_hold() -> None:
    mapping = ProfileMapping(
        mapping_of({"fields": {"ext_id": "_key", "segments": "labels", "primary_email": "mail"}})
    )
    documents = read_documents(
        [
            Change({"_key": "1", "mail": "a@example.com", "labels": ["x"], "tier": 2}),
            Change({"_key": "2", "labels": {"secret": 1}}),
            Change({"_key": "3", "mail": "b@example.com"}, deleted=True),
            Change({}, fault="TOO_LARGE"),
        ],
        mapping,
        marks={"synced_from": "crm"},
    )
    assert documents.rejected == {"NOT_MAPPED:segments": 1, "TOO_LARGE": 1}
    whole, gone = documents.arrivals
    assert whole.profile.attributes == {"tier": 2, "synced_from": "crm"}
    assert (gone.gone, gone.profile.fields, gone.profile.attributes) == (True, {"ext_id": "3"}, {})
    fault = FieldViolation("profiles[0].channel_addresses['zalo'].addresses", "…")
    counted = documents.counts([Written("refused", (fault,)), Written("updated")])
    assert (counted.read, counted.written, counted.rejected, counted.deleted) == (4, 1, 3, 1)
    assert counted.reasons["REFUSED:channel_addresses"] == 1


@pytest.mark.parametrize(
    ("pattern", "host", "port", "allowed"),
    [
        ("crm.example.com:5432", "CRM.example.com.", 5432, True),
        ("crm.example.com:5432", "crm.example.com", 5433, False),
        ("*.db.example.com:*", "a.db.example.com", 8529, True),
        ("*.db.example.com:*", "db.example.com", 8529, False),
        ("*.db.example.com:5432", "evil.com:1/.db.example.com", 5432, False),
        ("10.0.0.[0-9]:5432", "10.0.0.7", 5432, False),
        ("[::1]:5432", "::1", 5432, True),
        ("*:*", "anything", 1, True),
    ],
)
def test_hosts_are_those_of_the_patterns(pattern: str, host: str, port: int, allowed: bool) -> None:
    reach = Reach(hosts=[pattern], directory=Path())
    if allowed:
        reach.check_host(host, port)
    else:
        with pytest.raises(NotAllowed, match="LEO_SYNC_HOSTS"):
            reach.check_host(host, port)
