"""What a channel is to the rest of dispatch: it takes one message and says what became of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol, TypeAlias


class ErrorClass(StrEnum):
    """Why a provider did not take a message, as far as it matters for what happens next."""

    RECIPIENT = "recipient"
    """The recipient cannot be reached by this channel, now or later."""
    CONTENT = "content"
    """The provider refuses this message, whoever gets it."""
    AUTHENTICATION = "authentication"
    """Our account or its configuration is refused; later messages may pass once that is repaired."""
    QUOTA = "quota"
    """Too much for now."""
    TRANSIENT = "transient"
    """The provider did not take it for the moment; it certainly was not sent."""
    AMBIGUOUS = "ambiguous"
    """It may have been sent. Never tried again."""


RETRIED = frozenset({ErrorClass.AUTHENTICATION, ErrorClass.QUOTA, ErrorClass.TRANSIENT})


class AddressKind(StrEnum):
    """What a channel needs of a profile: where its address is, unless `channel_addresses` names one."""

    EMAIL = "email"
    PHONE = "phone"
    OWN = "own"
    """Only `channel_addresses` has it."""


@dataclass(frozen=True, slots=True)
class Message:
    """One message, rendered.

    Args:
        delivery_key: the delivery's id; providers' own ids are derived from it.
        destination: an address that the channel accepted.
        subject: one line without control characters; empty where the channel has none.
        content_type: `text/plain` or `text/html`.
    """

    delivery_key: str
    destination: str
    subject: str
    body: str
    content_type: str


@dataclass(frozen=True, slots=True)
class Accepted:
    """The provider took the message.

    Args:
        provider_message_id: the provider's id of it, by which receipts refer to it.
        response: what it answered, as it is recorded.
    """

    provider_message_id: str
    response: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Refused:
    """The provider did not take the message, or nobody knows.

    Args:
        reason: a code in capitals, for people.
        response: what it answered, as it is recorded.
    """

    error: ErrorClass
    reason: str
    response: Mapping[str, Any] = field(default_factory=dict)


SendResult: TypeAlias = Accepted | Refused


class BadAddress(Exception):
    """The channel can never deliver to this address."""


class Channel(Protocol):
    """One way to reach people. An instance serves one process.

    Attributes:
        name: as in `server/channels.py`.
        needs: what it takes of a profile.
        slots: how many messages may be in its hands at once.
    """

    name: str
    needs: AddressKind
    slots: int

    def accept_address(self, address: str) -> str:
        """The address in the provider's form.

        Raises:
            BadAddress: it is none.
        """
        ...

    async def ready(self) -> bool:
        """Whether a message could be handed over now; nothing is claimed while it could not."""
        ...

    async def send(self, message: Message, *, wait_seconds: float) -> SendResult:
        """Hand over one message. Never raises for what the provider does.

        Args:
            wait_seconds: how long it may wait for its turn; then it is refused as transient, unsent.
        """
        ...

    async def close(self) -> None:
        """Give back connections; messages in hand are finished before."""
        ...
