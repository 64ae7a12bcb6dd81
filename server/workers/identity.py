"""What this process calls itself in leases and claims."""

from __future__ import annotations

import os
import socket


def worker_name() -> str:
    """The machine and the process: a lease names who holds it."""
    return f"{socket.gethostname()}:{os.getpid()}"
