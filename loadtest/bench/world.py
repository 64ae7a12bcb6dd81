"""The world that decisions are measured in: tenants, a campaign with five candidates, profiles, consents.

It is made by SQL, as the role of proofs; what is measured goes through the server.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

import asyncpg
import orjson

from server.embedded.database_setup import DatabaseUrls
from server.embedded.token_issuer import REALM

CAMPAIGN_CAP = [{"maximum": 1, "window_seconds": 3600}]
COOLDOWN_SECONDS = 3600
ANONYMOUS_SHARE = 10  # one profile in so many besides has no consent

# As marketers write them: the amount decides, the rest usually holds.
CONDITION = {
    "all": [
        {"attribute": "event.amount", "operator": ">=", "value": 100},
        {"attribute": "event.country", "operator": "in", "value": ["VN", "SG", "TH"]},
        {
            "any": [
                {"attribute": "segment", "operator": "contains", "value": "vip"},
                {"attribute": "profile.purchase_count", "operator": ">=", "value": 3},
            ]
        },
    ]
}
EVENT_NAMES = (
    "loyalty_reward",
    "next_purchase_voucher",
    "premium_upgrade",
    "product_review_request",
    "refer_a_friend",
)

_TENANTS = """
insert into tenant (tenant_id, tenant_name, keycloak_realm, keycloak_client_id)
select md5('bench tenant ' || n)::uuid, 'bench-' || n, $2, 'bench-' || n
from generate_series(0, $1 - 1) n
"""
_CAMPAIGNS = """
insert into campaign (tenant_id, campaign_id, campaign_code, campaign_name, objective, status, frequency_caps)
select tenant_id, 'autumn', 'AUTUMN', 'Autumn', 'CONVERSION', 'active', $1::text::jsonb
from tenant where keycloak_client_id like 'bench-%'
"""
_EVENTS = """
insert into marketing_event (
    tenant_id, marketing_event_id, campaign_id, event_name, event_type, event_channel, channels,
    trigger_event_type, condition, template_name, priority, cooldown_seconds, status
)
select
    tenant_id, leo_key_id('marketing_event', tenant_id, event_name), 'autumn', event_name, 'TRIGGER', 'email',
    '["email"]', 'purchase', $2::text::jsonb, event_name, position, $3, 'active'
from tenant, unnest($1::text[]) with ordinality as event (event_name, position)
where keycloak_client_id like 'bench-%'
"""
_TEMPLATES = """
insert into message_templates (
    tenant_id, template_id, template_name, channel, language, subject_template, body_template, version, status
)
select
    tenant_id, md5(tenant_id || event_name)::uuid, event_name, 'email', 'default', 'Thank you',
    'You bought for {{ event.amount }}.', 1, 'active'
from tenant, unnest($1::text[]) as event_name
where keycloak_client_id like 'bench-%'
"""
_PROFILES = """
insert into cdp_profiles (
    tenant_id, profile_id, ext_id, primary_email, segments, raw_attributes, language, time_zone
)
select
    tenant_id, 'p' || lpad(n::text, 9, '0'), 'crm-' || n, 'p' || n || '@example.com', '["vip", "newsletter"]',
    jsonb_build_object('purchase_count', n % 9, 'city', 'Hue', 'tier', n % 3), 'vi', 'Asia/Ho_Chi_Minh'
from tenant, generate_series(0, $1 - 1) n
where keycloak_client_id like 'bench-%'
order by 1, 2
"""
_CONSENTS = """
insert into consent_management (tenant_id, profile_id, channel, status, legal_basis, source, granted_at)
select tenant_id, 'p' || lpad(n::text, 9, '0'), 'email', 'granted', 'consent', 'bench', now()
from tenant, generate_series(0, $1 - 1) n
where keycloak_client_id like 'bench-%'
order by 1, 2
"""


@dataclass(frozen=True, slots=True)
class World:
    """How much there is: tenants, and in each of them profiles that consented (a tenth more did not)."""

    tenants: int
    profiles: int


def tenant_client(number: int) -> str:
    """The client id of a tenant."""
    return f"bench-{number}"


async def tenant_id(proof: asyncpg.Connection, number: int = 0) -> UUID:
    """The id of a tenant."""
    found: UUID = await proof.fetchval("select md5('bench tenant ' || $1)::uuid", str(number))
    return found


async def fill(urls: DatabaseUrls, world: World, *, definitions: bool = True) -> None:
    """Put the world into an empty database. No table is analysed by hand.

    Args:
        definitions: whether there is something to decide: without it, only profiles are made.
    """
    connection = await asyncpg.connect(urls.admin_url)
    await connection.execute(_TENANTS, world.tenants, REALM)
    await connection.close()
    proof = await asyncpg.connect(urls.proof_url)
    if definitions:
        await proof.execute(_CAMPAIGNS, _json(CAMPAIGN_CAP))
        await proof.execute(_EVENTS, list(EVENT_NAMES), _json(CONDITION), COOLDOWN_SECONDS)
        await proof.execute(_TEMPLATES, list(EVENT_NAMES))
    anonymous = world.profiles // ANONYMOUS_SHARE if definitions else 0
    await proof.execute(_PROFILES, world.profiles + anonymous)
    if definitions:
        await proof.execute(_CONSENTS, world.profiles)
    await proof.close()


def _json(document: Mapping[str, object] | list[dict[str, int]]) -> str:
    return orjson.dumps(document).decode()
