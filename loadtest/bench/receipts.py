"""Benchmarks of webhooks: receipts a second from the providers' requests to committed rows."""

from __future__ import annotations

from base64 import urlsafe_b64encode
from collections.abc import Mapping
from uuid import UUID

import asyncpg

from loadtest.bench.benchmark import Benchmark, Measure, Sample, Sizes, interleaved
from loadtest.bench.driving import NotReconciled, drive
from loadtest.bench.stage import Stage
from loadtest.bench.world import World, fill, tenant_id
from server.dispatch.channels.registry import CHANNEL_TYPES
from server.dispatch.channels.whatsapp_cloud import WhatsappCloud
from server.dispatch.credentials.model import Accounts, NewCredential
from server.dispatch.credentials.service import CredentialService
from server.dispatch.credentials.store import CredentialStore
from server.embedded.database_setup import DatabaseUrls
from server.embedded.ports import free_port
from server.platform.credential_keys import CredentialKeys
from server.platform.postgres import Database

_PROFILES = 1_000
_PART = 5  # of the events of a stream run: so many messages, with two receipts each
_CALLERS = 256
_SECRET = "bench-app-secret"
_KEYS = f"bench:{urlsafe_b64encode(bytes(32)).decode()}"
_TASKS = """
insert into agent_task (
    tenant_id, task_id, agent_name, task_type, campaign_id, marketing_event_id, snapshot_id, profile_id, outcome,
    status, queue
)
select $1, 't' || n, 'bench', 'execute', 'autumn', 'thanks', 's', 'p' || n % $3, 'send', 'completed', 'whatsapp'
from generate_series(0, $2 - 1) n
"""
_SNAPSHOT = """
insert into segment_snapshot (tenant_id, snapshot_id, segment_name, segment_version, audience_sha256, member_count)
values ($1, 's', 'everyone', 'v1', 'a', 1)
"""
_SENT = """
insert into delivery_log (
    tenant_id, delivery_key, attempt, task_id, marketing_event_id, campaign_id, profile_id, snapshot_id, channel,
    delivery_status, provider_message_id, sent_at
)
select
    $1, leo_key_id('delivery', $1, 't' || n, 'whatsapp'), 1, 't' || n, 'thanks', 'autumn', 'p' || n % $3, 's',
    'whatsapp', 'sent', 'wamid.' || n, now()
from generate_series(0, $2 - 1) n
"""
_STORED = """
select
    count(*) filter (where delivery_status = 'delivered') as delivered,
    count(*) filter (where delivery_status = 'read') as read,
    (select count(*) from delivery_current where delivery_status = 'read') as stand_as_read,
    (select count(*) from agent_task where queue = 'receipts') as strangers
from delivery_log
"""


def with_statuses(at_once: int) -> Measure:
    """Receipts a second in signed requests of so many each."""

    async def measure(stage: Stage, sizes: Sizes) -> Sample:
        messages = max(50, sizes.events // _PART)
        async with stage.database() as database:
            await fill(database, World(1, 1), definitions=False)
            tenant = await _put_messages(database, messages)
            listen = f"127.0.0.1:{free_port()}"
            async with stage.server(database, LEO_WEBHOOK_LISTEN=listen, LEO_CREDENTIAL_KEYS=_KEYS) as server:
                await stage.settle()
                before = stage.consumption(server)
                url = f"http://{listen}/webhooks/{WhatsappCloud.provider}/{tenant}"
                job = {"url": url, "secret": _SECRET, "messages": messages, "at_once": at_once}
                report = await drive({**job, "callers": _CALLERS}, module="loadtest.bench.receipt_client")
                used = stage.consumption(server).since(before)
            stored = await _reconcile(database, messages, report)
        return _sample(report, used, stored)

    return measure


async def _put_messages(database: DatabaseUrls, messages: int) -> UUID:
    proof = await asyncpg.connect(database.proof_url)
    tenant = await tenant_id(proof)
    await proof.execute(_SNAPSHOT, tenant)
    for statement in (_TASKS, _SENT):
        await proof.execute(statement, tenant, messages, _PROFILES)
    await proof.close()
    app = await Database.connect(
        database.app_url, minimum_connections=1, maximum_connections=1, application_name="bench"
    )
    accounts = CredentialService(
        database=app,
        store=CredentialStore(),
        accounts=Accounts.of(CHANNEL_TYPES),
        keys=CredentialKeys.parse(_KEYS),
    )
    values = {"access_token": "bench", "phone_number_id": "1", "app_secret": _SECRET}
    await accounts.put(tenant, NewCredential(WhatsappCloud.name, WhatsappCloud.provider, values))
    await app.close()
    return tenant


async def _reconcile(database: DatabaseUrls, messages: int, report: Mapping[str, float]) -> int:
    """Each message has its two rows and stands as read, although a part was reported twice."""
    proof = await asyncpg.connect(database.proof_url)
    row = await proof.fetchrow(_STORED)
    await proof.close()
    stored = dict(row or {})
    if stored != {"delivered": messages, "read": messages, "stand_as_read": messages, "strangers": 0}:
        raise NotReconciled(f"{messages} messages, {dict(report)}, but {stored}")
    return 2 * messages


def _sample(report: Mapping[str, float], used: Mapping[str, float], stored: int) -> Sample:
    extra = {name: report[name] for name in ("p50_ms", "p99_ms", "requests")}
    consumed = {f"{name}_cpu_s": seconds for name, seconds in used.items()}
    return Sample(
        report["acknowledged"] / report["seconds"],
        {**extra, "rows": stored, "client_cpu_s": report["client_cpu"], **consumed},
    )


BENCHMARKS = (
    Benchmark("receipts", "receipts/s", interleaved(with_statuses(1))),
    Benchmark("receipts_batched", "receipts/s", interleaved(with_statuses(20))),
)
