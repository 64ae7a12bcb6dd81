"""`leo decide`: one decision from the terminal, with the reason of every candidate."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated
from uuid import uuid4

import typer
from leo.activation.v1 import decision_service_pb2 as wire
from rich.console import Console
from rich.table import Table
from rich.text import Text

from server.cli.calling import ServerOption, TokenOption, calling

_PROFILE = typer.Argument(help="Id of the profile.")
_TYPE = typer.Option(help="Type of the event, e.g. purchase.")
_ATTRIBUTES = typer.Option(help="""Facts of the event: a JSON object, e.g. '{"amount": 120}'.""")
_ID = typer.Option(
    help="Your id of the event: the same again gets the first answer. A new one where it is left out."
)
_AT = typer.Option(
    formats=["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%S%z"],
    help="When it happened, in UTC unless it says otherwise; now where it is left out.",
)


def decide(
    profile_id: Annotated[str, _PROFILE],
    event_type: Annotated[str, _TYPE] = "purchase",
    attributes: Annotated[str, _ATTRIBUTES] = "{}",
    source_event_id: Annotated[str | None, _ID] = None,
    occurred_at: Annotated[datetime | None, _AT] = None,
    server: ServerOption = None,
    token: TokenOption = None,
) -> None:
    """Decide one event for a customer: what is sent, and why. The decision is recorded and carried out."""
    event = wire.Event(
        source_event_id=source_event_id or f"leo-decide:{uuid4()}",
        profile_id=profile_id,
        event_type=event_type,
        attributes=attributes.encode(),
    )
    event.occurred_at.FromDatetime(_in_utc(occurred_at))
    with calling(server, token) as client:
        answer = client.decisions.Decide(wire.DecideRequest(event=event, include_candidates=True))
    print_decision(Console(soft_wrap=True), answer.decision)


def print_decision(console: Console, decision: wire.Decision) -> None:
    """The outcome, its reason in words, and every candidate, best first."""
    sends = decision.outcome == wire.DECISION_OUTCOME_SEND
    console.print(
        Text.assemble(
            ("send", "bold green") if sends else ("suppressed", "bold yellow"),
            f"  {_reason(decision.reason)}: {decision.reason_summary}",
            ("  (decided before; this is the first answer)" if decision.duplicate else "", "dim"),
        )
    )
    table = Table(box=None, show_header=False, pad_edge=False)
    for name, value in _facts(decision):
        table.add_row(Text(name, "bold"), Text(value))
    console.print(table)
    for candidate in decision.candidates:
        console.print(
            Text.assemble("  ", (_reason(candidate.reason), "magenta"), f"  {candidate.explanation}")
        )


def _facts(decision: wire.Decision) -> list[tuple[str, str]]:
    facts = [("decision", decision.task_id), ("event", decision.source_event_id)]
    if decision.outcome == wire.DECISION_OUTCOME_SEND:
        due = decision.due_at.ToDatetime(UTC)
        facts += [("channels", ", ".join(decision.channels)), ("due", f"{due:%Y-%m-%d %H:%M:%SZ}")]
    return facts


def _reason(reason: wire.DecisionReason.ValueType) -> str:
    return wire.DecisionReason.Name(reason).removeprefix("DECISION_REASON_")


def _in_utc(moment: datetime | None) -> datetime:
    if moment is None:
        return datetime.now(UTC)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
