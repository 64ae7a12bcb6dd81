"""What is decided about: two tenants alike, their definitions and limits, their customers, and every event by its id.

The limits are written down once, here. The servers are told them over the wire; the drill's own computation
(`limits.py`) reads them as they stand.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

from leo.activation.v1 import catalog_service_pb2 as catalog
from leo.activation.v1 import contact_policy_pb2 as policy
from leo.activation.v1 import decision_service_pb2 as decisions
from leo.activation.v1 import profile_service_pb2 as profiles
from leo.activation.v1 import tenant_service_pb2 as tenants
from leo_client import LeoClient, to_json

from server.embedded.token_issuer import REALM

TENANTS: Final = 2
EVENT_TYPE: Final = "purchase"
CHANNEL: Final = "email"
# So long ago that a drill of hours does not come to events that have not happened yet.
_START: Final = datetime(1995, 1, 5, tzinfo=UTC)
# One tick of the drill is half a second; in it, this much time passes for the customers.
TICK_SECONDS: Final = 0.5
_TICK_OF_EVENTS: Final = timedelta(hours=8)
_JITTER: Final = timedelta(minutes=20)
_WIDE_JITTER: Final = timedelta(days=4)
_CUSTOMERS: Final = 400
_HOT_CUSTOMERS: Final = 25
_WITHOUT_CONSENT: Final = 10
_PAGE: Final = 1_000


@dataclass(frozen=True, slots=True)
class Message:
    """One marketing event; it is a candidate at every purchase of at least `least_amount`.

    Args:
        campaign: its campaign; each has one message.
        campaign_caps: how many messages of the campaign a window may hold.
    """

    name: str
    campaign: str
    priority: int
    cooldown: timedelta
    least_amount: int
    campaign_caps: tuple[tuple[timedelta, int], ...] = ()


# The best first.
MESSAGES: Final = (
    Message("thanks", "loyalty", 2, timedelta(days=1), 40, ((timedelta(days=3), 2),)),
    Message("digest", "news", 1, timedelta(days=2), 0),
)
TENANT_CAPS: Final = ((timedelta(days=7), 4),)


def customer_of(number: int) -> str:
    """Id of a customer."""
    return f"customer-{number:04}"


def has_consent(profile_id: str) -> bool:
    """Whether the customer agreed to be written to; every tenth did not."""
    return int(profile_id.rpartition("-")[2]) % _WITHOUT_CONSENT != _WITHOUT_CONSENT - 1


@dataclass(frozen=True, slots=True)
class Purchase:
    """What happened, as its id tells."""

    source_event_id: str
    profile_id: str
    occurred_at: datetime
    amount: int

    def message(self, extra: int = 0) -> decisions.Event:
        """As the server takes it; `extra` makes it another body."""
        event = decisions.Event(
            source_event_id=self.source_event_id,
            profile_id=self.profile_id,
            event_type=EVENT_TYPE,
            attributes=to_json({"amount": self.amount + extra}),
        )
        event.occurred_at.FromDatetime(self.occurred_at)
        return event


def event_id(lane: str, tick: int, number: int) -> str:
    """Id of the `number`-th event that a lane asks about, at this tick."""
    return f"{lane}/{tick}/{number}"


def purchase_of(seed: int, source_event_id: str) -> Purchase:
    """The event of an id: the same for whoever asks. A fifth comes days early or late, some customers often."""
    chance = random.Random(f"{seed}/{source_event_id}")
    tick = int(source_event_id.split("/")[1])
    jitter = _WIDE_JITTER if chance.random() < 0.2 else _JITTER
    customers = _HOT_CUSTOMERS if chance.random() < 0.6 else _CUSTOMERS
    return Purchase(
        source_event_id=source_event_id,
        profile_id=customer_of(chance.randrange(customers)),
        occurred_at=_START + tick * _TICK_OF_EVENTS + chance.uniform(-1, 1) * jitter,
        amount=chance.randrange(100),
    )


async def create_tenant(admin: LeoClient, client_id: str) -> UUID:
    """A tenant with its caps."""
    request = tenants.CreateTenantRequest(
        tenant_name=client_id,
        keycloak_realm=REALM,
        keycloak_client_id=client_id,
        defaults=tenants.TenantDefaults(frequency_caps=_caps(TENANT_CAPS)),
    )
    answer = await admin.tenants.CreateTenant(request)
    return UUID(answer.tenant.tenant_id)


async def furnish(client: LeoClient) -> None:
    """Put a tenant's definitions and customers."""
    for message in MESSAGES:
        await _put_message(client, message)
    customers = [customer_of(number) for number in range(_CUSTOMERS)]
    for start in range(0, _CUSTOMERS, _PAGE):
        await _put_customers(client, customers[start : start + _PAGE])


async def _put_message(client: LeoClient, message: Message) -> None:
    campaign = catalog.Campaign(
        campaign_id=message.campaign,
        campaign_code=message.campaign.upper(),
        campaign_name=message.campaign,
        status=catalog.CAMPAIGN_STATUS_ACTIVE,
        frequency_caps=_caps(message.campaign_caps, CHANNEL),
    )
    await client.catalog.PutCampaign(catalog.PutCampaignRequest(campaign=campaign))
    template = catalog.MessageTemplate(
        template_name=message.name, channel=CHANNEL, subject_template=message.name, body_template="Hello!"
    )
    await client.catalog.PutMessageTemplate(catalog.PutMessageTemplateRequest(message_template=template))
    condition = {"attribute": "event.amount", "operator": ">=", "value": message.least_amount}
    event = catalog.MarketingEvent(
        campaign_id=message.campaign,
        event_name=message.name,
        event_type=catalog.MARKETING_EVENT_TYPE_TRIGGER,
        channels=[CHANNEL],
        trigger_event_type=EVENT_TYPE,
        condition=to_json(condition),
        template_name=message.name,
        priority=message.priority,
        cooldown_seconds=int(message.cooldown.total_seconds()),
    )
    await client.catalog.PutMarketingEvent(catalog.PutMarketingEventRequest(marketing_event=event))


def _caps(caps: Sequence[tuple[timedelta, int]], channel: str = "") -> list[policy.FrequencyCap]:
    return [
        policy.FrequencyCap(channel=channel, window_seconds=int(window.total_seconds()), maximum=maximum)
        for window, maximum in caps
    ]


async def _put_customers(client: LeoClient, profile_ids: Sequence[str]) -> None:
    patches = [
        profiles.ProfilePatch(profile_id=profile_id, primary_email=f"{profile_id}@example.com")
        for profile_id in profile_ids
    ]
    await client.profiles.UpsertProfiles(profiles.UpsertProfilesRequest(profiles=patches))
    consents = [
        profiles.Consent(
            profile_id=profile_id,
            channel=CHANNEL,
            status=profiles.CONSENT_STATUS_GRANTED,
            legal_basis="consent",
            source="drill",
        )
        for profile_id in profile_ids
        if has_consent(profile_id)
    ]
    await client.profiles.SetConsents(profiles.SetConsentsRequest(consents=consents))
