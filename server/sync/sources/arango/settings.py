"""What the connection of a source says of an ArangoDB, read from the JSON of its row."""

from __future__ import annotations

from typing import Annotated, Final, Literal, TypeAlias
from urllib.parse import SplitResult, urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from server.sync.sources.source import LONGEST_ANSWER_SECONDS

TimeFormat: TypeAlias = Literal["iso", "unix", "unix_ms"]
REVISION: Final = "_rev"


def _plain_address(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or not _has_good_port(parts):
        raise ValueError('must be an address such as "https://arangodb.example.com:8529"')
    if "@" in parts.netloc:
        raise ValueError("must not hold a password: give username, and the password as the secret")
    if parts.path.strip("/") or parts.query or parts.fragment:
        raise ValueError("must end with the port: ArangoDB is not found below a path")
    return f"{parts.scheme}://{parts.netloc}"


def _has_good_port(parts: SplitResult) -> bool:
    try:
        return parts.port != 0
    except ValueError:
        return False


Address: TypeAlias = Annotated[str, AfterValidator(_plain_address)]
Name: TypeAlias = Annotated[str, Field(min_length=1, max_length=256, pattern=r"^[^/\x00-\x1f]+$")]
Path: TypeAlias = Annotated[str, Field(min_length=1, max_length=500, pattern=r"^[^.\x00]+(\.[^.\x00]+)*$")]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Tombstone(_Part):
    """What a document says that stands for one that was deleted.

    Args:
        attribute: path with dots.
        values: any of these means that it was.
    """

    attribute: Path
    values: tuple[bool | int | str, ...] = Field((True,), min_length=1, max_length=20)


class Sweep(_Part):
    """How customers are found whose document vanished without a tombstone: by its `_key`.

    Args:
        every_seconds: from the end of one sweep to the beginning of the next.
        names_per_run: how many are looked up in one run; a sweep goes on over as many runs as it takes.
    """

    every_seconds: int = Field(86_400, ge=1)
    names_per_run: int = Field(20_000, ge=1, le=10_000_000)


class ArangoSettings(_Part):
    """One collection, and how it is read. The password is no part of it.

    Args:
        update_attribute: path of the time at which a document last changed, or `_rev`, which no index serves.
        time: how that attribute is written: as text, or as a number of seconds or milliseconds since 1970.
        overlap_seconds: by how much a document may become visible later than others that are as new.
        without: members of a document that are not even fetched.
        undated_seconds: how often documents are read that have no usable time.
        cursor_ttl_seconds: how long the server keeps a cursor that nobody asks.
        timeout_seconds: longest wait for one answer; well below the lease of a run.
        max_runtime_seconds: after so long the server ends a query, also one that nobody waits for any more.
        largest_answer_bytes: of what is larger, fewer documents are fetched at a time.
    """

    url: Address
    database: Name
    collection: Name
    username: str = Field(min_length=1, max_length=256, pattern="^[^:]+$")
    update_attribute: Path
    time: TimeFormat = "iso"
    overlap_seconds: int = Field(30, ge=1, le=86_400)
    deleted: Tombstone | None = None
    without: tuple[str, ...] = Field((), max_length=100)
    undated_seconds: int = Field(3_600, ge=1)
    sweep: Sweep | None = None
    cursor_ttl_seconds: int = Field(120, ge=1, le=86_400)
    timeout_seconds: float = Field(30, ge=0.05, le=LONGEST_ANSWER_SECONDS)
    max_runtime_seconds: float = Field(120, ge=1, le=86_400)
    largest_answer_bytes: int = Field(32 * 1024 * 1024, ge=1_024, le=1024 * 1024 * 1024)

    @property
    def by_revision(self) -> bool:
        """Whether the time is that of the revision: then every document has one."""
        return self.update_attribute == REVISION

    @property
    def time_form(self) -> TimeFormat:
        """How times are written, also those of revisions."""
        return "iso" if self.by_revision else self.time


def path_of(attribute: str) -> str | list[str]:
    """An attribute as AQL takes it for `doc.@name`: a name, or the names on the way."""
    parts = attribute.split(".")
    return parts[0] if len(parts) == 1 else parts
