"""What listening on an address may meet."""

from __future__ import annotations


class PortNotFree(Exception):
    """The address is used by somebody else, or is not one of this machine."""
