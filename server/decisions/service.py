"""Use cases of Decide."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Protocol
from uuid import UUID

from server.decisions.intake import IncomingEvent, accept, decision_id, member_events
from server.decisions.model import DecisionRecord, DispatchTarget, Event
from server.decisions.pipeline import Answers
from server.decisions.queue.collector import BatchCollector
from server.decisions.recording import stored_record
from server.decisions.store import DecisionStore
from server.errors import InvalidInput, LeoError, NotFound
from server.platform.clock import utc_now
from server.platform.postgres import Database
from server.validation import Violations

MAXIMUM_EVENTS: Final = 1_000
Answer = DecisionRecord | LeoError
_Body = tuple[str, str]


@dataclass(frozen=True, slots=True)
class DecisionDetails:
    """A recorded decision with all that it recorded; `row` has the columns of the query `get_decision`."""

    record: DecisionRecord
    row: Any


class WakeUp(Protocol):
    """What decisions need of the fleet."""

    async def notify(self, queue: str) -> None:
        """Tell workers that a queue has work; returns at once, and may be lost."""
        ...


class Happenings(Protocol):
    """Who is told of events that were recorded."""

    def offer(self, tenant_id: UUID, profile_ids: Sequence[str], *, event_types: Collection[str]) -> None:
        """Take committed events; returns at once."""
        ...


class DecisionService:
    """Decides one event, a batch, or the members of a dispatch; answers only what is committed.

    Args:
        events: collects the calls with one event.
        batches: collects the calls with many, so that small batches of many tenants share a commit.
        wake_up: is told of the channels that have new deliveries.
        happenings: is told of the customers' events that were recorded, where somebody wants to know.
    """

    def __init__(
        self,
        *,
        database: Database,
        store: DecisionStore,
        events: BatchCollector,
        batches: BatchCollector,
        wake_up: WakeUp,
        happenings: Happenings | None = None,
    ) -> None:
        self._database = database
        self._store = store
        self._events = events
        self._batches = batches
        self._wake_up = wake_up
        self._happenings = happenings

    def admit_event(self, patience_seconds: float | None) -> None:
        """Ask, before anything is done for a call with one event, whether it would wait too long.

        Args:
            patience_seconds: what is left of the call's deadline; None for no deadline.

        Raises:
            Overloaded: it would; the error says when to come back.
        """
        self._events.line.admit(patience_seconds)

    def admit_batch(self, patience_seconds: float | None) -> None:
        """As `admit_event`, for a call with a batch. Streams need not ask: they are kept waiting, unread."""
        self._batches.line.admit(patience_seconds)

    def sample(self) -> None:
        """Show in the figures what waits now."""
        self._events.line.sample()
        self._batches.line.sample()

    async def decide(self, tenant_id: UUID, incoming: IncomingEvent) -> DecisionRecord:
        """Decide one event; it joins the batch that is forming, so that concurrent calls share a commit.

        Raises:
            InvalidInput: the event has faults.
            AlreadyExists: the id was decided with another body.
            Unavailable: the database is away; nothing is recorded.
        """
        event = accept(tenant_id, incoming, "event", utc_now())
        answer = (await self._events.decide(tenant_id, [event]))[event.task_id]
        if isinstance(answer, LeoError):
            raise answer
        self._tell(tenant_id, [event], [answer])
        await self._announce([answer])
        return answer

    async def decide_batch(self, tenant_id: UUID, incoming: Sequence[IncomingEvent]) -> list[Answer]:
        """Decide events in their order, each answered on its own. One commit, perhaps together with other callers'.

        Raises:
            InvalidInput: the number of events is out of range.
            Unavailable: the database is away; nothing is recorded.
        """
        violations = Violations()
        violations.count("events", incoming, lowest=1, highest=MAXIMUM_EVENTS)
        violations.raise_if_any()
        now = utc_now()
        accepted = [_accept(tenant_id, event, position, now) for position, event in enumerate(incoming)]
        answers: dict[_Body, Answer] = {}
        for wave in _waves(accepted):
            decided = await self._run(tenant_id, list(wave.values()))
            self._tell(tenant_id, wave.values(), decided.values())
            answers |= {_body(event): decided[event.task_id] for event in wave.values()}
        return _in_order(accepted, answers)

    async def decide_members(
        self,
        tenant_id: UUID,
        *,
        plan_task_id: str,
        marketing_event_id: str,
        snapshot_id: str,
        profile_ids: Sequence[str],
        occurred_at: datetime,
    ) -> list[Answer]:
        """Decide for members of a frozen audience, in order; idempotent by plan and profile.

        Raises:
            Unavailable: the database is away; nothing is recorded.
        """
        target = DispatchTarget(plan_task_id, marketing_event_id, snapshot_id)
        events = member_events(tenant_id, target, profile_ids, occurred_at)
        answers = await self._run(tenant_id, events) if events else {}
        return [answers[event.task_id] for event in events]

    async def get_decision(self, tenant_id: UUID, *, task: str, source_event_id: str) -> DecisionDetails:
        """The recorded decision. One transaction, one statement.

        Raises:
            InvalidInput: not exactly one id.
            NotFound: the tenant has no such decision.
        """
        wanted = decision_id(tenant_id, task=task, source_event_id=source_event_id)
        async with self._database.tenant_transaction(tenant_id, readonly=True) as connection:
            row = await self._store.get_decision(connection, tenant_id, wanted)
        if row is None:
            raise NotFound("decision", wanted)
        return DecisionDetails(stored_record(row, duplicate=False), row)

    async def _run(self, tenant_id: UUID, events: Sequence[Event]) -> Answers:
        answers = await self._batches.decide(tenant_id, events)
        await self._announce(answers.values())
        return answers

    def _tell(self, tenant_id: UUID, events: Iterable[Event], answers: Iterable[Answer]) -> None:
        """Name those whose events are new; a batch that is a repetition as a whole tells nothing."""
        if self._happenings is None or not any(
            isinstance(answer, DecisionRecord) and not answer.duplicate for answer in answers
        ):
            return
        told = list(events)
        self._happenings.offer(
            tenant_id, [event.profile_id for event in told], event_types={event.event_type for event in told}
        )

    async def _announce(self, answers: Iterable[Answer]) -> None:
        """Wake the workers of every channel that has something new to send."""
        channels = {
            answer.channels[0]
            for answer in answers
            if isinstance(answer, DecisionRecord) and answer.channels and not answer.duplicate
        }
        for channel in channels:
            await self._wake_up.notify(channel)


def _accept(tenant_id: UUID, incoming: IncomingEvent, position: int, now: datetime) -> Event | InvalidInput:
    try:
        return accept(tenant_id, incoming, f"events[{position}]", now)
    except InvalidInput as fault:
        return fault


def _body(event: Event) -> _Body:
    return event.task_id, event.input_sha256


def _waves(accepted: Sequence[Event | InvalidInput]) -> list[dict[str, Event]]:
    """Events to decide together, by task: nearly always one wave. Another body of an id follows in the next."""
    waves: list[dict[str, Event]] = []
    distinct: dict[_Body, Event] = {}
    for event in accepted:
        if isinstance(event, Event):
            distinct.setdefault(_body(event), event)
    for event in distinct.values():
        wave = next((wave for wave in waves if event.task_id not in wave), None)
        if wave is None:
            waves.append(wave := {})
        wave[event.task_id] = event
    return waves


def _in_order(accepted: Sequence[Event | InvalidInput], answers: Mapping[_Body, Answer]) -> list[Answer]:
    """An answer for each event; one that repeats an earlier event of the batch is its duplicate."""
    seen: set[_Body] = set()
    ordered: list[Answer] = []
    for event in accepted:
        answer = event if isinstance(event, InvalidInput) else answers[_body(event)]
        if isinstance(event, Event) and isinstance(answer, DecisionRecord):
            answer = answer._replace(duplicate=answer.duplicate or _body(event) in seen)
            seen.add(_body(event))
        ordered.append(answer)
    return ordered
