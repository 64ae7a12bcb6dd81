"""How pages come to an address."""

from __future__ import annotations

from aiohttp import web

from server.platform.listening import PortNotFree


async def listen_at(runner: web.AppRunner, listen: str, *, share_port: bool) -> str:
    """Serve at an address; the address, with the port that was picked for port 0.

    Args:
        listen: host:port.
        share_port: whether other processes listen on the same port.

    Raises:
        PortNotFree: the address is used by somebody else.
    """
    host, _, port = listen.rpartition(":")
    site = web.TCPSite(runner, host.strip("[]"), int(port), reuse_port=share_port)
    try:
        await site.start()
    except OSError as error:
        raise PortNotFree(f"can not listen on {listen}") from error
    return f"{host}:{runner.addresses[0][1]}"
