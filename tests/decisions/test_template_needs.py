"""What cannot be written is not chosen: a decision asks for the variables that templates need, before it reserves."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final

import asyncpg
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from leo.activation.v1 import catalog_service_pb2 as catalog
from leo.activation.v1 import decision_service_pb2 as wire
from leo_client import LeoClient

from server.decisions.evaluation import decide
from server.decisions.model import Bundle, Reason, Verdict
from server.decisions.recorded_inputs import decode_inputs, encode_inputs
from server.dispatch.claims import Template
from server.dispatch.rendering import TemplateShelf, render_message
from server.templates import required_variables, without_nulls
from tests.decisions.definitions import compiled, definition, document, event, inputs
from tests.decisions.shop import DAY_SECONDS, NOON, add_campaign, add_marketing_event, add_profile
from tests.fixtures.server import ClientFor
from tests.fixtures.tenants import Tenant

_CHANNELS: Final = ("email", "sms")
_BODIES: Final = (
    "Hello",
    "{{ profile.name }}",
    "{{ event.amount }} {{ campaign.campaign_name }}",
    "{{ event.voucher | default('none') }}",
    "{% for line in event.lines %}{{ line.name }}{% endfor %}",
    "{{ profile.address.city }} {{ marketing_event.event_name }}",
    "{{ nonsense }}",
)
_documents = st.fixed_dictionaries(
    {},
    optional={
        "amount": st.integers(),
        "voucher": st.sampled_from(["v", None]),
        "lines": st.lists(st.fixed_dictionaries({}, optional={"name": st.just("n")}), max_size=2),
    },
)
_profiles = st.fixed_dictionaries(
    {},
    optional={
        "name": st.sampled_from(["Ann", None]),
        "address": st.fixed_dictionaries({}, optional={"city": st.just("Hue")}),
    },
)
_templates = st.lists(
    st.builds(
        lambda name, channel, language, body: Template(
            name, channel, language, None, body, "jinja2", "text/plain", {}
        ),
        st.sampled_from(["one", "two"]),
        st.sampled_from(_CHANNELS),
        st.sampled_from(["default", "vi", "vi-VN"]),
        st.sampled_from(_BODIES),
    ),
    max_size=8,
    unique_by=lambda made: (made.template_name, made.channel, made.language),
)


def bundle_of(templates: list[Template]) -> Bundle:
    """Two candidates, each with a template of its own name, over both channels."""
    stored = [
        {
            "template_name": template.template_name,
            "channel": template.channel,
            "language": template.language,
            "required": [list(path) for path in required_variables(template.body_template)],
        }
        for template in templates
    ]
    definitions = [
        definition(name, template_name=name, priority=priority, channels=list(_CHANNELS))
        for priority, name in enumerate(("two", "one"))
    ]
    return compiled({**document(definitions), "templates": stored})


@given(
    templates=_templates,
    attributes=_documents,
    profile=_profiles,
    language=st.sampled_from([None, "vi", "vi-VN", "en"]),
)
def test_whatever_is_chosen_can_be_written(
    templates: list[Template], attributes: dict[str, Any], profile: dict[str, Any], language: str | None
) -> None:
    bundle = bundle_of(templates)
    verdicts = dict.fromkeys(("one", "two"), Verdict.HELD)
    asked = inputs(event(**attributes), verdicts=verdicts, reachable=frozenset(_CHANNELS))
    assert asked.profile is not None
    known = asked.profile._replace(language=language, lacks=bundle.templates.lacks(profile))
    asked = asked._replace(profile=known)
    decision = decide(bundle, asked)
    shelf = TemplateShelf(templates)
    variables = without_nulls({"profile": profile, "event": attributes}) | {
        "campaign": {"campaign_name": "c"},
        "marketing_event": {"event_name": "e"},
    }
    for channel in decision.channels:
        assert decision.selected is not None
        template = shelf.find(decision.selected.template_name, channel, language)
        if template is not None:
            render_message(template, variables)
    if decision.selected is None:
        assert all(c.reason is Reason.TEMPLATE_VARIABLE_MISSING and c.missing for c in decision.candidates)
    row = {"inputs": encode_inputs(asked), "profile_id": "ann", "task_id": "t", "input_sha256": "i"}
    assert decide(bundle, decode_inputs(row)).output_sha256 == decision.output_sha256


SCOPES: Final = ["decisions.read", "decisions.write", "catalog.read", "catalog.write"]


@pytest.fixture
async def client(client_for: ClientFor, app: asyncpg.Connection, tenant_a: Tenant) -> LeoClient:
    """A voucher before thanks, for Ann and for Bob, who reads Vietnamese."""
    await add_campaign(app, tenant_a, "loyalty")
    await add_profile(app, tenant_a, "ann", ext_id="crm-1", raw_attributes={"name": None, "city": "Hue"})
    await add_profile(
        app, tenant_a, "bob", language="vi-VN", raw_attributes={"name": "Bob"}, interests=["gold"]
    )
    await add_marketing_event(
        app, tenant_a, "loyalty", "voucher", priority=10, cooldown_seconds=2 * DAY_SECONDS
    )
    await add_marketing_event(app, tenant_a, "loyalty", "thanks")
    return client_for(tenant_a, SCOPES)


async def put(client: LeoClient, name: str, body: str, **fields: str) -> catalog.MessageTemplate:
    """Put a template over e-mail."""
    template = catalog.MessageTemplate(template_name=name, channel="email", body_template=body, **fields)
    request = catalog.PutMessageTemplateRequest(message_template=template)
    return (await client.catalog.PutMessageTemplate(request)).message_template


async def asked(client: LeoClient, number: int, profile_id: str, **attributes: Any) -> wire.Decision:
    """Decide on a purchase, with the reasons of all candidates."""
    made = wire.Event(
        source_event_id=f"order-{number}",
        profile_id=profile_id,
        event_type="purchase",
        attributes=orjson.dumps(attributes),
    )
    made.occurred_at.FromDatetime(NOON + timedelta(days=number))
    request = wire.DecideRequest(event=made, include_candidates=True)
    return (await client.decisions.Decide(request)).decision


def reasons(decision: wire.Decision) -> Mapping[str, str]:
    """Name → reason."""
    return {
        c.event_name: wire.DecisionReason.Name(c.reason).removeprefix("DECISION_REASON_")
        for c in decision.candidates
    }


async def test_the_next_best_wins_where_the_best_lacks_a_variable(client: LeoClient) -> None:
    stored = await put(
        client, "voucher", "{{ event.voucher }} {{ profile.name }}", subject_template="{{ event.for }}"
    )
    assert list(stored.required_variables) == ["event.for", "event.voucher", "profile.name"]
    await put(client, "thanks", "Thanks {{ profile.name | default('you') }}")
    lost = await asked(client, 1, "ann", voucher=None, **{"for": "you"})
    assert reasons(lost) == {"voucher": "TEMPLATE_VARIABLE_MISSING", "thanks": "SELECTED"}
    explanation = lost.candidates[0].explanation
    assert explanation.endswith(": event.voucher, profile.name")
    won = await asked(client, 2, "bob", voucher="V1", **{"for": "you"})
    assert reasons(won) == {"voucher": "SELECTED", "thanks": "LOST_TO"}

    told = await client.decisions.GetDecision(wire.GetDecisionRequest(source_event_id="order-1"))
    checks = [check for check in told.decision.candidates[0].checks if not check.holds]
    assert [(check.path, check.subject) for check in checks] == [
        ("channels[0].template", "event.voucher"),
        ("channels[0].template", "profile.name"),
    ]
    assert orjson.loads(told.inputs)["profile"]["lacks"] == ["profile.name"]
    for number in (1, 2):
        replayed = await client.decisions.Replay(wire.ReplayRequest(source_event_id=f"order-{number}"))
        assert replayed.equal


async def test_nothing_is_sent_and_nothing_used_up_where_no_template_can_be_written(
    client: LeoClient,
) -> None:
    await put(client, "voucher", "{{ event.voucher }}")
    await put(client, "thanks", "{{ event.voucher }}{{ nonsense }}")
    lost = await asked(client, 1, "ann")
    assert wire.DecisionReason.Name(lost.reason) == "DECISION_REASON_TEMPLATE_VARIABLE_MISSING"
    assert "event.voucher" in lost.reason_summary
    # The cooldown of two days was not used up by what could not be written.
    won = await asked(client, 2, "ann", voucher="V")
    assert reasons(won) == {"voucher": "SELECTED", "thanks": "TEMPLATE_VARIABLE_MISSING"}
    assert reasons(await asked(client, 3, "ann", voucher="V"))["voucher"] == "COOLDOWN"


async def test_the_template_of_the_profiles_language_counts(client: LeoClient) -> None:
    await put(client, "thanks", "Thanks")
    await put(client, "voucher", "{{ event.voucher }}", language="vi")
    await put(client, "voucher", "Voucher")
    assert reasons(await asked(client, 1, "ann"))["voucher"] == "SELECTED"
    assert reasons(await asked(client, 2, "bob"))["voucher"] == "TEMPLATE_VARIABLE_MISSING"
    # The narrower one comes first, and counts from the next decision on.
    needs = "{{ profile.name }}{{ profile.language }}{{ profile.interests[0] }}{{ profile.primary_email }}"
    await put(client, "voucher", needs, language="vi-VN")
    assert reasons(await asked(client, 3, "bob"))["voucher"] == "SELECTED"
    await put(client, "voucher", "{{ profile.ext_id }}{{ profile.city }}{{ profile.segments }}")
    assert reasons(await asked(client, 14, "ann"))["voucher"] == "SELECTED"
    await put(client, "voucher", "{{ profile.mobile_number }}")
    assert reasons(await asked(client, 24, "ann"))["voucher"] == "TEMPLATE_VARIABLE_MISSING"
