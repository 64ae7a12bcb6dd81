"""What a worker sends with: its own relay, the providers, their limits, and the jobs of deliveries."""

from __future__ import annotations

from email.headerregistry import Address
from email.utils import parseaddr

from server.config import WorkerSettings
from server.dispatch.assembly import Deliveries, DeliverySettings
from server.dispatch.channels.channel import Channel, ErrorClass
from server.dispatch.channels.email_smtp import EmailSmtp
from server.dispatch.channels.registry import ProviderSetup
from server.dispatch.channels.smtp_pool import Relay, SmtpPool
from server.dispatch.delivery_runner import DeliveryLimits
from server.dispatch.delivery_store import DeliveryStore
from server.dispatch.jobs import DispatchJobs
from server.dispatch.limits.gate import ProviderGate
from server.dispatch.limits.rules import MICROSECONDS, CircuitPolicy
from server.dispatch.outcomes import RetryPolicy
from server.dispatch.plan_runner import Decider, PlanRunner
from server.dispatch.plan_store import PlanStore
from server.platform.postgres import Database
from server.platform.redis import RedisPool
from server.workers.identity import worker_name


def own_channels(settings: WorkerSettings) -> list[Channel]:
    """The channels that this worker is configured for itself, for tenants without an account of their own."""
    if settings.smtp_url is None:
        return []
    relay = Relay.from_url(settings.smtp_url.get_secret_value(), timeout_seconds=settings.send_seconds)
    email = EmailSmtp(
        pool=SmtpPool(relay, size=settings.smtp_connections),
        connections=settings.smtp_connections,
        sender=_sender(settings.smtp_sender),
        timeout_seconds=settings.send_seconds,
    )
    return [email]


def providers(settings: WorkerSettings) -> ProviderSetup:
    """How providers are reached, and what their codes mean where the configuration says otherwise."""
    codes = {
        provider: {code: ErrorClass(meaning) for code, meaning in meanings.items()}
        for provider, meanings in settings.provider_codes.items()
    }
    return ProviderSetup(
        connections=settings.provider_connections,
        timeout_seconds=settings.send_seconds,
        urls=settings.provider_urls,
        codes=codes,
        private_networks=settings.private_networks,
    )


def provider_gate(settings: WorkerSettings, redis: RedisPool) -> ProviderGate:
    """What all workers together may ask of a provider."""
    policy = CircuitPolicy(
        failures=settings.circuit_failures,
        open_for=int(settings.circuit_seconds * MICROSECONDS),
        probe_for=int(settings.send_seconds * MICROSECONDS),
    )
    return ProviderGate(redis=redis, policy=policy, worker=worker_name())


def delivery_settings(settings: WorkerSettings) -> DeliverySettings:
    """How long deliveries are held, and how often they are tried."""
    return DeliverySettings(
        limits=DeliveryLimits(settings.lease_seconds, settings.send_seconds),
        policy=RetryPolicy(attempts=settings.send_attempts, first_seconds=settings.retry_seconds),
        worker=worker_name(),
    )


def dispatch_jobs(
    settings: WorkerSettings, database: Database, deliveries: Deliveries, decider: Decider
) -> DispatchJobs:
    """Deliveries, and the plans of dispatches that make them."""
    plans = PlanRunner(
        database=database,
        claims=DeliveryStore(),
        store=PlanStore(),
        decider=decider,
        part_members=settings.dispatch_part_members,
        lease_seconds=settings.lease_seconds,
        worker=worker_name(),
    )
    return DispatchJobs(make_runner=deliveries.runner, plans=plans)


def _sender(value: str) -> Address:
    name, address = parseaddr(value)
    return Address(display_name=name, addr_spec=address)
