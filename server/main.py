"""Composition root of the server: builds everything, starts it, and stops it in the reverse order."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager
from functools import partial

import uvloop

from server.config import ServerSettings
from server.decisions.rpc import gates
from server.http.figures import SharedFigures, shared_figures
from server.http.listener import monitoring
from server.http.samples import Samples
from server.http.webhooks.listener import webhooks
from server.platform.garbage import spare_what_lives_long
from server.platform.logging import configure_logging, get_logger
from server.resources import open_resources
from server.rpc.authentication import Authenticator
from server.rpc.in_flight import InFlight
from server.rpc.keys import key_source
from server.rpc.processes import STOP_SIGNALS, Supervisor, parent_gone, reserved
from server.rpc.registry import Deadlines, ServiceRegistry
from server.rpc.server import RpcServer
from server.rpc.tenant_directory import PostgresTenantDirectory
from server.services import register_services


@asynccontextmanager
async def running_server(
    settings: ServerSettings, *, share_port: bool = False, figures: SharedFigures | None = None
) -> AsyncIterator[str]:
    """Serves while the block runs, and yields the address.

    Args:
        settings: the configuration.
        share_port: whether other processes listen on the same port.
        figures: what all these processes count together; None where this one is alone.

    Raises:
        UnsafeRole: the database role could bypass row-level security.
        Unavailable: the database can not be reached.
        PortNotFree: the address is used by somebody else.
    """
    async with AsyncExitStack() as stack:
        resources = await open_resources(settings, stack)
        keys = key_source(settings.auth_jwks)
        stack.push_async_callback(keys.close)
        in_flight = InFlight(settings.maximum_in_flight_bytes)
        registry = ServiceRegistry(
            authenticator=Authenticator(
                issuer=settings.auth_issuer,
                audience=settings.auth_audience,
                keys=keys,
                tenants=PostgresTenantDirectory(database=resources.database),
            ),
            deadlines=_deadlines(settings),
            in_flight=in_flight,
            gates=gates(resources.decisions),
        )
        register_services(registry, resources)
        server = RpcServer(
            registry=registry,
            max_message_bytes=settings.max_message_bytes,
            share_port=share_port,
            maximum_calls=settings.maximum_calls,
        )
        if settings.metrics_listen is not None:
            samples = Samples(queues=resources.decisions, pool=resources.database, requests=in_flight)
            pages = monitoring(
                settings.metrics_listen, samples=samples, shared=figures, ping=resources.database.ping
            )
            await stack.enter_async_context(pages)
        if settings.webhook_listen is not None:
            listening = webhooks(
                settings.webhook_listen,
                database=resources.database,
                keys=resources.credential_keys,
                share_port=share_port,
                drain_seconds=settings.drain_seconds,
            )
            await stack.enter_async_context(listening)
        address = await server.start(settings.listen)
        stack.push_async_callback(server.drain, settings.drain_seconds)
        await resources.alerts.keeper.start(server.own_address(settings.advertise_host))
        yield address


async def run(
    settings: ServerSettings,
    *,
    share_port: bool = False,
    figures: SharedFigures | None = None,
    on_ready: Callable[[str], None],
) -> None:
    """Serves until SIGTERM, SIGINT, or the end of the process that spawned this one.

    Args:
        share_port, figures: as for `running_server`.
        on_ready: called with the address once calls are accepted.
    """
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in STOP_SIGNALS:
        loop.add_signal_handler(number, stopped.set)
    async with running_server(settings, share_port=share_port, figures=figures) as address:
        spare_what_lives_long()
        on_ready(address)
        waiting = [asyncio.create_task(stopped.wait()), asyncio.create_task(parent_gone())]
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        for task in waiting:
            task.cancel()
        get_logger().info("draining", pid=os.getpid())
    get_logger().info("stopped", pid=os.getpid())


def serve(settings: ServerSettings) -> None:
    """Serves, in as many processes as configured, until SIGTERM or SIGINT. Blocks."""
    configure_logging(level=settings.log_level)
    announce = partial(_announce, settings.processes)
    if settings.processes == 1:
        uvloop.run(run(settings, on_ready=announce))
        return
    with shared_figures() as figures, _shared_addresses(settings) as shared:
        supervisor = Supervisor(
            body=partial(_serve_child, figures),
            settings=shared,
            listen=settings.listen,
            count=settings.processes,
            on_death=figures.forget,
        )
        supervisor.run(announce)


@contextmanager
def _shared_addresses(settings: ServerSettings) -> Iterator[ServerSettings]:
    """The settings with addresses for pages that all processes can listen on, where there are to be any."""
    wanted = {"metrics_listen": settings.metrics_listen, "webhook_listen": settings.webhook_listen}
    with ExitStack() as stack:
        addresses = {
            name: stack.enter_context(reserved(listen))
            for name, listen in wanted.items()
            if listen is not None
        }
        yield settings.model_copy(update=addresses)


def _serve_child(
    figures: SharedFigures, settings: ServerSettings, listen: str, report: Callable[[], None]
) -> None:
    configure_logging(level=settings.log_level)
    here = settings.model_copy(update={"listen": listen})
    uvloop.run(run(here, share_port=True, figures=figures, on_ready=lambda _address: report()))


def _announce(processes: int, address: str) -> None:
    get_logger().info("serving", address=address, pid=os.getpid(), processes=processes)


def _deadlines(settings: ServerSettings) -> Deadlines:
    return Deadlines(
        default=settings.default_deadline_ms / 1000,
        longest=settings.maximum_deadline_ms / 1000,
        longest_stream=settings.longest_stream_ms / 1000,
    )
