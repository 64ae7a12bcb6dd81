"""What is read of an ArangoDB, and what becomes of each fault, over real HTTP."""

from __future__ import annotations

import tomllib
import traceback
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import pytest
from pydantic import ValidationError

from server.mapping.files import mapping_of
from server.mapping.mapping import ProfileMapping
from server.sync.sources.arango.http import DocumentReader
from server.sync.sources.arango.rows import NotARow, change_of, row_of
from server.sync.sources.arango.settings import ArangoSettings
from server.sync.sources.source import SourceAway, SourceRefused
from tests.sync.arango_documents import profile_document
from tests.sync.arango_reading import Clock, Reading, keys_of
from tests.sync.arango_server import COLLECTION, PASSWORD, ArangoServer, Fault

REPOSITORY = Path(__file__).parents[2]
UNDATED_SECONDS = 3_600


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def server(clock: Clock) -> AsyncIterator[ArangoServer]:
    server = ArangoServer(now=lambda: clock.present.timestamp())
    collection = server.collection()
    for number in range(10):
        collection.put(profile_document(number, clock.text(number - 100)))
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
async def connect(server: ArangoServer, clock: Clock) -> AsyncIterator[Callable[..., Reading]]:
    readings: list[Reading] = []

    def connected(**options: Any) -> Reading:
        readings.append(Reading(server, clock, **options))
        return readings[-1]

    yield connected
    for reading in readings:
        await reading.source.close()


def fetches(server: ArangoServer) -> list[str]:
    """The batches that were asked for by number, with the cursor's."""
    return [path.partition("/cursor/")[2] for method, path, _ in server.requests if method == "POST"][1:]


async def test_all_is_read_in_the_order_of_change_and_then_only_what_changed(
    server: ArangoServer, clock: Clock, connect: Callable[..., Reading]
) -> None:
    reading = connect()
    assert keys_of(await reading.run()) == [f"p{number}" for number in range(10)]
    assert reading.taken["p4"] == server.collection().documents["p4"]
    clock.go_on(60)
    await reading.run()
    server.collection().put(profile_document(3, clock.text()))
    assert keys_of(await reading.run()) == ["p3"]
    assert await reading.run() == await reading.run()
    assert not server.cursors


async def test_a_position_that_stood_still_long_enough_is_not_read_again(
    clock: Clock, connect: Callable[..., Reading]
) -> None:
    reading = connect(overlap_seconds=4)
    await reading.run()
    in_overlap = ["p5", "p6", "p7", "p8", "p9"]
    for seconds in (0, 4, 1):
        clock.go_on(seconds)
        assert keys_of(await reading.run()) == in_overlap
    assert await reading.run() == []


async def test_pages_tell_the_newest_time(clock: Clock, connect: Callable[..., Reading]) -> None:
    pages = [page async for page in connect().source.pages({}, page_size=5)]
    newest = [page.newest_at for page in pages if page.changes]
    assert newest == [clock.present.replace(hour=11, minute=58, second=second) for second in (24, 29)]


@pytest.mark.parametrize(
    ("form", "written"),
    [
        ("iso", lambda clock, ago: clock.text(-ago).replace("T", " ").replace("Z", "+00:00")),
        ("iso", lambda clock, ago: clock.text(7 * 3_600 - ago).replace("Z", "+07:00")),
        ("unix", lambda clock, ago: clock.present.timestamp() - ago),
        ("unix_ms", lambda clock, ago: round((clock.present.timestamp() - ago) * 1000)),
    ],
)
async def test_times_are_read_and_compared_as_they_are_written(
    server: ArangoServer,
    clock: Clock,
    connect: Callable[..., Reading],
    form: str,
    written: Callable[[Clock, float], Any],
) -> None:
    collection = server.collection("customers")
    collection.put({"_key": "old", "meta": {"changed": written(clock, 3_600)}})
    reading = connect(collection="customers", update_attribute="meta.changed", time=form)
    await reading.run()
    collection.put({"_key": "late", "meta": {"changed": written(clock, 3_620)}})
    collection.put({"_key": "too late", "meta": {"changed": written(clock, 3_640)}})
    assert keys_of(await reading.run()) == ["late", "old"]


