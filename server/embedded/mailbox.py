"""A mailbox on disk: one .eml file for each message, to be opened by any mail reader."""

from __future__ import annotations

import email
import email.policy
import itertools
import os
import time
from collections.abc import Sequence
from email.message import EmailMessage
from pathlib import Path


class Mailbox:
    """A directory of received messages, in order of arrival.

    Each file starts with what the envelope said: `Return-Path` and one `Delivered-To` for each recipient.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._sequence = itertools.count()
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)

    def add(self, *, sender: str, recipients: Sequence[str], content: bytes) -> Path:
        """Keep one message; it appears whole or not at all. Returns its file."""
        envelope = [f"Return-Path: <{sender}>", *(f"Delivered-To: {address}" for address in recipients)]
        name = f"{time.time_ns()}-{os.getpid()}-{next(self._sequence):09d}"
        partial = self.directory / f".{name}.partial"
        partial.write_bytes("".join(f"{line}\r\n" for line in envelope).encode() + content)
        path = self.directory / f"{name}.eml"
        partial.rename(path)
        return path

    def files(self) -> list[Path]:
        """The message files, oldest first."""
        return sorted(self.directory.glob("*.eml"))

    def messages(self) -> list[EmailMessage]:
        """The messages, oldest first."""
        return [
            email.message_from_bytes(path.read_bytes(), policy=email.policy.default) for path in self.files()
        ]
