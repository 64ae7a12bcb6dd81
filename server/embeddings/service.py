"""What people ask of the queue, and do to it."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from server.embeddings.report import FailedJob, JobCount
from server.embeddings.store import EmbeddingStore
from server.paging import Page, PageRequest, open_cursor
from server.platform.postgres import Database
from server.validation import Violations


class EmbeddingService:
    """Shows the queue of a tenant, and makes jobs wait again.

    Args:
        model: what this server's searches compare with.
    """

    def __init__(self, *, database: Database, store: EmbeddingStore, model: str) -> None:
        self._database = database
        self._store = store
        self.model = model

    async def count_jobs(self, tenant_id: UUID, *, model: str) -> list[JobCount]:
        """How many jobs there are, by kind, status and model. PostgreSQL: 3 round trips; reads all of the tenant's.

        Args:
            model: only those that it embedded; empty for all.
        """
        async with self._database.tenant_transaction(tenant_id, readonly=True) as connection:
            return await self._store.count_jobs(connection, tenant_id, model=model)

    async def list_failed(self, tenant_id: UUID, page: PageRequest) -> Page[FailedJob]:
        """Dead jobs by id, page by page. PostgreSQL: 3 round trips.

        Raises:
            InvalidInput: the page is not one of this list.
        """
        cursor = open_cursor(page, listing=["failed_embeddings"], first=("", ""))
        async with self._database.tenant_transaction(tenant_id, readonly=True) as connection:
            jobs = await self._store.list_failed(
                connection, tenant_id, after=cursor.after, limit=cursor.limit
            )
        return cursor.page(jobs, lambda job: (job.entity_id, job.kind))

    async def requeue(
        self,
        tenant_id: UUID,
        *,
        kind: str | None,
        entity_ids: Sequence[str],
        all_failed: bool,
        other_models: bool,
    ) -> int:
        """Make jobs wait again, dead ones or those of other models; answers how many. PostgreSQL: 3 round trips.

        Args:
            kind: only these; None for all.
            entity_ids, all_failed, other_models: which; one of them is given.

        Raises:
            InvalidInput: none of them is given, or several are, or too many ids.
        """
        violations = Violations()
        violations.count("entity_ids", entity_ids, lowest=0, highest=1_000)
        if [bool(entity_ids), all_failed, other_models].count(True) != 1:
            violations.add("", "needs one of entity_ids, all_failed and other_models")
        violations.raise_if_any()
        async with self._database.tenant_transaction(tenant_id) as connection:
            if other_models:
                return await self._store.requeue_other_models(
                    connection, tenant_id, kind=kind, model=self.model
                )
            return await self._store.requeue_failed(connection, tenant_id, kind=kind, entity_ids=entity_ids)
