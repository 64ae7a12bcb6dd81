"""Deliveries that wait for a worker, as decisions leave them, and the accounts that they are sent over.

They are made by SQL, as the role of proofs; only the accounts go through the product, which seals them.
"""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode
from typing import Final
from uuid import UUID

import asyncpg
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from loadtest.bench.world import World, fill, tenant_id
from server.dispatch.channels.push_firebase import PushFirebase
from server.dispatch.channels.registry import CHANNEL_TYPES
from server.dispatch.channels.sms_gateway import SmsGateway
from server.dispatch.credentials.model import Accounts, NewCredential
from server.dispatch.credentials.service import CredentialService
from server.dispatch.credentials.store import CredentialStore
from server.embedded.database_setup import DatabaseUrls
from server.platform.credential_keys import CredentialKeys
from server.platform.postgres import Database

CHANNELS: Final = (SmsGateway.name, PushFirebase.name)
KEYS: Final = f"bench:{urlsafe_b64encode(bytes(32)).decode()}"

# So high that no account waits: what is measured is the worker.
_MESSAGES_PER_SECOND: Final = 100_000.0
_PROFILES: Final = 10_000
_CAMPAIGN = """
insert into campaign (tenant_id, campaign_id, campaign_code, campaign_name, objective, status)
values ($1, 'autumn', 'AUTUMN', 'Autumn', 'CONVERSION', 'active')
"""
_DEFINITIONS = """
insert into marketing_event (
    tenant_id, marketing_event_id, campaign_id, event_name, event_type, event_channel, channels, template_name, status
)
select $1, channel, 'autumn', channel, 'TRIGGER', channel, jsonb_build_array(channel), 'thanks', 'active'
from unnest($2::text[]) channel
"""
_TEMPLATES = """
insert into message_templates (
    tenant_id, template_id, template_name, channel, language, subject_template, body_template, version, status
)
select
    $1::uuid, md5($1::uuid::text || channel)::uuid, 'thanks', channel, 'default', 'Thank you',
    'Dear {{ profile.first_name }}, thank you for {{ event.amount }}.', 1, 'active'
from unnest($2::text[]) channel
"""
_ADDRESSES = """
update cdp_profiles
set mobile_number = '+849' || substr(profile_id, 3),
    channel_addresses = jsonb_build_object('push', 'device-token:' || repeat(profile_id, 10)),
    raw_attributes = raw_attributes || '{"first_name": "Lan"}'
where tenant_id = $1
"""
_CONSENTS = """
insert into consent_management (tenant_id, profile_id, channel, status, legal_basis, source, granted_at)
select tenant_id, profile_id, channel, 'granted', 'consent', 'bench', now()
from cdp_profiles, unnest($2::text[]) channel
where tenant_id = $1
"""
_SNAPSHOT = """
insert into segment_snapshot (tenant_id, snapshot_id, segment_name, segment_version, audience_sha256, member_count)
values ($1, 's', 'everyone', 'v1', 'a', 1)
"""
_TASKS = """
insert into agent_task (
    tenant_id, task_id, agent_name, task_type, campaign_id, marketing_event_id, snapshot_id, profile_id, event_type,
    occurred_at, decided_at, outcome, reason_code, inputs, result, status, queue, due_at
)
select
    $1, $2::text || n, 'rule_engine', 'execute', 'autumn', $2::text, 's', 'p' || lpad((n % $5::int)::text, 9, '0'),
    'purchase', now(), now(), 'send', 'SELECTED',
    jsonb_build_object(
        'event', jsonb_build_object('event_type', 'purchase', 'attributes', jsonb_build_object('amount', n))
    ),
    jsonb_build_object('channels', jsonb_build_array($2::text)), 'pending', $2::text, now()
from generate_series($3::int, $4::int - 1) n
"""
_QUEUED = """
insert into delivery_log (
    tenant_id, delivery_key, attempt, task_id, marketing_event_id, campaign_id, profile_id, snapshot_id, channel,
    delivery_status
)
select
    $1::uuid, leo_key_id('delivery', $1::uuid, $2::text || n, $2::text), 0, $2::text || n, $2::text, 'autumn',
    'p' || lpad((n % $5::int)::text, 9, '0'), 's', $2::text, 'queued'
from generate_series($3::int, $4::int - 1) n
"""


async def fill_for_dispatch(database: DatabaseUrls) -> UUID:
    """A tenant with profiles that consented, a definition and an account for each channel; its id."""
    await fill(database, World(1, _PROFILES), definitions=False)
    proof = await asyncpg.connect(database.proof_url)
    tenant = await tenant_id(proof)
    for statement in (_CAMPAIGN, _SNAPSHOT, _ADDRESSES):
        await proof.execute(statement, tenant)
    for statement in (_DEFINITIONS, _TEMPLATES, _CONSENTS):
        await proof.execute(statement, tenant, list(CHANNELS))
    await proof.close()
    await _put_accounts(database, tenant)
    return tenant


async def queue(connection: asyncpg.Connection, tenant: UUID, channel: str, first: int, end: int) -> None:
    """Deliveries of one channel, numbered from `first` to below `end`, due now. Two round trips."""
    for statement in (_TASKS, _QUEUED):
        await connection.execute(statement, tenant, channel, first, end, _PROFILES)


async def _put_accounts(database: DatabaseUrls, tenant: UUID) -> None:
    app = await Database.connect(
        database.app_url, minimum_connections=1, maximum_connections=1, application_name="bench"
    )
    accounts = CredentialService(
        database=app,
        store=CredentialStore(),
        accounts=Accounts.of(CHANNEL_TYPES),
        keys=CredentialKeys.parse(KEYS),
    )
    gateway = {"url": "http://gateway.example/sms", "authorization": "Bearer bench"}
    firebase = {"service_account": _service_account(), "access_token": "bench"}
    for kind, values in ((SmsGateway, gateway), (PushFirebase, firebase)):
        await accounts.put(tenant, NewCredential(kind.name, kind.provider, values, _MESSAGES_PER_SECOND))
    await app.close()


def _service_account() -> str:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    return json.dumps({"project_id": "bench", "client_email": "push@bench.example", "private_key": pem})
