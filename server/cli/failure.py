"""The error of a command that could not do its work."""

from __future__ import annotations


class CommandFailed(Exception):
    """Printed without a traceback; the text says what to do."""
