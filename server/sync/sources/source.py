"""What a source is to the synchronisation: pages of what changed after a cursor, or one of two ways to fail."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Protocol

LONGEST_ANSWER_SECONDS: Final = 60.0
"""That a source may be given for one answer: half of what a lease lasts unless workers are told otherwise. Only a page
renews the lease, so a source that may be silent for longer could be taken up by two runs in turn, and get nowhere."""

_NEITHER: Final = frozenset({"", "0", "f", "false", "n", "no"})


@dataclass(frozen=True, slots=True)
class Change:
    """One document of a source, as it is now.

    Args:
        document: its members by name; of a deletion at least those that name it.
        deleted: that the source has deleted it.
        fault: why it could not be read, where it could not: it is rejected with this reason.
    """

    document: Mapping[str, Any]
    deleted: bool = False
    fault: str = ""


@dataclass(frozen=True, slots=True)
class Page:
    """What is written, with its cursor, in one transaction.

    Args:
        changes: at most as many as a page was asked to have; may be empty, where only the cursor moves on.
        cursor: where to go on once the page is written; JSON, and good for as long as the source lives.
        newest_at: the newest time at which the source changed one of them; None where it does not say.
    """

    changes: tuple[Change, ...]
    cursor: Mapping[str, Any]
    newest_at: datetime | None = None


class Source(Protocol):
    """A place that customers' data comes from, connected as one row of `data_sources` says."""

    def pages(self, cursor: Mapping[str, Any], *, page_size: int) -> AsyncIterator[Page]:
        """Everything that changed after a cursor, in a stable order; ends once it has caught up.

        Args:
            cursor: of the last page that was written; empty at the first run, which reads everything.
            page_size: most changes of one page.

        Raises:
            SourceAway: it can not be reached, or does not answer in time.
            SourceRefused: it answers that it will not.
        """
        ...

    async def close(self) -> None:
        """Let go of connections and files; may be called at any time, and more than once."""
        ...


class KnownNames(Protocol):
    """What a source can look for that vanished without a word: names that customers have from it."""

    async def __call__(self, after: str, limit: int) -> Sequence[str]:
        """The next names, in an order of one's own, without the prefix that the mapping gives them.

        Args:
            after: the last of the names before; empty at the beginning.
            limit: most names; fewer say that these are the last.
        """
        ...


def says_deleted(value: object) -> bool:
    """What a column of deletions says: a moment, or anything but nothing, false and zero, is a deletion."""
    return value is not None and str(value).strip().lower() not in _NEITHER


class SourceAway(Exception):
    """A source that can not be reached or is too slow: it is tried again soon, and is degraded until then.

    The text is shown to operators: no passwords, and nothing that a document holds.
    """


class SourceRefused(Exception):
    """A source that refuses, e.g. a wrong password or a column that is not there: it is failing until that is cured.

    The text is shown to operators and names the cure: no passwords, and nothing that a document holds.
    """
