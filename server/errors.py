"""Domain errors. They carry data, never a transport code: `server/rpc/status.py` maps each kind once.

`reason` is a name of the wire enum `leo.activation.v1.ErrorReason`. `metadata` travels to the caller, so it
holds identifiers and limits only: no addresses, no message text, no internals.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class FieldViolation:
    """One fault of the caller's input.

    Args:
        field: path of the field in the request message, e.g. `events[3].occurred_at`.
        description: what is wrong, and what would be right.
    """

    field: str
    description: str


class LeoError(Exception):
    """Base of every error that a caller may see."""

    def __init__(self, reason: str, message: str, metadata: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.metadata = dict(metadata or {})


class InvalidInput(LeoError):
    """The request can never succeed as it stands; every known fault is listed."""

    def __init__(self, violations: Sequence[FieldViolation]) -> None:
        summary = "; ".join(f"{v.field}: {v.description}" for v in violations[:3])
        super().__init__("INVALID_FIELD", summary or "the request is not valid")
        self.violations = tuple(violations)


class MalformedRequest(LeoError):
    """The bytes are not the message that the method takes."""

    def __init__(self, message: str) -> None:
        super().__init__("MALFORMED_REQUEST", message)


class NotFound(LeoError):
    """Nothing with this identifier is visible to the caller's tenant."""

    def __init__(self, resource: str, identifier: str) -> None:
        super().__init__(
            "RESOURCE_NOT_FOUND", f"no {resource} with this id", {"resource": resource, "id": identifier}
        )


class AlreadyExists(LeoError):
    """The identifier is taken by something else than what was sent."""


class PreconditionFailed(LeoError):
    """The request is well formed, but the state of the system does not allow it."""


class Unauthenticated(LeoError):
    """No token, or one that does not verify."""


class PermissionDenied(LeoError):
    """The token is good, but does not give this right."""


class Overloaded(LeoError):
    """A bound was reached; the same request may succeed after `retry_after_ms`."""

    def __init__(self, reason: str, message: str, *, retry_after_ms: int) -> None:
        super().__init__(reason, message)
        self.retry_after_ms = retry_after_ms


class TooLarge(LeoError):
    """The message is larger than the limit; a smaller one may succeed."""


class Unavailable(LeoError):
    """A dependency is away; nothing was done, and the same request may be sent again."""


class UnsafeRole(LeoError):
    """The database role could bypass row-level security; no server may start with it."""

    def __init__(self, role: str, why: str) -> None:
        super().__init__("UNSAFE_DATABASE_ROLE", f"role {role} {why}", {"role": role})
