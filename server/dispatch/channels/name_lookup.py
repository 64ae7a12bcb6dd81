"""Addresses of hosts. Requests to hosts that tenants and customers name are kept out of our own networks."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence
from ipaddress import ip_address
from typing import Any, Final, TypeAlias

_LOCAL_NAMES: Final = ("localhost", ".localhost", ".internal", ".local")
_FRESH_SECONDS: Final = 10.0
_MOST_HOSTS: Final = 1_000

AddressInfo: TypeAlias = tuple[int, int, int, str, tuple[Any, ...]]
"""As `getaddrinfo` answers."""


def is_private(host: str) -> bool:
    """Whether the host itself says that it is no public one; names are looked at when they are resolved."""
    try:
        return not ip_address(host).is_global
    except ValueError:
        return host.endswith(_LOCAL_NAMES)


class NameLookup:
    """Resolves hosts; what was found is used for ten seconds.

    Args:
        private_networks: whether a host may have an address in a private network.
    """

    def __init__(self, *, private_networks: bool) -> None:
        self._private_networks = private_networks
        self._found: dict[tuple[str, int], tuple[float, asyncio.Task[Sequence[AddressInfo]]]] = {}

    async def addresses(self, host: str, port: int) -> Sequence[AddressInfo]:
        """The addresses of a host, best first. Who asks for the same host at the same time, asks once.

        Raises:
            OSError: there is none, or one of them is private and must not be.
        """
        known = self._found.get((host, port))
        now = asyncio.get_running_loop().time()
        if known is None or now >= known[0]:
            if len(self._found) >= _MOST_HOSTS:
                self._found.clear()
            asked = asyncio.create_task(_ask(host, port))
            # Also where everybody who asked has given up meanwhile, somebody hears of a failure.
            asked.add_done_callback(_hear)
            known = self._found[host, port] = (now + _FRESH_SECONDS, asked)
        try:
            found = await asyncio.shield(known[1])
        except OSError:
            self._found.pop((host, port), None)
            raise
        if not self._private_networks and not all(map(_is_public, found)):
            raise OSError("an address in a private network")
        return found


async def _ask(host: str, port: int) -> Sequence[AddressInfo]:
    loop = asyncio.get_running_loop()
    return await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG)


def _hear(asked: asyncio.Task[Sequence[AddressInfo]]) -> None:
    if not asked.cancelled():
        asked.exception()


def _is_public(address: AddressInfo) -> bool:
    return ip_address(address[4][0].partition("%")[0]).is_global
