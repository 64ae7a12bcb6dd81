"""The ledger of what was acknowledged to the loader, and what PostgreSQL and the mailbox say of it afterwards."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Final
from uuid import UUID

from leo.activation.v1 import decision_service_pb2 as decisions

from loadtest.demo.reconcile import delivery_name, message_name
from server.embedded.mailbox import Mailbox
from server.platform.clock import utc_now
from server.platform.postgres import Database
from server.platform.queries import Queries

_QUERIES: Final = Path(__file__).with_name("ledger.sql")
_OUTCOME: Final = "DECISION_OUTCOME_"
_REASON: Final = "DECISION_REASON_"


@dataclass(frozen=True, slots=True)
class Recorded:
    """A decision, as it was acknowledged or as it stands in the table.

    Args:
        reason: its code.
    """

    task_id: str
    source_event_id: str
    outcome: str
    reason: str


@dataclass(slots=True)
class Ledger:
    """Acknowledged decisions in the order of their acknowledgement, and the times of these."""

    entries: list[Recorded] = field(default_factory=list)
    times: list[datetime] = field(default_factory=list)

    def add(self, decision: decisions.Decision) -> None:
        """Keep one acknowledgement."""
        outcome = decisions.DecisionOutcome.Name(decision.outcome).removeprefix(_OUTCOME).lower()
        reason = decisions.DecisionReason.Name(decision.reason).removeprefix(_REASON)
        self.entries.append(Recorded(decision.task_id, decision.source_event_id, outcome, reason))
        self.times.append(utc_now())


@dataclass(frozen=True, slots=True)
class Audit:
    """How the ledger compares.

    Args:
        missing: acknowledged decisions that are not in the table, or say something else there.
        unknown: deliveries that may have been sent: delivery key and reason.
        unknown_arrived: how many of these are in the mailbox.
        repeated: deliveries with more than one message in the mailbox: their name and the number.
        sent_times: when messages were recorded as sent.
    """

    missing: Sequence[Recorded]
    unknown: Sequence[tuple[str, str]]
    unknown_arrived: int
    repeated: dict[str, int]
    sent_times: Sequence[datetime]

    @property
    def duplicates(self) -> int:
        """Messages that came more often than once."""
        return sum(number - 1 for number in self.repeated.values())


async def audit(database_url: str, tenant_id: UUID, ledger: Ledger, mailbox: Mailbox) -> Audit:
    """Compare the ledger with PostgreSQL and the mailbox. One transaction, three statements.

    Args:
        database_url: as leo_app.
    """
    queries = Queries.parse(_QUERIES.read_text("utf-8"), _QUERIES.name)
    database = await Database.connect(
        database_url, minimum_connections=1, maximum_connections=1, application_name="leo-faults"
    )
    try:
        async with database.tenant_transaction(tenant_id, readonly=True) as connection:
            rows = {name: await connection.fetch(queries[name]) for name in queries}
    finally:
        await database.close()
    recorded = {Recorded(*row) for row in rows["decisions"]}
    mails = Counter(message_name(mail) for mail in mailbox.messages())
    unknown = [(row["delivery_key"], row["reason"]) for row in rows["unknown"]]
    return Audit(
        missing=[entry for entry in ledger.entries if entry not in recorded],
        unknown=unknown,
        unknown_arrived=sum(mails[delivery_name(key)] > 0 for key, _ in unknown),
        repeated={name: number for name, number in mails.items() if number > 1},
        sent_times=[row["created_at"] for row in rows["sent"]],
    )
