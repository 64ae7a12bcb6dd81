"""The state directory: one per user and checkout, locked by the process that runs its stack."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import secrets
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import IO

from server.embedded.account import Account
from server.embedded.errors import StackAlreadyRunning, StackError

# Every account may enter it, and it outlives a reboot; whose a folder in it is gets checked before use.
_SHARED_DIRECTORY = "/var/tmp"  # noqa: S108
_SECRET_NAMES = ("superuser_password", "redis_password", "broker_password", "credential_key")


def checkout_directory() -> Path:
    """The folder of this checkout: the parent of `server/`."""
    return Path(__file__).resolve().parents[2]


def default_state_directory(environ: Mapping[str, str]) -> Path:
    """Where this user's state of this checkout lives when nothing else was said.

    Root's goes below /var/tmp, since the account that runs PostgreSQL cannot enter root's home.
    """
    name = hashlib.sha256(str(checkout_directory()).encode()).hexdigest()[:12]
    home = environ.get("XDG_STATE_HOME") or (f"{environ['HOME']}/.local/state" if environ.get("HOME") else "")
    if os.geteuid() == 0 or not home or not _is_usable(Path(home)):
        return Path(_SHARED_DIRECTORY, f"leo-{os.geteuid()}", name)
    return Path(home) / "leo-activation" / name


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner may read; readers see the old text or the new one, never half."""
    partial = path.with_name(path.name + ".partial")
    partial.unlink(missing_ok=True)
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    partial.replace(path)


class StateDirectory:
    """Files of one stack. Opening it creates it; `lock` claims it for this process."""

    def __init__(self, path: Path, account: Account) -> None:
        self.path = path.absolute()
        self._account = account
        self._lock: IO[str] | None = None

    def open(self) -> None:
        """Create the directory where needed.

        Raises:
            StackError: it belongs to another user, or the servers' account cannot enter it.
        """
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.path.mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise StackError(f"cannot create {self.path} ({error}): set LEO_STATE_DIRECTORY") from error
        self._check_owner()
        os.chmod(self.path, 0o711 if self._account.switches else 0o700)
        self._account.check_reaches(self.path)

    def lock(self) -> None:
        """Claim the directory until `unlock` or the end of this process.

        Raises:
            StackAlreadyRunning: another process holds it.
        """
        file = open(self.path / "lock", "w")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            file.close()
            raise StackAlreadyRunning(self.path) from error
        self._lock = file

    def unlock(self) -> None:
        """Give the directory up; harmless when it is not held."""
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def server_directory(self, name: str) -> Path:
        """A directory that the servers' account owns and nobody else reads."""
        path = self.path / name
        path.mkdir(mode=0o700, exist_ok=True)
        self._account.own(path)
        return path

    def write_for_servers(self, name: str, text: str) -> Path:
        """Write a file that the servers' account alone may read.

        It lies in the state directory itself, where that account cannot put a link in its place.
        """
        path = self.path / name
        write_private(path, text)
        self._account.own(path)
        return path

    def secrets(self) -> dict[str, str]:
        """The random passwords of this stack, made at the first call."""
        path = self.path / "secrets.json"
        known: dict[str, str] = json.loads(path.read_text()) if path.exists() else {}
        missing = [name for name in _SECRET_NAMES if name not in known]
        if missing:
            known |= {name: secrets.token_urlsafe(32) for name in missing}
            write_private(path, json.dumps(known, indent=2))
        return known

    def _check_owner(self) -> None:
        """Passwords and a database go in here: whoever owns the folder, or the one above, could swap them."""
        status = self.path.lstat()
        if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid():
            raise StackError(f"{self.path} belongs to another user: set LEO_STATE_DIRECTORY")
        if self.path.parent.stat().st_uid not in {0, os.geteuid()}:
            raise StackError(f"{self.path.parent} belongs to another user: set LEO_STATE_DIRECTORY")


def _is_usable(home: Path) -> bool:
    while not home.exists():
        home = home.parent
    return os.access(home, os.W_OK)
