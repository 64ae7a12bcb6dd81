"""Why a delivery stands where it stands, and what it waits for, in a code and in words. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

_BUSY_AFTER: Final = timedelta(seconds=5)


class Wait(StrEnum):
    """What a delivery waits for that was not sent."""

    TENANT_SUSPENDED = "TENANT_SUSPENDED"
    CAMPAIGN_PAUSED = "CAMPAIGN_PAUSED"
    DISPATCH_PAUSED = "DISPATCH_PAUSED"
    QUIET_HOURS = "QUIET_HOURS"
    PROVIDER_ASKED_TO_WAIT = "PROVIDER_ASKED_TO_WAIT"
    CIRCUIT_OPEN = "CIRCUIT_OPEN"
    RATE_LIMITED = "RATE_LIMITED"
    RETRY = "RETRY"
    RECEIPT = "RECEIPT"
    WORKER = "WORKER"
    NO_WORKER = "NO_WORKER"


@dataclass(frozen=True, slots=True)
class Circumstances:
    """A delivery, and what surrounds it now.

    Args:
        status: where it stands, with `reason` and `attempt`, since `changed_at`.
        waiting_since: since when it has stood there for this reason.
        retry_after_seconds: what the provider asked for in its last answer; None: nothing.
        due_at: when its task is due; the task is somebody's until `lease_until`.
        decided_at, decided_due_at: when it was decided, and for when.
        why: the reason of the decision, in a sentence.
        next_channel: over which its task went on; None where it did not.
        time_zone: of the profile; None where it is unknown.
        digest_count: how many deliveries its message was about; None where it was about this one alone.
    """

    delivery_key: str
    channel: str
    status: str
    reason: str | None
    attempt: int
    changed_at: datetime
    waiting_since: datetime
    sent_at: datetime | None
    retry_after_seconds: float | None
    task_status: str
    due_at: datetime | None
    lease_until: datetime | None
    decided_at: datetime | None
    decided_due_at: datetime | None
    why: str | None
    tenant_status: str
    campaign_id: str | None
    campaign_status: str | None
    plan_status: str | None
    next_channel: str | None
    time_zone: str | None
    digest_count: int | None = None


@dataclass(frozen=True, slots=True)
class Explanation:
    """Args:
    code: a `Wait`, or the status in capitals where nothing is waited for.
    sentence: for people.
    until: when it goes on; None where nobody knows, or nothing is left.
    since: since when it is so.
    """

    delivery_key: str
    status: str
    reason: str | None
    attempt: int
    code: str
    sentence: str
    waiting: bool
    until: datetime | None
    since: datetime


def explain(about: Circumstances, now: datetime) -> Explanation:
    """Why it was sent, why it never will be, or what it waits for."""
    if about.status == "sent" and _may_move(about):
        return _waits(about, Wait.RECEIPT, f"was sent, and waits for a receipt until {_time(about)}")
    if about.status in ("queued", "deferred", "sending") and about.task_status == "pending":
        return _waiting(about, now)
    return _ended(about)


def _may_move(about: Circumstances) -> bool:
    return about.task_status == "pending" and about.next_channel is None


def _waiting(about: Circumstances, now: datetime) -> Explanation:
    if about.status == "sending":
        return _waits(about, Wait.WORKER, "is in a worker's hands", about.lease_until)
    held = _held(about)
    if held is not None:
        return held
    if about.due_at is not None and about.due_at > now:
        return _until_due(about)
    return _taken(about, now)


def _held(about: Circumstances) -> Explanation | None:
    """What holds it back now, whatever the log says: nobody knows for how long."""
    if about.tenant_status != "active":
        return _waits(about, Wait.TENANT_SUSPENDED, "waits: the tenant is suspended", None)
    if about.campaign_status == "paused":
        return _waits(about, Wait.CAMPAIGN_PAUSED, f"waits: campaign {about.campaign_id} is paused", None)
    if about.plan_status == "paused":
        return _waits(about, Wait.DISPATCH_PAUSED, "waits: its dispatch is paused", None)
    return None


def _until_due(about: Circumstances) -> Explanation:
    if about.status == "queued":
        quiet = about.decided_at and about.decided_due_at and about.decided_due_at > about.decided_at
        if quiet:
            return _waits(about, Wait.QUIET_HOURS, f"waits for quiet hours until {_time(about)}")
        return _waits(about, Wait.WORKER, f"is due at {_time(about)}")
    return _after_refusal(about)


def _after_refusal(about: Circumstances) -> Explanation:
    since = f"{about.waiting_since.astimezone(UTC):%Y-%m-%d %H:%M:%SZ}"
    match about.reason:
        case "CIRCUIT_OPEN":
            words = f"circuit open since {since}: the account failed too often; tried again at {_time(about)}"
            return _waits(about, Wait.CIRCUIT_OPEN, words)
        case "RATE_LIMITED":
            words = f"rate limited: the account has had its share until {_time(about)}"
            return _waits(about, Wait.RATE_LIMITED, words)
        case "PROVIDER_ASKED_TO_WAIT":
            return _waits(about, Wait.PROVIDER_ASKED_TO_WAIT, f"provider asked to wait until {_time(about)}")
    refused = f"attempt {about.attempt} was refused ({about.reason})"
    if about.retry_after_seconds is not None:
        words = (
            f"provider asked for {about.retry_after_seconds:g} s: {refused}; tried again at {_time(about)}"
        )
        return _waits(about, Wait.PROVIDER_ASKED_TO_WAIT, words)
    return _waits(about, Wait.RETRY, f"{refused}; tried again at {_time(about)}")


def _taken(about: Circumstances, now: datetime) -> Explanation:
    if about.lease_until is not None and about.lease_until > now:
        return _waits(about, Wait.WORKER, "is in a worker's hands", about.lease_until)
    due = max(filter(None, (about.due_at, about.lease_until)), default=about.changed_at)
    if now - due < _BUSY_AFTER:
        return _waits(about, Wait.WORKER, "is due, and waits for a worker", None)
    words = (
        f"has been due since {due.astimezone(UTC):%Y-%m-%d %H:%M:%SZ}, and no worker has taken it: none runs,"
        f" none reaches the provider of {about.channel}, or all are busy"
    )
    return _waits(about, Wait.NO_WORKER, words, None)


def _ended(about: Circumstances) -> Explanation:
    words = {
        "sent": f"was taken by the provider at {about.changed_at.astimezone(UTC):%Y-%m-%d %H:%M:%SZ}",
        "delivered": "arrived, as the provider says",
        "read": "was opened by the customer",
        "bounced": "was taken by the provider and came back",
        "failed": "failed for good",
        "suppressed": "was held back for good",
        "cancelled": "was called off before it was sent",
        "expired": "was not sent while it was valid",
        "unknown": "may have been sent: nobody knows, so it is not sent again",
    }.get(about.status, f"stands at {about.status}")
    parts = [words, f" ({about.reason})" if about.reason else ""]
    if about.digest_count is not None:
        others = about.digest_count - 1
        parts.append(f", grouped with {others} other{'s' if others != 1 else ''}")
    if about.next_channel is not None:
        parts.append(f"; went on over {about.next_channel}")
    if about.status in ("sent", "delivered", "read") and about.why:
        parts.append(f"; decided because {about.why}")
    return Explanation(
        delivery_key=about.delivery_key,
        status=about.status,
        reason=about.reason,
        attempt=about.attempt,
        code=about.status.upper(),
        sentence=_sentence(about, "".join(parts)),
        waiting=False,
        until=None,
        since=about.changed_at,
    )


_DUE: Final = datetime.max.replace(tzinfo=UTC)


def _waits(about: Circumstances, wait: Wait, words: str, until: datetime | None = _DUE) -> Explanation:
    return Explanation(
        delivery_key=about.delivery_key,
        status=about.status,
        reason=about.reason,
        attempt=about.attempt,
        code=wait.value,
        sentence=_sentence(about, words),
        waiting=True,
        until=about.due_at if until is _DUE else until,
        since=about.waiting_since,
    )


def _sentence(about: Circumstances, words: str) -> str:
    return f"The message over {about.channel} {words}."


def _time(about: Circumstances) -> str:
    """The due time on the clock of the customer, with the date where it is another day than the one before."""
    assert about.due_at is not None
    zone, name = _zone(about.time_zone)
    due, before = about.due_at.astimezone(zone), about.waiting_since.astimezone(zone)
    shown = f"{due:%H:%M}" if due.second == 0 else f"{due:%H:%M:%S}"
    if due.date() != before.date():
        shown = f"{due:%Y-%m-%d} {shown}"
    return f"{shown} ({name})"


def _zone(name: str | None) -> tuple[ZoneInfo, str]:
    try:
        return (ZoneInfo(name), name) if name else (ZoneInfo("UTC"), "UTC")
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return ZoneInfo("UTC"), "UTC"
