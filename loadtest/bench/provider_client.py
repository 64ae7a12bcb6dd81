"""What a worker is held against: a bare client that posts as many messages to the same provider."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from typing import Any

import aiohttp
import orjson
import uvloop

_HEADERS = {"Content-Type": "application/json", "Authorization": "Bearer bench"}


async def run(job: dict[str, Any]) -> dict[str, float]:
    """`connections` at once, each with one request under way; nothing is rendered or recorded."""
    numbers = iter(range(job["messages"]))
    connector = aiohttp.TCPConnector(limit=job["connections"])
    async with aiohttp.ClientSession(connector=connector) as session:

        async def caller() -> None:
            for number in numbers:
                sms = {
                    "to": f"+849{number:08}",
                    "text": "Dear Lan, thank you.",
                    "reference": f"bare-{number}",
                }
                async with session.post(job["url"], data=orjson.dumps(sms), headers=_HEADERS) as answer:
                    orjson.loads(await answer.read())

        begin = time.perf_counter()
        await asyncio.gather(*(caller() for _ in range(job["connections"])))
        seconds = time.perf_counter() - begin
    return {"seconds": seconds, "messages": job["messages"], "client_cpu": time.process_time()}


def main() -> None:
    """Do the job of the standard input."""
    print(json.dumps(uvloop.run(run(json.load(sys.stdin)))))


if __name__ == "__main__":
    main()
