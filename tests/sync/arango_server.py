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
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any, Final, Literal

import orjson
from aiohttp import web

from tests.sync.arango_documents import Collection, Json, profile_document, select

USERNAME: Final = "reader"
PASSWORD: Final = "correct horse"
DATABASE: Final = "leo_cdp"
COLLECTION: Final = "cdp_profile"

_VARIABLE: Final = re.compile(r"(?<![\w@])@(@?\w+)")


@dataclass(frozen=True, slots=True)
class Fault:
    """What becomes of one request.

    Args:
        kind: `status` answers with the error; `lost` does what is asked and cuts the answer; `refused` cuts the
            connection before anything is done; `silent` does it, and answers only once the client has left;
            `expired` lets go of all cursors first; `garbage` answers no JSON; `moved` sends elsewhere.
        on: which request: one that opens a cursor, that reads on, or any.
    """

    kind: Literal["status", "lost", "refused", "silent", "expired", "garbage", "moved"]
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
        is_old: that it is of before 3.11, and does not number batches.
    """

    def __init__(self, *, password: str = PASSWORD, now: Callable[[], float] = time.monotonic) -> None:
        self.databases: dict[str, dict[str, Collection]] = {}
        self.faults: deque[Fault] = deque()
        self.cursors: dict[str, Cursor] = {}
        self.requests: list[tuple[str, str, Json]] = []
        self.forbidden: set[str] = set()
        self.is_old = False
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
        if fault is not None and fault.kind == "moved":
            return web.Response(status=307, headers={"Location": "http://127.0.0.1:9/"})
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
        return self._batch(cursor_id, cursor)

    def _read_on(self, cursor_id: str, cursor: Cursor, batch: int | None) -> Json:
        wanted = cursor.batch + 1 if batch is None else batch
        is_again = wanted == cursor.batch and cursor.may_retry
        if not is_again and (wanted != cursor.batch + 1 or wanted > len(cursor.batches)):
            raise ArangoError(404, 1600, "no such batch")
        cursor.batch = wanted
        cursor.expires_at = self._now() + cursor.ttl_seconds
        if wanted == len(cursor.batches) and not cursor.may_retry:
            del self.cursors[cursor_id]
        return self._batch(cursor_id, cursor)

    def _batch(self, cursor_id: str, cursor: Cursor) -> Json:
        has_more = cursor.batch < len(cursor.batches)
        answer = {"id": cursor_id, "hasMore": has_more, "cached": False}
        following = {"nextBatchId": str(cursor.batch + 1)} if has_more and not self.is_old else {}
        return {**answer, **following, "result": cursor.batches[cursor.batch - 1]}

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
        return select(documents.values(), bind)

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


async def _cut(request: web.Request, content: bytes) -> web.StreamResponse:
    """Break the connection: in the middle of an answer, or before it begins."""
    answer = web.StreamResponse(headers={"Content-Length": str(len(content))})
    if content:
        await answer.prepare(request)
        await answer.write(content[: len(content) // 2])
    if request.transport is not None:
        request.transport.close()
    return answer


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
