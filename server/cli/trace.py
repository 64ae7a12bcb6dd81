"""`leo trace`: what was decided for one customer, and why, as a tree."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC
from typing import Annotated

import typer
from google.protobuf.timestamp_pb2 import Timestamp
from leo.activation.v1 import decision_service_pb2 as decisions
from leo.activation.v1 import dispatch_service_pb2 as dispatch
from leo.activation.v1 import trace_service_pb2 as trace_pb2
from leo.activation.v1 import types_pb2
from rich.console import Console
from rich.text import Text
from rich.tree import Tree

from server.cli.calling import ServerOption, TokenOption, calling

_SHOWN_DIGITS = 12
_PROFILE = typer.Argument(help="Id of the profile.")
_LIMIT = typer.Option(min=1, max=1000, help="How many decisions to show, the newest first.")


def trace(
    profile_id: Annotated[str, _PROFILE],
    limit: Annotated[int, _LIMIT] = 20,
    server: ServerOption = None,
    token: TokenOption = None,
) -> None:
    """Show one customer's journey: events, decisions with their reasons, audiences and deliveries."""
    with calling(server, token) as client:
        answer = client.trace.GetJourney(
            trace_pb2.GetJourneyRequest(profile_id=profile_id, page=types_pb2.PageRequest(page_size=limit))
        )
    console = Console(soft_wrap=True)
    console.print(journey_tree(answer.journey), soft_wrap=False)
    if answer.page.next_page_token:
        console.print(f"There are older decisions; --limit shows more than {limit}.", style="dim")


def journey_tree(journey: trace_pb2.Journey) -> Tree:
    """The journey as a tree: one branch for each decision, the newest first."""
    tree = Tree(Text.assemble("Journey of ", (journey.profile_id, "bold")))
    for step in journey.steps:
        _add_step(tree, step)
    if not journey.steps:
        tree.add(Text("nothing was decided yet", style="dim"))
    return tree


def _add_step(tree: Tree, step: trace_pb2.JourneyStep) -> None:
    branch = tree.add(_event(step))
    _add_decision(branch, step.decision)
    if step.HasField("snapshot"):
        branch.add(_snapshot(step.snapshot))
    if step.HasField("marketing_event"):
        branch.add(_definition(step.marketing_event))
    _add_deliveries(branch, step.deliveries)


def _event(step: trace_pb2.JourneyStep) -> Text:
    if not step.HasField("event"):
        return Text.assemble(_time(step.decision.decided_at), "  decision without an event")
    event = step.event
    return Text.assemble(
        _time(event.occurred_at),
        "  ",
        (event.event_type, "bold cyan"),
        f" {event.source_event_id}  ",
        (event.attributes.decode(), "dim"),
    )


def _add_decision(branch: Tree, decision: trace_pb2.JourneyDecision) -> None:
    sends = decision.outcome == decisions.DECISION_OUTCOME_SEND
    text = Text.assemble(
        ("send" if sends else "suppressed", "bold green" if sends else "bold yellow"),
        f"  {decision.reason_code}: {decision.summary}",
        (f"  {decision.agent_name} {_short(decision.task_id)} {decision.status}", "dim"),
    )
    node = branch.add(text)
    for candidate in decision.candidates:
        reason = decisions.DecisionReason.Name(candidate.reason).removeprefix("DECISION_REASON_")
        node.add(Text.assemble((reason, "magenta"), f"  {candidate.explanation}"))


def _snapshot(snapshot: trace_pb2.JourneySnapshot) -> Text:
    frozen = snapshot.snapshot
    members = "1 member" if frozen.member_count == 1 else f"{frozen.member_count:,} members"
    text = Text.assemble(
        "audience ",
        (frozen.segment_name or "everyone", "bold"),
        f", {members}",
        (f"  snapshot {_short(frozen.snapshot_id)}", "dim"),
    )
    return text if snapshot.is_member else text.append("  THE PROFILE IS NO MEMBER", style="bold red")


def _definition(event: trace_pb2.JourneyMarketingEvent) -> Text:
    versions = ", ".join(f"{t.channel}/{t.language} v{t.version}" for t in event.templates)
    return Text.assemble(
        "marketing event ",
        (event.event_name, "bold"),
        f" of {event.campaign_id}, template {event.template_name}",
        (f"  active: {versions}" if versions else "", "dim"),
        (f"  {_short(event.marketing_event_id)}", "dim"),
    )


def _add_deliveries(branch: Tree, rows: Iterable[trace_pb2.JourneyDelivery]) -> None:
    """A node for each delivery, with its rows below it."""
    nodes: dict[str, Tree] = {}
    for row in rows:
        if row.delivery_key not in nodes:
            label = Text.assemble(
                "delivery over ", (row.channel, "bold"), (f"  {_short(row.delivery_key)}", "dim")
            )
            nodes[row.delivery_key] = branch.add(label)
        nodes[row.delivery_key].add(_delivery(row))


def _delivery(row: trace_pb2.JourneyDelivery) -> Text:
    status = dispatch.DeliveryStatus.Name(row.status).removeprefix("DELIVERY_STATUS_").lower()
    return Text.assemble(
        _time(row.recorded_at),
        "  ",
        (status, "bold"),
        f"  attempt {row.attempt}" if row.attempt else "",
        f"  to {row.destination}" if row.destination else "",
        f"  {row.reason}" if row.reason else "",
    )


def _time(moment: Timestamp) -> str:
    return f"{moment.ToDatetime(UTC):%Y-%m-%d %H:%M:%SZ}"


def _short(identity: str) -> str:
    return identity[:_SHOWN_DIGITS]
