"""Users who call Decide, Snapshot and AlertEvaluate through the generated stubs, under gevent.

`make load` starts a stack and runs this against it. On a server of yours:

    LEO_LOAD_TARGET=host:port LEO_LOAD_TOKEN=… locust -f loadtest/locustfile.py --headless -u 14 -r 14 -t 120

`LEO_LOAD_RATE` events a minute arrive; `loadtest/load/shape.py` says how, and how many users that takes. The
tenant needs the campaign and the profiles of `loadtest/bench/world.py`, `LEO_LOAD_PROFILES` of them with consent,
and the instruments and rules of `loadtest/bench/ticks.py`.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any, Final, TypeVar
from uuid import uuid4

import grpc
import grpc.experimental.gevent as grpc_gevent
from leo.activation.v1 import alert_service_pb2 as alerts
from leo.activation.v1 import alert_service_pb2_grpc, decision_service_pb2_grpc, snapshot_service_pb2_grpc
from leo.activation.v1 import decision_service_pb2 as decisions
from leo.activation.v1 import snapshot_service_pb2 as snapshots
from leo_client.calls import channel_options
from leo_client.services import DESCRIPTORS
from locust import User, constant, constant_throughput, events, task

from loadtest.bench.events import EventStream
from loadtest.bench.tick_feed import Progress, TickFeed
from loadtest.load.shape import BATCH, SNAPSHOT_SECONDS, SYMBOLS, TICKS_OF_A_BATCH, Shape

# Once, before any channel: gRPC then waits with gevent instead of blocking all users.
grpc_gevent.init_gevent()

Request = TypeVar("Request")
Response = TypeVar("Response")

SHAPE: Final = Shape(float(os.environ.get("LEO_LOAD_RATE", "5000")))
TARGET: Final = os.environ.get("LEO_LOAD_TARGET", "127.0.0.1:50051")
PROFILES: Final = int(os.environ.get("LEO_LOAD_PROFILES", "10000"))
_DEADLINE_SECONDS: Final = 10.0
_stream = EventStream(profiles=PROFILES, label=uuid4().hex)
_numbers = count()
_totals = {"acknowledged": 0}


class Refused(Exception):
    """An event of a batch was answered with an error."""


class Caller(User):
    """A user with a channel of its own, whose calls are counted as locust counts HTTP requests."""

    abstract = True

    def __init__(self, environment: Any) -> None:
        super().__init__(environment)
        # As the client library calls: what a busy server refuses is repeated when the server says.
        self.channel = grpc.insecure_channel(TARGET, options=channel_options(DESCRIPTORS))
        self._metadata = (("authorization", f"Bearer {os.environ['LEO_LOAD_TOKEN']}"),)

    def on_stop(self) -> None:
        """Close the connection."""
        self.channel.close()

    def call(
        self, name: str, method: Callable[..., Response], request: Request, check: Callable[[Response], None]
    ) -> None:
        """One call; `check` raises where the answer is no success."""
        failure: Exception | None = None
        started = time.perf_counter()
        try:
            check(method(request, metadata=self._metadata, timeout=_DEADLINE_SECONDS))
        except (grpc.RpcError, Refused) as error:
            failure = error
        self.environment.events.request.fire(
            request_type="grpc",
            name=name,
            response_time=(time.perf_counter() - started) * 1000,
            response_length=0,
            exception=failure,
            context={},
        )


class OneByOne(Caller):
    """Decides one event a call."""

    fixed_count = SHAPE.single_users
    wait_time = constant_throughput(SHAPE.single_calls / SHAPE.single_users)

    @task
    def decide(self) -> None:
        """One event."""
        stub = decision_service_pb2_grpc.DecisionServiceStub(self.channel)
        request = decisions.DecideRequest(event=_stream.event(next(_numbers)))
        self.call("Decide", stub.Decide, request, _count_one)


class InBatches(Caller):
    """Decides many events a call."""

    fixed_count = SHAPE.batch_users
    wait_time = constant_throughput(SHAPE.batch_calls / SHAPE.batch_users)

    @task
    def decide_batch(self) -> None:
        """A batch."""
        stub = decision_service_pb2_grpc.DecisionServiceStub(self.channel)
        batch = [_stream.event(next(_numbers)) for _ in range(BATCH)]
        self.call(
            f"DecideBatch of {BATCH}",
            stub.DecideBatch,
            decisions.DecideBatchRequest(events=batch),
            _count_batch,
        )


class Freezer(Caller):
    """Freezes an audience now and then."""

    fixed_count = 1
    wait_time = constant(SNAPSHOT_SECONDS)

    @task
    def snapshot(self) -> None:
        """Everybody with a label; from the second time on the audience is an old one."""
        stub = snapshot_service_pb2_grpc.SnapshotServiceStub(self.channel)
        request = snapshots.SnapshotRequest(label="vip", reason="load test")
        self.call("Snapshot", stub.Snapshot, request, _check_snapshot)


class Feeder(Caller):
    """Brings prices, one of which fires a rule."""

    fixed_count = 1
    wait_time = constant_throughput(1)

    def __init__(self, environment: Any) -> None:
        super().__init__(environment)
        self._feed = TickFeed(symbols=SYMBOLS, progress=Progress.beginning())

    @task
    def evaluate(self) -> None:
        """The next batch of ticks."""
        stub = alert_service_pb2_grpc.AlertServiceStub(self.channel)
        request = alerts.AlertEvaluateRequest(batch=self._feed.mixed(TICKS_OF_A_BATCH, 1))
        self.call(f"AlertEvaluate of {TICKS_OF_A_BATCH}", stub.AlertEvaluate, request, _check_ticks)


def _check_ticks(response: alerts.AlertEvaluateResponse) -> None:
    if response.result.accepted_count != TICKS_OF_A_BATCH:
        raise Refused(f"{len(response.result.bad_ticks)} ticks were refused")


def _count_one(response: decisions.DecideResponse) -> None:
    _totals["acknowledged"] += not response.decision.duplicate


def _count_batch(response: decisions.DecideBatchResponse) -> None:
    refused = [result.error.message for result in response.results if result.HasField("error")]
    _totals["acknowledged"] += len(response.results) - len(refused)
    if refused:
        raise Refused(refused[0])


def _check_snapshot(response: snapshots.SnapshotResponse) -> None:
    if response.empty:
        raise Refused("nobody is in the audience")


# Not `quitting`, which comes while users still finish their last calls.
@events.test_stop.add_listener
def write_summary(environment: Any, **_: Any) -> None:
    """Totals for whoever started this, where they named a file."""
    path = os.environ.get("LEO_LOAD_SUMMARY")
    if path:
        total = environment.stats.total
        summary = {
            "requests": total.num_requests,
            "failures": total.num_failures,
            "events": next(_numbers),
            "acknowledged": _totals["acknowledged"],
            "p50_ms": total.get_response_time_percentile(0.50),
            "p99_ms": total.get_response_time_percentile(0.99),
        }
        Path(path).write_text(json.dumps(summary))
