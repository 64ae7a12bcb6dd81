"""Builds what delivers: routes, limits, and a runner for each queue; takes it down in the reverse order."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from server.dispatch.admission import Admission
from server.dispatch.channels.channel import Channel
from server.dispatch.credentials.directory import ChannelDirectory
from server.dispatch.credentials.jobs import CredentialJobs
from server.dispatch.credentials.refresh import TokenRefresher
from server.dispatch.credentials.store import CredentialStore
from server.dispatch.delivery_runner import DeliveryLimits, DeliveryRunner
from server.dispatch.delivery_store import DeliveryStore
from server.dispatch.limits.wishes import Gate
from server.dispatch.outcomes import RetryPolicy
from server.dispatch.preparation import Preparation
from server.dispatch.recorder import StepRecorder
from server.dispatch.sending import Sender
from server.platform.credential_keys import CredentialKeys
from server.platform.postgres import Database


@dataclass(frozen=True, slots=True)
class DeliverySettings:
    """How this process delivers.

    Args:
        limits: times of one delivery.
        policy: how often and when it is tried again.
        worker: names this process in claims.
    """

    limits: DeliveryLimits
    policy: RetryPolicy
    worker: str


class Deliveries:
    """What the deliveries of one process share.

    Args:
        settings: how it delivers.
        directory: routes of tenants.
        gate: limits and circuits of their accounts.
    """

    def __init__(
        self, *, settings: DeliverySettings, database: Database, directory: ChannelDirectory, gate: Gate
    ) -> None:
        self._settings = settings
        self._database = database
        self._directory = directory
        self._store = DeliveryStore()
        self._admission = Admission(gate=gate)
        self._preparation = Preparation(
            database=database, store=self._store, directory=directory, admission=self._admission
        )
        self._sender = Sender(directory=directory, gate=gate, policy=settings.policy)
        self._recorder = StepRecorder(database=database, store=self._store)

    def runner(self, queue: str) -> DeliveryRunner:
        """The runner of a queue: one for each, so that no channel waits for another."""
        return DeliveryRunner(
            queue=queue,
            adapters=self._directory.adapters_of(queue),
            admission=self._admission,
            database=self._database,
            store=self._store,
            preparation=self._preparation,
            sender=self._sender,
            recorder=self._recorder,
            limits=self._settings.limits,
            worker=self._settings.worker,
        )


@asynccontextmanager
async def running_directory(
    *, database: Database, adapters: Sequence[Channel], shared: Iterable[Channel], keys: CredentialKeys
) -> AsyncIterator[tuple[ChannelDirectory, CredentialJobs]]:
    """Routes, and their upkeep, while the block runs; at its end, renewals that run are let end.

    Args:
        adapters: one for each provider of each channel; closed at the end, like those that are shared.
        shared: channels that this process is configured for itself.
        keys: decrypt the accounts of tenants.
    """
    store = CredentialStore()
    refresher = TokenRefresher(database=database, store=store, keys=keys)
    shared = tuple(shared)
    directory = ChannelDirectory(
        adapters=adapters, shared=shared, database=database, store=store, keys=keys, refresher=refresher
    )
    try:
        yield directory, CredentialJobs(database=database, store=store, directory=directory)
    finally:
        await refresher.close()
        for adapter in {*adapters, *shared}:
            await adapter.close()
