"""What the services of the server are built from: opened at its start, closed in the reverse order."""

from __future__ import annotations

from contextlib import AsyncExitStack
from dataclasses import dataclass

from pydantic import SecretStr

from server.alerts.assembly import Alerts, running_alerts
from server.config import ServerSettings
from server.decisions.assembly import running_decisions
from server.decisions.service import DecisionService
from server.dispatch.wake_up import WakeUp
from server.embeddings.assembly import embedder_of, query_vectors
from server.embeddings.query_vectors import QueryVectors
from server.platform.credential_keys import CredentialKeys
from server.platform.postgres import Database
from server.platform.redis import RedisPool
from server.segments.assembly import running_refreshing
from server.segments.refreshing import RefreshQueue
from server.sync.reach import Reach
from server.workers.broker import celery_app
from server.workers.wake_ups import SweepOnly, WakeUps


@dataclass(frozen=True, slots=True)
class Resources:
    """What services are built from.

    Args:
        database: the pool of the serving role.
        admin_database: the pool of leo_admin, where the configuration names one.
        wake_up: tells workers that there is work.
        decisions: Decide, with its caches and its lanes running.
        alerts: the alert engine; it owns no shard yet.
        refreshing: judges profiles anew whose segments may have changed.
        credential_keys: encrypt the accounts of tenants.
        redis: holds counters; it may be away.
        query_vectors: of what people search for.
        reach: where tenants' sources of data may lead.
    """

    database: Database
    admin_database: Database | None
    wake_up: WakeUp
    decisions: DecisionService
    alerts: Alerts
    refreshing: RefreshQueue
    credential_keys: CredentialKeys
    redis: RedisPool
    query_vectors: QueryVectors
    reach: Reach


async def open_resources(settings: ServerSettings, stack: AsyncExitStack) -> Resources:
    """Connect to everything, and start what runs in the background; the stack closes it.

    Raises:
        UnsafeRole: the database role could bypass row-level security.
        Unavailable: the database can not be reached.
    """
    database, admin_database = await _open_databases(settings, stack)
    wake_up = _open_wake_ups(settings, stack)
    redis = await _open_redis(settings, stack)
    refreshing = await stack.enter_async_context(running_refreshing(database))
    decisions = await stack.enter_async_context(
        running_decisions(
            database=database,
            redis=redis,
            wake_up=wake_up,
            maximum_wait_seconds=settings.maximum_queue_ms / 1000,
            happenings=refreshing,
        )
    )
    alerts = await stack.enter_async_context(
        running_alerts(database=database, url=settings.database_url.get_secret_value(), decider=decisions)
    )
    embedder = embedder_of(settings, timeout_seconds=settings.embeddings_query_seconds)
    stack.push_async_callback(embedder.close)
    return Resources(
        database=database,
        admin_database=admin_database,
        wake_up=wake_up,
        decisions=decisions,
        alerts=alerts,
        refreshing=refreshing,
        credential_keys=CredentialKeys.of(settings.credential_keys_text),
        redis=redis,
        query_vectors=query_vectors(embedder),
        reach=Reach.of(settings.sync_host_patterns, settings.sync_directory),
    )


async def _open_databases(
    settings: ServerSettings, stack: AsyncExitStack
) -> tuple[Database, Database | None]:
    """The pool of the serving role, and that of leo_admin where the configuration names one."""

    async def connect(url: SecretStr) -> Database:
        database = await Database.connect(
            url.get_secret_value(),
            minimum_connections=settings.database_minimum_connections,
            maximum_connections=settings.database_maximum_connections,
            application_name="leo-server",
        )
        stack.push_async_callback(database.close)
        return database

    database = await connect(settings.database_url)
    admin_url = settings.admin_database_url
    return database, None if admin_url is None else await connect(admin_url)


async def _open_redis(settings: ServerSettings, stack: AsyncExitStack) -> RedisPool:
    """Without Redis a server starts as well: PostgreSQL decides until Redis is there."""
    url = settings.redis_url.get_secret_value()
    redis = await RedisPool.connect(url, client_name="leo-server", required=False)
    stack.push_async_callback(redis.close)
    return redis


def _open_wake_ups(settings: ServerSettings, stack: AsyncExitStack) -> WakeUp:
    """Through the broker, where the configuration names one."""
    if settings.broker_url is None:
        return SweepOnly()
    wake_ups = WakeUps(celery_app(settings.broker_url.get_secret_value()))
    stack.push_async_callback(wake_ups.close)
    return wake_ups
