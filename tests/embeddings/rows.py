"""What the queue is about, written as the servers' role would, and what became of it."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

import asyncpg


@dataclass(frozen=True, slots=True)
class Job:
    """A job as it stands."""

    status: str
    attempts: int
    error: str | None
    model: str | None


@dataclass(frozen=True, slots=True)
class Rows:
    """Writes and reads past row-level security."""

    proof: asyncpg.Connection

    async def news(self, tenant: UUID | None, title: str, content: str = "") -> str:
        """A news item with its job; answers its id."""
        tenant_id = None if tenant is None else UUID(int=tenant.int)
        news_id: int = await self.proof.fetchval(
            "insert into news_feed (tenant_id, content_sha256, title, content, published_at)"
            " values ($1, gen_random_uuid()::text, $2, $3, now()) returning news_id",
            tenant_id,
            title,
            content,
        )
        await self.proof.execute(
            "insert into embedding_job (tenant_id, entity_type, entity_id) values ($1, 'news', $2)",
            tenant_id,
            str(news_id),
        )
        return str(news_id)

    async def profile(
        self, tenant: UUID, profile_id: str, *interests: str, titles: tuple[str, ...] = ()
    ) -> None:
        """A profile; its job comes by itself."""
        await self.proof.execute(
            "insert into cdp_profiles (tenant_id, profile_id, interests, job_titles)"
            " values ($1, $2, to_jsonb($3::text[]), to_jsonb($4::text[]))",
            UUID(int=tenant.int),
            profile_id,
            list(interests),
            list(titles),
        )

    async def job(self, entity_id: str) -> Job:
        """How a job stands."""
        row = await self.proof.fetchrow(
            "select status, attempts, last_error, model from embedding_job where entity_id = $1", entity_id
        )
        assert row is not None
        return Job(*row)

    async def likeness(self, entity_id: str, vector: list[float]) -> float | None:
        """Cosine of the stored vector with another; None where none is stored."""
        text = "[" + ",".join(map(str, vector)) + "]"
        found: float | None = await self.proof.fetchval(
            "select 1 - (vector <=> $2::text::vector) from ("
            " select content_embedding as vector from news_feed where news_id::text = $1"
            " union all select interest_embedding from cdp_profiles where profile_id = $1) as stored",
            entity_id,
            text,
        )
        return found
