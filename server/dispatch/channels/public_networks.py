"""Keeps requests to URLs that tenants and customers named out of our own networks."""

from __future__ import annotations

import socket
from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit

from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import DefaultResolver

_LOCAL_NAMES: Final = ("localhost", ".localhost", ".internal", ".local")


def is_private(url: str) -> bool:
    """Whether the URL itself says that it leads to no public host; names are looked at when they are resolved."""
    host = urlsplit(url).hostname or ""
    try:
        return not ip_address(host).is_global
    except ValueError:
        return host.endswith(_LOCAL_NAMES)


class PublicResolver(AbstractResolver):
    """Resolves names as usual, and refuses those that have an address in a private network."""

    def __init__(self) -> None:
        self._resolver = DefaultResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """The addresses of a name.

        Raises:
            OSError: there is none, or one of them is private.
        """
        found = await self._resolver.resolve(host, port, family)
        if not all(ip_address(address["host"].partition("%")[0]).is_global for address in found):
            raise OSError("an address in a private network")
        return found

    async def close(self) -> None:
        """Give back what resolving took."""
        await self._resolver.close()
