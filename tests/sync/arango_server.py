"""An ArangoDB that is not one: its HTTP cursor API over a real socket, documents in memory, faults as a test wants.

It knows nothing of the source but its four queries, which it tells apart by their bind variables; it orders values as
ArangoDB does (by type, text by a collation that is not that of code points), gives a query the state of the moment at
which it began, hands out cursors that expire, and keeps the last batch of those with allowRetry.

`python -m tests.sync.arango_server --documents 5000` runs it as a process: it prints one line of JSON with its
address, and takes documents and faults at /_test.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import time
from base64 import b64decode
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any, Final, Literal, TypeAlias

import orjson
from aiohttp import web

Json: TypeAlias = dict[str, Any]
USERNAME: Final = "reader"
PASSWORD: Final = "correct horse"
DATABASE: Final = "leo_cdp"
COLLECTION: Final = "cdp_profile"

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_VARIABLE: Final = re.compile(r"(?<![\w@])@(@?\w+)")


@dataclass(frozen=True, slots=True)
class Fault:
    """What becomes of one request.

    Args:
        kind: `status` answers with the error; `lost` does what is asked and cuts the answer; `refused` cuts the
            connection before anything is done; `silent` does it, and answers only once the client has left;
            `expired` lets go of all cursors first; `garbage` answers something that is no JSON.
        on: which request: one that opens a cursor, that reads on, or any.
    """

    kind: Literal["status", "lost", "refused", "silent", "expired", "garbage"]
    on: Literal["open", "next", "any"] = "any"
    status: int = 503
    number: int = 503


class ArangoError(Exception):
    """An error answer, with ArangoDB's number."""

    def __init__(self, status: int, number: int, message: str) -> None:
        super().__init__(message)
        self.status, self.number, self.message = status, number, message


@dataclass(slots=True)
class Cursor:
    """A result that is read batch by batch."""

    batches: list[list[Any]]
    may_retry: bool
    ttl_seconds: float
    expires_at: float
    batch: int = 1
    is_busy: bool = False


@dataclass(slots=True)
class Collection:
    """Documents by key. A document is never changed in place, so that a query can keep what it began with."""

    name: str
    documents: dict[str, Json] = field(default_factory=dict)

    def put(self, document: Mapping[str, Any], *, at: datetime | None = None) -> Json:
        """Write a document with a new revision; `at` stands for the server's own time."""
        key = str(document.get("_key") or next(_KEYS))
        revision = _new_revision(time.time() if at is None else at.timestamp())
        stored = {**document, "_key": key, "_id": f"{self.name}/{key}", "_rev": revision}
        self.documents[key] = stored
        return stored

    def remove(self, key: str) -> None:
        """Delete a document without a trace."""
        self.documents.pop(key, None)


_KEYS: Final = count(1_000_000)
_REVISIONS: Final = count()


def _new_revision(seconds: float) -> str:
    """Milliseconds and a counter, spelled so that their order as text is not that of time."""
    return f"{next(_REVISIONS):06x}{round(seconds * 1000):012x}"


def revision_time(revision: str) -> str:
    """What DECODE_REV gives as date."""
    moment = _EPOCH + timedelta(milliseconds=int(revision[-12:], 16))
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"


def ordered(value: Any) -> tuple[Any, ...]:
    """A value's place in ArangoDB's order: null, booleans, numbers, texts, lists, objects; texts by a collation."""
    if value is None:
        return (0,)
    if isinstance(value, bool):
        return (1, value)
    if isinstance(value, (int, float)):
        return (2, value)
    if isinstance(value, str):
        return (3, value.casefold(), value.swapcase())
    if isinstance(value, list):
        return (4, *map(ordered, value))
    return (5, *(part for name in sorted(value) for part in (ordered(name), ordered(value[name]))))


def value_at(document: Any, path: str | list[str]) -> Any:
    """What `doc.@path` gives."""
    for part in [path] if isinstance(path, str) else path:
        document = document.get(part) if isinstance(document, dict) else None
    return document


