"""Named SQL. Every statement lives in `db/queries/<name>.sql`, under a name and with a description."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

# The same place in a checkout and in a wheel: `db` is a data directory beside the package `server`.
QUERIES_DIRECTORY = Path(__file__).resolve().parents[2] / "db" / "queries"

_NAME_LINE = re.compile(r"^--[ \t]*name[ \t]*:(?P<name>.*)$", re.MULTILINE)
_NAME = re.compile(r"[a-z][a-z0-9_]*")


class InvalidQueryFile(ValueError):
    """A query file breaks a rule: a statement without name, description or text, or a name used twice."""


@dataclass(frozen=True, slots=True)
class Query:
    """One named statement.

    Args:
        name: how code asks for it.
        description: the comment lines below the name.
        sql: the statement, with `$1`-style parameters and without the comment.
    """

    name: str
    description: str
    sql: str


class Queries(Mapping[str, str]):
    """The statements of one file, by name. `queries["put_campaign"]` is SQL text; no round trips.

    Raises:
        KeyError: the file has no statement of that name.
    """

    def __init__(self, queries: Mapping[str, Query]) -> None:
        self._queries = dict(queries)

    @classmethod
    def load(cls, name: str) -> Queries:
        """Read `db/queries/<name>.sql`; a file is read once per process.

        Raises:
            InvalidQueryFile: a statement is nameless, undescribed, empty or defined twice.
            FileNotFoundError: there is no such file.
        """
        return _load(QUERIES_DIRECTORY / f"{name}.sql")

    @classmethod
    def parse(cls, text: str, source: str) -> Queries:
        """Split the text of a query file.

        Args:
            source: the file's name, for the error.

        Raises:
            InvalidQueryFile: as in `load`.
        """
        queries: dict[str, Query] = {}
        for query in _blocks(text, source):
            if query.name in queries:
                raise InvalidQueryFile(f"{source}: the name {query.name} is used twice")
            queries[query.name] = query
        return cls(queries)

    def __getitem__(self, name: str) -> str:
        return self._queries[name].sql

    def __iter__(self) -> Iterator[str]:
        return iter(self._queries)

    def __len__(self) -> int:
        return len(self._queries)

    def described(self) -> Iterator[Query]:
        """Every statement with its description, in the order of the file."""
        return iter(self._queries.values())


@cache
def _load(path: Path) -> Queries:
    return Queries.parse(path.read_text(encoding="utf-8"), path.name)


def _blocks(text: str, source: str) -> Iterator[Query]:
    heads = list(_NAME_LINE.finditer(text))
    _refuse_nameless(text[: heads[0].start()] if heads else text, source)
    for position, head in enumerate(heads):
        end = heads[position + 1].start() if position + 1 < len(heads) else len(text)
        yield _block(head["name"].strip(), text[head.end() : end], source)


def _block(name: str, body: str, source: str) -> Query:
    if not _NAME.fullmatch(name):
        raise InvalidQueryFile(f"{source}: {name!r} is no valid name for a statement")
    lines = body.strip().splitlines()
    comments = 0
    while comments < len(lines) and lines[comments].startswith("--"):
        comments += 1
    description = " ".join(line.lstrip("- ").strip() for line in lines[:comments]).strip()
    sql = "\n".join(lines[comments:]).strip().removesuffix(";").rstrip()
    if not description:
        raise InvalidQueryFile(f"{source}: {name} has no comment that describes it")
    if not sql:
        raise InvalidQueryFile(f"{source}: {name} has no statement")
    return Query(name=name, description=description, sql=sql)


def _refuse_nameless(preamble: str, source: str) -> None:
    """Before the first name only comments may stand, so that no statement is lost in silence."""
    for line in preamble.splitlines():
        if line.strip() and not line.lstrip().startswith("--"):
            raise InvalidQueryFile(f"{source}: a statement stands before the first '-- name:' line")
