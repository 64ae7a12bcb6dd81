"""`leo backtest`: what a draft would have done over what happened, as a report."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from google.protobuf.json_format import ParseDict, ParseError
from leo.activation.v1 import decision_service_pb2 as wire
from rich.console import Console
from rich.table import Table

from server.cli.calling import ServerOption, TokenOption, calling
from server.cli.failure import CommandFailed
from server.platform.clock import utc_now

_DEADLINE_SECONDS: Final = 300.0
_FORMATS: Final = ["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%S%z"]
_DRAFT = typer.Argument(
    help="File with the draft: a JSON object (docs/replay.md).", exists=True, dir_okay=False
)
_SINCE = typer.Option(formats=_FORMATS, help="The beginning, in UTC unless it says otherwise.")
_UNTIL = typer.Option(formats=_FORMATS, help="The end (exclusive); now where it is left out.")
_EVENTS = typer.Option(
    "--events", help="All events that happened in the span, not only those that were decided on in it."
)
_SAMPLE = typer.Option(min=0, max=100, help="How many of the events that would end otherwise to list.")


def backtest(
    draft: Annotated[Path, _DRAFT],
    since: Annotated[datetime, _SINCE],
    until: Annotated[datetime | None, _UNTIL] = None,
    events: Annotated[bool, _EVENTS] = False,
    sample: Annotated[int, _SAMPLE] = 10,
    server: ServerOption = None,
    token: TokenOption = None,
) -> None:
    """Decide past events again with a draft among the rules, and show what would be otherwise. Changes nothing."""
    request = wire.BacktestRequest(
        draft=read_draft(draft.read_bytes()),
        source=wire.BACKTEST_SOURCE_EVENTS if events else wire.BACKTEST_SOURCE_DECISIONS,
        sample_size=sample,
    )
    request.since.FromDatetime(_in_utc(since))
    request.until.FromDatetime(_in_utc(until) if until else utc_now())
    with calling(server, token) as client:
        answer = client.decisions.Backtest(request, timeout=_DEADLINE_SECONDS)
    print_report(Console(soft_wrap=True), request.draft, answer)


def read_draft(data: bytes) -> wire.DraftMarketingEvent:
    """The draft out of a file: the fields of the message, with the condition as an object.

    Raises:
        CommandFailed: no JSON object, or with fields that a draft does not have.
    """
    try:
        document: dict[str, Any] = dict(json.loads(data))
        condition = document.pop("condition", None)
        draft = ParseDict(document, wire.DraftMarketingEvent())
    except (ValueError, TypeError, ParseError) as error:
        raise CommandFailed(f"the draft is no JSON object of its fields: {error}") from error
    if condition is not None:
        draft.condition = json.dumps(condition).encode()
    return draft


def print_report(console: Console, draft: wire.DraftMarketingEvent, answer: wire.BacktestResponse) -> None:
    """The report for people: the draft's figures, then what would be otherwise."""
    table = Table(title=f"{draft.campaign_id} / {draft.event_name}", title_justify="left", show_header=False)
    for name, number in _figures(answer):
        table.add_row(name, f"{number:,}")
    console.print(table)
    for counted in answer.reasons:
        console.print(f"  {_reason(counted.reason):<18} {counted.count:>10,}", highlight=False)
    for reason, number in sorted(answer.skipped.items()):
        console.print(f"{number:,} decisions can not be made again: {reason}", style="yellow")
    if answer.completed:
        console.print(
            f"For {answer.completed:,} events these were read as they are now, since they were not recorded:"
            f" {', '.join(answer.completed_with)}",
            style="yellow",
        )
    if answer.sample:
        console.print(_sample(answer))


def _figures(answer: wire.BacktestResponse) -> list[tuple[str, int]]:
    return [
        ("events decided again", answer.events),
        ("messages of the draft", answer.sends),
        ("profiles that get them", answer.profiles),
        ("stopped by the cooldown", answer.cooldown_hits),
        ("stopped by a cap", answer.cap_hits),
        ("messages of all rules, as it happened", answer.recorded_sends),
        ("messages of all rules, with the draft", answer.all_sends),
        ("something instead of nothing", answer.added),
        ("nothing instead of something", answer.removed),
        ("something else", answer.replaced),
        ("profiles with a change", answer.changed_profiles),
    ]


def _sample(answer: wire.BacktestResponse) -> Table:
    table = Table(
        "event",
        "profile",
        "when",
        "happened",
        "with the draft",
        title="some of the changes",
        title_justify="left",
    )
    for changed in answer.sample:
        table.add_row(
            changed.source_event_id,
            changed.profile_id,
            f"{changed.occurred_at.ToDatetime(UTC):%Y-%m-%d %H:%M:%SZ}",
            _said(changed.recorded.event_name, changed.recorded_reason),
            _said(changed.simulated.event_name, changed.reason),
        )
    return table


def _said(event_name: str, reason: wire.DecisionReason.ValueType) -> str:
    if reason == wire.DECISION_REASON_UNSPECIFIED:
        return "not decided"
    return event_name or _reason(reason)


def _reason(reason: wire.DecisionReason.ValueType) -> str:
    return wire.DecisionReason.Name(reason).removeprefix("DECISION_REASON_")


def _in_utc(moment: datetime) -> datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
