"""What can go wrong before any service runs. Each message names the cure."""

from __future__ import annotations

from pathlib import Path


class StackError(Exception):
    """The embedded stack cannot start or was not found; the message says what to do."""


class StackAlreadyRunning(StackError):
    """Another process keeps the stack of this state directory running."""

    def __init__(self, directory: Path) -> None:
        super().__init__(
            f"a stack is already running in {directory}: use it, stop it, or set LEO_STATE_DIRECTORY"
            " to another directory"
        )


class StackNotRunning(StackError):
    """No stack is running in the state directory."""

    def __init__(self, directory: Path) -> None:
        super().__init__(
            f"no stack is running in {directory}: start one with `leo up`, or point LEO_DATABASE_URL,"
            " LEO_REDIS_URL and LEO_BROKER_URL at servers of your own"
        )


class NoEmbeddedServer(StackError):
    """The wheel has no build for this machine, or its build does not run here."""

    def __init__(self, what: str, variable: str, detail: str) -> None:
        super().__init__(
            f"no embedded {what} on this machine ({detail}): set {variable} to the URL of a {what} of yours"
        )


def log_tail(path: Path, lines: int = 20) -> str:
    """The last lines of a log file, or an empty string when there is none."""
    try:
        return "\n".join(path.read_text(errors="replace").splitlines()[-lines:])
    except OSError:
        return ""
