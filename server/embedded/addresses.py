"""Where a running stack is reached, kept in its state directory for the commands that come later."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from server.embedded.database_setup import DatabaseUrls
from server.embedded.errors import StackNotRunning
from server.embedded.state import write_private
from server.embedded.token_issuer import AUDIENCE, ISSUER

_FILE = "addresses.json"


@dataclass(frozen=True, slots=True)
class StackAddresses:
    """URLs and files of a running stack; they hold passwords."""

    database: DatabaseUrls
    redis_url: str
    broker_url: str
    smtp_url: str
    mailbox_directory: str
    jwks_path: str
    credential_key: str
    issuer: str = ISSUER
    audience: str = AUDIENCE

    def server_environment(self) -> dict[str, str]:
        """The settings of `leo serve`."""
        return {
            **self._common_environment(),
            "LEO_DATABASE_URL": self.database.app_url,
            "LEO_ADMIN_DATABASE_URL": self.database.admin_url,
        }

    def worker_environment(self) -> dict[str, str]:
        """The settings of `leo worker`."""
        return {**self._common_environment(), "LEO_DATABASE_URL": self.database.worker_url}

    def _common_environment(self) -> dict[str, str]:
        return {
            "LEO_REDIS_URL": self.redis_url,
            "LEO_BROKER_URL": self.broker_url,
            "LEO_SMTP_URL": self.smtp_url,
            "LEO_AUTH_ISSUER": self.issuer,
            "LEO_AUTH_AUDIENCE": self.audience,
            "LEO_AUTH_JWKS": self.jwks_path,
            "LEO_CREDENTIAL_KEYS": f"embedded:{self.credential_key}",
        }


def publish_addresses(directory: Path, addresses: StackAddresses) -> None:
    """Let other processes of this user find the stack."""
    write_private(directory / _FILE, json.dumps(asdict(addresses), indent=2))


def withdraw_addresses(directory: Path) -> None:
    """The stack is no more; harmless when nothing was published."""
    (directory / _FILE).unlink(missing_ok=True)


def find_addresses(directory: Path) -> StackAddresses:
    """The addresses of the stack that runs in this state directory.

    Raises:
        StackNotRunning: none does.
    """
    try:
        content = json.loads((directory / _FILE).read_text())
    except FileNotFoundError:
        raise StackNotRunning(directory) from None
    return StackAddresses(**{**content, "database": DatabaseUrls(**content["database"])})