class ArangoServer:
    """One server.

    Args:
        now: tells seconds, by which cursors expire.

    Attributes:
        databases: collections by database and name.
        faults: what becomes of the next requests, in order; one that does not fit a request waits for one that it fits.
        cursors: those that are open.
        requests: method, path and body of each request so far.
        forbidden: collections that the user may not read.
    """

    def __init__(self, *, password: str = PASSWORD, now: Callable[[], float] = time.monotonic) -> None:
        self.databases: dict[str, dict[str, Collection]] = {}
        self.faults: deque[Fault] = deque()
        self.cursors: dict[str, Cursor] = {}
        self.requests: list[tuple[str, str, Json]] = []
        self.forbidden: set[str] = set()
        self.url = ""
        self._password = password
        self._now = now
        self._ids = count(26_011_191)
        self._runner: web.AppRunner | None = None

    def collection(self, name: str = COLLECTION, *, database: str = DATABASE) -> Collection:
        """A collection; it is made where it is not there."""
        return self.databases.setdefault(database, {}).setdefault(name, Collection(name))

    async def start(self, port: int = 0) -> None:
        """Listen on loopback."""
        app = web.Application(client_max_size=1 << 28)
        app.router.add_post("/_test/{what}", self._control)
        app.router.add_route("*", "/_db/{database}/_api/cursor{rest:.*}", self._answer)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1, handler_cancellation=True)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", port)
        await site.start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"

    async def stop(self) -> None:
        """Refuse connections from now on."""
        if self._runner is not None:
            await self._runner.cleanup()

    def expire(self) -> None:
        """Let go of all cursors, as after their time, or a restart."""
        self.cursors.clear()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        body = orjson.loads(await request.read() or b"{}")
        self.requests.append((request.method, request.path, body))
        parts = [part for part in request.match_info["rest"].split("/") if part]
        fault = self._fault(request.method, bool(parts))
        if fault is not None and fault.kind == "expired":
            self.expire()
        if fault is not None and fault.kind == "refused":
            return await _cut(request, b"")
        try:
            if fault is not None and fault.kind == "status":
                raise ArangoError(fault.status, fault.number, "as the test wants")
            self._check_user(request)
            status, answer = self._do(request, parts, body)
        except ArangoError as error:
            status = error.status
            answer = {"errorNum": error.number, "errorMessage": error.message, "error": True}
        content = orjson.dumps({"error": False, "code": status, **answer})
        if fault is not None and fault.kind == "lost":
            return await _cut(request, content)
        if fault is not None and fault.kind == "silent":
            await self._wait_for_nobody(answer.get("id"))
        if fault is not None and fault.kind == "garbage":
            content = b"<html>Welcome to the proxy</html>"
        return web.Response(status=status, body=content, content_type="application/json")

    def _fault(self, method: str, is_next: bool) -> Fault | None:
        """The first fault that fits this request; deletions always work."""
        if method == "DELETE":
            return None
        fits = ("any", "next" if is_next else "open")
        fault = next((each for each in self.faults if each.on in fits), None)
        if fault is not None:
            self.faults.remove(fault)
        return fault

    async def _wait_for_nobody(self, cursor_id: str | None) -> None:
        """Work on a cursor until whoever asked has left, which ends this; it stays busy."""
        if cursor_id in self.cursors:
            self.cursors[cursor_id].is_busy = True
        await asyncio.Event().wait()

    def _check_user(self, request: web.Request) -> None:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme != "Basic" or b64decode(token).decode() != f"{USERNAME}:{self._password}":
            raise ArangoError(401, 11, "not authorized to execute this request")

    def _do(self, request: web.Request, parts: list[str], body: Json) -> tuple[int, Json]:
        database = self.databases.get(request.match_info["database"])
        if database is None:
            raise ArangoError(404, 1228, "database not found")
        if not parts:
            return 201, self._open(database, body)
        cursor = self.cursors.get(parts[0])
        if cursor is None or cursor.expires_at <= self._now():
            self.cursors.pop(parts[0], None)
            raise ArangoError(404, 1600, "cursor not found")
        if request.method == "DELETE":
            del self.cursors[parts[0]]
            return 202, {"id": parts[0]}
        if cursor.is_busy:
            raise ArangoError(409, 1601, "cursor is busy")
        return 200, self._read_on(parts[0], cursor, int(parts[1]) if len(parts) > 1 else None)

    def _open(self, database: Mapping[str, Collection], body: Json) -> Json:
        size, options = body.get("batchSize", 1000), body.get("options", {})
        if size < 1:
            raise ArangoError(400, 400, "batchSize may not be 0")
        rows = self._run(database, body["query"], body.get("bindVars", {}))
        batches = [rows[start : start + size] for start in range(0, len(rows), size)] or [[]]
        ttl = float(body.get("ttl", 30))
        cursor = Cursor(batches, options.get("allowRetry", False), ttl, self._now() + ttl)
        if len(batches) == 1:
            return {"result": batches[0], "hasMore": False, "cached": False}
        cursor_id = str(next(self._ids))
        self.cursors[cursor_id] = cursor
        return _batch_answer(cursor_id, cursor)

    def _read_on(self, cursor_id: str, cursor: Cursor, batch: int | None) -> Json:
        wanted = cursor.batch + 1 if batch is None else batch
        is_again = wanted == cursor.batch and cursor.may_retry
        if not is_again and (wanted != cursor.batch + 1 or wanted > len(cursor.batches)):
            raise ArangoError(404, 1600, "no such batch")
        cursor.batch = wanted
        cursor.expires_at = self._now() + cursor.ttl_seconds
        if wanted == len(cursor.batches) and not cursor.may_retry:
            del self.cursors[cursor_id]
        return _batch_answer(cursor_id, cursor)

    def _run(self, database: Mapping[str, Collection], query: str, bind: Json) -> list[Any]:
        declared = set(_VARIABLE.findall(query))
        if declared - bind.keys():
            raise ArangoError(400, 1551, "no value specified for declared bind parameter")
        if bind.keys() - declared:
            raise ArangoError(400, 1552, "bind parameter was not declared in the query")
        name = bind["@collection"]
        if name not in database:
            raise ArangoError(404, 1203, f"collection or view not found: {name}")
        if name in self.forbidden:
            raise ArangoError(403, 11, "insufficient rights")
        documents = database[name].documents
        if "keys" in bind:
            return [
                {"size": len(documents), "missing": [key for key in bind["keys"] if key not in documents]}
            ]
        return _select(documents.values(), bind)

    async def _control(self, request: web.Request) -> web.Response:
        """What a test says to the process: documents to put or remove, faults to come; answers what there is."""
        body = orjson.loads(await request.read())
        collection = self.collection()
        match request.match_info["what"]:
            case "put":
                for document in body:
                    collection.put(document)
            case "remove":
                for key in body:
                    collection.remove(key)
            case "faults":
                self.faults.extend(Fault(**fault) for fault in body)
        return web.json_response({"documents": len(collection.documents), "requests": len(self.requests)})


