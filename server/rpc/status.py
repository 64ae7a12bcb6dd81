"""The one table from errors to gRPC status, with google.rpc details. No other module names codes."""

from __future__ import annotations

import random
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import asyncpg
import grpc
import redis.exceptions
from google.protobuf import any_pb2, duration_pb2
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2

from server import errors
from server.platform.logging import get_logger
from server.platform.transactions import CommitOutcomeUnknown

ERROR_DOMAIN: Final = "leo.activation.v1"
_DETAILS_KEY: Final = "grpc-status-details-bin"
_PUSHBACK_KEY: Final = "grpc-retry-pushback-ms"
# Trailing metadata above 8 KiB is refused by clients, and text grows on its way (base64, percent signs).
_LONGEST_TEXT: Final = 200
_MOST_VIOLATION_BYTES: Final = 2_500
# Callers that were refused together must not come back together: each is told one of these multiples.
_RETRY_SPREAD: Final = tuple(1 + step / 16 for step in range(9))


class ValueNotStorable(errors.LeoError):
    """The database refused a value that no check foresaw; the caller can only correct it."""

    def __init__(self) -> None:
        super().__init__("VALUE_NOT_STORABLE", "a value of the request can not be stored as it is")


class DeadlinePassed(errors.LeoError):
    """The time for the call is over."""

    def __init__(self) -> None:
        super().__init__("DEADLINE_PASSED", "the deadline passed before the answer was there")


_CODES: Final[dict[type[errors.LeoError], grpc.StatusCode]] = {
    errors.InvalidInput: grpc.StatusCode.INVALID_ARGUMENT,
    errors.MalformedRequest: grpc.StatusCode.INVALID_ARGUMENT,
    errors.NotFound: grpc.StatusCode.NOT_FOUND,
    errors.AlreadyExists: grpc.StatusCode.ALREADY_EXISTS,
    errors.PreconditionFailed: grpc.StatusCode.FAILED_PRECONDITION,
    errors.Unauthenticated: grpc.StatusCode.UNAUTHENTICATED,
    errors.PermissionDenied: grpc.StatusCode.PERMISSION_DENIED,
    errors.Overloaded: grpc.StatusCode.RESOURCE_EXHAUSTED,
    errors.TooLarge: grpc.StatusCode.RESOURCE_EXHAUSTED,
    errors.Unavailable: grpc.StatusCode.UNAVAILABLE,
    CommitOutcomeUnknown: grpc.StatusCode.UNAVAILABLE,
    ValueNotStorable: grpc.StatusCode.INVALID_ARGUMENT,
    DeadlinePassed: grpc.StatusCode.DEADLINE_EXCEEDED,
}


@dataclass(frozen=True, slots=True)
class RpcStatus:
    """What a failed call answers: code, text, and the trailing metadata that carries the details."""

    code: grpc.StatusCode
    text: str
    trailers: tuple[tuple[str, str | bytes], ...]


def status_of(error: Exception, *, method: str) -> RpcStatus:
    """The status for whatever a call raised; logs what is not the caller's doing.

    Args:
        error: a domain error, an error of a driver, or a fault of ours.
        method: full name of the method, for the log.
    """
    if isinstance(error, errors.Overloaded):
        return _overloaded(error.reason, error.message, _spread(error.retry_after_ms))
    known = domain_error(error)
    code = None if known is None else code_of(known)
    if known is None or code is None:
        return _internal_fault(error, method)
    if known is not error:
        get_logger().warning("driver_error", method=method, reason=known.reason, exc_info=error)
    return _status(code, known.message, _details(known), _pushback(known))


@lru_cache(maxsize=1_000)
def _overloaded(reason: str, message: str, retry_after_ms: int) -> RpcStatus:
    """Remembered, since it is needed most when there is least time: making one takes longer than the rest."""
    error = errors.Overloaded(reason, message, retry_after_ms=retry_after_ms)
    code = _CODES[errors.Overloaded]
    return _status(code, message, [*_details(error), _retry_info(retry_after_ms)], _pushback(error))


def _spread(retry_after_ms: int) -> int:
    """The delay and up to half of it more, in steps."""
    return round(retry_after_ms * random.choice(_RETRY_SPREAD))  # noqa: S311 - not a secret


