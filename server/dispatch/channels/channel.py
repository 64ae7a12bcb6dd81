"""What a channel is to the rest of dispatch: it takes one message and says what became of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final, Protocol, TypeAlias, runtime_checkable


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
    """It may have been sent. Tried again only where a resend is safe."""


RETRIED: Final = frozenset({ErrorClass.AUTHENTICATION, ErrorClass.QUOTA, ErrorClass.TRANSIENT})


class AddressKind(StrEnum):
    """What a channel needs of a profile: where its address is, unless `channel_addresses` names one."""

    EMAIL = "email"
    PHONE = "phone"
    OWN = "own"
    """Only `channel_addresses` has it."""


@dataclass(frozen=True, slots=True)
class RateLimit:
    """How fast the provider takes messages of one account.

    Args:
        per_second: sustained rate.
        burst: how many may come at once, at least 1.
    """

    per_second: float
    burst: int


@dataclass(frozen=True, slots=True)
class CredentialField:
    """One value of an account at the provider.

    Args:
        secret: never shown again once it is stored.
        comment: what it is and where to find it, for people.
        pattern: a regular expression that the whole value matches; None accepts any text.
    """

    name: str
    secret: bool
    required: bool
    comment: str
    pattern: str | None = None


@dataclass(frozen=True, slots=True, repr=False)
class Credential:
    """An account at a provider, decrypted. Its repr shows nothing.

    Args:
        values: by field name; those of a refresh included.
        version: grows with each change.
    """

    values: Mapping[str, str]
    version: int = 0

    def __repr__(self) -> str:
        return f"Credential(version={self.version})"

    def get(self, name: str, default: str = "") -> str:
        """One value."""
        return self.values.get(name) or default


NO_CREDENTIAL: Final = Credential({})
"""For channels that the process itself is configured for."""


class MetadataKind(StrEnum):
    """The shape of one field of a template's metadata."""

    TEXT = "text"
    TEXTS = "texts"
    """A list of texts, in order."""
    MAPPING = "mapping"
    """Names to texts."""


@dataclass(frozen=True, slots=True)
class MetadataField:
    """One field that a channel reads from a template's metadata. Its texts are templates like the body.

    Args:
        choices: the only values that are accepted; empty accepts any.
        comment: for people.
    """

    name: str
    comment: str
    kind: MetadataKind = MetadataKind.TEXT
    required: bool = False
    choices: tuple[str, ...] = ()


PLAIN_TEXT: Final = "text/plain"
HTML: Final = "text/html"
MARKDOWN: Final = "text/markdown"


@dataclass(frozen=True, slots=True)
class Message:
    """One message, rendered.

    Args:
        delivery_key: the delivery's id; providers' own ids are derived from it.
        destination: an address that the channel accepted.
        subject: one line without control characters; the title of a notification; empty where there is none.
        content_type: of the body: `text/plain`, `text/html` or `text/markdown`.
        data: the rendered fields of the template's metadata that the channel declares.
        more_destinations: further addresses of the same profile, for channels that are `multicast`.
    """

    delivery_key: str
    destination: str
    subject: str
    body: str
    content_type: str = PLAIN_TEXT
    data: Mapping[str, Any] = field(default_factory=dict)
    more_destinations: tuple[str, ...] = ()

    @property
    def destinations(self) -> tuple[str, ...]:
        """Every address."""
        return (self.destination, *self.more_destinations)

    @property
    def reference(self) -> str:
        """The delivery's id where a provider may not take all of it: half of the hash tells deliveries apart."""
        return self.delivery_key[:32]

    @property
    def text(self) -> str:
        """Title and body as one text, for channels that have no title."""
        return "\n\n".join(part for part in (self.subject, self.body) if part)


@dataclass(frozen=True, slots=True)
class Accepted:
    """The provider took the message; of a multicast, for one address at least.

    Args:
        provider_message_id: the provider's id of it, by which receipts refer to it; empty if it gave none.
        response: what it answered, as it is recorded.
        dead_addresses: those that exist no more.
    """

    provider_message_id: str
    response: Mapping[str, Any] = field(default_factory=dict)
    dead_addresses: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Refused:
    """The provider did not take the message, or nobody knows.

    Args:
        reason: a code in capitals, for people.
        response: what it answered, as it is recorded.
        retry_after_seconds: the provider's wish; None when it named none.
        dead_addresses: those that exist no more.
    """

    error: ErrorClass
    reason: str
    response: Mapping[str, Any] = field(default_factory=dict)
    retry_after_seconds: float | None = None
    dead_addresses: tuple[str, ...] = ()


SendResult: TypeAlias = Accepted | Refused


class BadAddress(Exception):
    """The channel can never deliver to this address."""


class Channel(Protocol):
    """One way to reach people, by one provider. An instance serves one process and every tenant.

    Attributes:
        name: as in `server/channels.py`.
        provider: tells apart the providers of one channel.
        account: the channel under whose name a tenant's account is kept: its own, unless two channels share an
            account, whose single-use tokens must not be renewed by both.
        needs: what it takes of a profile.
        slots: how many messages may be in its hands at once.
        multicast: whether one message goes to all addresses of a profile.
        resend_safe: whether a message that may have been sent can be sent again without the recipient
            getting two.
        receipts: whether the provider reports later what became of a message.
        limits: how fast it takes messages of one account.
        credential: what an account consists of.
        metadata: what it reads from a template's metadata, apart from `content_type`.
        content_types: what bodies may be.
    """

    name: str
    provider: str
    account: str
    needs: AddressKind
    slots: int
    multicast: bool
    resend_safe: bool
    receipts: bool
    limits: RateLimit
    credential: tuple[CredentialField, ...]
    metadata: tuple[MetadataField, ...]
    content_types: tuple[str, ...]

    def accept_address(self, address: str) -> str:
        """The address in the provider's form.

        Raises:
            BadAddress: it is none.
        """
        ...

    async def ready(self) -> bool:
        """Whether a message could be handed over now; nothing is claimed while it could not."""
        ...

    async def send(self, message: Message, credential: Credential, *, wait_seconds: float) -> SendResult:
        """Hand over one message. Never raises for what the provider does.

        Args:
            credential: the tenant's account.
            wait_seconds: how long it may wait for its turn; then it is refused as transient, unsent.
        """
        ...

    async def close(self) -> None:
        """Give back connections; messages in hand are finished before."""
        ...


@dataclass(frozen=True, slots=True, repr=False)
class Refreshed:
    """New values of a credential; its repr shows nothing.

    Args:
        values: replace those of the same names, all of them or none.
        expires_in_seconds: how long the new token lives.
    """

    values: Mapping[str, str]
    expires_in_seconds: float

    def __repr__(self) -> str:
        return f"Refreshed(expires_in_seconds={self.expires_in_seconds})"


@runtime_checkable
class Refreshes(Protocol):
    """A channel whose credential holds a token that has to be renewed."""

    async def refresh(self, credential: Credential) -> Refreshed | Refused:
        """Ask the provider for a new token. What an earlier refresh token was used for can not be repeated:
        store the result before anything else. Never raises for what the provider does.

        Returns:
            Refused as AUTHENTICATION when the account has to be authorised again by a person.
        """
        ...
