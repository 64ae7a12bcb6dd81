"""What may happen: the campaigns, marketing events and templates of the demo's shop."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from leo.activation.v1 import catalog_service_pb2 as wire
from leo_client import LeoClient, to_json

VIP_SEGMENT: Final = "vip"
INVITATION: Final = "vip-invitation"
_DAY_SECONDS: Final = 86_400
_FIRST_PURCHASE: Final = {"attribute": "profile.purchase_count", "operator": "==", "value": 1}
_BIG_BASKET: Final = {"attribute": "event.dollars", "operator": ">=", "value": 100}
_IS_VIP: Final = {"attribute": "segment", "operator": "contains", "value": VIP_SEGMENT}
_ENDED_AT: Final = datetime(1997, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Message:
    """One marketing event over e-mail, with its text.

    Args:
        rule: what the output says of it.
        condition: the event's own condition; empty for none.
        campaign_id: its campaign.
        trigger: type of the events that it answers; empty: it is sent by dispatch alone.
    """

    name: str
    campaign_id: str
    rule: str
    priority: int
    subject: str
    body: str
    condition: Mapping[str, Any] = field(default_factory=dict)
    cooldown_days: int = 0
    trigger: str = "purchase"


MESSAGES: Final = (
    Message(
        name="new-year-sale",
        campaign_id="new-year-1997",
        rule="everyone, but its campaign ended on 1 January 1997",
        priority=200,
        subject="The last days of our New Year sale",
        body="Hello!\n\nEverything is a tenth cheaper until New Year's Eve.\n\nYour CD shop\n",
    ),
    Message(
        name="welcome",
        campaign_id="lifecycle",
        rule="at the first purchase",
        priority=100,
        subject="Welcome! Your first {{ event.cds }} CD{{ '' if event.cds == 1 else 's' }} are on the way",
        body=(
            "Hello!\n\nThank you for your first order of {{ '%.2f' | format(event.dollars) }} $."
            " It is good to have you with us.\n\nWhat you like to hear we learn from what you order;"
            " you can tell us to stop at any time.\n\nYour CD shop\n"
        ),
        condition=_FIRST_PURCHASE,
    ),
    Message(
        name="big-basket-thanks",
        campaign_id="lifecycle",
        rule="a basket of 100 $ or more, at most every 30 days",
        priority=50,
        subject="Thank you for your order of {{ '%.2f' | format(event.dollars) }} $",
        body=(
            "Hello!\n\n{{ event.cds }} CDs in one order: that is a shelf of music!"
            " As a thank-you, your next delivery is free.\n\nYour CD shop\n"
        ),
        condition=_BIG_BASKET,
        cooldown_days=30,
    ),
    Message(
        name="vip-offer",
        campaign_id="vip-club",
        rule="members of the segment 'vip', at most every 60 days, when nothing better is sent",
        priority=20,
        subject="For our best customers: first pick of the new releases",
        body=(
            "Hello!\n\nYou are one of our best customers. After today's order of"
            " {{ '%.2f' | format(event.dollars) }} $ the new releases are yours a week early.\n\nYour CD shop\n"
        ),
        cooldown_days=60,
    ),
    Message(
        name=INVITATION,
        campaign_id="vip-club",
        rule="sent at the end, by one dispatch to the frozen segment 'vip'",
        priority=10,
        subject="An evening for our {{ campaign.campaign_name }}",
        body=(
            "Hello!\n\nIn {{ profile.purchase_count }} orders you found"
            " {{ '%.2f' | format(profile.total_spent) }} $ worth of music with us."
            " We would like to thank you in person: come to our summer evening.\n\nYour CD shop\n"
        ),
        trigger="",
    ),
    Message(
        name="price-alert",
        campaign_id="price-alerts",
        rule="whoever waits for a price, when their alert fires",
        priority=5,
        subject="{{ event.symbol }} is at {{ '%.2f' | format(event.price) }} $",
        body=(
            "Hello!\n\nYou asked us to watch for {{ event.note }}: {{ event.symbol }} is at"
            " {{ '%.2f' | format(event.price) }} $ now.\n\nYour CD shop\n"
        ),
        trigger="alert.fired",
    ),
)


def _campaigns() -> list[wire.Campaign]:
    ended = wire.Campaign(
        campaign_id="new-year-1997", campaign_code="NEW-YEAR-1997", campaign_name="New Year 1997"
    )
    ended.end_at.FromDatetime(_ENDED_AT)
    lifecycle = wire.Campaign(
        campaign_id="lifecycle", campaign_code="LIFECYCLE", campaign_name="From the first order on"
    )
    club = wire.Campaign(
        campaign_id="vip-club",
        campaign_code="VIP-CLUB",
        campaign_name="VIP club",
        audience=wire.Audience(name=VIP_SEGMENT, condition=to_json(_IS_VIP)),
    )
    prices = wire.Campaign(
        campaign_id="price-alerts", campaign_code="PRICE-ALERTS", campaign_name="Price alerts"
    )
    campaigns = [ended, lifecycle, club, prices]
    for campaign in campaigns:
        campaign.status = wire.CAMPAIGN_STATUS_ACTIVE
    return campaigns


async def put_definitions(client: LeoClient) -> dict[str, str]:
    """Put everything; marketing events' ids by name. Idempotent."""
    for campaign in _campaigns():
        await client.catalog.PutCampaign(wire.PutCampaignRequest(campaign=campaign))
    return {message.name: await _put_message(client, message) for message in MESSAGES}


async def _put_message(client: LeoClient, message: Message) -> str:
    template = wire.MessageTemplate(
        template_name=message.name,
        channel="email",
        subject_template=message.subject,
        body_template=message.body,
    )
    await client.catalog.PutMessageTemplate(wire.PutMessageTemplateRequest(message_template=template))
    broadcast, trigger = wire.MARKETING_EVENT_TYPE_BROADCAST, wire.MARKETING_EVENT_TYPE_TRIGGER
    event = wire.MarketingEvent(
        campaign_id=message.campaign_id,
        event_name=message.name,
        event_type=trigger if message.trigger else broadcast,
        channels=["email"],
        trigger_event_type=message.trigger,
        condition=to_json(message.condition) if message.condition else b"",
        template_name=message.name,
        priority=message.priority,
        cooldown_seconds=message.cooldown_days * _DAY_SECONDS,
        description=message.rule,
    )
    answer = await client.catalog.PutMarketingEvent(wire.PutMarketingEventRequest(marketing_event=event))
    return answer.marketing_event.marketing_event_id
