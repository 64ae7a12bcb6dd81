"""Failures of calls, with everything that the server says about them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

import grpc
from google.protobuf import any_pb2
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2

_DETAILS_KEY: Final = "grpc-status-details-bin"


@dataclass(frozen=True, slots=True)
class Violation:
    """One field of the request that the server refused.

    Args:
        field: path in the request, e.g. `events[3].occurred_at`.
        description: what is wrong, and what would be right.
    """

    field: str
    description: str


@dataclass(eq=False)
class LeoApiError(Exception):
    """A call failed.

    Args:
        code: the gRPC status code.
        message: for people; do not parse it.
        reason: a name of `leo.activation.v1.ErrorReason`, whose comment says what to do; empty when
            no server answered.
        metadata: identifiers and limits that belong to the reason.
        violations: the refused fields.
        retry_after_seconds: when the same call may succeed, where the server says so.
    """

    code: grpc.StatusCode
    message: str
    reason: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)
    violations: tuple[Violation, ...] = ()
    retry_after_seconds: float | None = None

    def __str__(self) -> str:
        fields = "".join(f"\n  {v.field}: {v.description}" for v in self.violations)
        return f"{self.code.name} {self.reason}: {self.message}{fields}"


class InvalidArgument(LeoApiError):
    """Correct the request; `violations` says where."""


class NotFound(LeoApiError):
    """Nothing of this id is visible to the caller's tenant."""


class AlreadyExists(LeoApiError):
    """The id, name or code is taken."""


class FailedPrecondition(LeoApiError):
    """The state of the system does not allow it."""


class Unauthenticated(LeoApiError):
    """The token is missing, expired or not good."""


class PermissionDenied(LeoApiError):
    """The token does not give this right."""


class ResourceExhausted(LeoApiError):
    """A limit was reached; see `retry_after_seconds`."""


class Unavailable(LeoApiError):
    """The server or something behind it can not be reached."""


class DeadlineExceeded(LeoApiError):
    """No answer came in time; the work may have been done."""


class InternalFault(LeoApiError):
    """A fault of the server; `metadata["fault_id"]` finds it in the server's log."""


# What gRPC says where a write met the end of its stream, in place of the status that the server ended it with
# (github.com/grpc/grpc/issues/36066). Nobody knows that status any more; to call again is right for all of them.
_FAILED_WRITE: Final = "Internal error from Core"

_CLASSES: Final[Mapping[grpc.StatusCode, type[LeoApiError]]] = {
    grpc.StatusCode.INVALID_ARGUMENT: InvalidArgument,
    grpc.StatusCode.NOT_FOUND: NotFound,
    grpc.StatusCode.ALREADY_EXISTS: AlreadyExists,
    grpc.StatusCode.FAILED_PRECONDITION: FailedPrecondition,
    grpc.StatusCode.UNAUTHENTICATED: Unauthenticated,
    grpc.StatusCode.PERMISSION_DENIED: PermissionDenied,
    grpc.StatusCode.RESOURCE_EXHAUSTED: ResourceExhausted,
    grpc.StatusCode.UNAVAILABLE: Unavailable,
    grpc.StatusCode.DEADLINE_EXCEEDED: DeadlineExceeded,
    grpc.StatusCode.INTERNAL: InternalFault,
}


def decode_error(
    code: grpc.StatusCode, message: str | None, trailers: Iterable[tuple[str, str | bytes]] | None
) -> LeoApiError:
    """The typed error of a failed call; no round trips.

    Args:
        code: the status code.
        message: the status text.
        trailers: the trailing metadata.
    """
    if code is grpc.StatusCode.INTERNAL and _FAILED_WRITE in (message or ""):
        return Unavailable(grpc.StatusCode.UNAVAILABLE, "the stream ended during a write")
    error = _CLASSES.get(code, LeoApiError)(code=code, message=message or "")
    for detail in _status(trailers).details:
        _read_detail(error, detail)
    return error


def _status(trailers: Iterable[tuple[str, str | bytes]] | None) -> status_pb2.Status:
    for key, value in trailers or ():
        if key == _DETAILS_KEY and isinstance(value, bytes):
            try:
                return status_pb2.Status.FromString(value)
            except DecodeError:
                break
    return status_pb2.Status()


def _read_detail(error: LeoApiError, detail: any_pb2.Any) -> None:
    information = error_details_pb2.ErrorInfo()
    request = error_details_pb2.BadRequest()
    retry = error_details_pb2.RetryInfo()
    if detail.Unpack(information):
        error.reason, error.metadata = information.reason, dict(information.metadata)
    elif detail.Unpack(request):
        error.violations = tuple(Violation(v.field, v.description) for v in request.field_violations)
    elif detail.Unpack(retry):
        error.retry_after_seconds = retry.retry_delay.ToMilliseconds() / 1000