async def test_where_no_attribute_tells_the_time_the_revision_does(
    server: ArangoServer, clock: Clock, connect: Callable[..., Reading]
) -> None:
    collection = server.collection("customers")
    for number in range(5):
        collection.put({"_key": f"c{number}"}, at=clock.present)
    reading = connect(collection="customers", update_attribute="_rev")
    assert len(await reading.run(page_size=2)) == 5
    clock.go_on(60)
    await reading.run()
    collection.put({"_key": "c1", "firstName": "Lan"}, at=clock.present)
    assert keys_of(await reading.run()) == ["c1"]


async def test_documents_without_a_usable_time_are_read_now_and_then(
    server: ArangoServer, clock: Clock, connect: Callable[..., Reading]
) -> None:
    odd: list[Any] = [None, 17, "yesterday", [], clock.text(120)]
    for place, at in enumerate(odd):
        server.collection().put({"_key": f"odd{place}", "updatedAt": at})
    reading = connect(undated_seconds=UNDATED_SECONDS)
    found = keys_of(await reading.run())
    assert sorted(found)[:5] == [f"odd{place}" for place in range(5)]
    clock.go_on(100)
    await reading.run()
    assert keys_of(await reading.run()) == ["odd4"]
    server.collection().put({"_key": "odd0", "firstName": "Lan"})
    clock.go_on(UNDATED_SECONDS)
    assert "odd0" in keys_of(await reading.run())
    assert reading.taken.keys() >= {f"odd{place}" for place in range(5)}


async def test_a_tombstone_is_a_deletion(server: ArangoServer, connect: Callable[..., Reading]) -> None:
    for number, status in enumerate([-4, "removed", True, False, 0]):
        server.collection().put({**server.collection().documents[f"p{number}"], "status": status})
    changes = await connect(deleted={"attribute": "status", "values": [-4, "removed", True]}).run()
    assert keys_of([change for change in changes if change.deleted]) == ["p0", "p1", "p2"]


async def test_what_is_left_out_is_not_even_sent(
    server: ArangoServer, connect: Callable[..., Reading]
) -> None:
    reading = connect(without=["password", "visitorId"])
    await reading.run()
    assert "password" in server.collection().documents["p1"]
    assert reading.taken["p1"].keys().isdisjoint({"password", "visitorId"})


async def test_vanished_documents_are_found_a_part_in_each_run(
    server: ArangoServer, clock: Clock, connect: Callable[..., Reading]
) -> None:
    names = sorted(server.collection().documents)

    async def known(after: str, limit: int) -> Sequence[str]:
        return [name for name in names if name > after][:limit]

    reading = connect(known=known, sweep={"every_seconds": 60, "names_per_run": 6})
    await reading.run()
    for name in ("p1", "p2", "p8"):
        server.collection().remove(name)
    clock.go_on(59)
    assert not [change for change in await reading.run() if change.deleted]
    clock.go_on(1)
    found = [[change for change in await reading.run() if change.deleted] for _ in range(3)]
    assert list(map(keys_of, found)) == [["p1", "p2"], ["p8"], []]
    assert reading.taken.keys() == server.collection().documents.keys()


async def test_an_empty_collection_does_not_mean_that_everybody_left(
    server: ArangoServer, clock: Clock, connect: Callable[..., Reading]
) -> None:
    async def known(after: str, limit: int) -> Sequence[str]:
        return [] if after else ["p1"]

    reading = connect(known=known, sweep={"every_seconds": 60})
    await reading.run()
    server.collection().documents.clear()
    clock.go_on(60)
    with pytest.raises(SourceRefused, match=r"nobody is taken for deleted\. Restore it"):
        await reading.run()


async def test_a_batch_whose_answer_was_lost_is_asked_for_again(
    server: ArangoServer, connect: Callable[..., Reading]
) -> None:
    server.faults.extend([Fault("lost", on="open"), Fault("lost", on="next"), Fault("refused", on="next")])
    changes = await connect().run()
    assert keys_of(changes) == [f"p{number}" for number in range(10)]
    cursor = fetches(server)[1].split("/")[0]
    assert fetches(server)[1:6] == [f"{cursor}/{batch}" for batch in (2, 2, 2, 3, 4)]
    assert ("DELETE", f"/_db/leo_cdp/_api/cursor/{cursor}") in [each[:2] for each in server.requests]


