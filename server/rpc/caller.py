"""Who makes the running call. Set once per call by the call handler, read by servicers."""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass
from typing import Final
from uuid import UUID

NO_TENANT: Final = UUID(int=0)
"""The tenant of `admin` calls: the nil UUID, which no tenant has, so row-level security shows nothing."""

_current: ContextVar[Caller] = ContextVar("leo_caller")


@dataclass(frozen=True, slots=True)
class Caller:
    """A verified caller.

    Args:
        tenant_id: the tenant that its realm and client belong to; `NO_TENANT` in calls of scope `admin`.
        subject: the token's `sub`; identifies an account at the issuer, and is not logged.
        scopes: what the token allows.
    """

    tenant_id: UUID
    subject: str
    scopes: frozenset[str]


def current_caller() -> Caller:
    """The caller of the running RPC.

    Raises:
        LookupError: outside of an RPC, or in one that needs no token (health, reflection).
    """
    return _current.get()


def set_current_caller(caller: Caller) -> None:
    """Names the caller for the rest of this task; each RPC runs in a task of its own."""
    _current.set(caller)
