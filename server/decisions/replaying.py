"""Use case of replay: one recorded decision, made again and compared."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from server.decisions.intake import decision_id
from server.decisions.replay import Replayed, replay
from server.decisions.replay_store import ReplayStore
from server.decisions.stored_bundles import StoredBundles
from server.errors import NotFound
from server.platform.postgres import Database


@dataclass(frozen=True, slots=True)
class ReplayReport:
    """What a replay of one decision came to."""

    task_id: str
    rule_bundle_id: str
    recorded_output_sha256: str
    replayed: Replayed


class ReplayService:
    """Makes recorded decisions again. Writes nothing."""

    def __init__(self, *, database: Database, store: ReplayStore, bundles: StoredBundles) -> None:
        self._database = database
        self._store = store
        self._bundles = bundles

    async def replay(self, tenant_id: UUID, *, task: str, source_event_id: str) -> ReplayReport:
        """Replay one decision. One transaction, one statement, and one more for a bundle that is not known yet.

        Raises:
            InvalidInput: not exactly one id.
            NotFound: the tenant has no such decision.
            PreconditionFailed: INPUTS_REDACTED, INPUTS_INCOMPLETE or BUNDLE_UNUSABLE: it can not be made again.
        """
        wanted = decision_id(tenant_id, task=task, source_event_id=source_event_id)
        async with self._database.tenant_transaction(tenant_id, readonly=True) as connection:
            row = await self._store.find_recorded(connection, tenant_id, wanted)
            if row is None:
                raise NotFound("decision", wanted)
            bundle = await self._bundles.get(connection, tenant_id, row["rule_bundle_id"])
        return ReplayReport(
            task_id=wanted,
            rule_bundle_id=bundle.bundle_id,
            recorded_output_sha256=row["output_sha256"],
            replayed=replay(bundle, row),
        )
