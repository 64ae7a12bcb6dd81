"""Looks at the machine's processes, and runs `leo` as one."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from server.embedded.account import SubprocessAccount
from server.embedded.state import checkout_directory

_STOP_SECONDS = 60


def processes_of(directory: Path) -> list[str]:
    """Command lines that name the directory, but for this interpreter's own."""
    listing = subprocess.run(["ps", "-eww", "-o", "args="], capture_output=True, text=True, check=True).stdout
    return [line for line in listing.splitlines() if f"{directory}/" in line and "pytest" not in line]


@contextmanager
def leo_up(
    directory: Path, *, variables: Mapping[str, str] | None = None, account: SubprocessAccount | None = None
) -> Iterator[subprocess.Popen[str]]:
    """`leo up`, once it says that everything runs."""
    process = subprocess.Popen(
        [sys.executable, "-m", "server.cli.main", "up"],
        cwd=checkout_directory(),
        env=_environment(directory) | dict(variables or {}),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        **(account or {}),
    )
    try:
        assert process.stdout is not None
        output = []
        for line in process.stdout:
            output.append(line)
            if "The stack is up" in line:
                break
        else:
            raise AssertionError("".join(output))
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
        process.wait(_STOP_SECONDS)


def _environment(directory: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("LEO_")}
    return {**kept, "LEO_STATE_DIRECTORY": str(directory)}
