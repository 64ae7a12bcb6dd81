"""Meta's side of the benchmark of webhooks, in a process of its own: reads a job as JSON, writes what came of it."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import random
import sys
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import uvloop

from loadtest.bench.client import percentile

_TWICE = 20  # one receipt in so many is reported twice


async def run(job: dict[str, Any]) -> dict[str, float]:
    """`callers` connections, each with one request under way. Requests are written before the clock starts."""
    requests = list(_requests(job))
    latencies: list[float] = []
    address = urlsplit(job["url"])

    async def caller(todo: Iterator[bytes]) -> None:
        reader, writer = await asyncio.open_connection(address.hostname, address.port)
        for request in todo:
            begin = time.perf_counter()
            writer.write(request)
            answer = await reader.readuntil(b"\r\n\r\n")
            if not answer.startswith(b"HTTP/1.1 200 ") or b"Content-Length: 0\r\n" not in answer:
                raise SystemExit(f"answered {answer.decode()}")
            latencies.append(time.perf_counter() - begin)
        writer.close()

    begin = time.perf_counter()
    shared = iter(requests)
    await asyncio.gather(*(caller(shared) for _ in range(job["callers"])))
    seconds = time.perf_counter() - begin
    latencies.sort()
    return {
        "acknowledged": len(_receipts(job)),
        "requests": len(requests),
        "seconds": seconds,
        "p50_ms": percentile(latencies, 0.50) * 1000,
        "p99_ms": percentile(latencies, 0.99) * 1000,
        "client_cpu": time.process_time(),
    }


def _receipts(job: dict[str, Any]) -> list[tuple[int, str]]:
    """Two of each message, some of them twice, in no order."""
    receipts = [(number, status) for number in range(job["messages"]) for status in ("delivered", "read")]
    receipts += receipts[::_TWICE]
    random.Random(7).shuffle(receipts)
    return receipts


def _requests(job: dict[str, Any]) -> Iterator[bytes]:
    address = urlsplit(job["url"])
    receipts = _receipts(job)
    for first in range(0, len(receipts), job["at_once"]):
        statuses = [
            {
                "id": f"wamid.{number}",
                "status": status,
                "timestamp": "1763740000",
                "recipient_id": "84901234567",
            }
            for number, status in receipts[first : first + job["at_once"]]
        ]
        value = {"messaging_product": "whatsapp", "statuses": statuses}
        entry = {"id": "1", "changes": [{"field": "messages", "value": value}]}
        body = json.dumps({"object": "whatsapp_business_account", "entry": [entry]}).encode()
        mac = hmac.new(job["secret"].encode(), body, hashlib.sha256).hexdigest()
        head = (
            f"POST {address.path} HTTP/1.1\r\nHost: {address.netloc}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\nX-Hub-Signature-256: sha256={mac}\r\n\r\n"
        )
        yield head.encode() + body


def main() -> None:
    """Do the job of the standard input."""
    print(json.dumps(uvloop.run(run(json.load(sys.stdin)))))


if __name__ == "__main__":
    main()