async def test_an_answer_that_never_comes_whole_is_given_up(
    server: ArangoServer, connect: Callable[..., Reading]
) -> None:
    server.faults.extend([Fault("lost", on="next")] * 3)
    reading = connect()
    with pytest.raises(SourceAway, match="the connection broke three times"):
        await reading.run()
    assert len(await reading.run()) == 10


@pytest.mark.parametrize("fault", [Fault("expired", on="next"), Fault("status", "next", 410, 1500)])
async def test_a_query_that_ended_early_begins_again_after_the_last_document(
    server: ArangoServer, connect: Callable[..., Reading], fault: Fault
) -> None:
    server.faults.append(fault)
    assert keys_of(await connect().run()) == [f"p{number}" for number in range(10)]


async def test_a_cursor_expires_while_a_page_is_written(
    server: ArangoServer, clock: Clock, connect: Callable[..., Reading]
) -> None:
    reading = connect(cursor_ttl_seconds=20)
    found: list[str] = []
    async for page in reading.source.pages({}, page_size=3):
        found += keys_of(list(page.changes))
        clock.go_on(21)
    assert found == [f"p{number}" for number in range(10)]


async def test_a_cursor_that_is_left_early_is_deleted(
    server: ArangoServer, connect: Callable[..., Reading]
) -> None:
    reading = connect()
    assert len(await reading.run(pages=2)) == 6
    assert not server.cursors


@pytest.mark.parametrize(
    ("fault", "error", "text"),
    [
        (Fault("status", status=503, number=503), SourceAway, "it answers 503"),
        (Fault("status", status=429, number=0), SourceAway, "it answers 429"),
        (Fault("status", status=409, number=1601), SourceAway, "the cursor is busy"),
        (Fault("status", "open", 410, 1500), SourceAway, r"an index on \[updatedAt, _key\]"),
        (Fault("status", status=500, number=32), SourceAway, "more memory than it may"),
        (Fault("status", status=400, number=1501), SourceRefused, "it can not read the query"),
        (Fault("status", status=400, number=1553), SourceRefused, "does not take collection or attribute"),
        (Fault("status", status=400, number=1234), SourceRefused, r"refuses the query \(400, error 1234\)"),
        (Fault("garbage"), SourceRefused, "no ArangoDB: correct url"),
        (Fault("moved"), SourceRefused, r"what answers there \(307\) is no ArangoDB"),
    ],
)
async def test_each_error_has_its_meaning(
    server: ArangoServer, connect: Callable[..., Reading], fault: Fault, error: type[Exception], text: str
) -> None:
    server.faults.append(fault)
    with pytest.raises(error, match=text):
        await connect().run()


@pytest.mark.parametrize(("on", "taken"), [("open", 0), ("next", 3)])
async def test_what_takes_too_long_is_asked_for_once(
    server: ArangoServer, connect: Callable[..., Reading], on: Literal["open", "next"], taken: int
) -> None:
    server.faults.append(Fault("silent", on=on))
    reading = connect(timeout_seconds=0.2)
    with pytest.raises(
        SourceAway, match=r"no answer within 0\.2 s; is there an index on \[updatedAt, _key\]"
    ):
        await reading.run()
    assert len(reading.taken) == taken
    assert sum(method == "POST" for method, *_ in server.requests) == (1 if on == "open" else 2)


async def test_nobody_there(server: ArangoServer, connect: Callable[..., Reading]) -> None:
    reading = connect()
    await server.stop()
    with pytest.raises(SourceAway, match="can not be reached"):
        await reading.run()


async def test_what_is_not_there_is_named(server: ArangoServer, connect: Callable[..., Reading]) -> None:
    with pytest.raises(SourceRefused, match="no collection 'nobody' in database 'leo_cdp'"):
        await connect(collection="nobody").run()
    server.databases.clear()
    with pytest.raises(SourceRefused, match="no database 'leo_cdp': correct database"):
        await connect().run()


async def test_a_server_whose_batches_have_no_numbers_is_too_old(
    server: ArangoServer, connect: Callable[..., Reading]
) -> None:
    server.is_old = True
    with pytest.raises(SourceRefused, match=r"ArangoDB 3\.11 or newer is needed"):
        await connect().run()


