"""The counters of experiments against counting by hand, as they grow, settle, and are counted by several at once."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, TypeAlias
from uuid import UUID

import asyncpg
import orjson
import pytest

from server.embedded.database_setup import DatabaseUrls
from server.experiments.jobs import ExperimentJobs
from server.experiments.model import Measured, settles_until
from server.experiments.store import CounterStore
from server.platform.ids import key_id
from server.platform.postgres import Database
from tests.fixtures.tenants import Tenant

DAY: Final = timedelta(days=1)
WINDOW: Final = 3 * DAY
VARIANTS: Final = ("short", "long", "holdout")
Proof: TypeAlias = asyncpg.Connection


@dataclass(frozen=True, slots=True)
class Exposure:
    """A decision that counts for an experiment; `recorded` and `occurred` are ages in days."""

    profile: str
    variant: str
    recorded: float
    occurred: float


@dataclass(frozen=True, slots=True)
class Happening:
    """An event of a customer, so many days ago."""

    profile: str
    occurred: float
    event_type: str = "purchase"


@dataclass(slots=True)
class Lab:
    """An experiment in the database, and what is recorded for it."""

    proof: Proof
    tenant: UUID
    pool: Database
    now: datetime
    rows: int = 0

    async def begin(self, status: str = "running") -> None:
        """A campaign and the experiment."""
        await self.proof.execute(
            "insert into campaign (tenant_id, campaign_id, campaign_code, campaign_name, objective, status)"
            " values ($1, 'c', 'C', 'C', 'CONVERSION', 'active')",
            self.tenant,
        )
        await self.proof.execute(
            "insert into activation_experiments (tenant_id, experiment_id, experiment_name, campaign_id,"
            " event_name, variants, conversion_event_type, attribution_window_seconds, status)"
            " values ($1, 'subject', 'S', 'c', 'thanks', $2, 'purchase', $3, $4)",
            self.tenant,
            orjson.dumps([{"name": n, "weight": 1, "template_name": None} for n in VARIANTS[:2]]).decode(),
            int(WINDOW.total_seconds()),
            status,
        )

    async def record(self, exposures: Iterable[Exposure] = (), happened: Iterable[Happening] = ()) -> None:
        """Tasks and events, as decisions leave them."""
        for exposure in exposures:
            self.rows += 1
            await self.proof.execute(
                "insert into agent_task (tenant_id, task_id, agent_name, task_type, profile_id, occurred_at,"
                " created_at, outcome, experiment_id, variant, status)"
                " values ($1, $2, 'rule_engine', 'execute', $3, $4, $5, $6, 'subject', $7, 'completed')",
                self.tenant,
                key_id("task", self.tenant, str(self.rows)),
                exposure.profile,
                self.now - timedelta(days=exposure.occurred),
                self.now - timedelta(days=exposure.recorded),
                "suppressed" if exposure.variant == "holdout" else "send",
                exposure.variant,
            )
        for event in happened:
            self.rows += 1
            occurred_at = self.now - timedelta(days=event.occurred)
            await self.proof.execute(
                "insert into behavioral_events (tenant_id, occurred_at, event_key, source_event_id, profile_id,"
                " event_type) values ($1, $2, $3, $3, $4, $5)",
                self.tenant,
                occurred_at,
                key_id("event", self.tenant, str(self.rows)),
                event.profile,
                event.event_type,
            )

    async def counted(self, days_ago: float = 0) -> dict[str, tuple[int, int]]:
        """Run the job as it would have run then; the counters by variant."""
        await self.count(days_ago)
        document = orjson.loads((await self.row())["variant_counts"])
        return {name: (count["exposures"], count["conversions"]) for name, count in document.items()}

    async def count(self, days_ago: float = 0) -> None:
        """Run the job as it would have run then."""
        then = self.now - timedelta(days=days_ago)
        await ExperimentJobs(database=self.pool, store=CounterStore(), clock=lambda: then).count()

    async def row(self) -> asyncpg.Record:
        """The experiment as it is stored."""
        row: asyncpg.Record | None = await self.proof.fetchrow(
            "select *, xmin::text from activation_experiments where tenant_id = $1", self.tenant
        )
        assert row is not None
        return row


def by_hand(exposures: Iterable[Exposure], happened: Iterable[Happening]) -> dict[str, tuple[int, int]]:
    """The counters from their definition: the first time of each profile, and what followed within the window."""
    first: dict[tuple[str, str], Exposure] = {}
    for exposure in sorted(exposures, key=lambda e: (-e.recorded, -e.occurred)):
        first.setdefault((exposure.variant, exposure.profile), exposure)
    counts: dict[str, tuple[int, int]] = {}
    for (variant, profile), exposure in first.items():
        converted = any(
            event.profile == profile
            and event.event_type == "purchase"
            and 0 < exposure.occurred - event.occurred <= WINDOW / DAY
            for event in happened
        )
        exposed, conversions = counts.get(variant, (0, 0))
        counts[variant] = exposed + 1, conversions + converted
    return counts


@pytest.fixture
async def pool(database: DatabaseUrls) -> AsyncIterator[Database]:
    """A worker's pool."""
    opened = await Database.connect(
        database.worker_url, minimum_connections=1, maximum_connections=4, application_name="test-counters"
    )
    async with opened.transaction() as connection:
        for days in range(0, 40, 10):
            await connection.execute(
                "select ensure_month($1)", datetime.now(UTC).date() - timedelta(days=days)
            )
    yield opened
    await opened.close()


