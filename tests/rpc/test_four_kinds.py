"""What holds for every call, whatever the kind of its method."""

from __future__ import annotations

import asyncio
from typing import Any

import asyncpg
import grpc
import pytest
import redis.exceptions
from google.rpc import error_details_pb2, status_pb2
from prometheus_client import REGISTRY

from server import errors
from server.rpc.registry import Deadlines, MethodWithoutScope
from tests.rpc.conftest import MAX_MESSAGE_BYTES, BareServer
from tests.rpc.four_kinds import KINDS, SCOPE, FourKinds, Text, add_to_server, call

Code = grpc.StatusCode
each_kind = pytest.mark.parametrize("kind", KINDS)


def text(value: str) -> bytes:
    return Text(text=value).SerializeToString()


async def failure(
    coroutine: Any,
) -> tuple[grpc.StatusCode, str, error_details_pb2.ErrorInfo, status_pb2.Status]:
    """Code, text, ErrorInfo and whole status of a call that must fail."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await coroutine
    error = caught.value
    status = status_pb2.Status()
    for key, value in error.trailing_metadata() or ():
        if key == "grpc-status-details-bin":
            status = status_pb2.Status.FromString(value)
    info = error_details_pb2.ErrorInfo()
    if status.details:
        assert status.code == error.code().value[0]
        assert status.details[0].Unpack(info)
    return error.code(), error.details() or "", info, status


@each_kind
async def test_a_good_call_is_answered_and_knows_its_caller(bare: BareServer, kind: str) -> None:
    assert await call(bare.channel, kind, text("hello"), metadata=bare.metadata) == ["hello"]
    caller = bare.servicer.callers[-1]
    assert caller.tenant_id == bare.tenants.ids["a-client"]
    assert SCOPE in caller.scopes


@each_kind
@pytest.mark.parametrize("garbage", [b"\xff\xff\xff", b"\x0a\x05ab", b"\x0a\x02\xff\xfe"])
async def test_bytes_that_are_no_message_are_malformed(bare: BareServer, kind: str, garbage: bytes) -> None:
    code, _, info, _ = await failure(call(bare.channel, kind, garbage, metadata=bare.metadata))
    assert (code, info.reason) == (Code.INVALID_ARGUMENT, "MALFORMED_REQUEST")


@each_kind
async def test_nul_and_oversized_text_are_refused_with_the_field(bare: BareServer, kind: str) -> None:
    for value in ("a\0b", "x" * (1024 * 1024 + 1), "é" * (600 * 1024)):
        code, _, info, status = await failure(call(bare.channel, kind, text(value), metadata=bare.metadata))
        assert (code, info.reason) == (Code.INVALID_ARGUMENT, "INVALID_FIELD")
        request = error_details_pb2.BadRequest()
        assert status.details[1].Unpack(request)
        assert [violation.field for violation in request.field_violations] == ["text"]
    assert bare.servicer.callers == []


@each_kind
async def test_a_message_above_the_limit_is_refused(bare: BareServer, kind: str) -> None:
    code, _, _, _ = await failure(
        call(bare.channel, kind, text("x" * MAX_MESSAGE_BYTES), metadata=bare.metadata)
    )
    assert code is Code.RESOURCE_EXHAUSTED


@each_kind
@pytest.mark.parametrize(
    ("error", "code", "reason"),
    [
        (errors.InvalidInput([]), Code.INVALID_ARGUMENT, "INVALID_FIELD"),
        (errors.MalformedRequest("x"), Code.INVALID_ARGUMENT, "MALFORMED_REQUEST"),
        (errors.NotFound("campaign", "c-1"), Code.NOT_FOUND, "RESOURCE_NOT_FOUND"),
        (errors.AlreadyExists("IDENTIFIER_TAKEN", "x"), Code.ALREADY_EXISTS, "IDENTIFIER_TAKEN"),
        (errors.PreconditionFailed("RULE_VIOLATED", "x"), Code.FAILED_PRECONDITION, "RULE_VIOLATED"),
        (errors.Unauthenticated("TOKEN_INVALID", "x"), Code.UNAUTHENTICATED, "TOKEN_INVALID"),
        (errors.PermissionDenied("SCOPE_MISSING", "x"), Code.PERMISSION_DENIED, "SCOPE_MISSING"),
        (errors.TooLarge("MESSAGE_TOO_LARGE", "x"), Code.RESOURCE_EXHAUSTED, "MESSAGE_TOO_LARGE"),
        (errors.Unavailable("REDIS_UNAVAILABLE", "x"), Code.UNAVAILABLE, "REDIS_UNAVAILABLE"),
        (asyncpg.ConnectionDoesNotExistError("secret"), Code.UNAVAILABLE, "DATABASE_UNAVAILABLE"),
        (asyncpg.DeadlockDetectedError("secret"), Code.UNAVAILABLE, "DATABASE_BUSY"),
        (asyncpg.UntranslatableCharacterError("secret"), Code.INVALID_ARGUMENT, "VALUE_NOT_STORABLE"),
        (redis.exceptions.ConnectionError("secret"), Code.UNAVAILABLE, "REDIS_UNAVAILABLE"),
        (asyncpg.UniqueViolationError("secret"), Code.INTERNAL, "INTERNAL_FAULT"),
        (errors.UnsafeRole("secret", "secret"), Code.INTERNAL, "INTERNAL_FAULT"),
        (ZeroDivisionError("secret"), Code.INTERNAL, "INTERNAL_FAULT"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else None,
)
async def test_errors_become_the_status_of_the_table(
    bare: BareServer, kind: str, error: Exception, code: grpc.StatusCode, reason: str
) -> None:
    bare.servicer.behavior = _raising(error)
    got, details, info, status = await failure(call(bare.channel, kind, text("x"), metadata=bare.metadata))
    assert (got, info.reason, info.domain) == (code, reason, "leo.activation.v1")
    assert "secret" not in details + str(status)


@each_kind
async def test_an_overloaded_server_says_when_to_come_back(bare: BareServer, kind: str) -> None:
    bare.servicer.behavior = _raising(
        errors.Overloaded("SERVER_OVERLOADED", "too much waits", retry_after_ms=1_500)
    )
    code, _, _, status = await failure(call(bare.channel, kind, text("x"), metadata=bare.metadata))
    retry = error_details_pb2.RetryInfo()
    assert code is Code.RESOURCE_EXHAUSTED
    assert status.details[1].Unpack(retry)
    assert 1_500 <= retry.retry_delay.ToMilliseconds() <= 2_250, "the hint, and up to half of it more"


@each_kind
async def test_an_answer_of_the_wrong_type_is_an_internal_fault(bare: BareServer, kind: str) -> None:
    bare.servicer.behavior = lambda _text: 7
    code, details, info, _ = await failure(call(bare.channel, kind, text("x"), metadata=bare.metadata))
    assert (code, info.reason) == (Code.INTERNAL, "INTERNAL_FAULT")
    assert details == f"internal fault {info.metadata['fault_id']}"


@each_kind
async def test_many_violations_still_fit_into_the_trailers(bare: BareServer, kind: str) -> None:
    violations = [errors.FieldViolation(f"events[{n}].é" + "é" * 500, "ö" * 500) for n in range(900)]
    bare.servicer.behavior = _raising(errors.InvalidInput(violations))
    code, _, info, _ = await failure(call(bare.channel, kind, text("x"), metadata=bare.metadata))
    assert (code, info.reason) == (Code.INVALID_ARGUMENT, "INVALID_FIELD")


@each_kind
async def test_a_deadline_that_passes_ends_the_call(bare: BareServer, kind: str) -> None:
    code, _, _, _ = await failure(
        call(bare.channel, kind, text("wait"), metadata=bare.metadata, deadline_seconds=0.2)
    )
    assert code is Code.DEADLINE_EXCEEDED


class TestShortDeadlines:
    """The server's own bounds, for calls that bring a long deadline or none."""

    @pytest.fixture
    def deadlines(self) -> Deadlines:
        return Deadlines(default=0.1, longest=0.2, longest_stream=0.2)

    @each_kind
    @pytest.mark.parametrize("deadline_seconds", [None, 3_600])
    async def test_the_server_ends_the_call(
        self, bare: BareServer, kind: str, deadline_seconds: float | None
    ) -> None:
        code, _, info, _ = await failure(
            call(bare.channel, kind, text("wait"), metadata=bare.metadata, deadline_seconds=deadline_seconds)
        )
        assert (code, info.reason) == (Code.DEADLINE_EXCEEDED, "DEADLINE_PASSED")