def code_of(error: errors.LeoError) -> grpc.StatusCode | None:
    """The code of a domain error's nearest class in the table; None when it has no place on the wire."""
    return next((_CODES[kind] for kind in type(error).__mro__ if kind in _CODES), None)


def domain_error(error: Exception) -> errors.LeoError | None:
    """The domain error that an exception stands for; None when it is a fault of ours.

    Constraint violations that no slice foresaw are faults of ours, and stay so.
    """
    if isinstance(error, errors.LeoError):
        return error
    if isinstance(error, asyncpg.PostgresError):
        return _of_sqlstate(error.sqlstate or "")
    if isinstance(error, (redis.exceptions.ConnectionError, redis.exceptions.TimeoutError)):
        return errors.Unavailable("REDIS_UNAVAILABLE", "Redis can not be reached")
    return None


def _of_sqlstate(state: str) -> errors.LeoError | None:
    """By the class of the SQLSTATE: its first two characters."""
    match state[:2]:
        case "08" | "53" | "57" | "58":
            return errors.Unavailable("DATABASE_UNAVAILABLE", "the database can not be reached")
        case "40" | "55":
            return errors.Unavailable("DATABASE_BUSY", "the database was too busy; nothing was committed")
        case "22":
            return ValueNotStorable()
    return None


def _details(error: errors.LeoError) -> list[Message]:
    details: list[Message] = [
        error_details_pb2.ErrorInfo(reason=error.reason, domain=ERROR_DOMAIN, metadata=_cut(error.metadata))
    ]
    if isinstance(error, errors.InvalidInput):
        details.append(_bad_request(error))
    return details


def _bad_request(error: errors.InvalidInput) -> error_details_pb2.BadRequest:
    """As many violations as fit, and at least one."""
    request = error_details_pb2.BadRequest()
    for violation in error.violations:
        entry = error_details_pb2.BadRequest.FieldViolation(
            field=violation.field[:_LONGEST_TEXT], description=violation.description[:_LONGEST_TEXT]
        )
        if request.field_violations and request.ByteSize() + entry.ByteSize() > _MOST_VIOLATION_BYTES:
            break
        request.field_violations.append(entry)
    return request


def _retry_info(retry_after_ms: int) -> error_details_pb2.RetryInfo:
    delay = duration_pb2.Duration()
    delay.FromMilliseconds(retry_after_ms)
    return error_details_pb2.RetryInfo(retry_delay=delay)


def _pushback(error: errors.LeoError) -> tuple[tuple[str, str], ...]:
    """Tells gRPC's own retry when to try again (or, negative, never), where the code alone does not."""
    if isinstance(error, errors.Overloaded):
        return ((_PUSHBACK_KEY, str(error.retry_after_ms)),)
    if isinstance(error, errors.TooLarge):
        return ((_PUSHBACK_KEY, "-1"),)
    return ()


def _internal_fault(error: Exception, method: str) -> RpcStatus:
    """An opaque id for the caller; what happened is in the log under the same id."""
    fault_id = uuid.uuid4().hex
    get_logger().error("internal_fault", method=method, fault_id=fault_id, exc_info=error)
    information = error_details_pb2.ErrorInfo(
        reason="INTERNAL_FAULT", domain=ERROR_DOMAIN, metadata={"fault_id": fault_id}
    )
    return _status(grpc.StatusCode.INTERNAL, f"internal fault {fault_id}", [information], ())


def _status(
    code: grpc.StatusCode,
    text: str,
    details: Sequence[Message],
    trailers: tuple[tuple[str, str], ...],
) -> RpcStatus:
    short = text[:_LONGEST_TEXT]
    status = status_pb2.Status(code=code.value[0], message=short, details=[_packed(d) for d in details])
    return RpcStatus(code, short, ((_DETAILS_KEY, status.SerializeToString()), *trailers))


def _packed(message: Message) -> any_pb2.Any:
    packed = any_pb2.Any()
    packed.Pack(message)
    return packed


def _cut(metadata: Mapping[str, str]) -> dict[str, str]:
    return {key: value[:_LONGEST_TEXT] for key, value in metadata.items()}
