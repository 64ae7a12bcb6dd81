"""What a worker does for customers' data: it follows sources, and ends erasures that others began."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

from server.config import WorkerSettings
from server.platform.background import BackgroundTask
from server.platform.clock import utc_now
from server.platform.credential_keys import CredentialKeys
from server.platform.postgres import Database
from server.profiles.erasure import ProfileErasure
from server.profiles.erasure_jobs import ErasureJobs
from server.profiles.erasure_store import ErasureStore
from server.profiles.service import ProfileService
from server.profiles.store import ProfileStore
from server.profiles.suppression import SuppressionList
from server.segments.assembly import running_refreshing
from server.sync.jobs import SyncJobs
from server.sync.reach import Reach
from server.sync.run import SourceRunner
from server.sync.secrets import SourceSecrets
from server.sync.store import SourceStore
from server.workers.identity import worker_name
from server.workers.profile_intake import ProfileIntake


@asynccontextmanager
async def running_sync(settings: WorkerSettings, database: Database) -> AsyncIterator[SyncJobs]:
    """The synchronisation, while the block runs; it tells the segments which profiles it changed."""
    async with running_refreshing(database) as refreshing:
        profiles = ProfileService(
            database=database,
            store=ProfileStore(),
            suppression=_suppression(settings),
            clock=utc_now,
            changes=refreshing,
        )
        lease = timedelta(seconds=settings.lease_seconds)
        runner = SourceRunner(
            database=database,
            store=SourceStore(),
            secrets=SourceSecrets(keys=CredentialKeys.of(settings.credential_keys_text)),
            reach=Reach.of(settings.sync_host_patterns, settings.sync_directory),
            profiles=ProfileIntake(service=profiles),
            lease=lease,
            clock=utc_now,
        )
        jobs = SyncJobs(
            database=database,
            store=SourceStore(),
            runner=runner,
            # Most threads stay with deliveries, however many sources are due.
            most_at_once=min(settings.sync_sources, max(settings.worker_threads // 4, 1)),
            lease=lease,
            worker=worker_name(),
        )
        looking = BackgroundTask("observe_sources")
        looking.start(jobs.observe_for_ever())
        try:
            yield jobs
        finally:
            await looking.stop()


def erasure_jobs(settings: WorkerSettings, database: Database) -> ErasureJobs:
    """Goes on with erasures whose caller is gone."""
    store = ErasureStore()
    erasure = ProfileErasure(
        database=database, store=store, profiles=ProfileStore(), suppression=_suppression(settings)
    )
    return ErasureJobs(database=database, store=store, erasure=erasure, worker=worker_name())


def _suppression(settings: WorkerSettings) -> SuppressionList:
    return SuppressionList(keys=CredentialKeys.of(settings.credential_keys_text), store=ErasureStore())
