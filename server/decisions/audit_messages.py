"""Replays on the wire: models to messages."""

from __future__ import annotations

import orjson
from leo.activation.v1 import decision_service_pb2 as wire

from server.decisions.replay import Difference
from server.decisions.replaying import ReplayReport


def from_replay(report: ReplayReport) -> wire.ReplayResponse:
    """What a replay came to."""
    replayed = report.replayed
    return wire.ReplayResponse(
        task_id=report.task_id,
        equal=not replayed.differences,
        rule_bundle_id=report.rule_bundle_id,
        recorded_output_sha256=report.recorded_output_sha256,
        replayed_output_sha256=replayed.decision.output_sha256,
        differences=[_difference(difference) for difference in replayed.differences],
    )


def _difference(difference: Difference) -> wire.ReplayDifference:
    return wire.ReplayDifference(
        field=difference.field,
        recorded=orjson.dumps(difference.recorded).decode(),
        replayed=orjson.dumps(difference.replayed).decode(),
    )
