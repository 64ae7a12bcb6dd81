"""Alerts that quiet hours held back become one message: those of one profile, channel, marketing event and due time.

One of them leads: its delivery's id goes to the provider. The others are members: each has rows of its own in the log,
with the text that was sent, and whatever becomes of the message becomes of them. PostgreSQL gathers them under a lock,
so that of several workers one has all; the rest is pure.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final, NamedTuple, Protocol
from uuid import UUID

from server.dispatch.claims import (
    Attempt,
    ClaimedTask,
    Fact,
    Status,
    Step,
    TaskEnd,
    TaskStatus,
    no_later,
)
from server.platform.postgres import Connection

IN_DIGEST: Final = "IN_DIGEST"
SPLIT: Final = "DIGEST_SPLIT"
_NEVER: Final = datetime.max.replace(tzinfo=UTC)


class Gathers(Protocol):
    """What is asked of the store."""

    async def gather_digest(
        self, connection: Connection, tenant_id: UUID, task_ids: Sequence[str], owner: str
    ) -> list[str]: ...

    async def load_deliveries(
        self, connection: Connection, tenant_id: UUID, task_ids: Sequence[str], owner: str
    ) -> list[ClaimedTask]: ...


class Planned(NamedTuple):
    """A task with what to do with it."""

    task: ClaimedTask
    step: Step


async def gathered(
    store: Gathers, connection: Connection, tenant_id: UUID, tasks: Sequence[ClaimedTask], owner: str
) -> list[ClaimedTask]:
    """The tasks, with those that belong into one message with a held alert among them, and without those that another
    worker took for the same reason.

    No round trip where nothing was held back, else two. The transaction must record what is sent before it ends.
    """
    held = [task.subject.task_id for task in tasks if task.held_until_us is not None]
    if not held:
        return list(tasks)
    owned = set(await store.gather_digest(connection, tenant_id, held, owner))
    kept = [task for task in tasks if task.held_until_us is None or task.subject.task_id in owned]
    further = sorted(owned - set(held))
    if not further:
        return kept
    return [*kept, *await store.load_deliveries(connection, tenant_id, further, owner)]


def grouped(planned: Sequence[Planned], plan_again: Callable[[ClaimedTask], Step]) -> list[Planned]:
    """The same work, with one step for all alerts that go out together.

    Args:
        plan_again: plans the task that leads, with all events in its digest.
    """
    result: list[Planned] = []
    groups: dict[Hashable, list[Planned]] = defaultdict(list)
    for one in planned:
        if one.task.held_until_us is None or one.step.attempt is None:
            result.append(one)
        else:
            groups[_group_of(one.task, one.step.attempt)].append(one)
    for group in groups.values():
        result.extend(_together(group, plan_again) if len(group) > 1 else group)
    return result


def _group_of(task: ClaimedTask, attempt: Attempt) -> Hashable:
    subject = task.subject
    return (
        subject.profile_id,
        subject.marketing_event_id,
        attempt.channel,
        tuple(task.channels),
        task.held_until_us,
    )


def _together(group: list[Planned], plan_again: Callable[[ClaimedTask], Step]) -> list[Planned]:
    """One message, or, where none can be made of all events, one for each as before."""
    leader = min(group, key=_rank)
    events = [one.task.event for one in sorted(group, key=_happened)]
    task = replace(leader.task, event=events[-1], digest=events)
    step = plan_again(task)
    attempt = step.attempt
    if attempt is None or leader.step.attempt is None or attempt.channel != leader.step.attempt.channel:
        return group
    others = [one for one in group if one is not leader]
    members = tuple(_member(one.step.attempt, attempt) for one in others if one.step.attempt is not None)
    facts = [*step.facts, *(fact for one in others for fact in one.step.facts)]
    return [Planned(task, Step(facts, replace(attempt, members=members)))]


def _rank(planned: Planned) -> tuple[datetime, str]:
    """Who leads does not change from one attempt to the next, and nobody is valid for a shorter time."""
    return planned.task.valid_until or _NEVER, planned.task.subject.task_id


def _happened(planned: Planned) -> tuple[str, str]:
    return str(planned.task.event.get("occurred_at", "")), planned.task.subject.task_id


def _member(own: Attempt, leading: Attempt) -> Attempt:
    """The delivery with the text that is sent for it."""
    return replace(
        own,
        destinations=leading.destinations,
        subject_line=leading.subject_line,
        body=leading.body,
        content_type=leading.content_type,
        data=leading.data,
    )


def spread(step: Step, attempt: Attempt) -> Step:
    """What became of a message, told of everything that was in it.

    Args:
        step: about the attempt alone.
    """
    if not attempt.members:
        return step
    count = 1 + len(attempt.members)
    return replace(
        step,
        facts=[_counted(fact, attempt, count) for fact in step.facts],
        others=[_step_of(member, attempt, step, count) for member in attempt.members],
    )


def _counted(fact: Fact, attempt: Attempt, count: int) -> Fact:
    if fact.status is not Status.SENT:
        return fact
    digest = {"leader": attempt.delivery_key, "count": count}
    return replace(fact, provider_response={**(fact.provider_response or {}), "digest": digest})


def _step_of(member: Attempt, attempt: Attempt, step: Step, count: int) -> Step:
    if _is_still_valid(member, attempt, step):
        return _left_over(member, attempt)
    facts = [_fact_of(member, attempt, _counted(fact, attempt, count)) for fact in step.facts]
    end = step.end
    if end is not None:
        due_at = None if end.due_at is None else no_later(end.due_at, member.valid_until)
        end = replace(end, task_id=member.subject.task_id, due_at=due_at)
    return Step(facts, None, end)


def _is_still_valid(member: Attempt, attempt: Attempt, step: Step) -> bool:
    """Whether the message was not sent for the sake of one that had expired, and this one has not."""
    expired = any(fact.status is Status.EXPIRED for fact in step.facts)
    return expired and member.valid_until != attempt.valid_until


def _left_over(member: Attempt, attempt: Attempt) -> Step:
    """Due at once, without the one that has expired."""
    fact = Fact(
        subject=member.subject,
        channel=member.channel,
        delivery_key=member.delivery_key,
        attempt=member.attempt,
        status=Status.DEFERRED,
        reason=SPLIT,
        series=member.series,
    )
    end = TaskEnd(member.subject.task_id, TaskStatus.PENDING, attempt.valid_until)
    return Step([fact], None, end)


def _fact_of(member: Attempt, attempt: Attempt, fact: Fact) -> Fact:
    return replace(
        fact,
        subject=member.subject,
        delivery_key=member.delivery_key,
        attempt=member.attempt + fact.attempt - attempt.attempt,
        series=member.series,
        reason=IN_DIGEST if fact.status is Status.SENT else fact.reason,
    )
