"""Load on the stack of `leo run`: `python -m loadtest.load`, or `make load`.

Starts `leo run` in a fresh state directory, fills it, lets locust call it from a process of its own, and
ends with one line of JSON. The report is loadtest/out/load.html.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import sys
import tempfile
from pathlib import Path
from typing import Any

import asyncpg
import grpc
from leo.activation.v1.alert_service_pb2 import AlertEvaluateRequest
from leo.activation.v1.alert_service_pb2_grpc import AlertServiceStub

from loadtest.bench.driving import Recorded, recorded_in
from loadtest.bench.tick_client import until_ready
from loadtest.bench.tick_feed import Progress, TickFeed
from loadtest.bench.tick_world import put_rules
from loadtest.bench.world import World, fill
from loadtest.load.observation import observed
from loadtest.load.outcome import Outcome, outcome_of
from loadtest.load.shape import RULES, SYMBOLS, Shape
from loadtest.load.stack import RunningStack, running_stack
from server.embedded.state import checkout_directory

_PROFILES = 10_000
_MOST_FAILURES = 0.01
_STOP_SECONDS = 30
_OUT = checkout_directory() / "loadtest" / "out"

Figures = dict[str, Any]


def main() -> None:
    """Run, and exit with 1 where more than one request in a hundred failed, an acknowledged event is not recorded, a
    message did not go out, or somebody waited for a lock on the log of deliveries."""
    parser = argparse.ArgumentParser(prog="python -m loadtest.load", description=__doc__.partition("\n")[0])
    parser.add_argument("--rate", type=float, default=5000, help="events a minute")
    parser.add_argument("--seconds", type=int, default=120, help="length of the run")
    parser.add_argument("--profiles", type=int, default=_PROFILES, help="profiles with consent")
    parser.add_argument("--out", type=Path, default=_OUT, help="directory of the report")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    arguments.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="leo-load-", ignore_cleanup_errors=True) as name:
        directory = Path(name)
        directory.chmod(0o711)
        with running_stack(directory) as stack:
            summary = directory / "summary.json"
            seen = asyncio.run(_run(stack, arguments, summary))
            if not summary.exists():
                raise SystemExit("locust failed; see above")
            result = _result(json.loads(summary.read_text()), seen, arguments.seconds)
    _print(result)
    print(f"the report is {arguments.out / 'load.html'}")
    print(json.dumps(result))
    sys.exit(0 if _is_good(result) else 1)


async def _run(stack: RunningStack, arguments: argparse.Namespace, summary: Path) -> Figures:
    await fill(stack.database, World(1, arguments.profiles))
    await put_rules(stack.database, rules=RULES, symbols=SYMBOLS)
    await _until_prices_are_taken(stack)
    async with observed(stack) as observation:
        await _locust(stack, arguments, summary)
    recorded, outcome = await _recorded(stack)
    return {
        "recorded": recorded.tasks,
        "alerts_decided": recorded.alerts,
        "queued": recorded.queued,
        "late": outcome.late,
        "deliveries": outcome.deliveries,
        **observation.report(),
        "partition_rows": outcome.partitions,
    }


async def _until_prices_are_taken(stack: RunningStack) -> None:
    """A server takes its shards after it has begun to serve; until then it would refuse ticks."""
    batch = TickFeed(symbols=SYMBOLS, progress=Progress.beginning()).first()
    batch.ClearField("feed")
    batch.ClearField("sequences")
    metadata = (("authorization", f"Bearer {stack.token}"),)
    async with grpc.aio.insecure_channel(stack.address) as channel:
        stub = AlertServiceStub(channel)
        await until_ready(stub, AlertEvaluateRequest(batch=batch), metadata)


def _result(summary: Figures, seen: Figures, seconds: int) -> Figures:
    rates = {
        "error_percent": round(100 * summary["failures"] / max(1, summary["requests"]), 3),
        "events_per_minute": round(summary["acknowledged"] / seconds * 60),
    }
    return {**summary, **rates, **seen}


def _print(result: Figures) -> None:
    """The figures for people, a line each."""
    for name, value in result.items():
        if isinstance(value, dict):
            print(f"{name}:")
            print("".join(f"  {part:32} {number:>10,}\n" for part, number in value.items()), end="")
        else:
            print(f"{name:34} {value:>10,}")


async def _locust(stack: RunningStack, arguments: argparse.Namespace, summary: Path) -> None:
    variables = {
        "LEO_LOAD_TARGET": stack.address,
        "LEO_LOAD_TOKEN": stack.token,
        "LEO_LOAD_RATE": str(arguments.rate),
        "LEO_LOAD_PROFILES": str(arguments.profiles),
        "LEO_LOAD_SUMMARY": str(summary),
    }
    users = str(Shape(arguments.rate).users)
    load = ("--users", users, "--spawn-rate", users, "--run-time", f"{arguments.seconds}s")
    # Users finish the call that they are in, so that what was acknowledged can be counted.
    ending = ("--stop-timeout", str(_STOP_SECONDS), "--html", str(arguments.out / "load.html"))
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "locust", "-f", "loadtest/locustfile.py", "--only-summary", "--headless"),
        *load,
        *ending,
        cwd=checkout_directory(),
        env={**stack.environment, **variables},
        stdin=asyncio.subprocess.DEVNULL,
    )
    await process.wait()


async def _recorded(stack: RunningStack) -> tuple[Recorded, Outcome]:
    proof = await asyncpg.connect(stack.database.proof_url)
    try:
        outcome = await outcome_of(proof)
        return await recorded_in(proof), outcome
    finally:
        await proof.close()


def _is_good(result: Figures) -> bool:
    few_failures = result["failures"] <= _MOST_FAILURES * max(1, result["requests"])
    all_out = not result["late"] and result["deliveries"].keys() <= {"sent", "queued"}
    # What was acknowledged is there, and nothing that was not asked for: a call may be under way when time is up.
    kept = result["acknowledged"] <= result["recorded"] <= result["events"]
    return bool(
        result["requests"] and few_failures and kept and all_out and not result["delivery_log_lock_waits"]
    )


if __name__ == "__main__":
    main()
