"""Use case of replay: one recorded decision, made again and compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from server.conditions.checks import Check
from server.decisions.backtest.simulation import holder_of_send
from server.decisions.backtest.store import BacktestStore
from server.decisions.intake import decision_id
from server.decisions.model import Columns, DecisionInputs
from server.decisions.replay.checks import candidate_checks
from server.decisions.replay.comparison import Replayed, replay
from server.decisions.replay.store import ReplayStore
from server.decisions.replay.stored_bundles import StoredBundles
from server.decisions.reservation.limits import Holder
from server.errors import NotFound, PreconditionFailed
from server.platform.postgres import Connection, Database


@dataclass(frozen=True, slots=True)
class ReplayReport:
    """What a replay of one decision came to."""

    task_id: str
    rule_bundle_id: str
    recorded_output_sha256: str
    replayed: Replayed


class ReplayService:
    """Makes recorded decisions again, to compare or to explain them. Writes nothing."""

    def __init__(
        self, *, database: Database, store: ReplayStore, bundles: StoredBundles, sends: BacktestStore
    ) -> None:
        self._database = database
        self._store = store
        self._bundles = bundles
        self._sends = sends

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

    async def explain(self, tenant_id: UUID, row: Columns) -> Mapping[str, Sequence[Check]]:
        """What each candidate was held against, by marketing event; nothing where it can not be told any more.

        One transaction: one statement for a bundle that is not known, and one for the sends near it where a
        reservation was asked for.

        Args:
            row: the columns of the query `get_decision`.
        """
        try:
            async with self._database.tenant_transaction(tenant_id, readonly=True) as connection:
                bundle = await self._bundles.get(connection, tenant_id, row["rule_bundle_id"])
                inputs, decision, _ = replay(bundle, row)
                reach = timedelta(microseconds=bundle.longest_window_us)
                holders = await self._holders(connection, tenant_id, inputs, reach) if inputs.verdicts else []
        except PreconditionFailed:
            return {}
        return {
            candidate.rule.marketing_event_id: candidate_checks(
                candidate, bundle, inputs, decision.selected, holders
            )
            for candidate in decision.candidates
        }

    async def _holders(
        self, connection: Connection, tenant_id: UUID, inputs: DecisionInputs, reach: timedelta
    ) -> list[Holder]:
        """The other sends to the profile that were decided by then."""
        event = inputs.event
        since = {event.profile_id: event.occurred_at - reach}
        return [
            holder_of_send(send)
            for send in await self._sends.sends_of(connection, tenant_id, since)
            if send["task_id"] != event.task_id and send["decided_at"] <= inputs.decided_at
        ]
