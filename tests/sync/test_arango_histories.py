"""Whatever happens to a collection and on the way to it: what the source gives, applied in order, equals it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any, Literal, NamedTuple, TypeAlias

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from server.sync.sources.source import Change, SourceAway
from tests.sync.arango_documents import Collection, Json, revision_time
from tests.sync.arango_reading import Clock, Reading
from tests.sync.arango_server import ArangoServer, Fault

OVERLAP_SECONDS = 10
ROUND_SECONDS = 100
_NAMES = count()


class Write(NamedTuple):
    """A document is written, with the time that its writer took so long before; a clock may be ahead."""

    key: str
    seconds_before: int
    kind: Literal["put", "tombstone", "undated", "vanish"] = "put"


class Wait(NamedTuple):
    """Time passes."""

    seconds: int


class Sync(NamedTuple):
    """A run, with faults on the way, documents that are written between its pages, and perhaps a kill."""

    page_size: int
    faults: tuple[Fault, ...]
    meanwhile: tuple[Write, ...]
    killed_after: int


Step: TypeAlias = Write | Wait | Sync
_WRITES = st.builds(
    Write,
    st.sampled_from(["a", "B", "b", "C", "d", "E", "f10", "f9", "G"]),
    st.integers(-4, OVERLAP_SECONDS - 4),
    st.sampled_from(["put", "put", "put", "tombstone", "undated", "vanish"]),
)
_FAULTS = st.builds(
    Fault, st.sampled_from(["lost", "lost", "refused", "expired"]), st.sampled_from(["open", "next"])
)
_STEPS = st.one_of(
    _WRITES,
    _WRITES,
    _WRITES,
    st.builds(Wait, st.sampled_from([1, 3, OVERLAP_SECONDS, 2 * OVERLAP_SECONDS, ROUND_SECONDS])),
    st.builds(
        Sync,
        st.integers(1, 4),
        st.lists(_FAULTS, max_size=4).map(tuple),
        st.lists(_WRITES, max_size=2).map(tuple),
        st.integers(1, 6),
    ),
)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def server(clock: Clock) -> AsyncIterator[ArangoServer]:
    server = ArangoServer(now=lambda: clock.present.timestamp())
    await server.start()
    yield server
    await server.stop()


class History:
    """A collection, and a source that follows it.

    Attributes:
        given: the revision of each document that was given last.
    """

    def __init__(self, server: ArangoServer, clock: Clock, *, form: str) -> None:
        name = f"c{next(_NAMES)}"
        self.collection: Collection = server.collection(name)
        self.given: dict[str, str] = {}
        self._server, self._clock, self._form = server, clock, form
        options = {"update_attribute": "_rev"} if form == "_rev" else {"time": form}
        self.reading = Reading(
            server,
            clock,
            known=self._known,
            collection=name,
            overlap_seconds=OVERLAP_SECONDS,
            undated_seconds=ROUND_SECONDS,
            sweep={"every_seconds": ROUND_SECONDS, "names_per_run": 3},
            deleted={"attribute": "deleted"},
            **options,
        )

    async def play(self, steps: Iterable[Step]) -> None:
        """Let it all happen."""
        for step in steps:
            if isinstance(step, Write):
                self._write(step)
            elif isinstance(step, Wait):
                self._clock.go_on(step.seconds)
            else:
                await self._run(step)

    async def settle(self) -> None:
        """Nothing happens any more, and there is time for everything."""
        self._server.faults.clear()
        for _ in range(6):
            self._clock.go_on(ROUND_SECONDS)
            await self._run(Sync(4, (), (), 1_000))

    def expected(self) -> dict[str, Json]:
        """The documents that are there."""
        return {key: each for key, each in self.collection.documents.items() if not each.get("deleted")}

    def _write(self, write: Write) -> None:
        if write.kind == "vanish":
            self.collection.remove(write.key)
            return
        at = self._clock.present - timedelta(seconds=write.seconds_before)
        document = {"_key": write.key, "updatedAt": self._written(at), "deleted": write.kind == "tombstone"}
        if write.kind == "undated":
            document["updatedAt"] = "not yet"
        self.collection.put(document, at=at)

    def _written(self, at: datetime) -> Any:
        if self._form == "unix_ms":
            return round(at.timestamp() * 1000)
        return self._clock.text((at - self._clock.present).total_seconds())

    async def _run(self, sync: Sync) -> None:
        """As a worker does: a page is applied and its cursor kept, and what fails goes on from there next time."""
        self._server.faults.clear()
        self._server.faults.extend(sync.faults)
        begin, seen, left = dict(self.reading.cursor), set[str](), sync.killed_after
        meanwhile = list(sync.meanwhile)
        try:
            async with aclosing(self.reading.source.pages(begin, page_size=sync.page_size)) as pages:
                async for page in pages:
                    self.reading.take(page)
                    for change in page.changes:
                        self._check_once(change, begin, seen)
                    if meanwhile:
                        self._write(meanwhile.pop())
                    left -= 1
                    if not left:
                        break
        except SourceAway:
            assert len(sync.faults) >= 3
        assert not [each for each in self._server.cursors.values() if each.batch > 1]

    def _check_once(self, change: Change, begin: Json, seen: set[str]) -> None:
        """Nothing comes twice: in one run at all, and in a later one but for what is in the overlap."""
        revision = change.document.get("_rev")
        if revision is None or change.document["updatedAt"] == "not yet":
            return
        assert revision not in seen
        seen.add(revision)
        if self.given.get(change.document["_key"]) == revision and "at" in begin:
            assert not begin["settled"]
            assert self._moment(change.document) >= _moment(begin["at"]) - timedelta(seconds=OVERLAP_SECONDS)
        self.given[change.document["_key"]] = revision

    def _moment(self, document: Mapping[str, Any]) -> datetime:
        return _moment(revision_time(document["_rev"]) if self._form == "_rev" else document["updatedAt"])

    async def _known(self, after: str, limit: int) -> Sequence[str]:
        return sorted(key for key in self.reading.taken if key > after)[:limit]


def _moment(stamp: Any) -> datetime:
    return (
        datetime.fromisoformat(stamp) if isinstance(stamp, str) else datetime.fromtimestamp(stamp / 1000, UTC)
    )


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(_STEPS, max_size=25), form=st.sampled_from(["iso", "unix_ms", "_rev"]))
async def test_what_is_given_equals_the_collection(
    server: ArangoServer, clock: Clock, steps: list[Step], form: str
) -> None:
    history = History(server, clock, form=form)
    try:
        # An empty collection is taken for a mistake.
        await history.play([Write("stays", 0), *steps])
        await history.settle()
        assert history.reading.taken == history.expected()
    finally:
        await history.reading.source.close()
