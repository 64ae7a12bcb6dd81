"""What is written of a decision, and how a written one reads back. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import orjson

from server.decisions.arms.model import ArmView
from server.decisions.explanation import explain
from server.decisions.model import (
    CandidateResult,
    CandidateView,
    Columns,
    Decision,
    DecisionInputs,
    DecisionRecord,
    Event,
    Outcome,
    Reason,
    Rule,
    view_document,
)
from server.decisions.recorded_inputs import encode_inputs
from server.decisions.reservation.limits import microseconds, moment
from server.decisions.store import OutputRow, SendRow, TaskRow
from server.platform.ids import audience_sha256, key_id


class _Output(NamedTuple):
    """What decisions of the same output have in common, made once for a batch."""

    number: int
    views: tuple[CandidateView, ...]


class DecisionWriter:
    """Gathers the decisions of one tenant's batch: rows to be recorded, and the answers that they make true.

    Args:
        decided_at: the clock that all of them saw.
    """

    def __init__(self, tenant_id: UUID, decided_at: datetime) -> None:
        self.outputs: list[OutputRow] = []
        self.tasks: list[TaskRow] = []
        self.sends: list[SendRow] = []
        self._tenant_id = tenant_id
        self._decided_at = decided_at
        self._known: dict[str, _Output] = {}

    def write(self, inputs: DecisionInputs, decision: Decision) -> DecisionRecord:
        """Add one decision; the answer that holds once its rows are committed."""
        output = self._known.get(decision.output_sha256) or self._add_output(decision)
        snapshot_id = None
        if decision.selected is not None:
            send = _send_row(self._tenant_id, inputs.event, decision.selected, decision.channels[0])
            self.sends.append(send)
            snapshot_id = send.snapshot_id
        self.tasks.append(
            _task_row(self._tenant_id, inputs, decision.summary, output.number, snapshot_id=snapshot_id)
        )
        return _decision_record(inputs.event, decision, output.views, self._decided_at)

    def _add_output(self, decision: Decision) -> _Output:
        self.outputs.append(_output_row(decision))
        views = tuple(_view(candidate) for candidate in decision.candidates)
        output = self._known[decision.output_sha256] = _Output(len(self.outputs), views)
        return output


def _output_row(decision: Decision) -> OutputRow:
    rule, arm = decision.selected, decision.arm
    return OutputRow(
        outcome=decision.outcome,
        reason_code=decision.reason,
        reasoning_trace=orjson.Fragment(_trace_json(decision)),
        result=orjson.Fragment(result_json(decision)),
        output_sha256=decision.output_sha256,
        campaign_id=rule.campaign_id if rule else None,
        marketing_event_id=rule.marketing_event_id if rule else None,
        channel=decision.channels[0] if rule else None,
        due_at=decision.due_at,
        experiment_id=arm.experiment_id if arm else None,
        variant=arm.variant if arm else None,
    )


def _task_row(
    tenant_id: UUID, inputs: DecisionInputs, summary: str, output: int, *, snapshot_id: str | None
) -> TaskRow:
    event = inputs.event
    dispatch = event.dispatch
    return TaskRow(
        event.task_id,
        event.profile_id,
        event.source_event_id,
        event.event_type,
        event.occurred_at,
        event.input_sha256,
        summary,
        orjson.Fragment(encode_inputs(inputs)),
        None if dispatch else key_id("event", tenant_id, event.source_event_id),
        orjson.Fragment(event.attributes_json),
        dispatch.plan_task_id if dispatch else None,
        snapshot_id,
        output,
    )


def _send_row(tenant_id: UUID, event: Event, rule: Rule, channel: str) -> SendRow:
    """The delivery of a decision, and the audience that is frozen for it."""
    snapshot_id, name, version, audience = _audience(tenant_id, event, rule)
    return SendRow(
        delivery_key=key_id("delivery", tenant_id, event.task_id, channel),
        task_id=event.task_id,
        marketing_event_id=rule.marketing_event_id,
        campaign_id=rule.campaign_id,
        profile_id=event.profile_id,
        snapshot_id=snapshot_id,
        channel=channel,
        segment_name=name,
        segment_version=version,
        audience_sha256=audience,
    )


def _audience(tenant_id: UUID, event: Event, rule: Rule) -> tuple[str, str | None, str | None, str | None]:
    """Snapshot id, segment name, version and hash: of the dispatch, or of the one profile that is
    addressed."""
    if event.dispatch is not None:
        return event.dispatch.snapshot_id, None, None, None
    audience = audience_sha256([event.profile_id])
    name, version = rule.audience_name, rule.audience_version
    return key_id("snapshot", tenant_id, name, version, audience), name, version, audience


def _trace_json(decision: Decision) -> bytes:
    """The words and codes of every candidate; the pieces were encoded when the bundle was compiled."""
    pieces = b",".join(_fragment(candidate) for candidate in decision.candidates)
    return b'{"candidates":[%b]}' % pieces


def _fragment(candidate: CandidateResult) -> bytes:
    if candidate.arm is None and not candidate.missing:
        return candidate.rule.fragments[candidate.reason]
    return orjson.dumps(view_document(_view(candidate)))


def _view(candidate: CandidateResult) -> CandidateView:
    view = candidate.rule.views[candidate.reason]
    if candidate.arm is None and not candidate.missing:
        return view
    return replace(view, explanation=explain(candidate), arm=candidate.arm)


def result_json(decision: Decision) -> str:
    """What the decision comes to: a JSON object."""
    document: dict[str, Any] = {
        "marketing_event_id": decision.selected.marketing_event_id if decision.selected else None,
        "channels": decision.channels,
        "due_us": microseconds(decision.due_at) if decision.due_at else None,
    }
    if decision.arm is not None:
        document["arm"] = decision.arm._asdict()
    return orjson.dumps(document).decode()


def _decision_record(
    event: Event, decision: Decision, views: tuple[CandidateView, ...], decided_at: datetime
) -> DecisionRecord:
    return DecisionRecord(
        task_id=event.task_id,
        source_event_id=event.source_event_id,
        outcome=decision.outcome,
        reason=decision.reason,
        summary=decision.summary,
        marketing_event_id=decision.selected.marketing_event_id if decision.selected else None,
        channels=decision.channels,
        due_at=decision.due_at,
        decided_at=decided_at,
        input_sha256=event.input_sha256,
        candidates=views,
        arm=decision.arm,
    )


def stored_record(row: Columns, *, duplicate: bool) -> DecisionRecord:
    """The answer for a decision that is in the database; of an erased profile only codes and times are left."""
    result = orjson.loads(row["result"])
    due_us = result.get("due_us")
    trace = orjson.loads(row["reasoning_trace"])
    return DecisionRecord(
        task_id=row["task_id"],
        source_event_id=row["source_event_id"],
        outcome=Outcome(row["outcome"]),
        reason=Reason(row["reason_code"]),
        summary=row["reasoning_summary"],
        marketing_event_id=row["marketing_event_id"],
        channels=tuple(result.get("channels", ())),
        due_at=None if due_us is None else moment(due_us),
        decided_at=row["decided_at"],
        input_sha256=row["input_sha256"],
        duplicate=duplicate,
        candidates=tuple(_stored_view(candidate) for candidate in trace.get("candidates", ())),
        arm=_stored_arm(result.get("arm")),
    )


def _stored_view(document: Mapping[str, Any]) -> CandidateView:
    return CandidateView(**{**document, "arm": _stored_arm(document.get("arm"))})


def _stored_arm(document: Mapping[str, Any] | None) -> ArmView | None:
    return ArmView(**document) if document else None
