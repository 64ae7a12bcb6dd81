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

import aiohttp
import uvloop

from loadtest.bench.client import percentile

_TWICE = 20  # one receipt in so many is reported twice
_HEADERS = {"Content-Type": "application/json"}


async def run(job: dict[str, Any]) -> dict[str, float]:
    """`callers` connections, each with one request under way. Requests are signed before the clock starts."""
    requests = list(_requests(job))
    latencies: list[float] = []
    connector = aiohttp.TCPConnector(limit=job["callers"])
    async with aiohttp.ClientSession(connector=connector) as session:

        async def caller(todo: Iterator[tuple[bytes, str]]) -> None:
            for body, signature in todo:
                begin = time.perf_counter()
                headers = {**_HEADERS, "X-Hub-Signature-256": signature}
                async with session.post(job["url"], data=body, headers=headers) as answer:
                    if answer.status != 200:
                        raise SystemExit(f"answered {answer.status}: {await answer.text()}")
                latencies.append(time.perf_counter() - begin)

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


def _requests(job: dict[str, Any]) -> Iterator[tuple[bytes, str]]:
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
        yield body, f"sha256={mac}"


def main() -> None:
    """Do the job of the standard input."""
    print(json.dumps(uvloop.run(run(json.load(sys.stdin)))))


if __name__ == "__main__":
    main()
