"""A service with one method of each kind, for what must hold for all kinds alike. It has no .proto file."""

# ruff: noqa: N802 - methods of a service are named as in its contract

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool
from google.protobuf.descriptor import ServiceDescriptor
from google.protobuf.message_factory import GetMessageClass
from leo.activation.v1 import options_pb2

from server.rpc.caller import current_caller

SERVICE = "leo.testing.FourKinds"
SCOPE = "testing"
KINDS = ("UnaryUnary", "UnaryStream", "StreamUnary", "StreamStream")
_STRING = descriptor_pb2.FieldDescriptorProto.TYPE_STRING
_ONE = descriptor_pb2.FieldDescriptorProto.LABEL_OPTIONAL


def _file(name: str, *, scope: str | None) -> descriptor_pb2.FileDescriptorProto:
    package = f"leo.testing{'' if scope else '.unscoped'}"
    file = descriptor_pb2.FileDescriptorProto(name=name, package=package, syntax="proto3")
    message = file.message_type.add(name="Text")
    message.field.add(name="text", number=1, type=_STRING, label=_ONE)
    service = file.service.add(name="FourKinds")
    for kind in KINDS:
        method = service.method.add(name=kind, input_type=f".{package}.Text", output_type=f".{package}.Text")
        method.client_streaming = kind.startswith("Stream")
        method.server_streaming = kind.endswith("Stream")
        if scope:
            method.options.Extensions[options_pb2.required_scope] = scope
    return file


_POOL = descriptor_pool.Default()
_POOL.AddSerializedFile(_file("leo/testing/four_kinds.proto", scope=SCOPE).SerializeToString())
_POOL.AddSerializedFile(_file("leo/testing/unscoped.proto", scope=None).SerializeToString())
Text: Any = GetMessageClass(_POOL.FindMessageTypeByName("leo.testing.Text"))


def service_descriptor() -> ServiceDescriptor:
    """The contract of the service."""
    return _POOL.FindServiceByName(SERVICE)


Behavior = Callable[[str], object]


class FourKinds:
    """Answers with what `behavior` makes of each text, or raises what it raises; tells who called.

    Args:
        behavior: from the text of a request to the text of the answer.
    """

    def __init__(self, behavior: Behavior) -> None:
        self.behavior = behavior
        self.callers: list[Any] = []
        self.started = asyncio.Event()
        self.release = asyncio.Event()

    async def _answer(self, text: str) -> Any:
        self.callers.append(current_caller())
        self.started.set()
        if text == "wait":
            await self.release.wait()
        return Text(text=self.behavior(text))

    async def UnaryUnary(self, request: Any, context: Any) -> Any:
        return await self._answer(request.text)

    async def UnaryStream(self, request: Any, context: Any) -> AsyncIterator[Any]:
        yield await self._answer(request.text)

    async def StreamUnary(self, requests: AsyncIterator[Any], context: Any) -> Any:
        texts = [request.text async for request in requests]
        return await self._answer(",".join(texts))

    async def StreamStream(self, requests: AsyncIterator[Any], context: Any) -> AsyncIterator[Any]:
        async for request in requests:
            yield await self._answer(request.text)


def add_to_server(servicer: FourKinds, server: Any, service: str = SERVICE) -> None:
    """As a generated function would."""
    makers = (
        grpc.unary_unary_rpc_method_handler,
        grpc.unary_stream_rpc_method_handler,
        grpc.stream_unary_rpc_method_handler,
        grpc.stream_stream_rpc_method_handler,
    )
    handlers = {
        kind: make(getattr(servicer, kind), Text.FromString, Text.SerializeToString)
        for kind, make in zip(KINDS, makers, strict=True)
    }
    server.add_registered_method_handlers(service, handlers)


async def call(
    channel: grpc.aio.Channel,
    kind: str,
    *messages: bytes,
    metadata: tuple[tuple[str, str], ...] = (),
    deadline_seconds: float | None = 20,
) -> list[str]:
    """Sends raw bytes (one message, or all of a stream), and returns the texts of the answers."""
    makers = {
        "UnaryUnary": channel.unary_unary,
        "UnaryStream": channel.unary_stream,
        "StreamUnary": channel.stream_unary,
        "StreamStream": channel.stream_stream,
    }
    method = makers[kind](f"/{SERVICE}/{kind}", response_deserializer=Text.FromString)
    request: Any = iter(messages) if kind.startswith("Stream") else messages[0]
    running = method(request, metadata=metadata, timeout=deadline_seconds)
    if kind.endswith("Stream"):
        return [response.text async for response in running]
    return [(await running).text]
