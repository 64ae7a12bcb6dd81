"""Named Lua scripts: `.lua` files beside the slice that calls them, described by their first comment."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

SERVER_DIRECTORY = Path(__file__).resolve().parents[1]


@dataclass(frozen=True, slots=True)
class Script:
    """One script.

    Args:
        name: the file's name without `.lua`.
        source: the Lua text.
        sha1: how EVALSHA names it.
    """

    name: str
    source: str
    sha1: str


class Scripts(Mapping[str, Script]):
    """The scripts of one folder of `server/`, by name. Redis learns a script at its first use.

    Raises:
        KeyError: the folder has no such script.
    """

    def __init__(self, scripts: Mapping[str, Script]) -> None:
        self._scripts = dict(scripts)

    @classmethod
    def load(cls, folder: str) -> Scripts:
        """Read `server/<folder>/*.lua`; a folder is read once per process.

        Raises:
            ValueError: a script doesn't begin with a comment that describes it.
        """
        return _load(SERVER_DIRECTORY / folder)

    def __getitem__(self, name: str) -> Script:
        return self._scripts[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._scripts)

    def __len__(self) -> int:
        return len(self._scripts)


@cache
def _load(directory: Path) -> Scripts:
    return Scripts({path.stem: read_script(path) for path in sorted(directory.glob("*.lua"))})


def read_script(path: Path) -> Script:
    """Read one file.

    Raises:
        ValueError: it doesn't begin with a comment.
    """
    source = path.read_text(encoding="utf-8")
    if not source.startswith("--"):
        raise ValueError(f"{path.name}: begin with a comment that describes the script")
    digest = hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest()
    return Script(name=path.stem, source=source, sha1=digest)
