"""From rows to what is sent: patches in numbered parts, and rows that are refused before they are sent."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import orjson
from leo.activation.v1 import profile_service_pb2 as wire

from server.errors import FieldViolation
from server.mapping.mapping import BadRow, MappedConsent, MappedProfile, ProfileMapping
from server.mapping.rows import Row
from server.profiles.columns import LISTS
from server.wire import to_timestamp

_JSON: Final = ("portfolio_snapshot",)
_MOST_OCTETS: Final = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Reject:
    """A row that was refused, and why."""

    row: Row
    faults: Sequence[FieldViolation]


@dataclass(slots=True)
class Part:
    """What is sent in one message.

    Args:
        sequence: its number, from 1.
        rows: the rows of the patches, in their order.
        rejects: rows among them that were refused before.
        octets: length of the patches as messages.
        last, done: those of the last row that it covers.
    """

    sequence: int
    rows: list[Row] = field(default_factory=list)
    patches: list[wire.ProfilePatch] = field(default_factory=list)
    rejects: list[Reject] = field(default_factory=list)
    octets: int = 0
    last: int = 0
    done: int = 0

    def add(self, row: Row, patch: wire.ProfilePatch | Reject) -> None:
        """Take in a row."""
        if isinstance(patch, Reject):
            self.rejects.append(patch)
        else:
            self.rows.append(row)
            self.patches.append(patch)
            self.octets += patch.ByteSize()
        self.last, self.done = row.number, row.done

    def request(self, region: str) -> wire.ImportProfilesRequest:
        """The message."""
        return wire.ImportProfilesRequest(
            sequence=self.sequence, profiles=self.patches, default_region=region
        )


def parts_of(rows: Iterable[Row], mapping: ProfileMapping, *, first: int, size: int) -> Iterator[Part]:
    """Parts of at most `size` rows and some 4 MB, numbered from `first`."""
    part = Part(first)
    for row in rows:
        part.add(row, patch_of(row, mapping))
        if len(part.rows) + len(part.rejects) >= size or part.octets >= _MOST_OCTETS:
            yield part
            part = Part(part.sequence + 1)
    if part.last:
        yield part


def patch_of(row: Row, mapping: ProfileMapping) -> wire.ProfilePatch | Reject:
    """What a row says, or why it can not be read."""
    if row.document is None:
        return Reject(row, [FieldViolation("", row.fault)])
    try:
        return _to_message(mapping.read(row.document))
    except BadRow as error:
        return Reject(row, error.violations)
    except (ValueError, TypeError) as error:
        return Reject(row, [FieldViolation("", f"can not be written as a message: {error}")])


def _to_message(profile: MappedProfile) -> wire.ProfilePatch:
    values: dict[str, Any] = {name: _value(name, value) for name, value in profile.fields.items()}
    if profile.attributes:
        values["raw_attributes"] = orjson.dumps(profile.attributes, default=str)
    return wire.ProfilePatch(
        **values,
        channel_addresses={
            channel: wire.ChannelAddresses(addresses=texts)
            for channel, texts in profile.channel_addresses.items()
        },
        consents=[_consent(consent) for consent in profile.consents],
    )


def _value(name: str, value: Any) -> Any:
    if name in LISTS:
        return wire.TextList(values=value)
    if name in _JSON:
        return orjson.dumps(value, default=str)
    return to_timestamp(value) if name == "source_updated_at" else value


def _consent(consent: MappedConsent) -> wire.Consent:
    return wire.Consent(
        channel=consent.channel,
        status=wire.CONSENT_STATUS_GRANTED if consent.granted else wire.CONSENT_STATUS_WITHDRAWN,
        legal_basis=consent.legal_basis,
        source=consent.source,
        stated_at=to_timestamp(consent.stated_at),
    )
