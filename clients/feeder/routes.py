"""Which server process owns which symbol, as far as the servers have told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Final

_METADATA_PREFIX: Final = "shard."


def symbol_shard(symbol: str) -> int:
    """The shard of a symbol, 0 to 63: the low six bits of the first byte of its SHA-256."""
    return sha256(symbol.encode()).digest()[0] & 63


class Routes:
    """Where to send the ticks of a symbol: to the owner that a server named, else to a known address.

    Args:
        addresses: host:port of one server at least.
    """

    def __init__(self, addresses: Sequence[str]) -> None:
        self._addresses = list(addresses)
        self._owners: dict[int, str] = {}

    def address_of(self, symbol: str) -> str:
        """Where to try."""
        return self._owners.get(symbol_shard(symbol), self._addresses[0])

    def learn(self, metadata: Mapping[str, str]) -> None:
        """Take over what a server said with SHARD_OWNED_ELSEWHERE."""
        for name, address in metadata.items():
            shard = name.removeprefix(_METADATA_PREFIX)
            if name.startswith(_METADATA_PREFIX) and shard.isdigit():
                self._owners[int(shard)] = address

    def forget(self, address: str) -> None:
        """An address does not answer: ask another one who owns its shards."""
        self._owners = {shard: owner for shard, owner in self._owners.items() if owner != address}
        if self._addresses[0] == address:
            self._addresses.append(self._addresses.pop(0))
