"""Where a message goes: the addresses of a profile that its channel accepts. Pure."""

from __future__ import annotations

from contextlib import suppress
from typing import Final

from server.dispatch.channels.channel import AddressKind, BadAddress, Channel
from server.dispatch.claims import ClaimedTask

_COLUMN: Final = {AddressKind.EMAIL: "primary_email", AddressKind.PHONE: "mobile_number"}


class NoDestination(Exception):
    """The profile has no address for the channel; `reason` is a code in capitals."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def destinations_of(task: ClaimedTask, channel: Channel) -> tuple[str, ...]:
    """The address that the channel accepts; all of them where it sends to all.

    Raises:
        NoDestination: there is none, or none is an address.
    """
    addresses = _addresses(task, channel)
    if not addresses:
        raise NoDestination("NO_ADDRESS")
    accepted = []
    for address in addresses if channel.multicast else addresses[:1]:
        with suppress(BadAddress):
            accepted.append(channel.accept_address(address))
    if not accepted:
        raise NoDestination("BAD_ADDRESS")
    return tuple(dict.fromkeys(accepted))


def _addresses(task: ClaimedTask, channel: Channel) -> list[str]:
    """What the profile names for the channel; else the column that the channel needs."""
    named = task.addresses.get(channel.name)
    listed = named if isinstance(named, list) else [named]
    for found in (listed, [task.profile.get(_COLUMN.get(channel.needs, ""))]):
        addresses = [a.strip() for a in found if isinstance(a, str) and a.strip()]
        if addresses:
            return addresses
    return []
