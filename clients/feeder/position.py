"""How far a feed has come, in a file that survives the feeder."""

from __future__ import annotations

import json
from pathlib import Path


class Position:
    """The last sequence that was acknowledged.

    Args:
        path: the file; None keeps it in memory only.
        feed: which feed it is about; the position of another feed counts as the beginning.
    """

    def __init__(self, path: Path | None, feed: str) -> None:
        self._path = path
        self._feed = feed
        self.acknowledged = self._read()

    def advance(self, sequence: int) -> None:
        """Remember that everything up to here is acknowledged; the file is replaced as a whole."""
        self.acknowledged = sequence
        if self._path is None:
            return
        document = {"feed": self._feed, "acknowledged_sequence": sequence}
        draft = self._path.with_name(f"{self._path.name}.new")
        draft.write_text(json.dumps(document))
        draft.replace(self._path)

    def _read(self) -> int:
        try:
            document = json.loads(self._path.read_text()) if self._path is not None else {}
            return int(document["acknowledged_sequence"]) if document.get("feed") == self._feed else 0
        except (OSError, ValueError, KeyError, AttributeError, TypeError):
            # What was committed and is sent again is recognised by the server.
            return 0
