"""Decide again what was decided, and tell where the two answers differ. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import orjson

from server.decisions.evaluation import decide
from server.decisions.model import Bundle, Columns, Decision, DecisionInputs
from server.decisions.recorded_inputs import decode_inputs
from server.decisions.recording import result_json
from server.decisions.reservation.limits import moment

_Output = Mapping[str, Any]
_CANDIDATES: Final = "candidates"


class Difference(NamedTuple):
    """One field in which the replayed answer is not the recorded one.

    Args:
        field: `outcome`, `reason`, `marketing_event_id`, `channels`, `due_at`, `arm`, `output_sha256`;
            `candidates.<id>`, whose value is the candidate's reason; `candidates.<id>.arm`, what an experiment
            drew for it; `candidates` where only their order differs.
        recorded, replayed: the two values as JSON would have them; None where one has no such field.
    """

    field: str
    recorded: Any
    replayed: Any


class Replayed(NamedTuple):
    """A decision that was made again from its recorded inputs.

    Args:
        differences: empty when the answer is the recorded one.
    """

    inputs: DecisionInputs
    decision: Decision
    differences: tuple[Difference, ...]


def replay(bundle: Bundle, row: Columns) -> Replayed:
    """Decide again.

    Args:
        bundle: the stored rule bundle that the decision names, compiled.
        row: the columns of the query `find_recorded`.

    Raises:
        PreconditionFailed: the inputs were redacted, or not recorded completely (`decode_inputs`).
    """
    inputs = decode_inputs(row)
    decision = decide(bundle, inputs)
    return Replayed(inputs, decision, _differences(_recorded(row), _replayed(decision)))


def is_reproduced(bundle: Bundle, row: Columns) -> bool:
    """Whether the decision comes out as it was recorded: the quick question of a replay of many.

    Args:
        row: the columns of the query `page_decisions`.

    Raises:
        PreconditionFailed: as `replay`.
    """
    decision = decide(bundle, decode_inputs(row))
    selected = decision.selected
    return bool(
        decision.output_sha256 == row["output_sha256"]
        and decision.reason == row["reason_code"]
        and decision.outcome == row["outcome"]
        and (selected.marketing_event_id if selected else None) == row["marketing_event_id"]
    )


def _recorded(row: Columns) -> _Output:
    trace = orjson.loads(row["reasoning_trace"])
    return {
        "output_sha256": row["output_sha256"],
        "outcome": row["outcome"],
        "reason": row["reason_code"],
        "marketing_event_id": row["marketing_event_id"],
        _CANDIDATES: {c["marketing_event_id"]: (c["reason"], c.get("arm")) for c in trace[_CANDIDATES]},
        **_result(row["result"]),
    }


def _replayed(decision: Decision) -> _Output:
    selected = decision.selected
    return {
        "output_sha256": decision.output_sha256,
        "outcome": decision.outcome,
        "reason": decision.reason,
        "marketing_event_id": selected.marketing_event_id if selected else None,
        _CANDIDATES: {
            c.rule.marketing_event_id: (c.reason, c.arm._asdict() if c.arm else None)
            for c in decision.candidates
        },
        **_result(result_json(decision)),
    }


def _result(document: str) -> _Output:
    """The result without what the columns have already; `due_us` becomes a time that people can read."""
    result: dict[str, Any] = orjson.loads(document)
    result.pop("marketing_event_id", None)
    due_us = result.pop("due_us", None)
    return result | {"due_at": None if due_us is None else moment(due_us).isoformat()}


def _differences(recorded: _Output, replayed: _Output) -> tuple[Difference, ...]:
    before, after = _flat(recorded), _flat(replayed)
    fields = [*before, *(field for field in after if field not in before)]
    found = [
        Difference(field, before.get(field), after.get(field))
        for field in fields
        if before.get(field) != after.get(field)
    ]
    ranks = list(recorded[_CANDIDATES]), list(replayed[_CANDIDATES])
    if ranks[0] != ranks[1] and set(ranks[0]) == set(ranks[1]):
        found.append(Difference(_CANDIDATES, *ranks))
    return tuple(found)


def _flat(output: _Output) -> _Output:
    fields = {field: value for field, value in output.items() if field != _CANDIDATES}
    for identity, (reason, arm) in output[_CANDIDATES].items():
        fields |= {f"{_CANDIDATES}.{identity}": reason, f"{_CANDIDATES}.{identity}.arm": arm}
    return fields
