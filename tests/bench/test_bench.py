"""The suite of benchmarks in its short form: it runs, reconciles, and prints what readers of it rely on."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from loadtest.bench.stage import environment
from loadtest.bench.suite import BENCHMARKS
from loadtest.bench.suite import GROUPS as GROUPS_OF_NAMES
from server.embedded.state import checkout_directory

# Each starts servers of its own; together they show every kind of load once.
GROUPS = {
    "unary": ["echo_c64", "decide_unary_c64"],
    "open": ["decide_open_500"],
    "stream": ["decide_stream"],
    "tenants": ["decide_stream_1000_tenants"],
    "ticks": ["alerts_1000000_rules", "ticks_1000000_rules"],
    "takeover": ["alerts_takeover"],
    "alone": ["evaluate_100"],
    "growth": ["decide_memory", "decide_profiles_1000000", "reservation_rewarm_100000"],
    "overload": ["overload_unary"],
    "dispatch": ["dispatch", "dispatch_latency_500"],
    "receipts": ["receipts"],
    "profiles": ["profiles"],
    "rows": [
        "copy_task_rows",
        "snapshot_10000",
        "snapshot_1000000",
        "delivery_insert",
        "sync_100",
        "sync_100_arangodb",
    ],
    "beside": ["snapshot_beside_decide", "snapshot_first_page", "segments", "segment_estimate"],
}
WITH_BASELINE = {
    *("decide_unary_c64", "decide_stream", "decide_stream_1000_tenants", "snapshot_10000", "overload_unary"),
    *("decide_profiles_1000000", "reservation_rewarm_100000", "dispatch"),
    *("alerts_1000000_rules", "ticks_1000000_rules"),
}
WITH_LATENCY = {
    *("decide_unary_c64", "decide_open_500", "delivery_insert", "alerts_1000000_rules", "evaluate_100"),
    *("overload_unary", "receipts", "dispatch_latency_500", "snapshot_beside_decide", "snapshot_first_page"),
    "sync_100",
    "sync_100_arangodb",
}
WITHOUT_ROWS = {"echo_c64", "evaluate_100", "alerts_takeover"}
MAY_SHRINK = {"decide_memory"}


def run_module(*arguments: str) -> subprocess.CompletedProcess[str]:
    """A module of the load tests, as a user runs it."""
    return subprocess.run(
        [sys.executable, "-m", *arguments],
        cwd=checkout_directory(),
        env=environment(),
        capture_output=True,
        text=True,
        timeout=300,
    )


@pytest.mark.parametrize("names", GROUPS.values(), ids=GROUPS)
def test_benchmark_runs_and_reconciles(names: Sequence[str]) -> None:
    run = run_module("loadtest.bench", *names, "--short", "--rounds", "1")

    assert run.returncode == 0, run.stderr
    assert "stored exactly what was acknowledged" in run.stdout
    figures: dict[str, Any] = json.loads(run.stdout.splitlines()[-1])
    assert list(figures) == list(names)
    for name, figure in figures.items():
        assert figure["value"] > 0 or name in MAY_SHRINK
        assert figure["unit"]
        assert figure["reconciled"] is (name not in WITHOUT_ROWS)
        assert (figure["ratio"] is None) == (figure["baseline"] is None)
        if name in WITH_BASELINE:
            assert figure["ratio"] > 0
        if name in WITH_LATENCY:
            assert 0 < figure["p50_ms"] <= figure["p99_ms"]


def test_every_promised_benchmark_exists() -> None:
    assert {name for names in GROUPS.values() for name in names} <= BENCHMARKS.keys()
    others = {
        "decide_unary_c1",
        "decide_unary_c16",
        "ticks_1000_rules",
        "ticks_100000_rules",
        "decide_profiles_10000",
    }
    others |= {
        "decide_stream_2_workers",
        "overload_batch",
        "receipts_batched",
        "news_recall",
        "similar_recall",
    }
    assert others | {"reservation_rewarm_1000000", "decide_profiles_10000000"} <= BENCHMARKS.keys()
    assert BENCHMARKS["decide_profiles_10000000"].asked_for
    assert GROUPS_OF_NAMES["alerts"] == (
        "alerts_1000000_rules",
        *(f"ticks_{rules}_rules" for rules in (1_000, 100_000, 1_000_000)),
        "alerts_takeover",
    )


def test_unknown_benchmark_is_refused_with_the_names_that_exist() -> None:
    run = run_module("loadtest.bench", "no_such_thing")

    assert run.returncode == 2
    assert "no_such_thing" in run.stderr
    assert "decide_stream" in run_module("loadtest.bench", "--help").stdout


def test_load_ends_with_its_figures_and_a_report(tmp_path: Path) -> None:
    run = run_module(
        *("loadtest.load", "--rate", "600", "--seconds", "4", "--profiles", "50", "--out", str(tmp_path))
    )

    assert run.returncode == 0, run.stdout + run.stderr
    result: dict[str, float] = json.loads(run.stdout.splitlines()[-1])
    assert result["failures"] == 0
    assert result["requests"] > 0
    # An event may be drawn and not asked when the time is up; what was asked is answered and recorded.
    assert 0 < result["acknowledged"] == result["recorded"] <= result["events"]
    assert {
        "p50_ms",
        "p99_ms",
        "server_cpu_percent",
        "worker_cpu_percent",
        "postgres_cpu_percent",
    } <= result.keys()
    assert result["lock_samples"] > 0
    assert "<html" in (tmp_path / "load.html").read_text().lower()
