"""What the demo prints: for people first, and one JSON object as the last line."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from leo.activation.v1 import trace_service_pb2 as trace
from rich.console import Console
from rich.table import Table

from loadtest.demo.alerts import Fired, example_of
from loadtest.demo.definitions import MESSAGES
from loadtest.demo.holders import HOLDER_RULE, PRICE_RULE
from loadtest.demo.loader import CALLS_AT_ONCE
from loadtest.demo.purchases import TIME_RULE
from loadtest.demo.reconcile import Figures
from loadtest.demo.rules import CONSENT_RULE, STATE_RULE
from server.cli.trace import journey_tree
from server.decisions.replay.span import SpanReport

_SHOWN_FAULTS: Final = 10


@dataclass(frozen=True, slots=True)
class Times:
    """How long it took.

    Args:
        setup_seconds: from nothing to a loaded catalogue and all customers.
        seconds: from the first purchase to the last message that was sent.
        deciding_seconds: of these, from the first purchase to the last answer.
        latencies: seconds of each Decide call.
        ticks: prices that were acknowledged.
        streaming_seconds: from the first price to the last acknowledgement.
    """

    setup_seconds: float
    seconds: float
    deciding_seconds: float
    latencies: Sequence[float]
    ticks: int
    streaming_seconds: float

    def milliseconds(self, part: float) -> float:
        """A quantile of the latencies: the shortest that `part` of the calls did not exceed."""
        ordered = sorted(self.latencies)
        return round(ordered[max(0, math.ceil(part * len(ordered)) - 1)] * 1000, 2)


def print_rules(console: Console, purchases: int, customers: int) -> None:
    """What is going to happen, and by which rules."""
    console.print(f"{purchases:,} purchases of {customers:,} CDNOW customers, 1997 and 1998. The rules:")
    for rule in (TIME_RULE, CONSENT_RULE, STATE_RULE, PRICE_RULE, HOLDER_RULE):
        console.print(f"  - {rule}", highlight=False)
    table = Table("priority", "marketing event", "campaign", "to whom", box=None, pad_edge=False)
    for message in MESSAGES:
        table.add_row(str(message.priority), message.name, message.campaign_id, message.rule)
    console.print(table, soft_wrap=False)


def print_figures(console: Console, figures: Figures, times: Times) -> None:
    """Decisions, candidates, deliveries and speed."""
    decided = ((f"{outcome} {reason}", n) for (outcome, reason), n in figures.outcomes.items())
    _print_counts(console, "decisions by outcome and reason", decided)
    _print_counts(console, "candidates by reason (each decision weighs several)", figures.candidates.items())
    _print_counts(console, "deliveries by status", figures.deliveries.items())
    rate = len(times.latencies) / times.deciding_seconds
    console.print(
        f"\n[bold]{rate:,.0f} decisions/s[/bold], durable, with the profile updated before each one. One Decide call,"
        f" up to {CALLS_AT_ONCE} at once: p50 {times.milliseconds(0.5)} ms, p99 {times.milliseconds(0.99)} ms.",
        highlight=False,
    )


def print_alerts(
    console: Console, figures: Figures, times: Times, fired: Sequence[Fired], step: trace.Journey | None
) -> None:
    """Alerts that fired by symbol, and why one of them did, with what followed from it.

    Args:
        step: what followed from `example_of(fired)`.
    """
    counts = ((f"{symbol}, of {rules} alerts", number) for symbol, (rules, number) in figures.alerts.items())
    _print_counts(console, "alerts fired by symbol", counts)
    rate = times.ticks / times.streaming_seconds
    console.print(
        f"\n[bold]{rate:,.0f} prices/s[/bold], {times.ticks:,} in all, each acknowledged after its commit.",
        highlight=False,
    )
    example = example_of(fired)
    if example is not None and step is not None:
        console.print(
            f"\n[bold]one alert[/bold]: {example.profile_id} waited for {example.alert}; {example.symbol} was at"
            f" {example.price:f} $ on {example.fired_at:%-d %B %Y at %H:%M} UTC; {example.outcome}, {example.summary}.",
            highlight=False,
        )
        console.print(journey_tree(step), soft_wrap=False)


def print_journey(console: Console, journey: trace.Journey) -> None:
    """One customer's whole journey."""
    console.print("\n[bold]one customer's journey, newest first[/bold]")
    console.print(journey_tree(journey), soft_wrap=False)


def print_end(
    console: Console, figures: Figures, restarts: Iterable[str], mailbox: str, directory: Path
) -> None:
    """Where the mailbox is, and what is not as it should be."""
    console.print(
        f"\n{figures.mailbox_messages:,} messages are in [bold]{mailbox}[/bold] (open the .eml files with any"
        f" mail reader);\nlogs are in {directory}. Both stay until the next demo.",
        highlight=False,
    )
    for name in restarts:
        console.print(f"{name} ended in the middle and was started again", style="yellow")
    if unknown := figures.deliveries.get("unknown"):
        console.print(f"{unknown} deliveries are unknown: nobody can say whether they were sent, so they are"
                      " not sent again", style="yellow")  # fmt: skip
    for kind, number in figures.orphans.items():
        if number:
            console.print(f"orphans: {number} {kind.replace('_', ' ')}", style="red")
    for fault in figures.mail_faults[:_SHOWN_FAULTS]:
        console.print(f"mailbox: {fault}", style="red", markup=False)


def print_replay(console: Console, figures: Figures, replayed: SpanReport) -> None:
    """Whether everything came out again, and what did not."""
    console.print(
        f"\n[bold]{replayed.replayed:,} of {figures.decisions:,} decisions[/bold] were decided again from what was"
        f" recorded of them: {replayed.different:,} came out otherwise.",
        highlight=False,
    )
    for differing in replayed.differing[:_SHOWN_FAULTS]:
        fields = ", ".join(difference.field for difference in differing.differences)
        console.print(f"replay: {differing.task_id} differs in {fields}", style="red")


def last_line(figures: Figures, times: Times, replayed: SpanReport) -> str:
    """The figures as one JSON object."""
    return json.dumps(
        {
            "events": len(times.latencies),
            "decisions": figures.decisions,
            "send": figures.send,
            "suppressed": dict(sorted(figures.suppressed.items())),
            "deliveries": dict(sorted(figures.deliveries.items())),
            "mailbox_messages": figures.mailbox_messages,
            "ticks": times.ticks,
            "alerts_fired": figures.alerts_fired,
            "orphans": sum(figures.orphans.values()),
            "replayed": replayed.replayed,
            "replay_differences": replayed.different,
            "setup_seconds": round(times.setup_seconds, 2),
            "seconds": round(times.seconds, 2),
            "decide_p50_ms": times.milliseconds(0.5),
            "decide_p99_ms": times.milliseconds(0.99),
        }
    )


def _print_counts(console: Console, title: str, counts: Iterable[tuple[str, int]]) -> None:
    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column()
    table.add_column(justify="right")
    for name, number in counts:
        table.add_row(name, f"{number:,}")
    console.print(f"\n[bold]{title}[/bold]")
    console.print(table)


def most_telling(reasons: Mapping[str, Sequence[str]]) -> str:
    """The customer whose journey shows most: of the most different reasons, then of the fewest purchases."""
    return min(
        reasons, key=lambda profile_id: (-len(set(reasons[profile_id])), len(reasons[profile_id]), profile_id)
    )
