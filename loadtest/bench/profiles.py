"""Benchmark of profiles at scale: one population, and what is done with it, step by step."""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import asyncpg
from google.protobuf.message import Message
from leo.activation.v1 import profile_service_pb2 as wire

from loadtest.bench.benchmark import Benchmark, Pair, Sample, Sizes
from loadtest.bench.driving import NotReconciled, drive
from loadtest.bench.people import People, in_parts, profile_id
from loadtest.bench.profile_client import write_messages
from loadtest.bench.stage import SERVE, Server, Stage
from loadtest.bench.world import World, fill, tenant_client
from server.embedded.database_setup import DatabaseUrls

_SEED: Final = 7
_PART: Final = 1_000
_EVENTS_A_CALL: Final = 5_000
_CHANGED_SHARE: Final = 0.05
_CHANGED_A_CALL: Final = 100
_FEWEST: Final = 1_000
_REPORTED_SECONDS: Final = 10.0
_COUNTS: Final = """
select (select count(*) from cdp_profiles) as profiles, (select count(*) from behavioral_events) as events
"""
_BYTES: Final = """
select sum(pg_total_relation_size(name))::bigint as bytes
from unnest(array['cdp_profiles', 'consent_management', 'embedding_job']::regclass[]) as name
"""
_VECTOR_INDEX: Final = "select indexdef from pg_indexes where indexname = 'embedding_job_vector_signs'"
# A thousand topics; everybody has two of them. Drawing 1,536 numbers for each of a million people would take an hour.
_TOPICS: Final = """
create temp table topics as
select number, (
    select array_agg(sin((number + 1) * dimension + 0.5)) from generate_series(1, 1536) as dimension
)::vector(1536) as embedding
from generate_series(0, 999) as number
"""
_EMBED: Final = """
update cdp_profiles
set interest_embedding = one.embedding + other.embedding
from topics as one, topics as other
where profile_id = any($1::text[])
    and one.number = substr(profile_id, 2)::bigint % 1000
    and other.number = (substr(profile_id, 2)::bigint * 7 + substr(profile_id, 2)::bigint / 1000) % 1000
"""
# What the trigger does for each vector, for many at once.
_SIGN: Final = """
insert into embedding_job (tenant_id, entity_type, entity_id, status, vector_signs)
select tenant_id, 'profile_vector', profile_id, 'completed', binary_quantize(interest_embedding)::bit(1536)
from cdp_profiles
where profile_id = any($1::text[])
"""


@dataclass(frozen=True, slots=True)
class Population:
    """What steps work on: a server, its database with so many people of one tenant, and files for messages."""

    stage: Stage
    server: Server
    database: DatabaseUrls
    people: People
    count: int
    directory: Path

    async def send(self, method: str, messages: Iterator[Message], streams: int) -> dict[str, float]:
        """Write the messages down, then send them; what the client reports, with CPU seconds of all processes."""
        path = self.directory / "messages"
        count = write_messages(path, self._reporting(messages))
        await self.stage.settle()
        report_progress(f"sending {count:,} messages to {method}")
        before = self.stage.consumption(self.server)
        report = await drive(
            {
                "method": method,
                "path": str(path),
                "streams": streams,
                "ahead": 2,
                "address": self.server.address,
                "token": self.stage.token(tenant_client(0), ("profiles.write",)),
            },
            module="loadtest.bench.profile_client",
        )
        return report | self.stage.consumption(self.server).since(before)

    def _reporting(self, messages: Iterable[Message]) -> Iterator[Message]:
        """The same messages, while the terminal tells now and then how many were made."""
        told = time.monotonic()
        for count, message in enumerate(messages, start=1):
            yield message
            if time.monotonic() > told + _REPORTED_SECONDS:
                told = time.monotonic()
                report_progress(f"made {count:,} messages")

    async def ask(self, query: str) -> asyncpg.Record:
        """One row, as the role of proofs."""
        proof = await asyncpg.connect(self.database.proof_url)
        row = await proof.fetchrow(query)
        await proof.close()
        assert row is not None
        return row


def report_progress(what: str) -> None:
    """Tell whoever waits at the terminal how far it is; the last line of the output stays the figures."""
    print(f"  {what}", file=sys.stderr, flush=True)


@dataclass(frozen=True, slots=True)
class Step:
    """One line of the table, or several: figures by name. Later steps find what earlier ones left."""

    measure: Callable[[Population], Awaitable[Mapping[str, float]]]


