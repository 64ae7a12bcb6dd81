"""What happens around every call, the same for all four kinds: deadline, caller, request, errors, figures.

A handler is wrapped once, when its service is registered; nothing is looked up per call. gRPC's interceptors
would run per call, and see neither the request's bytes nor the errors of streams.
"""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, TypeAlias

import grpc
from google.protobuf.message import Message

from server.platform.telemetry import MethodTelemetry
from server.rpc.authentication import Authenticator
from server.rpc.caller import set_current_caller
from server.rpc.deserialization import Parse
from server.rpc.in_flight import InFlight
from server.rpc.status import DeadlinePassed, status_of

_AUTHORIZATION: Final = "authorization"
_KINDS: Final = ("unary_unary", "unary_stream", "stream_unary", "stream_stream")
Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"
Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"
Gate: TypeAlias = Callable[[float | None], None]
"""Asked before a call costs anything, with what is left of its deadline in seconds; raises what refuses it."""


@dataclass(frozen=True, slots=True)
class Method:
    """What the shell knows of a method.

    Args:
        name: full name, e.g. `/leo.activation.v1.CatalogService/PutCampaign`.
        required_scope: the scope that a caller needs; None for health and reflection, which are open.
        parse: from bytes to a checked request.
        longest_seconds: how long a call may take whatever deadline it brings.
        default_seconds: how long a call without deadline may take.
        authenticator: verifies callers.
        telemetry: the method's figures.
        in_flight: the bytes of all requests that are worked on.
        gate: refuses calls for which there is no time; None for methods that always have some.
    """

    name: str
    required_scope: str | None
    parse: Parse
    longest_seconds: float
    default_seconds: float
    authenticator: Authenticator
    telemetry: MethodTelemetry
    in_flight: InFlight
    gate: Gate | None