def _select(documents: Iterable[Json], bind: Json) -> list[Json]:
    """What CHANGED, CHANGED_BY_REVISION and UNDATED give, by which variables are bound."""

    def time_of(document: Json) -> Any:
        return value_at(document, bind["updated"]) if "updated" in bind else revision_time(document["_rev"])

    def place(document: Json) -> tuple[Any, ...]:
        return (() if "lowest" in bind else ordered(time_of(document)), ordered(document["_key"]))

    since, until, after = (ordered(bind.get(name)) for name in ("since", "until", "after"))
    lowest = ordered(bind.get("lowest"))

    def is_wanted(document: Json) -> bool:
        at = ordered(time_of(document))
        if "lowest" in bind:
            return (at < lowest or at > until) and ordered(document["_key"]) > after
        return since <= at <= until and (at > since or ordered(document["_key"]) > after)

    found = sorted(filter(is_wanted, documents), key=place)[: bind["most"]]
    return [
        {
            "at": None if "lowest" in bind else time_of(document),
            "key": document["_key"],
            "doc": _unset(document, bind["without"]) if bind["whole"] else None,
        }
        for document in found
    ]


def _unset(document: Json, names: Iterable[str]) -> Json:
    left_out = set(names)
    return {name: value for name, value in document.items() if name not in left_out}


def _batch_answer(cursor_id: str, cursor: Cursor) -> Json:
    has_more = cursor.batch < len(cursor.batches)
    answer = {"id": cursor_id, "hasMore": has_more, "cached": False}
    following = {"nextBatchId": str(cursor.batch + 1)} if has_more else {}
    return {**answer, **following, "result": cursor.batches[cursor.batch - 1]}


async def _cut(request: web.Request, content: bytes) -> web.StreamResponse:
    """Break the connection: in the middle of an answer, or before it begins."""
    answer = web.StreamResponse(headers={"Content-Length": str(len(content))})
    if content:
        await answer.prepare(request)
        await answer.write(content[: len(content) // 2])
    if request.transport is not None:
        request.transport.close()
    return answer


def profile_document(number: int, at: str) -> Json:
    """A customer as LEO CDP writes one."""
    return {
        "_key": f"p{number}",
        "crmRefId": f"CRM-{number}",
        "firstName": "Lan",
        "lastName": f"Nguyễn {number}",
        "primaryEmail": f"customer{number}@example.com",
        "primaryPhone": f"+8491{number:07d}",
        "livingLocation": "Hà Nội",
        "jobTitles": ["engineer"],
        "personalInterests": ["funds", "travel"],
        "visitorId": f"v{number}",
        "password": "d3b0738",
        "status": 1,
        "totalCLV": number * 1.5,
        "createdAt": at,
        "updatedAt": at,
    }


async def _serve(port: int, password: str, documents: int) -> None:
    server = ArangoServer(password=password)
    collection = server.collection()
    at = datetime.now(UTC) - timedelta(days=1)
    for number in range(documents):
        moment = (at + timedelta(milliseconds=number)).isoformat(timespec="milliseconds")
        collection.put(profile_document(number, moment.replace("+00:00", "Z")))
    await server.start(port)
    print(orjson.dumps({"url": server.url, "username": USERNAME, "database": DATABASE}).decode(), flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--port", type=int, default=0)
    arguments.add_argument("--password", default=PASSWORD)
    arguments.add_argument("--documents", type=int, default=0)
    given = arguments.parse_args()
    asyncio.run(_serve(given.port, given.password, given.documents))
