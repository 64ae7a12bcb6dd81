"""Benchmark of the pure core alone, in this process: no server, no database, no network."""

from __future__ import annotations

import gc
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import orjson

from loadtest.bench.benchmark import Benchmark, Sample, Sizes, interleaved
from loadtest.bench.client import percentile
from loadtest.bench.stage import Stage
from server.conditions import Facts
from server.decisions.bundle import compile_bundle
from server.decisions.evaluation import decide
from server.decisions.model import Bundle, DecisionInputs, Event, ProfileState, Verdict

_CANDIDATES = 100
_ROUNDS = 50_000
_FEWEST = 2_000
_NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


def _document() -> dict[str, Any]:
    """A tenant's definitions: five campaigns with an audience each, and twenty messages in each of them."""
    campaigns = [
        {
            "campaign_id": f"campaign-{number}",
            "campaign_code": f"CAMPAIGN_{number}",
            "status": "active",
            "start_at": None,
            "end_at": None,
            "frequency_caps": [{"maximum": 3, "window_seconds": 604_800}],
            "quiet_hours": None,
            "audience": {"name": f"audience-{number}", "version": "1", "condition": _audience(number)},
        }
        for number in range(5)
    ]
    events = [_definition(number) for number in range(_CANDIDATES)]
    tenant = {"frequency_caps": [], "quiet_hours": None}
    return {"tenant": tenant, "campaigns": campaigns, "marketing_events": events, "experiments": []}


def _audience(number: int) -> dict[str, Any]:
    """Most of them admit the customer, as audiences do that a campaign was made for."""
    wanted = ("vip", "newsletter", "vip", "dormant", "newsletter")[number]
    return {"attribute": "segment", "operator": "contains", "value": wanted}


def _definition(number: int) -> dict[str, Any]:
    """Of ten conditions three hold, so that many candidates get as far as the reservation."""
    return {
        "marketing_event_id": f"{number:064x}",
        "campaign_id": f"campaign-{number % 5}",
        "event_name": f"message_{number}",
        "event_type": "TRIGGER",
        "trigger_event_type": "purchase",
        "topic": None,
        "channels": ["email"],
        "condition": {
            "all": [
                {"attribute": "event.amount", "operator": ">=", "value": 80 + 30 * (number % 10)},
                {"attribute": "event.country", "operator": "in", "value": ["VN", "SG", "TH"]},
                {
                    "any": [
                        {"attribute": "segment", "operator": "contains", "value": "vip"},
                        {"attribute": "profile.purchase_count", "operator": ">=", "value": 3},
                    ]
                },
            ]
        },
        "template_name": f"message_{number}",
        "priority": number % 7,
        "cooldown_seconds": 3_600,
        "start_at": None,
        "end_at": None,
        "status": "active",
    }


def _bundle() -> Bundle:
    return compile_bundle("0" * 64, 1, orjson.dumps(_document()).decode())


def _inputs(bundle: Bundle, amount: int) -> DecisionInputs:
    """What a purchase is decided from, with a place held for the first of the candidates that ask for one."""
    attributes = {"amount": amount, "country": "VN", "items": 3, "currency": "USD", "device": "mobile"}
    event = Event(
        source_event_id="bench-1",
        profile_id="p000000001",
        event_type="purchase",
        occurred_at=_NOON,
        attributes=attributes,
        attributes_json=orjson.dumps(attributes),
        task_id="1" * 64,
        input_sha256="2" * 64,
    )
    profile = ProfileState(
        profile_id="p000000001",
        attributes={"purchase_count": 4, "city": "Hue", "tier": 1},
        segments=frozenset({"vip", "newsletter"}),
        reachable=frozenset({"email"}),
        consented=frozenset({"email"}),
        time_zone="Asia/Ho_Chi_Minh",
    )
    facts = Facts(
        occurred_at=_NOON,
        profile={"raw_attributes": profile.attributes},
        segments=profile.segments,
        event_type=event.event_type,
        event=attributes,
    )
    verdicts = {rule.marketing_event_id: Verdict.HELD for rule in bundle.by_event_type["purchase"]}
    return DecisionInputs(event, profile, facts, verdicts, _NOON)


async def evaluate(_stage: Stage, sizes: Sizes) -> Sample:
    """Decides again and again on events whose amounts meet from none to all of the conditions."""
    bundle = _bundle()
    inputs = [_inputs(bundle, amount) for amount in range(40, 440, 20)]
    times = _timed(bundle, inputs, max(_FEWEST, int(_ROUNDS * sizes.share)))
    wall, cpu = (sorted(microseconds) for microseconds in zip(*times, strict=True))
    p50, p99 = percentile(wall, 0.50), percentile(wall, 0.99)
    extra = {
        "p50_us": p50,
        "p50_cpu_us": percentile(cpu, 0.50),
        "p99_cpu_us": percentile(cpu, 0.99),
        "p50_ms": p50 / 1000,
        "p99_ms": p99 / 1000,
    }
    return Sample(p99, extra)


def _timed(bundle: Bundle, inputs: Sequence[DecisionInputs], count: int) -> list[tuple[float, float]]:
    """Microseconds of each: by the clock, and of CPU time, which other work on the machine disturbs least.

    The garbage of start-up is out of the collector's way, as `leo serve` has it.
    """
    assert len(bundle.by_event_type["purchase"]) == _CANDIDATES
    gc.collect()
    gc.freeze()
    times = []
    for number in range(count):
        begin, cpu = time.perf_counter_ns(), time.thread_time_ns()
        decide(bundle, inputs[number % len(inputs)])
        times.append(((time.perf_counter_ns() - begin) / 1000, (time.thread_time_ns() - cpu) / 1000))
    gc.unfreeze()
    return times


BENCHMARKS = (Benchmark("evaluate_100", "us (p99)", interleaved(evaluate)),)