@each_kind
async def test_calls_are_counted_by_method_and_code(bare: BareServer, kind: str) -> None:
    before = _figures(kind)
    await call(bare.channel, kind, text("x"), metadata=bare.metadata)
    await failure(call(bare.channel, kind, text("x")))
    assert [now - then for now, then in zip(_figures(kind), before, strict=True)] == [1, 1, 2, 0]


def _figures(kind: str) -> list[float]:
    """Calls that went well, calls without a token, calls that were timed, calls that run."""
    method = {"method": f"/leo.testing.FourKinds/{kind}"}
    samples = (
        ("leo_rpc_calls_total", {**method, "code": "OK"}),
        ("leo_rpc_calls_total", {**method, "code": "UNAUTHENTICATED"}),
        ("leo_rpc_seconds_count", method),
        ("leo_rpc_running", method),
    )
    return [REGISTRY.get_sample_value(name, labels) or 0.0 for name, labels in samples]


async def test_a_running_call_finishes_during_the_drain(bare: BareServer) -> None:
    running = asyncio.create_task(call(bare.channel, "UnaryUnary", text("wait"), metadata=bare.metadata))
    await bare.servicer.started.wait()
    draining = asyncio.create_task(bare.server.drain(20))
    async with asyncio.timeout(20):
        await port_closed(bare.address)
    async with grpc.aio.insecure_channel(bare.address) as late:
        code, _, _, _ = await failure(call(late, "UnaryUnary", text("late"), metadata=bare.metadata))
    assert code is Code.UNAVAILABLE
    bare.servicer.release.set()
    assert await running == ["wait"]
    await draining


async def port_closed(address: str) -> None:
    """Returns when nobody listens on it any more."""
    host, _, port = address.rpartition(":")
    while True:
        try:
            _, writer = await asyncio.open_connection(host, int(port))
        except ConnectionRefusedError:
            return
        except ConnectionResetError:
            continue  # it stood in the backlog when the port was closed
        writer.close()


def test_a_method_without_scope_is_not_registered(bare_registry: Any) -> None:
    with pytest.raises(MethodWithoutScope, match=r"leo\.testing.unscoped\.FourKinds/UnaryUnary"):
        add_to_server(FourKinds(str), bare_registry, "leo.testing.unscoped.FourKinds")


def _raising(error: Exception) -> Any:
    def behavior(_text: str) -> object:
        raise error

    return behavior
