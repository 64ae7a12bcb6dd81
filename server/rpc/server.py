"""One gRPC server: health, reflection, limits, start and drain."""

from __future__ import annotations

import asyncio
import socket

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1._async import HealthServicer
from grpc_reflection.v1alpha import reflection_pb2_grpc
from grpc_reflection.v1alpha._async import ReflectionServicer

from server.platform.listening import PortNotFree
from server.rpc.registry import ServiceRegistry

__all__ = ["PortNotFree", "RpcServer"]


class RpcServer:
    """Serves the services of a registry. Build it inside the event loop that will run it.

    Args:
        registry: the services.
        max_message_bytes: larger messages, in or out, end in RESOURCE_EXHAUSTED.
        maximum_calls: calls at once, streams included; gRPC refuses further ones, without a hint. The last bound.
        share_port: whether other processes listen on the same port; otherwise a used port is an error.
    """

    def __init__(
        self,
        *,
        registry: ServiceRegistry,
        max_message_bytes: int,
        share_port: bool,
        maximum_calls: int | None = None,
    ) -> None:
        self._health = HealthServicer()
        self._registry = registry
        self._share_port = share_port
        self._own_port = 0
        self._host = ""
        names = [*registry.handlers, "grpc.health.v1.Health", "grpc.reflection.v1alpha.ServerReflection"]
        health_pb2_grpc.add_HealthServicer_to_server(self._health, registry)
        reflection_pb2_grpc.add_ServerReflectionServicer_to_server(ReflectionServicer(names), registry)
        self._server = grpc.aio.server(
            options=_options(max_message_bytes, share_port=share_port), maximum_concurrent_rpcs=maximum_calls
        )
        registry.add_to(self._server)

    async def start(self, listen: str) -> str:
        """Accepts calls from now on.

        Args:
            listen: host:port; port 0 picks a free one.

        Returns:
            host:port as it is reachable.

        Raises:
            PortNotFree: nothing could be bound.
        """
        host = listen.rpartition(":")[0]
        try:
            port = self._server.add_insecure_port(listen)
        except RuntimeError as error:
            await self._discard()
            raise PortNotFree(f"can not listen on {listen}") from error
        # Of processes that share a port none can be called by it; what only one of them can answer comes here.
        self._own_port = self._server.add_insecure_port(f"{host}:0") if self._share_port else port
        self._host = host
        for service in self._registry.handlers:
            await self._health.set(service, health_pb2.HealthCheckResponse.SERVING)
        await self._server.start()
        return f"{host}:{port}"

    def own_address(self, advertised_host: str | None) -> str:
        """host:port at which this very process is reachable, once it is started.

        Args:
            advertised_host: how others name this machine; None for the host that it listens on.
        """
        listens_everywhere = self._host in {"0.0.0.0", "[::]"}  # noqa: S104 - compared, not bound
        host = socket.gethostname() if listens_everywhere else self._host
        return f"{advertised_host or host}:{self._own_port}"

    async def _discard(self) -> None:
        """End a server without a port. One that never ran crashes the process when it is collected."""
        await self._server.start()
        await self._server.stop(None)

    async def drain(self, seconds: float) -> None:
        """Says NOT_SERVING, accepts nothing new, and lets running calls finish for at most this long."""
        await self._health.enter_graceful_shutdown()
        # Watchers of the health get their turn to send before the port closes.
        await asyncio.sleep(0)
        await self._server.stop(seconds)


def _options(max_message_bytes: int, *, share_port: bool) -> list[tuple[str, int]]:
    return [
        ("grpc.max_receive_message_length", max_message_bytes),
        ("grpc.max_send_message_length", max_message_bytes),
        # Calls that the event loop has not taken up yet wait where nothing of ours sees them. gRPC turns them away from
        # the first number on, ever more likely up to the second; by itself it would keep a second's worth and more.
        ("grpc.server.max_pending_requests", 250),
        ("grpc.server.max_pending_requests_hard_limit", 750),
        # Of processes that share the port, the kernel gives each its part of the connections.
        ("grpc.so_reuseport", int(share_port)),
        # Idle streams (WatchAlerts) are kept by pings of the client, at most one every ten seconds.
        ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
        ("grpc.keepalive_permit_without_calls", 1),
    ]
