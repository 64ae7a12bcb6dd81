"""The baseline server: an echo in the shell of `leo serve`, with its authentication, limits and figures.

Configured as `leo serve` is. `python -m loadtest.bench.echo_server`
"""

from __future__ import annotations

import asyncio
import gc

import uvloop

from loadtest.bench import echo_service
from server.config import ServerSettings, load_settings
from server.platform.logging import configure_logging
from server.platform.postgres import Database
from server.rpc.authentication import Authenticator
from server.rpc.in_flight import InFlight
from server.rpc.keys import key_source
from server.rpc.processes import STOP_SIGNALS
from server.rpc.registry import Deadlines, ServiceRegistry
from server.rpc.server import RpcServer
from server.rpc.tenant_directory import PostgresTenantDirectory


async def serve(settings: ServerSettings) -> None:
    """Serve until a signal comes, with the order of `server.main`."""
    stopped = asyncio.Event()
    for number in STOP_SIGNALS:
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    database = await Database.connect(
        settings.database_url.get_secret_value(),
        minimum_connections=1,
        maximum_connections=2,
        application_name="leo-bench-echo",
    )
    keys = key_source(settings.auth_jwks)
    server = RpcServer(
        registry=_registry(settings, database, keys),
        max_message_bytes=settings.max_message_bytes,
        share_port=False,
    )
    await server.start(settings.listen)
    gc.collect()
    gc.freeze()
    await stopped.wait()
    await server.drain(settings.drain_seconds)
    await keys.close()
    await database.close()


def _registry(settings: ServerSettings, database: Database, keys: object) -> ServiceRegistry:
    registry = ServiceRegistry(
        authenticator=Authenticator(
            issuer=settings.auth_issuer,
            audience=settings.auth_audience,
            keys=keys,  # type: ignore[arg-type]
            tenants=PostgresTenantDirectory(database=database),
        ),
        deadlines=Deadlines(
            default=settings.default_deadline_ms / 1000,
            longest=settings.maximum_deadline_ms / 1000,
            longest_stream=settings.longest_stream_ms / 1000,
        ),
        in_flight=InFlight(settings.maximum_in_flight_bytes),
    )
    echo_service.describe()
    registry.add_registered_method_handlers(echo_service.SERVICE, echo_service.handlers())
    return registry


def main() -> None:
    """Read the configuration and serve."""
    settings = load_settings(ServerSettings)
    configure_logging(level=settings.log_level)
    uvloop.run(serve(settings))


if __name__ == "__main__":
    main()
