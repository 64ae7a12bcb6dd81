"""Work through claimed tasks, page by page, tenant by tenant."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import TypeAlias
from uuid import UUID

Claims: TypeAlias = Sequence[tuple[UUID, str]]
"""Tenant and task of each."""


async def claimed_by_tenant(claim: Callable[[], Awaitable[Claims]]) -> AsyncIterator[tuple[UUID, list[str]]]:
    """Claim until nothing is due any more; of each page, the tasks of one tenant after those of another.

    Args:
        claim: claims the next page; an empty one is the end.
    """
    while claims := await claim():
        by_tenant: dict[UUID, list[str]] = {}
        for tenant_id, task_id in claims:
            by_tenant.setdefault(tenant_id, []).append(task_id)
        for tenant_id, task_ids in by_tenant.items():
            yield tenant_id, task_ids
