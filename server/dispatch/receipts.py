"""Receipts: what providers report later about messages that they took, and how it is recorded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final, TypeAlias
from uuid import UUID

import orjson

from server.dispatch.claims import Status
from server.platform.ids import key_id
from server.platform.postgres import Connection
from server.platform.queries import Queries

FIRST_LOOK: Final = timedelta(seconds=5)
"""What belongs to no delivery yet is looked at again after so long: the row of its sending may be under way."""

_MOST_OF_A_PERSON: Final = 20


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of one message.

    Args:
        provider: who says so.
        channel: over which the message went.
        message_ids: the ids that the message may have at the provider; printable text, never empty.
        status: delivered, read or bounced.
        reason: why it bounced, a code in capitals; None otherwise.
        reference: our own id of the delivery, or its beginning, where the provider gives it back.
        details: what else it says, without anything of the recipient.
    """

    provider: str
    channel: str
    message_ids: tuple[str, ...]
    status: Status
    reason: str | None = None
    reference: str | None = None
    details: Mapping[str, Any] = field(default_factory=dict)

    def task_id(self, tenant_id: UUID) -> str:
        """The task that keeps it aside: the same one for the same receipt."""
        return key_id("receipt", tenant_id, self.channel, self.message_ids[0], self.status)


@dataclass(frozen=True, slots=True)
class Watermark:
    """Everything that was sent to a person until a time was delivered, or read.

    Args:
        recipient: the person's page-scoped id.
        status: delivered or read.
    """

    recipient: str
    until: datetime
    status: Status


Report: TypeAlias = Receipt | Watermark


@dataclass(frozen=True, slots=True)
class Recorded:
    """What came of a batch, in numbers.

    Args:
        recorded: new rows.
        repeated: receipts that were known already.
        kept_aside: that belong to no delivery yet, and were not kept before.
        matched: positions of those that belong to a delivery.
    """

    recorded: int
    repeated: int
    kept_aside: int
    matched: frozenset[int]


class ReceiptStore:
    """One method for each statement of `db/queries/receipts.sql`, one round trip each, in the tenant's context."""

    def __init__(self) -> None:
        self._queries = Queries.load("receipts")

    async def record_receipts(
        self, connection: Connection, tenant_id: UUID, receipts: Sequence[Receipt], *, keep_aside: bool
    ) -> Recorded:
        """Append what is new; however often and in whatever order receipts come, each is one row.

        Args:
            keep_aside: whether what belongs to no delivery is kept as a task.
        """
        rows = [
            (
                "\n".join(receipt.message_ids),
                receipt.channel,
                receipt.reference,
                receipt.status.value,
                receipt.reason,
                orjson.dumps(dict(receipt.details)).decode(),
                receipt.task_id(tenant_id) if keep_aside else None,
                orjson.dumps(asdict(receipt)).decode() if keep_aside else None,
            )
            for receipt in receipts
        ]
        columns = [list(column) for column in zip(*rows, strict=True)]
        found = await connection.fetchrow(self._queries["record_receipts"], tenant_id, *columns, FIRST_LOOK)
        assert found is not None
        return Recorded(
            recorded=found["recorded"],
            repeated=found["matched"] - found["recorded"],
            kept_aside=found["kept_aside"],
            matched=frozenset(found["matched_positions"]),
        )

    async def record_watermarks(
        self, connection: Connection, tenant_id: UUID, watermarks: Sequence[Watermark]
    ) -> int:
        """Append them to the last messages of each person; how many rows are new."""
        recorded: int = await connection.fetchval(
            self._queries["record_watermarks"],
            tenant_id,
            [each.recipient for each in watermarks],
            [each.until for each in watermarks],
            [each.status.value for each in watermarks],
            _MOST_OF_A_PERSON,
        )
        return recorded

    async def claim(
        self, connection: Connection, *, limit: int, lease: timedelta, owner: str
    ) -> list[tuple[UUID, str]]:
        """Lease receipts that were kept aside: tenant and task. No tenant needs to be in context."""
        rows = await connection.fetch(self._queries["claim_receipts"], limit, lease, owner)
        return [(row["tenant_id"], row["task_id"]) for row in rows]

    async def load(
        self, connection: Connection, tenant_id: UUID, task_ids: Sequence[str], owner: str
    ) -> list[KeptAside]:
        """Those of them that the claim still holds."""
        rows = await connection.fetch(self._queries["load_receipts"], tenant_id, list(task_ids), owner)
        return [
            KeptAside(row["task_id"], row["attempts"], _receipt(orjson.loads(row["inputs"]))) for row in rows
        ]

    async def settle(
        self, connection: Connection, tenant_id: UUID, owner: str, ends: Sequence[ReceiptEnd]
    ) -> None:
        """End receipts that were kept aside, or have them looked at again; of those that ended nothing is kept but
        that they were. Two round trips."""
        await connection.execute(
            self._queries["settle_receipts"],
            tenant_id,
            owner,
            [end.task_id for end in ends],
            [None if end.matched is None else f'{{"matched": {str(end.matched).lower()}}}' for end in ends],
            [end.due_at for end in ends],
        )
        ended = [end.task_id for end in ends if end.matched is not None]
        await connection.execute(self._queries["forget_receipts"], ended)


@dataclass(frozen=True, slots=True)
class KeptAside:
    """A receipt that belonged to no delivery when it came.

    Args:
        attempts: how often it was looked at, this time included.
    """

    task_id: str
    attempts: int
    receipt: Receipt


@dataclass(frozen=True, slots=True)
class ReceiptEnd:
    """What becomes of it now.

    Args:
        matched: whether its delivery was found; None when it is looked at again.
        due_at: when that is.
    """

    task_id: str
    matched: bool | None
    due_at: datetime | None = None


def _receipt(document: Mapping[str, Any]) -> Receipt:
    return Receipt(
        provider=document["provider"],
        channel=document["channel"],
        message_ids=tuple(document["message_ids"]),
        status=Status(document["status"]),
        reason=document["reason"],
        reference=document["reference"],
        details=document["details"],
    )
