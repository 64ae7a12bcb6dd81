"""What a decision is made of: the event, the profile's state, the rules, and the result. Pure data.

What is made for every event is a named tuple: as frozen as a dataclass, and made in a third of the time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple, Protocol

from server.conditions import Condition, Explainer, Facts
from server.conditions import Window as PastWindow
from server.contact_policy import QuietHours
from server.decisions.arms.model import NO_ARMS, Arm, ArmView, Experiment, Holdout, HoldoutShare, Window
from server.decisions.template_needs import TemplateNeeds


class Columns(Protocol):
    """A row of the database: a value for each column's name."""

    def __getitem__(self, name: str, /) -> Any: ...


class Outcome(StrEnum):
    """What was chosen."""

    SEND = "send"
    SUPPRESSED = "suppressed"


class Reason(StrEnum):
    """Why a candidate was selected or lost, in the order of the hurdles that a candidate takes."""

    NO_CANDIDATE = "NO_CANDIDATE"
    PROFILE_UNKNOWN = "PROFILE_UNKNOWN"
    PROFILE_ERASED = "PROFILE_ERASED"
    CAMPAIGN_INACTIVE = "CAMPAIGN_INACTIVE"
    SEGMENT_MISS = "SEGMENT_MISS"
    CONDITION_MISS = "CONDITION_MISS"
    NO_ADDRESS = "NO_ADDRESS"
    NO_CONSENT = "NO_CONSENT"
    TEMPLATE_VARIABLE_MISSING = "TEMPLATE_VARIABLE_MISSING"
    HOLDOUT = "HOLDOUT"
    COOLDOWN = "COOLDOWN"
    CAPPED = "CAPPED"
    LOST_TO = "LOST_TO"
    SELECTED = "SELECTED"


HURDLE = {reason: position for position, reason in enumerate(Reason)}

ERASED = "(erased)"
"""What stands for a text of a person who was erased."""


@dataclass(frozen=True, slots=True)
class DispatchTarget:
    """The dispatch that an event belongs to: its one candidate and the audience that was frozen for it."""

    plan_task_id: str
    marketing_event_id: str
    snapshot_id: str


class Event(NamedTuple):
    """Something that happened to a profile.

    Args:
        task_id: id of the decision, derived from tenant and `source_event_id`.
        input_sha256: fingerprint of the caller's body; another body under the same id is refused.
        attributes_json: the canonical JSON object of `attributes`.
        dispatch: set when a dispatch asks instead of a customer's event.
    """

    source_event_id: str
    profile_id: str
    event_type: str
    occurred_at: datetime
    attributes: Mapping[str, Any]
    attributes_json: bytes
    task_id: str
    input_sha256: str
    dispatch: DispatchTarget | None = None


class ProfileState(NamedTuple):
    """What is known of the profile when it is decided on.

    Args:
        attributes: columns of the profile and its `raw_attributes`, as the conditions read them.
        reachable: channels for which the profile has an address.
        consented: channels with a current consent.
        time_zone: IANA name for quiet hours, None where unknown.
        language: chooses among templates; known only where some template needs anything.
        lacks: names of the variables that templates in force need and the profile does not hold.
    """

    profile_id: str
    attributes: Mapping[str, Any]
    segments: frozenset[str]
    reachable: frozenset[str]
    consented: frozenset[str]
    time_zone: str | None = None
    language: str | None = None
    lacks: frozenset[str] = frozenset()


class LimitKind(StrEnum):
    """What a limit protects from."""

    COOLDOWN = "cooldown"
    CAP = "cap"


ANY = "-" * 16


@dataclass(frozen=True, slots=True)
class Limit:
    """At most `maximum` sends to one profile within any window of event time.

    Args:
        campaign, event, channel, topic: the scope's tokens (`scope_token`); ANY matches every send.
        window_us: length of the window in microseconds; two sends exactly one window apart do not conflict.
        scope: what a cap counts, in words that follow those of its maximum and window.
    """

    kind: LimitKind
    window_us: int
    maximum: int
    campaign: str = ANY
    event: str = ANY
    channel: str = ANY
    topic: str = ANY
    scope: str = ""


@dataclass(frozen=True, slots=True)
class CandidateView:
    """A candidate as it is told to the caller; `arm` where an experiment decides what it says."""

    marketing_event_id: str
    event_name: str
    reason: str
    explanation: str
    arm: ArmView | None = None


def view_document(view: CandidateView) -> dict[str, Any]:
    """How a candidate stands in the trace of a decision: without an arm where it drew none."""
    document = {
        "marketing_event_id": view.marketing_event_id,
        "event_name": view.event_name,
        "reason": view.reason,
        "explanation": view.explanation,
    }
    return document if view.arm is None else {**document, "arm": view.arm._asdict()}