async def test_a_user_without_rights_is_told_which(
    server: ArangoServer, connect: Callable[..., Reading]
) -> None:
    server.forbidden.add(COLLECTION)
    with pytest.raises(SourceRefused, match="'reader' may not read collection 'cdp_profile'"):
        await connect().run()


async def test_a_password_is_in_no_error_and_no_log(
    server: ArangoServer, connect: Callable[..., Reading], caplog: pytest.LogCaptureFixture
) -> None:
    wrong, right = "hunter2", PASSWORD
    with pytest.raises(SourceRefused, match="does not accept 'reader' and the password") as refused:
        await connect(password=wrong).run()
    server.faults.extend([Fault("lost")] * 3)
    with pytest.raises(SourceAway) as away:
        await connect(password=right).run()
    told = [caplog.text, *("".join(traceback.format_exception(each.value)) for each in (refused, away))]
    assert not [text for text in told for password in (wrong, right) if password in text]


async def test_a_document_that_is_too_large_is_rejected_and_the_others_are_read(
    server: ArangoServer, clock: Clock, connect: Callable[..., Reading]
) -> None:
    server.collection().put({**profile_document(5, clock.text(-95)), "history": "x" * 20_000})
    changes = await connect(largest_answer_bytes=10_000).run(page_size=10)
    assert sorted(keys_of(changes)) == [f"p{number}" for number in range(10)]
    assert [(change.document, change.fault) for change in changes if change.fault] == [
        ({"_key": "p5"}, "TOO_LARGE")
    ]


async def test_large_whole_numbers_stay_exact(
    server: ArangoServer, clock: Clock, connect: Callable[..., Reading]
) -> None:
    server.collection().put({"_key": "big", "account": 2**63 - 1, "updatedAt": clock.text()})
    reading = connect()
    await reading.run()
    assert reading.taken["big"]["account"] == 2**63 - 1


def test_what_a_strict_reader_refuses_is_made_plain() -> None:
    odd = b'{"name": "Lan \\ud83d", "score": 1e999, "list": [-1e999, "\\ud83d\\ude00"]}'
    assert DocumentReader().loads(odd) == {"name": "Lan \ufffd", "score": None, "list": [None, "\U0001f600"]}


def test_rows_that_are_no_documents() -> None:
    assert change_of(row_of({"at": None, "key": "c1", "doc": [1]}), None).fault
    odd: list[Any] = [[], {"key": 1}, "c1", None]
    for item in odd:
        with pytest.raises(NotARow):
            row_of(item)


@pytest.mark.parametrize(
    ("wrong", "cure"),
    [
        ({"url": "arangodb.example.com:8529"}, "must be an address"),
        ({"url": "https://reader:secret@arangodb.example.com"}, "must not hold a password"),
        ({"url": "https://example.com/arangodb"}, "must end with the port"),
        ({"update_attribute": "a..b"}, "pattern"),
        ({"password": "secret"}, "not permitted"),
    ],
)
def test_settings_that_can_not_be_meant(wrong: dict[str, str], cure: str) -> None:
    good = {
        "url": "https://arangodb.example.com:8529",
        "database": "leo_cdp",
        "collection": "cdp_profile",
        "username": "reader",
        "update_attribute": "updatedAt",
    }
    assert ArangoSettings.model_validate(good).overlap_seconds == 30
    with pytest.raises(ValidationError, match=cure):
        ArangoSettings.model_validate({**good, **wrong})


def test_the_documented_source_is_a_good_one(clock: Clock) -> None:
    document = (
        (REPOSITORY / "docs/sync-arangodb.md").read_text().partition("```toml\n")[2].partition("```")[0]
    )
    described = tomllib.loads(document)
    settings = ArangoSettings.model_validate(described["connection"])
    assert settings.sweep is not None
    profile = ProfileMapping(mapping_of(described["mapping"])).read(profile_document(7, clock.text()))
    assert profile.fields == {
        "profile_id": "cdp-p7",
        "ext_id": "CRM-7",
        "primary_email": "customer7@example.com",
        "mobile_number": "+84910000007",
        "living_location": "Hà Nội",
        "job_titles": ["engineer"],
        "interests": ["funds", "travel"],
        "source_updated_at": clock.present,
    }
    assert profile.attributes["lifetime_value"] == 10.5
