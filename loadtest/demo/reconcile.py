"""Counts what happened, from the tables and from the mailbox, and holds the two against each other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.message import EmailMessage
from pathlib import Path
from typing import Any, Final
from uuid import UUID

from server.embedded.mailbox import Mailbox
from server.platform.postgres import Database
from server.platform.queries import Queries

_QUERIES: Final = Path(__file__).with_name("reconcile.sql")
# Half of the delivery's key tells messages apart in the Message-ID.
_KEY_DIGITS: Final = 32


@dataclass(frozen=True, slots=True)
class Figures:
    """What happened.

    Args:
        outcomes: decisions by (outcome, reason).
        candidates: all candidates by reason.
        deliveries: by status.
        orphans: by kind; each must be 0.
        mailbox_messages: messages in the mailbox.
        mail_faults: messages that are not what their row says, and rows without their message.
        alerts: by symbol, how many rules there are and how many of them fired.
    """

    outcomes: Mapping[tuple[str, str], int]
    candidates: Mapping[str, int]
    deliveries: Mapping[str, int]
    orphans: Mapping[str, int]
    mailbox_messages: int
    mail_faults: list[str] = field(default_factory=list)
    alerts: Mapping[str, tuple[int, int]] = field(default_factory=dict)

    @property
    def decisions(self) -> int:
        """All decisions."""
        return sum(self.outcomes.values())

    @property
    def alerts_fired(self) -> int:
        """All rules that fired."""
        return sum(fired for _, fired in self.alerts.values())

    @property
    def send(self) -> int:
        """Decisions to send."""
        return sum(number for (outcome, _), number in self.outcomes.items() if outcome == "send")

    @property
    def suppressed(self) -> dict[str, int]:
        """Decisions to send nothing, by reason."""
        return {reason: n for (outcome, reason), n in self.outcomes.items() if outcome == "suppressed"}


async def reconcile(database_url: str, tenant_id: UUID, mailbox_directory: Path) -> Figures:
    """Read everything, as leo_app in the tenant's context. One transaction, six statements."""
    queries = Queries.parse(_QUERIES.read_text("utf-8"), _QUERIES.name)
    database = await Database.connect(
        database_url, minimum_connections=1, maximum_connections=1, application_name="leo-demo"
    )
    try:
        async with database.tenant_transaction(tenant_id, readonly=True) as connection:
            rows = {name: await connection.fetch(queries[name]) for name in queries}
    finally:
        await database.close()
    mails = Mailbox(mailbox_directory).messages()
    return Figures(
        outcomes={(row["outcome"], row["reason_code"]): row["number"] for row in rows["decisions"]},
        candidates={row["reason_code"]: row["number"] for row in rows["candidates"]},
        deliveries={row["delivery_status"]: row["number"] for row in rows["deliveries"]},
        orphans=dict(rows["orphans"][0]),
        mailbox_messages=len(mails),
        mail_faults=mail_faults({_identity(row): row for row in rows["messages"]}, mails),
        alerts={row["symbol"]: (row["rules"], row["fired"]) for row in rows["alerts"]},
    )


def mail_faults(rows: Mapping[str, Any], mails: list[EmailMessage]) -> list[str]:
    """Where mailbox and log differ; nothing when each message is the one its row says, and came once.

    Args:
        rows: what was handed over, by the name in its Message-ID.
        mails: the mailbox.
    """
    names = [message_name(mail) for mail in mails]
    faults = [f"{name}: came {n} times" for name, n in Counter(names).items() if n > 1]
    for name, mail in zip(names, mails, strict=True):
        row = rows.get(name)
        if row is None:
            faults.append(f"{name}: nothing in the log led to this message")
        elif differing := _differing(row, mail):
            faults.append(f"{name}: {', '.join(differing)} differ from the log")
    arrived = set(names)
    sent = (name for name, row in rows.items() if row["delivery_status"] == "sent")
    return faults + [f"{name}: sent, but not in the mailbox" for name in sent if name not in arrived]


def _differing(row: Any, mail: EmailMessage) -> list[str]:
    message_id = row["provider_message_id"] or mail["Message-ID"]
    said = {
        "message id": (message_id, mail["Message-ID"]),
        "envelope": (row["destination"], mail["Delivered-To"]),
        "recipient": (row["destination"], mail["To"]),
        "subject": (row["subject"], mail["Subject"]),
        "text": (_lines(row["body"]), _lines(mail.get_content())),
    }
    return [part for part, (expected, found) in said.items() if expected != str(found).strip()]


def _lines(text: str) -> str:
    """The text without what mail changes: the kind of its line ends, and how many end it."""
    return "\n".join(text.splitlines()).strip()


def _identity(row: Any) -> str:
    return delivery_name(row["delivery_key"])


def delivery_name(delivery_key: str) -> str:
    """The name that the Message-IDs of a delivery's messages begin with."""
    return delivery_key[:_KEY_DIGITS]


def message_name(mail: EmailMessage) -> str:
    """The name of the delivery that a message belongs to, out of its Message-ID."""
    return str(mail["Message-ID"]).strip().removeprefix("<").partition("@")[0]
