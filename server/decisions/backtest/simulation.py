"""What a draft would have done: every event is decided again with it, one profile after another. Pure.

Cooldowns and caps are simulated in event time, among the sends of the simulation and those outside of its span, by
the rule that PostgreSQL reserves by (`limits.reserve_in_order`).
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from server.decisions.backtest.draft import DRAFT_ID
from server.decisions.evaluation import conclude, screen
from server.decisions.model import Bundle, Columns, Decision, DecisionInputs, Reason, Rule
from server.decisions.reservation.limits import (
    Holder,
    microseconds,
    reserve_in_order,
    scope_token,
    topic_token,
)

_PRUNED_FROM = 32
Message = tuple[str, str]
"""What a message is, whatever the version of its definition: campaign and name."""


class Happened(NamedTuple):
    """What was decided at the time.

    Args:
        reason: None where nothing was decided on this event.
        message: what was sent; None when nothing was.
    """

    reason: str | None
    message: Message | None


NOTHING_HAPPENED = Happened(None, None)


class Case(NamedTuple):
    """One event of the span.

    Args:
        bundle: the rules of the time, with the draft among them.
        inputs: what was known then; the verdicts are those of the simulation, so none are needed.
    """

    bundle: Bundle
    inputs: DecisionInputs
    happened: Happened


class Changed(NamedTuple):
    """An event that would have ended otherwise; the first field spreads a sample evenly over all of them."""

    task_id: str
    source_event_id: str
    profile_id: str
    occurred_at: datetime
    happened: Happened
    reason: str
    message: Message | None


@dataclass(slots=True)
class BacktestReport:
    """What a backtest came to.

    Args:
        events: those that were decided again.
        reasons: of the draft, where it was a candidate.
        sends, profiles: messages of the draft, and to how many profiles.
        all_sends, recorded_sends: messages of any definition, with the draft and as it happened.
        added, removed, replaced: events at which something is sent now and was not, the reverse, and something else.
        changed_profiles: profiles with any of these.
        skipped: recorded decisions that can not be made again, by the reason.
        completed: events for which something had to be read as it is now, because it was not recorded.
        completed_with: what that was, as conditions name it.
        sample: some of the events that changed.
    """

    events: int = 0
    reasons: Counter[Reason] = field(default_factory=Counter)
    sends: int = 0
    profiles: int = 0
    all_sends: int = 0
    recorded_sends: int = 0
    added: int = 0
    removed: int = 0
    replaced: int = 0
    changed_profiles: int = 0
    skipped: Counter[str] = field(default_factory=Counter)
    completed: int = 0
    completed_with: set[str] = field(default_factory=set)
    sample: list[Changed] = field(default_factory=list)


class Simulation:
    """Takes events ordered by profile and event time; keeps the sends of one profile only.

    Args:
        sample_size: how many of the changed events to keep.
    """

    def __init__(self, sample_size: int) -> None:
        self.report = BacktestReport()
        self._sample_size = sample_size
        self._holders: list[Holder] = []
        self._reached = self._changed = False

    def begin_profile(self, holders: Iterable[Holder]) -> None:
        """Go on to the next profile.

        Args:
            holders: its sends outside of the span.
        """
        self._holders = list(holders)
        self._reached = self._changed = False

    def take(self, case: Case) -> Decision:
        """Decide one event of the profile."""
        inputs = case.inputs
        occurred_us = microseconds(inputs.event.occurred_at)
        self._forget(occurred_us - case.bundle.longest_window_us)
        screened = screen(
            case.bundle, inputs.event, inputs.profile, inputs.facts, inputs.arms, inputs.holdout
        )
        asking = [candidate for candidate in screened if candidate.reason is None]
        verdicts = reserve_in_order(asking, occurred_us, inputs.event.task_id, self._holders)
        decision = conclude(inputs._replace(verdicts=verdicts), screened)
        if decision.selected is not None:
            self._holders.append(
                holder_of(decision.selected, decision.channels[0], occurred_us, inputs.event.task_id)
            )
        self._count(decision)
        self._compare(case, decision)
        return decision

    def _forget(self, before_us: int) -> None:
        """Drop the sends that no window reaches any more: events of a profile come in their order."""
        if len(self._holders) > _PRUNED_FROM:
            self._holders = [holder for holder in self._holders if holder.occurred_us > before_us]

    def _count(self, decision: Decision) -> None:
        report = self.report
        report.events += 1
        reason = next((c.reason for c in decision.candidates if c.rule.marketing_event_id == DRAFT_ID), None)
        if reason is not None:
            report.reasons[reason] += 1
        if reason is Reason.SELECTED:
            report.sends += 1
            report.profiles += not self._reached
            self._reached = True

    def _compare(self, case: Case, decision: Decision) -> None:
        report, before, after = self.report, case.happened.message, message_of(decision.selected)
        report.recorded_sends += before is not None
        report.all_sends += after is not None
        if before == after:
            return
        report.added += before is None
        report.removed += after is None
        report.replaced += before is not None and after is not None
        report.changed_profiles += not self._changed
        self._changed = True
        event = case.inputs.event
        changed = Changed(
            event.task_id, event.source_event_id, event.profile_id, event.occurred_at, case.happened,
            decision.reason, after,
        )  # fmt: skip
        report.sample = heapq.nsmallest(self._sample_size, [*report.sample, changed])


def message_of(rule: Rule | None) -> Message | None:
    """What a rule sends."""
    return (rule.campaign_id, rule.event_name) if rule is not None else None


def holder_of(rule: Rule, channel: str, occurred_us: int, task_id: str) -> Holder:
    """The send of a rule, as limits count it."""
    return _holder(occurred_us, task_id, (rule.campaign_id, rule.event_name), channel, rule.topic)


def holder_of_send(send: Columns) -> Holder:
    """A recorded send, as limits count it.

    Args:
        send: a row of the query `sends_of`.
    """
    message = send["campaign_id"], send["event_name"]
    return _holder(
        microseconds(send["occurred_at"]), send["task_id"], message, send["channel"], send["topic"]
    )


def _holder(occurred_us: int, task_id: str, message: Message, channel: str, topic: str | None) -> Holder:
    campaign_id, _ = message
    return Holder(
        occurred_us=occurred_us,
        task_id=task_id,
        campaign=scope_token(campaign_id),
        event=scope_token(*message),
        channel=scope_token(channel),
        topic=topic_token(topic),
    )