@pytest.fixture
async def lab(proof: Proof, tenant_a: Tenant, pool: Database) -> Lab:
    """A running experiment."""
    made = Lab(proof, UUID(int=tenant_a.int), pool, datetime.now(UTC))
    await made.begin()
    return made


def _made_up(chance: random.Random, *, oldest: float, newest: float, count: int) -> list[Exposure]:
    """Exposures whose events were recorded up to half a day late, or dated a little ahead."""
    made = []
    for _ in range(count):
        recorded = chance.uniform(newest, oldest)
        profile, variant = f"p{chance.randrange(40)}", chance.choice(VARIANTS)
        made.append(Exposure(profile, variant, recorded, recorded + chance.uniform(-0.5, 0.5)))
    return made


async def test_counters_agree_with_counting_by_hand_while_they_settle(lab: Lab) -> None:
    chance = random.Random(5)
    happened = [
        Happening(f"p{chance.randrange(40)}", chance.uniform(0, 30), chance.choice(["purchase", "visit"]))
        for _ in range(150)
    ]
    await lab.record(happened=happened)
    exposures: list[Exposure] = []
    for oldest, newest in ((30, 15), (15, 9), (9, 4), (4, 0.6)):
        added = _made_up(chance, oldest=oldest, newest=newest, count=60)
        exposures += added
        await lab.record(added)
        assert await lab.counted(days_ago=newest) == by_hand(exposures, happened)
    row = await lab.row()
    assert row["settled_until"] > lab.now - 6 * DAY
    assert orjson.loads(row["settled_counts"]) != orjson.loads(row["variant_counts"])
    counts = by_hand(exposures, happened)
    assert row["exposure_count"] == counts["short"][0] + counts["long"][0]
    assert row["conversion_count"] == counts["short"][1] + counts["long"][1]


async def test_a_conversion_counts_from_after_the_message_to_the_end_of_the_window(lab: Lab) -> None:
    await lab.record(
        [Exposure(name, "short", 4, 4) for name in ("same", "first", "last", "late", "other")],
        [
            Happening("same", 4),
            Happening("first", 4 - 1 / 86_400),
            Happening("last", 1),
            Happening("late", 1 - 1 / 86_400),
            Happening("other", 3, "visit"),
        ],
    )
    assert await lab.counted() == {"short": (5, 2)}


async def test_runs_may_be_repeated_and_several_may_run_at_once(lab: Lab) -> None:
    await lab.record([Exposure(f"p{n}", "short", 0.1, 0.1) for n in range(5)], [Happening("p1", 0.05)])
    version = "select definitions_version from tenant where tenant_id = $1"
    before = await lab.proof.fetchval(version, lab.tenant)
    await asyncio.gather(*(lab.count() for _ in range(4)))
    first = await lab.row()
    assert await lab.counted() == {"short": (5, 1)}
    assert (await lab.row())["xmin"] == first["xmin"]  # nothing new: nothing written
    assert await lab.proof.fetchval(version, lab.tenant) == before
    await lab.record(happened=[Happening("p2", 0.01)])
    assert await lab.counted() == {"short": (5, 2)}


async def test_what_is_settled_is_not_read_again(lab: Lab) -> None:
    await lab.record([Exposure("old", "short", 20, 20), Exposure("new", "short", 1, 1)])
    assert await lab.counted() == {"short": (2, 0)}
    await lab.record(
        [Exposure("old", "short", 1, 1), Exposure("old", "long", 1, 1)],
        [Happening("old", 19), Happening("new", 0.5)],
    )
    # The purchase of "old" came after its window was settled; it was reached by "short" before.
    assert await lab.counted() == {"short": (2, 1), "long": (1, 0)}


@pytest.mark.parametrize(("status", "counts"), [("draft", {}), ("paused", {"short": (1, 0)})])
async def test_what_ended_is_counted_until_all_of_it_is_settled(
    proof: Proof, tenant_a: Tenant, pool: Database, status: str, counts: dict[str, tuple[int, int]]
) -> None:
    lab = Lab(proof, UUID(int=tenant_a.int), pool, datetime.now(UTC))
    await lab.begin(status)
    await lab.record([Exposure("p", "short", 0.1, 0.1)])
    assert await lab.counted() == counts
    await proof.execute(
        "update activation_experiments set settled_until = status_changed_at + interval '61 minutes'"
    )
    settled = await lab.row()
    assert await lab.counted() == counts
    assert (await lab.row())["xmin"] == settled["xmin"]


async def test_tenants_are_counted_apart(lab: Lab, proof: Proof, tenant_b: Tenant, pool: Database) -> None:
    other = Lab(proof, UUID(int=tenant_b.int), pool, lab.now)
    await other.begin()
    await lab.record([Exposure("p", "short", 1, 1)], [Happening("p", 0.5)])
    await other.record([Exposure("p", "short", 1, 1), Exposure("q", "long", 1, 1)])
    assert await lab.counted() == {"short": (1, 1)}
    assert await other.counted() == {"short": (1, 0), "long": (1, 0)}


def test_it_settles_in_whole_hours_and_never_goes_back() -> None:
    measured = Measured("subject", "purchase", WINDOW, None, {}, {})
    now = datetime(2026, 11, 21, 15, 47, 3, tzinfo=UTC)
    assert settles_until(measured, now) == datetime(2026, 11, 16, 15, tzinfo=UTC)
    later = Measured("subject", "purchase", WINDOW, datetime(2026, 11, 20, tzinfo=UTC), {}, {})
    assert settles_until(later, now) == later.settled_until
