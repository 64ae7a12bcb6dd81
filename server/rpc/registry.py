"""Which services a server offers. It refuses methods that do not say what a caller needs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import grpc
from google.protobuf import descriptor_pool
from google.protobuf.descriptor import MethodDescriptor
from leo.activation.v1 import options_pb2

from server.platform.telemetry import MethodTelemetry
from server.rpc.authentication import Authenticator
from server.rpc.deserialization import parser_of
from server.rpc.in_flight import InFlight
from server.rpc.interceptors import Gate, Handler, Method, is_asynchronous, wrap

OPEN_SERVICES: Final = frozenset({"grpc.health.v1.Health", "grpc.reflection.v1alpha.ServerReflection"})
"""Services of gRPC's own that need no token."""


class MethodWithoutScope(Exception):
    """A method lacks the option `required_scope`; nobody could say who may call it."""


@dataclass(frozen=True, slots=True)
class Deadlines:
    """Bounds for the time that calls take, in seconds.

    Args:
        default: for unary calls that bring no deadline.
        longest: for unary calls, whatever deadline they bring.
        longest_stream: for calls that stream either way; so no stream outlives its token for long.
    """

    default: float
    longest: float
    longest_stream: float


@dataclass(slots=True)
class ServiceRegistry:
    """Stands in for a server in the generated `add_…_to_server` functions and wraps what they register.

    Args:
        authenticator: verifies callers.
        deadlines: bounds for every call.
        in_flight: bounds the bytes of requests that are worked on.
        gates: by full name of a method, what is asked before anything is done for a call of it.
    """

    authenticator: Authenticator
    deadlines: Deadlines
    in_flight: InFlight
    gates: dict[str, Gate] = field(default_factory=dict)
    handlers: dict[str, dict[str, Handler]] = field(default_factory=dict)

    def add_generic_rpc_handlers(self, handlers: Sequence[Any]) -> None:
        """Ignored: generated code registers the same handlers by name as well."""

    def add_registered_method_handlers(self, service: str, handlers: Mapping[str, Handler]) -> None:
        """Takes the methods of a service.

        Raises:
            MethodWithoutScope: a method does not say what scope it needs.
        TypeError: a servicer does not implement a method.
        """
        methods = descriptor_pool.Default().FindServiceByName(service).methods_by_name
        # gRPC's own servicers leave some methods out; those of ours are all there, or `wrap` says so.
        offered = {
            name: handler
            for name, handler in handlers.items()
            if service not in OPEN_SERVICES or is_asynchronous(handler)
        }
        self.handlers[service] = {
            name: wrap(handler, self._method(service, methods[name])) for name, handler in offered.items()
        }

    def add_to(self, server: grpc.aio.Server) -> None:
        """Registers everything with the real server."""
        for service, handlers in self.handlers.items():
            server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, handlers),))
            server.add_registered_method_handlers(service, handlers)

    def _method(self, service: str, descriptor: MethodDescriptor) -> Method:
        name = f"/{service}/{descriptor.name}"
        streams = descriptor.client_streaming or descriptor.server_streaming
        return Method(
            name=name,
            required_scope=_required_scope(service, descriptor),
            parse=parser_of(descriptor.input_type),
            longest_seconds=self.deadlines.longest_stream if streams else self.deadlines.longest,
            default_seconds=self.deadlines.longest_stream if streams else self.deadlines.default,
            authenticator=self.authenticator,
            telemetry=MethodTelemetry(name),
            in_flight=self.in_flight,
            gate=self.gates.get(name),
        )


def _required_scope(service: str, descriptor: MethodDescriptor) -> str | None:
    if service in OPEN_SERVICES:
        return None
    scope: str = descriptor.GetOptions().Extensions[options_pb2.required_scope]
    if not scope:
        raise MethodWithoutScope(f"{service}/{descriptor.name} has no required_scope")
    return scope
