"""Rule bundles as documents, their profiles and events, for tests of the pure core."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

import orjson
from hypothesis import strategies as st

from server.decisions.bundle import compile_bundle
from server.decisions.intake import IncomingEvent, accept
from server.decisions.model import Bundle, DecisionInputs, Event, ProfileState, Verdict
from server.decisions.state import facts_of

NOON: Final = datetime(2026, 3, 2, 12, tzinfo=UTC)
TENANT: Final = UUID(int=1)
CHANNELS: Final = ("email", "sms", "telegram")
VIP: Final = {"name": "vip", "condition": {"attribute": "segment", "operator": "contains", "value": "vip"},
              "version": "1"}  # fmt: skip
PAST: Final = {"start_at": None, "end_at": "2026-01-01T00:00:00+00:00"}


def campaign(campaign_id: str = "c", **values: Any) -> dict[str, Any]:
    """A campaign of a bundle: active, for everybody, without limits."""
    return {
        "campaign_id": campaign_id,
        "status": "active",
        "start_at": None,
        "end_at": None,
        "audience": None,
        "frequency_caps": [],
        "quiet_hours": None,
        **values,
    }


def definition(marketing_event_id: str, **values: Any) -> dict[str, Any]:
    """A marketing event of a bundle: over e-mail, for purchases, without a condition."""
    return {
        "marketing_event_id": marketing_event_id,
        "campaign_id": "c",
        "event_name": marketing_event_id,
        "event_type": "TRIGGER",
        "trigger_event_type": "purchase",
        "channels": ["email"],
        "condition": None,
        "template_name": "hello",
        "priority": 0,
        "cooldown_seconds": 0,
        "start_at": None,
        "end_at": None,
        **values,
    }


def document(
    definitions: Sequence[Mapping[str, Any]],
    campaigns: Sequence[Mapping[str, Any]] = (campaign(),),
    *,
    caps: Sequence[Mapping[str, Any]] = (),
    quiet_hours: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """A rule bundle as it is stored."""
    return {
        "tenant": {"frequency_caps": list(caps), "quiet_hours": quiet_hours},
        "campaigns": list(campaigns),
        "marketing_events": list(definitions),
    }


def compiled(content: Mapping[str, Any]) -> Bundle:
    """The document, as the hot path reads it."""
    return compile_bundle("bundle", 1, orjson.dumps(content).decode())


def event(**attributes: Any) -> Event:
    """A purchase."""
    incoming = IncomingEvent("order-1", "ann", "purchase", NOON, orjson.dumps(attributes))
    return accept(TENANT, incoming, "event", NOON)


def inputs(
    given: Event,
    *,
    segments: frozenset[str] = frozenset(),
    reachable: frozenset[str] = frozenset(CHANNELS),
    consented: frozenset[str] = frozenset(CHANNELS),
    verdicts: Mapping[str, Verdict] | None = None,
    time_zone: str | None = None,
    known: bool = True,
    decided_at: datetime = NOON,
) -> DecisionInputs:
    """What a decision may use."""
    profile = ProfileState("ann", {}, segments, reachable, consented, time_zone)
    facts = facts_of(given, profile, {}, {})
    return DecisionInputs(
        given, profile if known else None, facts if known else None, verdicts or {}, decided_at
    )


def basket(amount: int) -> dict[str, Any]:
    """The condition of a basket of at least so much."""
    return {"attribute": "event.amount", "operator": ">=", "value": amount}


_channel_sets = st.frozensets(st.sampled_from(CHANNELS))
_periods = st.sampled_from([{"start_at": None, "end_at": None}, PAST])

campaigns = st.tuples(
    *(
        st.builds(
            lambda campaign_id, status, audience, period: campaign(
                campaign_id, status=status, audience=audience, **period
            ),
            st.just(campaign_id),
            st.sampled_from(["active", "active", "paused"]),
            st.sampled_from([None, VIP]),
            _periods,
        )
        for campaign_id in ("c", "d")
    )
)
definitions = st.lists(
    st.builds(
        lambda identity, **values: definition(f"m{identity}", **values),
        st.integers(min_value=0, max_value=20),
        campaign_id=st.sampled_from(["c", "d"]),
        priority=st.integers(min_value=0, max_value=2),
        channels=st.lists(st.sampled_from(CHANNELS), min_size=1, unique=True),
        condition=st.sampled_from([None, basket(50), basket(200)]),
        end_at=st.sampled_from([None, PAST["end_at"]]),
    ),
    max_size=6,
    unique_by=lambda made: made["marketing_event_id"],
)
documents = st.builds(document, definitions, campaigns)


@st.composite
def decided_inputs(draw: st.DrawFn, content: Mapping[str, Any]) -> DecisionInputs:
    """A profile, an event and answers of the reservation for this bundle."""
    ids = [made["marketing_event_id"] for made in content["marketing_events"]]
    verdicts = st.dictionaries(st.sampled_from(ids), st.sampled_from(Verdict)) if ids else st.just({})
    return inputs(
        event(amount=draw(st.sampled_from([10, 100, 300]))),
        segments=draw(st.sampled_from([frozenset[str](), frozenset({"vip"})])),
        reachable=draw(_channel_sets),
        consented=draw(_channel_sets),
        verdicts=draw(verdicts),
        known=draw(st.integers(min_value=0, max_value=9)) > 0,
        decided_at=NOON + timedelta(seconds=draw(st.integers(min_value=0, max_value=86_400))),
    )
