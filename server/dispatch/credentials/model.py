"""Credentials of channels as they are given, stored and shown. Pure data and rules."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final, Protocol
from uuid import UUID

from server.dispatch.channels.channel import CredentialField
from server.platform.ids import key_id
from server.platform.sealing import Sealed
from server.validation import Violations

REFRESH_EVERY: Final = timedelta(hours=12)
"""A token is renewed at the latest so long after the last time."""

_LONGEST_VALUE: Final = 16 * 1024
_MOST_VALUES: Final = 32
_FASTEST: Final = 100_000.0
_EARLY_PART: Final = 0.1
_EARLIEST: Final = timedelta(minutes=5)
_FIRST_PAUSE: Final = timedelta(minutes=1)
_LONGEST_PAUSE: Final = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a credential lies.

    Args:
        version: of the credential, so that an older ciphertext does not pass for a newer one.
    """

    tenant_id: UUID
    channel: str
    provider: str
    version: int

    def associated_data(self) -> bytes:
        """A hash of all parts; no two places share it."""
        parts = (self.channel, self.provider, str(self.version))
        return key_id("channel_credential", self.tenant_id, *parts).encode()


class Declares(Protocol):
    """What a kind of channel says about its accounts; classes of channels do."""

    name: str
    provider: str
    account: str
    credential: tuple[CredentialField, ...]


@dataclass(frozen=True, slots=True)
class Accounts:
    """What accounts consist of, by channel and provider.

    Left out are providers without accounts, and channels that use the account of another channel.
    """

    fields: Mapping[tuple[str, str], tuple[CredentialField, ...]]

    @classmethod
    def of(cls, channels: Iterable[type[Declares] | Declares]) -> Accounts:
        """The accounts of these channels."""
        own = (each for each in channels if each.credential and each.account == each.name)
        return cls({(each.name, each.provider): each.credential for each in own})

    def providers(self, channel: str) -> list[str]:
        """The providers of a channel that take credentials."""
        return [provider for name, provider in self.fields if name == channel]


@dataclass(frozen=True, slots=True, repr=False)
class NewCredential:
    """An account as its owner gives it. Its repr shows no value.

    Args:
        values: by the names of the provider's fields.
        messages_per_second: the account's own limit; None for what the provider grants everybody.
    """

    channel: str
    provider: str
    values: Mapping[str, str]
    messages_per_second: float | None = None

    def __repr__(self) -> str:
        return f"NewCredential({self.channel}, {self.provider})"

    def check(self, accounts: Accounts) -> None:
        """Raises:
        InvalidInput: with every fault, none of which repeats a value.
        """
        violations = Violations()
        violations.channel("channel", self.channel)
        violations.raise_if_any()
        violations.one_of("provider", self.provider, accounts.providers(self.channel) or ["(none yet)"])
        violations.raise_if_any()
        if self.messages_per_second is not None:
            violations.between("messages_per_second", self.messages_per_second, 0.001, _FASTEST)
        fields = accounts.fields[self.channel, self.provider]
        _check_values(violations.under("values"), self.values, fields)
        violations.raise_if_any()


@dataclass(frozen=True, slots=True)
class LastError:
    """Why a token could not be renewed the last time.

    Args:
        reason: a code in capitals.
        failures: how often in a row.
        lost: whether the provider refused the account itself, so that a person has to authorise it again.
    """

    reason: str
    at: datetime
    failures: int
    lost: bool = False

    @property
    def again_at(self) -> datetime:
        """When it may be tried again: after a minute, two, four… and after an hour where the account is lost."""
        if self.lost:
            return self.at + _LONGEST_PAUSE
        return self.at + min(_FIRST_PAUSE * (1 << min(self.failures - 1, 10)), _LONGEST_PAUSE)


@dataclass(frozen=True, slots=True)
class StoredCredential:
    """A credential as it lies in the tenant's metadata: nothing of it is readable without a key.

    Args:
        version: 1 for the first one; grows with each change of the values.
        put_at: when its owner gave it.
        expires_at: when the token ends; None where it does not, or is not known.
        refreshed_at: when the token was renewed; None before the first time.
    """

    channel: str
    provider: str
    version: int
    sealed: Sealed
    messages_per_second: float | None
    put_at: datetime
    expires_at: datetime | None = None
    refreshed_at: datetime | None = None
    last_error: LastError | None = None

    def due(self, now: datetime) -> bool:
        """Whether a token that can be renewed should be, without anybody having complained."""
        if self.last_error is not None and now < self.last_error.again_at:
            return False
        if self.refreshed_at is None:
            # Nobody knows how old it is; and its owner learns soon whether it works.
            return True
        return now >= min(self.refreshed_at + REFRESH_EVERY, self._early(self.refreshed_at))

    def refused_so_soon(self, now: datetime) -> bool:
        """Whether the token is so new, or its renewal failed so lately, that renewing it would not help."""
        if self.last_error is not None and now < self.last_error.again_at:
            return True
        return self.refreshed_at is not None and now < self.refreshed_at + _FIRST_PAUSE

    def failed(self, reason: str, now: datetime, *, lost: bool) -> StoredCredential:
        """The same, with one more failure."""
        failures = 1 if self.last_error is None else self.last_error.failures + 1
        return replace(self, last_error=LastError(reason, now, failures, lost))

    def _early(self, since: datetime) -> datetime:
        """Some time before the token ends: a tenth of its life, at least five minutes."""
        if self.expires_at is None:
            return since + REFRESH_EVERY
        return self.expires_at - max((self.expires_at - since) * _EARLY_PART, _EARLIEST)


def _check_values(
    violations: Violations, values: Mapping[str, str], fields: Sequence[CredentialField]
) -> None:
    if len(values) > _MOST_VALUES:
        violations.add("", f"has {len(values)} values; at most {_MOST_VALUES} are accepted")
        return
    known = {field.name: field for field in fields}
    for name in sorted(values.keys() - known.keys()):
        # A name is shown only when it looks like one: somebody may have sent a secret in its place.
        shown = name if name.isidentifier() and len(name) <= 40 else ""
        violations.add(shown, f"is not a field of this provider; those are {', '.join(known)}")
    for name, field in known.items():
        _check_value(violations, field, values.get(name, ""))


def _check_value(violations: Violations, field: CredentialField, value: str) -> None:
    if not value:
        if field.required:
            violations.add(field.name, f"is required: {field.comment}")
    elif len(value) > _LONGEST_VALUE:
        violations.add(field.name, f"has {len(value)} characters; at most {_LONGEST_VALUE} are accepted")
    elif field.pattern is not None and not re.fullmatch(field.pattern, value, re.DOTALL):
        violations.add(field.name, f"has not the form of this field: {field.comment}")
