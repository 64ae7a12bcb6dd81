"""Jobs of embedding: what they are about, and what becomes of them. Pure."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Final, NamedTuple
from uuid import UUID

from server.embeddings.embedder import Vector

_MOST_BEHAVIOUR: Final = 30
_LONGEST_TEXT: Final = 24_000


class Kind(StrEnum):
    """What has an embedding."""

    NEWS = "news"
    PROFILE = "profile"


class JobKey(NamedTuple):
    """A job that this process has claimed.

    Args:
        tenant_id: None for global news.
        attempt: of the claim, from 1; with the owner it tells whether the job is still held.
    """

    tenant_id: UUID | None
    entity_id: str
    attempt: int


@dataclass(frozen=True, slots=True)
class Source:
    """What a job reads.

    Args:
        text: what to embed; blank where there is nothing, or nothing any more.
        made_of: hash of what the stored vector was made of; None where there is none.
    """

    text: str
    made_of: str | None


@dataclass(frozen=True, slots=True)
class JobEnd:
    """What becomes of a job.

    Args:
        vector: what to store; None leaves what is stored, or removes it where `input_sha256` is None as well.
        input_sha256: what the vector was made of.
        error: why there is none; None where it is done.
        dead: whether nobody tries again.
        wait: before the next try.
    """

    job: JobKey
    vector: Vector | None = None
    input_sha256: str | None = None
    error: str | None = None
    dead: bool = False
    wait: timedelta = timedelta()


@dataclass(frozen=True, slots=True)
class Patience:
    """How often and when a text that failed is tried again, and how long an embedder that is away is left alone.

    Args:
        attempts: the last one that is made of a text.
        first_seconds: the wait after the first failure; each further one is twice as long.
    """

    attempts: int
    first_seconds: float = 10.0
    longest_seconds: float = 600.0

    def wait(self, failures: int) -> timedelta:
        """After so many failures in a row, from 1."""
        return timedelta(seconds=min(self.first_seconds * 2.0 ** min(failures - 1, 30), self.longest_seconds))

    def after_failure(self, job: JobKey, reason: str) -> JobEnd:
        """The job of a text that failed."""
        return JobEnd(job, error=reason, dead=job.attempt >= self.attempts, wait=self.wait(job.attempt))


def fingerprint(model: str, text: str) -> str:
    """Hash of a text and the model that embeds it: an equal one needs no new vector."""
    return hashlib.sha256(f"{len(model)}:{model}{text}".encode()).hexdigest()


def news_text(title: str, content: str) -> str:
    """What of a news item is embedded."""
    return f"{title}\n{content}".strip()[:_LONGEST_TEXT]


def profile_text(titles: Sequence[str], interests: Sequence[str], behaviour: Iterable[str]) -> str:
    """What of a profile is embedded: titles, interests, and what it did most of lately.

    Args:
        behaviour: an entry for each recent event, such as "view NEWS n1"; the newest first.
    """
    most = [entry for entry, _ in Counter(behaviour).most_common(_MOST_BEHAVIOUR)]
    parts = [", ".join(titles), ", ".join(interests), ", ".join(most)]
    return "\n".join(part for part in parts if part.strip())[:_LONGEST_TEXT]
