"""Events and answers of Decide: messages to models and back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from google.protobuf.internal.containers import RepeatedCompositeFieldContainer
from leo.activation.v1 import decision_service_pb2 as wire
from leo.activation.v1 import error_reason_pb2

from server.decisions.arms.model import ArmView
from server.decisions.intake import IncomingEvent
from server.decisions.model import ERASED, DecisionRecord, Outcome, Reason
from server.errors import InvalidInput, LeoError
from server.wire import to_datetime, to_timestamp

Results = RepeatedCompositeFieldContainer[wire.DecisionResult]
_Likes = dict[tuple[object, ...], wire.Decision]

_OUTCOMES: Final = {
    Outcome.SEND: wire.DECISION_OUTCOME_SEND,
    Outcome.SUPPRESSED: wire.DECISION_OUTCOME_SUPPRESSED,
}
_REASONS: Final = {reason: wire.DecisionReason.Value(f"DECISION_REASON_{reason}") for reason in Reason}


def to_event(message: wire.Event) -> IncomingEvent:
    """The event as the caller sent it."""
    return IncomingEvent(
        message.source_event_id,
        message.profile_id,
        message.event_type,
        to_datetime(message.occurred_at) if message.HasField("occurred_at") else None,
        message.attributes,
    )


def add_answers(results: Results, answers: Sequence[DecisionRecord | LeoError], candidates: bool) -> None:
    """Write answers into a response, in their order.

    Args:
        candidates: whether the candidates are wanted.
    """
    likes: _Likes = {}
    for answer in answers:
        if isinstance(answer, LeoError):
            results.add().error.CopyFrom(_from_error(answer))
        else:
            _write(results.add().decision, answer, candidates, likes)


def _write(message: wire.Decision, record: DecisionRecord, candidates: bool, likes: _Likes) -> None:
    """A copy of one of its likes, of which a batch has few, with its own ids and words: a third of the work."""
    key = (
        *(record.reason, record.marketing_event_id, record.channels, record.due_at, record.decided_at),
        *(record.duplicate, record.arm, id(record.candidates) if candidates else None),
    )
    like = likes.get(key)
    if like is None:
        like = likes[key] = from_record(record, candidates)
    message.CopyFrom(like)
    message.task_id = record.task_id
    message.source_event_id = record.source_event_id
    message.reason_summary = record.summary
    message.erased = record.summary == ERASED


def _from_error(error: LeoError) -> wire.DecisionError:
    field = error.violations[0].field if isinstance(error, InvalidInput) else ""
    return wire.DecisionError(
        reason=error_reason_pb2.ErrorReason.Value(error.reason), field=field, message=error.message
    )


def from_record(record: DecisionRecord, candidates: bool) -> wire.Decision:
    """The message of one decision, with its candidates where they are wanted."""
    message = wire.Decision(
        task_id=record.task_id,
        source_event_id=record.source_event_id,
        outcome=_OUTCOMES[record.outcome],
        reason=_REASONS[record.reason],
        reason_summary=record.summary,
        marketing_event_id=record.marketing_event_id or "",
        channels=record.channels,
        due_at=to_timestamp(record.due_at),
        decided_at=to_timestamp(record.decided_at),
        duplicate=record.duplicate,
        arm=_from_arm(record.arm),
        erased=record.summary == ERASED,
    )
    if candidates:
        message.candidates.extend(
            wire.Candidate(
                marketing_event_id=candidate.marketing_event_id,
                event_name=candidate.event_name,
                reason=_REASONS[Reason(candidate.reason)],
                explanation=candidate.explanation,
                arm=_from_arm(candidate.arm),
            )
            for candidate in record.candidates
        )
    return message


def _from_arm(arm: ArmView | None) -> wire.Arm | None:
    if arm is None:
        return None
    return wire.Arm(
        experiment_id=arm.experiment_id,
        variant=arm.variant,
        template_name=arm.template_name or "",
        propensity=arm.propensity,
    )