class Call:
    """The surroundings of one call, as `async with`: whatever is raised inside becomes a status."""

    __slots__ = ("_bytes", "_context", "_expired", "_method", "_started", "_timer")

    def __init__(self, method: Method, context: Context) -> None:
        self._method = method
        self._context = context
        self._started = time.perf_counter()
        self._expired = False
        self._timer: asyncio.TimerHandle | None = None
        self._bytes = 0

    async def __aenter__(self) -> Call:
        """Ask the gate, limit the time, and find out who calls: what costs least comes first."""
        self._method.telemetry.started()
        try:
            remaining: float | None = self._context.time_remaining()
            if self._method.gate is not None:
                self._method.gate(remaining)
            self._limit_time(remaining)
            await self._identify_caller()
        except BaseException as error:
            await self._end(error)
            raise
        return self

    async def __aexit__(
        self, _kind: type[BaseException] | None, error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        await self._end(error)

    def read(self, raw: bytes) -> Message:
        """A request, parsed and checked; its bytes count until `let_go`, or the end of the call.

        Raises:
            Overloaded: requests of too many bytes are worked on.
        """
        self._method.in_flight.take(len(raw))
        self._bytes = len(raw)
        return self._method.parse(raw)

    def let_go(self) -> None:
        """The request was worked on."""
        self._method.in_flight.give_back(self._bytes)
        self._bytes = 0

    def _limit_time(self, remaining: float | None) -> None:
        """gRPC itself cancels the call at the caller's deadline; the timer is for none and for long ones."""
        if remaining is not None and remaining <= 0:
            raise DeadlinePassed()
        limit = self._method.default_seconds if remaining is None else self._method.longest_seconds
        if remaining is None or remaining > limit:
            task = asyncio.current_task()
            assert task is not None
            self._timer = asyncio.get_running_loop().call_later(limit, self._expire, task)

    def _expire(self, task: asyncio.Task[Any]) -> None:
        self._expired = True
        task.cancel()

    async def _identify_caller(self) -> None:
        scope = self._method.required_scope
        if scope is None:
            return
        authorization = None
        for key, value in self._context.invocation_metadata() or ():
            if key == _AUTHORIZATION:
                authorization = value if isinstance(value, str) else None
                break
        set_current_caller(await self._method.authenticator.authenticate(authorization, scope))

    async def _end(self, error: BaseException | None) -> None:
        self.let_go()
        if self._timer is not None:
            self._timer.cancel()
        seconds = time.perf_counter() - self._started
        if error is None:
            self._method.telemetry.ended("OK", seconds)
            return
        if self._expired and isinstance(error, asyncio.CancelledError):
            error = DeadlinePassed()
        if not isinstance(error, Exception) or isinstance(error, grpc.aio.AbortError):
            self._method.telemetry.ended(self._code_of_end(error), seconds)
            return
        status = status_of(error, method=self._method.name)
        self._method.telemetry.ended(status.code.name, seconds)
        await self._context.abort(status.code, status.text, status.trailers)

    def _code_of_end(self, error: BaseException) -> str:
        """Of a call that the caller gave up, or that a servicer of gRPC's own ended."""
        if isinstance(error, grpc.aio.AbortError):
            code: Any = self._context.code()
            return code.name if isinstance(code, grpc.StatusCode) else "UNKNOWN"
        remaining: float | None = self._context.time_remaining()
        return "DEADLINE_EXCEEDED" if remaining is not None and remaining <= 0 else "CANCELLED"


def wrap(handler: Handler, method: Method) -> Handler:
    """The handler with everything around it. Requests come in as bytes; answers leave as bytes.

    Args:
        handler: as a generated `add_…_to_server` function registers it.
        method: what the shell knows of the method.

    Raises:
        TypeError: the servicer's method is no coroutine function and no async generator function.
    """
    if not is_asynchronous(handler):
        raise TypeError(f"{method.name} must be a coroutine function or an async generator function")
    behavior = _behavior(handler)
    surround = _streaming if handler.response_streaming else _single
    return _WrappedHandler(handler, surround(behavior, handler, method))


def is_asynchronous(handler: Handler) -> bool:
    """False for what a servicer did not implement: generated base classes answer without `async`."""
    behavior = _behavior(handler)
    return inspect.iscoroutinefunction(behavior) or inspect.isasyncgenfunction(behavior)


def _behavior(handler: Handler) -> Any:
    return next(found for kind in _KINDS if (found := getattr(handler, kind)) is not None)


def _request_reader(handler: Handler) -> Callable[[Call, Any], Any]:
    """One request, or an iterator over a stream of them: parsed and checked either way."""

    async def read_each(call: Call, stream: AsyncIterator[bytes]) -> AsyncIterator[Message]:
        async for raw in stream:
            yield call.read(raw)
            call.let_go()

    return read_each if handler.request_streaming else Call.read


def _single(behavior: Any, handler: Handler, method: Method) -> Callable[[Any, Context], Any]:
    read, serialize = _request_reader(handler), handler.response_serializer
    assert serialize is not None

    async def respond(request: Any, context: Context) -> bytes:
        async with Call(method, context) as call:
            response: bytes = serialize(await behavior(read(call, request), context))
        return response

    return respond


def _streaming(behavior: Any, handler: Handler, method: Method) -> Callable[[Any, Context], Any]:
    read, serialize = _request_reader(handler), handler.response_serializer
    assert serialize is not None

    async def respond(request: Any, context: Context) -> AsyncIterator[bytes]:
        async with (
            Call(method, context) as call,
            aclosing(behavior(read(call, request), context)) as responses,
        ):
            async for response in responses:
                yield serialize(response)

    async def write_responses(request: Any, context: Context) -> None:
        async with Call(method, context) as call:
            await behavior(read(call, request), context)

    return respond if inspect.isasyncgenfunction(behavior) else write_responses


class _WrappedHandler(grpc.RpcMethodHandler):  # type: ignore[type-arg]  # not generic when it runs
    """A handler without deserialiser; it keeps the serialiser only where a servicer writes by itself."""

    def __init__(self, handler: Handler, behavior: Any) -> None:
        self.request_streaming = handler.request_streaming
        self.response_streaming = handler.response_streaming
        self.request_deserializer = None
        writes_itself = handler.response_streaming and not inspect.isasyncgenfunction(behavior)
        self.response_serializer = handler.response_serializer if writes_itself else None
        for kind in _KINDS:
            setattr(self, kind, behavior if getattr(handler, kind) is not None else None)
