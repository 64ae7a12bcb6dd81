"""What the asynchronous and the synchronous client share: everything but waiting."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import grpc
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.descriptor_pb2 import MethodOptions

Metadata: TypeAlias = Sequence[tuple[str, str]]

_MAX_MESSAGE_BYTES: Final = 16 * 1024 * 1024
_SAFE: Final = (MethodOptions.IDEMPOTENT, MethodOptions.NO_SIDE_EFFECTS)
# An overloaded server sends the delay to wait along with RESOURCE_EXHAUSTED; gRPC's retry obeys it. CANCELLED is what
# a server that stops makes of calls that it no longer takes up; a call that its caller cancels is not repeated.
_RETRY_POLICY: Final = {
    "maxAttempts": 5,
    "initialBackoff": "0.1s",
    "maxBackoff": "2s",
    "backoffMultiplier": 2,
    "retryableStatusCodes": ["UNAVAILABLE", "RESOURCE_EXHAUSTED", "CANCELLED"],
}


@dataclass(frozen=True, slots=True)
class CallDefaults:
    """What every call of a client gets unless the call says otherwise.

    Args:
        deadline_seconds: for calls with one answer; None for none. Streams have no deadline by default.
        wait_for_ready: whether calls wait, within their deadline, for a server that is not there yet.
    """

    deadline_seconds: float | None
    wait_for_ready: bool

    def arguments(
        self, *, token: str, streams: bool, timeout: float | None, metadata: Iterable[tuple[str, str]]
    ) -> dict[str, Any]:
        """The keyword arguments of a stub's method."""
        default = None if streams else self.deadline_seconds
        return {
            "timeout": default if timeout is None else timeout,
            "metadata": (("authorization", f"Bearer {token}"), *metadata),
            "wait_for_ready": self.wait_for_ready,
        }


def channel_options(services: Iterable[ServiceDescriptor]) -> list[tuple[str, Any]]:
    """Limits, keep-alive, balancing over all addresses of the target, and retries of idempotent methods."""
    return [
        ("grpc.service_config", json.dumps(service_config(services))),
        ("grpc.max_send_message_length", _MAX_MESSAGE_BYTES),
        ("grpc.max_receive_message_length", _MAX_MESSAGE_BYTES),
        ("grpc.keepalive_time_ms", 30_000),
        # A connection for each client: gRPC would let all clients of one target share one, and with it one server
        # process of those that share a port.
        ("grpc.use_local_subchannel_pool", 1),
    ]


def service_config(services: Iterable[ServiceDescriptor]) -> Mapping[str, Any]:
    """gRPC's own retry, for those methods whose contract says that repeating them is harmless."""
    methods = [{"service": m.containing_service.full_name, "method": m.name} for m in _safe_methods(services)]
    return {
        "loadBalancingConfig": [{"round_robin": {}}],
        "methodConfig": [{"name": methods, "retryPolicy": _RETRY_POLICY}] if methods else [],
    }


def _safe_methods(services: Iterable[ServiceDescriptor]) -> Iterator[MethodDescriptor]:
    for service in services:
        for method in service.methods:
            if method.GetOptions().idempotency_level in _SAFE:
                yield method


def is_streaming(method: object) -> bool:
    """Whether a stub's method, of either kind of stub, answers with a stream."""
    streaming = (
        grpc.UnaryStreamMultiCallable,
        grpc.StreamStreamMultiCallable,
        grpc.aio.UnaryStreamMultiCallable,
        grpc.aio.StreamStreamMultiCallable,
    )
    return isinstance(method, streaming)