@dataclass(frozen=True, slots=True)
class Rule:
    """One marketing event, compiled: everything that is asked of it is looked up, nothing is parsed.

    Args:
        audience: decides membership in the campaign's audience; None admits everybody.
        condition: the marketing event's own condition; None always holds.
        limits: cooldown first, then caps, for each channel that the message may start on.
        scopes: for each such channel, the tokens that a send counts against: campaign, event, channel, topic.
        holds: for each such channel, what the candidate asks of the reservation, encoded once.
        views: for each reason that this candidate may get, how it is told, made once.
        fragments: the same as JSON, for the trace of a decision.
        open_ended: whether neither campaign nor marketing event has a bound in time: nothing to compare.
        template_name: what it sends; empty for a draft.
    """

    marketing_event_id: str
    campaign_id: str
    event_name: str
    trigger_event_type: str | None
    topic: str | None
    priority: int
    channels: tuple[str, ...]
    active: bool
    campaign_window: Window
    event_window: Window
    audience: Callable[[Facts], bool] | None
    condition: Callable[[Facts], bool] | None
    audience_name: str
    audience_version: str
    condition_tree: Condition | None
    audience_tree: Condition | None
    explain: Explainer | None
    limits: Mapping[str, tuple[Limit, ...]]
    scopes: Mapping[str, str]
    holds: Mapping[str, bytes]
    quiet_hours: QuietHours | None
    views: Mapping[Reason, CandidateView]
    fragments: Mapping[Reason, bytes]
    open_ended: bool = False
    template_name: str = ""


@dataclass(frozen=True, slots=True)
class Bundle:
    """The definitions in force, compiled.

    Args:
        bundle_id: hash of `document`, under which it is stored once.
        version: the tenant's definitions version that it was read with.
        by_event_type: candidates by the type of the event that triggers them, best first.
        always: candidates of events of any other type.
        profile_columns, raw_attributes, windows, symbols: what the conditions read.
        templates: what the templates need.
        longest_window_us: the longest cooldown or cap window, in microseconds.
        experiments: those that run, by the marketing event that they are on.
        adaptive: ids of those whose shares follow their counters.
        holdout: the tenant's holdout; None where it has none.
    """

    bundle_id: str
    version: int
    document: str
    by_event_type: Mapping[str, tuple[Rule, ...]]
    always: tuple[Rule, ...]
    by_id: Mapping[str, Rule]
    profile_columns: frozenset[str]
    raw_attributes: frozenset[str]
    windows: frozenset[PastWindow]
    symbols: frozenset[str]
    templates: TemplateNeeds
    longest_window_us: int
    experiments: Mapping[str, Experiment]
    adaptive: frozenset[str]
    holdout: HoldoutShare | None

    @property
    def loaded_columns(self) -> frozenset[str]:
        """The columns of a profile that have to be loaded beside those that always are."""
        return self.profile_columns | (self.templates.columns if self.templates.any else frozenset())

    @property
    def draws(self) -> bool:
        """Whether anything is drawn for a profile: most tenants have neither experiments nor a holdout."""
        return bool(self.experiments) or self.holdout is not None

    def candidates(self, event: Event) -> tuple[Rule, ...]:
        """The rules that this event makes candidates, best first."""
        if event.dispatch is not None:
            rule = self.by_id.get(event.dispatch.marketing_event_id)
            return (rule,) if rule is not None else ()
        return self.by_event_type.get(event.event_type, self.always)


class Screened(NamedTuple):
    """A candidate after the hurdles that need no reservation.

    Args:
        reason: the hurdle that it did not take, or None when it may be reserved.
        channels: the channels that the message may travel over, in order; empty when it lost.
        missing: names of the variables that kept it from being written, in order.
    """

    rule: Rule
    reason: Reason | None
    channels: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()


class Verdict(StrEnum):
    """What the reservation says of one candidate that asked for it."""

    HELD = "held"
    COOLDOWN = "cooldown"
    CAPPED = "capped"


class DecisionInputs(NamedTuple):
    """Everything that a decision may use. The same inputs give the same decision, today or in a year.

    Args:
        profile: None when the tenant has no such profile, or it was erased.
        verdicts: answers of the reservation, by marketing event; candidates after a held one were not asked.
        decided_at: the clock.
        arms: what the experiments in force drew for the profile, by marketing event.
        holdout: the profile's place in the tenant's holdout; None where the tenant has none.
        erased: whether the profile was erased; the event has no attributes then.
    """

    event: Event
    profile: ProfileState | None
    facts: Facts | None
    verdicts: Mapping[str, Verdict]
    decided_at: datetime
    arms: Mapping[str, Arm] = NO_ARMS
    holdout: Holdout | None = None
    erased: bool = False

    @property
    def absence(self) -> Reason:
        """Why there is no profile to decide for."""
        return Reason.PROFILE_ERASED if self.erased else Reason.PROFILE_UNKNOWN


class CandidateResult(NamedTuple):
    """One candidate with the reason that it got, and the arm that an experiment drew for it.

    Args:
        missing: names of the variables that kept it from being written.
    """

    rule: Rule
    reason: Reason
    arm: ArmView | None = None
    missing: tuple[str, ...] = ()


class Decision(NamedTuple):
    """What was decided and why.

    Args:
        selected: the rule to act on, None when suppressed.
        due_at: when the delivery is due, None when suppressed.
        output_sha256: SHA-256 over the canonical output, in hexadecimal.
        arm: the arm that the decision counts for: of what is sent, or the holdout that kept it back.
    """

    outcome: Outcome
    reason: Reason
    summary: str
    selected: Rule | None
    channels: tuple[str, ...]
    due_at: datetime | None
    candidates: tuple[CandidateResult, ...]
    output_sha256: str
    arm: ArmView | None = None


class DecisionRecord(NamedTuple):
    """A decision as it was recorded, and as every caller sees it."""

    task_id: str
    source_event_id: str
    outcome: Outcome
    reason: Reason
    summary: str
    marketing_event_id: str | None
    channels: tuple[str, ...]
    due_at: datetime | None
    decided_at: datetime
    input_sha256: str
    duplicate: bool = False
    candidates: tuple[CandidateView, ...] = ()
    arm: ArmView | None = None
