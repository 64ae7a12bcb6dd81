"""What the user may decide about the stack: where it lives, and which servers are real ones elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from server.embedded.state import default_state_directory

_SHARED_BUFFERS_MB = 512


@dataclass(frozen=True, slots=True)
class StackOptions:
    """Each URL that is set replaces one embedded server.

    Args:
        database_url: a superuser's URL; its database is created, bootstrapped and migrated where needed.
        shared_buffers_mb: page cache of the embedded PostgreSQL, in MiB.
    """

    state_directory: Path
    database_url: str | None = None
    redis_url: str | None = None
    broker_url: str | None = None
    smtp_url: str | None = None
    shared_buffers_mb: int = _SHARED_BUFFERS_MB

    @classmethod
    def from_variables(cls, environ: Mapping[str, str]) -> StackOptions:
        """Read `LEO_STATE_DIRECTORY` and the `LEO_*_URL` variables; empty ones count as unset."""
        directory = environ.get("LEO_STATE_DIRECTORY")
        return cls(
            state_directory=Path(directory) if directory else default_state_directory(environ),
            database_url=environ.get("LEO_DATABASE_URL") or None,
            redis_url=environ.get("LEO_REDIS_URL") or None,
            broker_url=environ.get("LEO_BROKER_URL") or None,
            smtp_url=environ.get("LEO_SMTP_URL") or None,
        )
