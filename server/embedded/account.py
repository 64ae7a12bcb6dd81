"""The operating-system account that runs the database servers.

PostgreSQL refuses to run as root, so root hands its servers to an unprivileged account of the machine.
"""

from __future__ import annotations

import os
import pwd
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

from server.embedded.errors import StackError

_UNPRIVILEGED_ACCOUNTS = ("postgres", "nobody", "daemon")


class SubprocessAccount(TypedDict, total=False):
    """The part of `subprocess.Popen`'s arguments that names an account."""

    user: int
    group: int
    extra_groups: list[int]


@dataclass(frozen=True, slots=True)
class Account:
    """User and group ids; `switches` tells that they are not those of this process."""

    user_id: int
    group_id: int
    switches: bool

    def own(self, path: Path) -> None:
        """Give the file or directory to this account."""
        if self.switches:
            os.chown(path, self.user_id, self.group_id)

    def for_subprocess(self) -> SubprocessAccount:
        """Arguments of `subprocess` that run a command as this account."""
        if not self.switches:
            return {}
        return {"user": self.user_id, "group": self.group_id, "extra_groups": []}

    def check_reaches(self, directory: Path) -> None:
        """Refuse a directory that the account cannot enter.

        Raises:
            StackError: a folder on the way is closed to other accounts.
        """
        if not self.switches:
            return
        for folder in (directory, *directory.parents):
            if not _may_enter(folder, self):
                raise StackError(
                    f"the servers run as user id {self.user_id}, which may not enter {folder}:"
                    " set LEO_STATE_DIRECTORY to a directory that it can reach"
                )


def server_account() -> Account:
    """The account of this process, or an unprivileged one when this process is root.

    Raises:
        StackError: the process is root and the machine has no unprivileged account.
    """
    if os.geteuid() != 0:
        return Account(os.geteuid(), os.getegid(), switches=False)
    for name in _UNPRIVILEGED_ACCOUNTS:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(entry.pw_uid, entry.pw_gid, switches=True)
    raise StackError("PostgreSQL does not run as root, and this machine has no unprivileged account:"
                     " run as an ordinary user, or set LEO_DATABASE_URL")  # fmt: skip


def _may_enter(folder: Path, account: Account) -> bool:
    status = folder.stat()
    if status.st_uid == account.user_id:
        return bool(status.st_mode & 0o100)
    if status.st_gid == account.group_id:
        return bool(status.st_mode & 0o010)
    return bool(status.st_mode & 0o001)
