"""The queue of texts to embed in PostgreSQL: one method for each named query of db/queries/embeddings.sql."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

import orjson

from server.embeddings.embedder import Vector
from server.embeddings.model import JobEnd, JobKey, Kind, Source, news_text, profile_text
from server.embeddings.report import FailedJob, JobCount
from server.paging import Key
from server.platform.postgres import Connection
from server.platform.queries import Queries


class EmbeddingStore:
    """Every method is one statement and one round trip, inside the caller's open transaction."""

    def __init__(self) -> None:
        self._queries = Queries.load("embeddings")

    async def claim(
        self, connection: Connection, kind: Kind, *, limit: int, lease: timedelta, owner: str
    ) -> list[JobKey]:
        """Lease jobs of any tenant; needs no tenant context."""
        rows = await connection.fetch(self._queries["claim"], kind.value, limit, lease, owner)
        return [JobKey(row["tenant_id"], row["entity_id"], row["attempts"]) for row in rows]

    async def allow_global_news(self, connection: Connection) -> None:
        """Let the open transaction write global news and their jobs."""
        await connection.execute(self._queries["allow_global_news"])

    async def load(
        self, connection: Connection, tenant_id: UUID | None, kind: Kind, entity_ids: Sequence[str]
    ) -> dict[str, Source]:
        """What to embed, by id; nothing for what is there no more."""
        name = "load_news" if kind is Kind.NEWS else "load_profiles"
        rows = await connection.fetch(self._queries[name], tenant_id, entity_ids)
        if kind is Kind.NEWS:
            texts = [news_text(row["title"], row["content"]) for row in rows]
        else:
            texts = [
                profile_text(
                    orjson.loads(row["job_titles"]), orjson.loads(row["interests"]), row["behaviour"]
                )
                for row in rows
            ]
        return {
            row["entity_id"]: Source(text, row["input_sha256"]) for row, text in zip(rows, texts, strict=True)
        }

    async def lock_profiles(
        self, connection: Connection, tenant_id: UUID | None, profile_ids: Sequence[str]
    ) -> None:
        """Lock profiles, as whoever changes them does before their jobs."""
        await connection.execute(self._queries["lock_profiles"], tenant_id, profile_ids)

    async def end_jobs(
        self,
        connection: Connection,
        tenant_id: UUID | None,
        kind: Kind,
        owner: str,
        ends: Sequence[JobEnd],
        model: str,
    ) -> set[str]:
        """End jobs or put them off; answers the ids of those whose claim still held."""
        rows = await connection.fetch(
            self._queries["end_jobs"],
            tenant_id,
            kind.value,
            owner,
            [end.job.entity_id for end in ends],
            [end.job.attempt for end in ends],
            [end.input_sha256 for end in ends],
            [end.error for end in ends],
            [end.dead for end in ends],
            [end.wait for end in ends],
            model,
        )
        return {row["entity_id"] for row in rows}

    async def write_vectors(
        self,
        connection: Connection,
        tenant_id: UUID | None,
        kind: Kind,
        vectors: Sequence[tuple[str, Vector | None]],
        model: str,
    ) -> None:
        """Store vectors by id; None removes one. The statements travel together."""
        name = "write_news_vector" if kind is Kind.NEWS else "write_profile_vector"
        await connection.executemany(
            self._queries[name], [(tenant_id, entity_id, vector, model) for entity_id, vector in vectors]
        )

    async def release(
        self,
        connection: Connection,
        tenant_id: UUID | None,
        kind: Kind,
        owner: str,
        jobs: Sequence[JobKey],
        *,
        wait: timedelta,
        reason: str,
    ) -> None:
        """Give claimed jobs back as if they had not been claimed, for later."""
        await connection.execute(
            self._queries["release"],
            tenant_id,
            kind.value,
            owner,
            [job.entity_id for job in jobs],
            [job.attempt for job in jobs],
            wait,
            reason,
        )

    async def count_jobs(self, connection: Connection, tenant_id: UUID, *, model: str) -> list[JobCount]:
        """How many jobs of a tenant there are, by kind, status and model; of one model where it is given."""
        rows = await connection.fetch(self._queries["count_jobs"], tenant_id, model)
        return [
            JobCount(row["entity_type"], row["status"], row["model"] or "", row["jobs"], row["oldest_due_at"])
            for row in rows
        ]

    async def list_failed(
        self, connection: Connection, tenant_id: UUID, *, after: Key, limit: int
    ) -> list[FailedJob]:
        """Dead jobs of a tenant after a key."""
        rows = await connection.fetch(self._queries["list_failed"], tenant_id, *after, limit)
        return [
            FailedJob(
                row["entity_type"], row["entity_id"], row["attempts"], row["last_error"], row["updated_at"]
            )
            for row in rows
        ]

    async def requeue_failed(
        self, connection: Connection, tenant_id: UUID, *, kind: str | None, entity_ids: Sequence[str]
    ) -> int:
        """Make dead jobs pending again; answers how many."""
        status = await connection.execute(self._queries["requeue_failed"], tenant_id, kind, list(entity_ids))
        return int(status.rpartition(" ")[2])

    async def requeue_other_models(
        self, connection: Connection, tenant_id: UUID, *, kind: str | None, model: str
    ) -> int:
        """Make pending what another model embedded; answers how many."""
        status = await connection.execute(self._queries["requeue_other_models"], tenant_id, kind, model)
        return int(status.rpartition(" ")[2])
