"""Experiments in PostgreSQL."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from uuid import UUID

import asyncpg
import orjson

from server.catalog.model import Experiment, Variant, VariantCount
from server.platform.postgres import Connection
from server.platform.queries import Queries


class ExperimentStore:
    """One method for each statement; all inside the tenant's transaction."""

    def __init__(self) -> None:
        self._queries = Queries.load("experiments")

    async def put_experiment(
        self, connection: Connection, tenant_id: UUID, experiment: Experiment
    ) -> Experiment | None:
        """The written experiment; None when it is stored like this already."""
        row = await connection.fetchrow(
            self._queries["put_experiment"],
            tenant_id,
            experiment.experiment_id,
            experiment.experiment_name,
            experiment.campaign_id,
            experiment.event_name,
            experiment.allocation,
            orjson.dumps([variant.document() for variant in experiment.variants]).decode(),
            Decimal(str(experiment.holdout_fraction)),
            experiment.seed,
            experiment.conversion_event_type,
            experiment.attribution_window_seconds,
            experiment.start_at,
            experiment.end_at,
        )
        return _experiment(row) if row else None

    async def get_experiment(
        self, connection: Connection, tenant_id: UUID, experiment_id: str
    ) -> Experiment | None:
        """The experiment of this id."""
        row = await connection.fetchrow(self._queries["get_experiment"], tenant_id, experiment_id)
        return _experiment(row) if row else None

    async def list_experiments(
        self,
        connection: Connection,
        tenant_id: UUID,
        *,
        after: str,
        campaign_id: str | None,
        status: str | None,
        limit: int,
    ) -> list[Experiment]:
        """Experiments after an id, in the order of their ids."""
        rows = await connection.fetch(
            self._queries["list_experiments"], tenant_id, after, campaign_id, status, limit
        )
        return [_experiment(row) for row in rows]

    async def set_experiment_status(
        self, connection: Connection, tenant_id: UUID, experiment_id: str, status: str
    ) -> Experiment | None:
        """The changed experiment; None when there is none, or it has the status already."""
        row = await connection.fetchrow(
            self._queries["set_experiment_status"], tenant_id, experiment_id, status
        )
        return _experiment(row) if row else None

    async def event_under_test(
        self, connection: Connection, tenant_id: UUID, experiment: Experiment
    ) -> Sequence[str] | None:
        """The channels of the marketing event in use of that name; None when there is none."""
        channels = await connection.fetchval(
            self._queries["event_under_test"], tenant_id, experiment.campaign_id, experiment.event_name
        )
        return None if channels is None else [str(channel) for channel in orjson.loads(channels)]


def _experiment(row: asyncpg.Record) -> Experiment:
    return Experiment(
        experiment_id=row["experiment_id"],
        experiment_name=row["experiment_name"],
        campaign_id=row["campaign_id"] or "",
        event_name=row["event_name"] or "",
        allocation=row["allocation"],
        variants=tuple(Variant(**variant) for variant in orjson.loads(row["variants"])),
        holdout_fraction=float(row["holdout_fraction"]),
        seed=row["seed"],
        conversion_event_type=row["conversion_event_type"],
        attribution_window_seconds=row["attribution_window_seconds"],
        start_at=row["start_at"],
        end_at=row["end_at"],
        status=row["status"],
        counts={name: VariantCount(**count) for name, count in orjson.loads(row["variant_counts"]).items()},
        status_changed_at=row["status_changed_at"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
    )