async def import_all(population: Population) -> dict[str, float]:
    """New profiles a second over four streams, and the CPU of each."""
    parts = enumerate(in_parts(0, population.count, _PART), start=1)
    report = await population.send(
        "ImportProfiles",
        (
            wire.ImportProfilesRequest(
                sequence=sequence, profiles=[population.people.patch(number) for number in part]
            )
            for sequence, part in parts
        ),
        streams=4,
    )
    stored = (await population.ask(_COUNTS))["profiles"]
    if not report["created"] == stored == population.count:
        raise NotReconciled(f"{population.count} profiles, but {report}, and stored {stored}")
    size = (await population.ask(_BYTES))["bytes"]
    return {
        "new_profiles_per_second": report["created"] / report["seconds"],
        **_each("new_profile", report, report["created"]),
        "bytes_per_profile": size / population.count,
    }


async def ingest_events(population: Population) -> dict[str, float]:
    """Events a second in calls of 5,000, four at once, and the CPU of each."""
    parts = in_parts(0, population.count, _EVENTS_A_CALL)
    report = await population.send(
        "IngestEvents",
        (
            wire.IngestEventsRequest(
                events=[population.people.event(number, population.count) for number in part]
            )
            for part in parts
        ),
        streams=4,
    )
    stored = (await population.ask(_COUNTS))["events"]
    if not report["recorded"] == stored == population.count:
        raise NotReconciled(f"{population.count} events, but {report}, and stored {stored}")
    return {
        "events_per_second": report["recorded"] / report["seconds"],
        **_each("event", report, report["recorded"]),
    }


async def embed_all(population: Population) -> dict[str, float]:
    """Gives everybody an embedding, and the index of them, by SQL; measures only what they take."""
    owner = await asyncpg.connect(population.database.superuser_url)
    definition = await owner.fetchval(_VECTOR_INDEX)
    await owner.execute("drop index embedding_job_vector_signs")
    await owner.execute("set session_replication_role = replica; set synchronous_commit = off")
    await owner.execute(_TOPICS)
    for part in in_parts(0, population.count, 20_000):
        ids = [profile_id(number) for number in part]
        await owner.execute(_EMBED, ids)
        await owner.execute(_SIGN, ids)
        if part.stop % 200_000 == 0:
            report_progress(f"{part.stop:,} of {population.count:,} have an embedding")
    report_progress("making the index of embeddings")
    await owner.execute("set maintenance_work_mem = '2GB'")
    await owner.execute(definition)
    # What autovacuum will have done by the time that anybody changes.
    await owner.execute("vacuum analyze cdp_profiles, embedding_job")
    await owner.close()
    await population.stage.settle()
    return {
        "bytes_per_profile_with_embedding": (await population.ask(_BYTES))["bytes"] / population.count,
    }


async def upsert_changed(population: Population) -> dict[str, float]:
    """p50 and p99 of UpsertProfiles with 100 changed profiles while one in twenty of all changes, a call at a time."""
    changed = max(_CHANGED_A_CALL, int(population.count * _CHANGED_SHARE))
    stride = population.count // changed
    parts = in_parts(0, changed, _CHANGED_A_CALL)
    report = await population.send(
        "UpsertProfiles",
        (
            wire.UpsertProfilesRequest(
                profiles=[population.people.change(number * stride, 1) for number in part]
            )
            for part in parts
        ),
        streams=1,
    )
    if report["updated"] != changed:
        raise NotReconciled(f"{changed} changed profiles, but {report}")
    calls = changed / _CHANGED_A_CALL
    return {
        "upsert_100_p50_ms": report["p50_ms"],
        "upsert_100_p99_ms": report["p99_ms"],
        "upsert_100_server_cpu_ms": report["server"] / calls * 1000,
        "upsert_100_postgres_cpu_ms": report["postgres"] / calls * 1000,
    }


STEPS: Final = (
    Step(import_all),
    Step(ingest_events),
    Step(embed_all),
    Step(upsert_changed),
)
"""In their order; what needs a whole population adds its step here."""


async def _rounds(stage: Stage, sizes: Sizes, _count: int) -> list[Pair]:
    count = max(_FEWEST, int(sizes.population * sizes.share))
    figures: dict[str, float] = {"rows": count}
    async with stage.database() as database:
        await fill(database, World(1, 0), definitions=False)
        async with stage.server(database, (*SERVE, "--workers", "2")) as server:
            with tempfile.TemporaryDirectory(prefix="leo-bench-messages-") as directory:
                population = Population(stage, server, database, People(_SEED), count, Path(directory))
                for step in STEPS:
                    begin = time.monotonic()
                    report_progress(f"{step.measure.__name__}, of {count:,}")
                    figures |= await step.measure(population)
                    report_progress(f"{step.measure.__name__} took {time.monotonic() - begin:.0f} s")
    return [(Sample(figures["new_profiles_per_second"], figures), None)]


def _each(what: str, report: Mapping[str, float], count: float) -> dict[str, float]:
    return {
        f"{what}_{process}_us": report[process] / count * 1e6 for process in ("server", "postgres", "client")
    }


BENCHMARKS = (Benchmark("profiles", "profiles/s", _rounds, detailed=True),)
