"""Where sources may lead: the hosts and the directory that whoever runs LEO has opened for them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from uuid import UUID

HOSTS_SETTING = "LEO_SYNC_HOSTS"
DIRECTORY_SETTING = "LEO_SYNC_DIRECTORY"


class NotAllowed(Exception):
    """A place that a source may not lead to; the text names the setting that would allow it."""


class Reach:
    """What sources of all tenants may connect to. Tenants describe sources, and would else reach anything from here.

    Args:
        hosts: `host:port`, where `*` stands for any characters of a name or a port, e.g. `*.db.example.com:5432`.
        directory: files of a tenant lie below it, in a directory of its id; None: there are none.
    """

    def __init__(self, *, hosts: Sequence[str], directory: Path | None) -> None:
        self._hosts = [_matcher(pattern.lower()) for pattern in hosts]
        self._directory = directory

    @classmethod
    def of(cls, hosts: Sequence[str], directory: str | None) -> Reach:
        """As a configuration names it."""
        return cls(hosts=hosts, directory=None if directory is None else Path(directory))

    def check_host(self, host: str, port: int) -> None:
        """Raises:
        NotAllowed: no pattern has this host and port.
        """
        name = f"{host.lower().rstrip('.')}:{port}"
        if not any(matcher.fullmatch(name) for matcher in self._hosts):
            raise NotAllowed(
                f"{name} is not among the hosts that {HOSTS_SETTING} allows; ask whoever runs this server"
            )

    def files(self, tenant_id: UUID, pattern: str) -> dict[str, Path]:
        """The tenant's files that a pattern such as `crm/*.csv` names, by their names below its directory, in order.

        Raises:
            NotAllowed: there is no directory for files, or the pattern leads out of the tenant's.
        """
        self.check_pattern(pattern)
        assert self._directory is not None, "checked with the pattern"
        base = self._directory.resolve() / str(tenant_id)
        found = sorted(path for path in base.glob(pattern) if path.is_file())
        # What a link leads to may be anywhere: of such a path, the resolved one differs from the plain one.
        return {path.relative_to(base).as_posix(): path for path in found if path.resolve() == path}

    def check_pattern(self, pattern: str) -> None:
        """Raises:
        NotAllowed: there is no directory for files, or the pattern leads out of the tenant's.
        """
        if self._directory is None:
            raise NotAllowed(f"no files can be read: {DIRECTORY_SETTING} names no directory for them")
        parts = PurePosixPath(pattern).parts
        if not parts or PurePosixPath(pattern).is_absolute() or ".." in parts or "\0" in pattern:
            raise NotAllowed("must stay below the tenant's own directory: a relative path without ..")
        if "**" in pattern:
            raise NotAllowed("must name its directories: ** is not understood")


def _matcher(pattern: str) -> re.Pattern[str]:
    """Of an address in brackets the brackets are not compared."""
    host, _, port = pattern.rpartition(":")
    name = re.escape(host.removeprefix("[").removesuffix("]")).replace(r"\*", "[a-z0-9._-]*")
    return re.compile(name + ":" + re.escape(port).replace(r"\*", "[0-9]+"))
