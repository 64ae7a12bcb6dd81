"""Decisions for a marketing event that is under test, by the real server."""

from __future__ import annotations

from typing import Any, TypeAlias
from uuid import UUID

import asyncpg
import grpc
import orjson
import pytest
from leo.activation.v1 import catalog_service_pb2 as wire
from leo.activation.v1 import decision_service_pb2 as decision
from leo.activation.v1 import tenant_service_pb2 as tenancy
from leo.activation.v1.tenant_service_pb2_grpc import TenantServiceStub

from server.decisions.arms.assignment import draw_arm, draw_holdout
from server.decisions.arms.model import HOLDOUT_VARIANT, HoldoutShare
from server.decisions.arms.thompson import best_shares
from tests.catalog.conftest import Catalog
from tests.decisions.shop import NOON
from tests.experiments.conftest import RUNNING, Till, as_decisions_see_it, begin, experiment, variant
from tests.fixtures.server import bearer
from tests.fixtures.tenants import Tenant
from tests.fixtures.tokens import TokenFor

Proof: TypeAlias = asyncpg.Connection
HOLDOUT = decision.DECISION_REASON_HOLDOUT
SELECTED = decision.DECISION_REASON_SELECTED
THOMPSON = wire.EXPERIMENT_ALLOCATION_THOMPSON


def _variants(decisions: list[decision.Decision]) -> list[str]:
    return [each.arm.variant for each in decisions]


async def test_each_profile_gets_its_variant_and_the_decision_says_all_of_it(
    shop: Catalog, till: Till, customers: list[str], tenant_a: Tenant, proof: Proof
) -> None:
    fields = {"holdout_fraction": 0.25, "variants": [variant("short", 1, "brief"), variant("long", 2)]}
    await begin(shop, **fields)
    subject = as_decisions_see_it(**fields)
    decided = await till.purchases(customers)
    for profile, answer in zip(customers, decided, strict=True):
        arm = draw_arm(tenant_a, subject, profile, {})
        expected = decision.Arm(
            experiment_id="subject",
            variant=arm.view.variant,
            template_name=arm.view.template_name or "",
            propensity=arm.view.propensity,
        )
        assert answer.arm == answer.candidates[0].arm == expected
        assert answer.reason == (HOLDOUT if arm.view.held_out else SELECTED)
        words = "the holdout" if arm.view.held_out else f"variant {arm.view.variant!r}"
        assert f"{words} of the experiment 'subject'" in answer.reason_summary
        stored = await till.recorded(f"first-{profile}")
        for candidate in stored.decision.candidates:
            candidate.ClearField("checks")  # made when somebody asks, and no part of the first answer
        assert stored.decision == answer
        [recorded] = orjson.loads(stored.inputs)["arms"].values()
        assert recorded == {**arm.view._asdict(), "seed": 7, "draw": arm.draw}
        assert (await till.replayed(f"first-{profile}")).equal
    assert len(set(_variants(decided))) > 1
    again = await till.purchases(customers)
    assert all(answer.duplicate for answer in again)
    assert _variants(again) == _variants(decided)
    rows = await proof.fetch(
        "select variant, experiment_id, result from agent_task where experiment_id = 'subject'"
    )
    assert sorted(row["variant"] for row in rows) == sorted(_variants(decided))
    assert {orjson.loads(row["result"])["arm"]["variant"] for row in rows} == set(_variants(decided))


async def test_an_assignment_stays_while_the_weights_stay(
    shop: Catalog, till: Till, customers: list[str]
) -> None:
    await begin(shop)
    first = _variants(await till.purchases(customers))
    await shop.put_event(priority=5)  # another version of the marketing event
    assert _variants(await till.purchases(customers, "second", hours=2)) == first
    status = {"experiment_id": "subject", "status": wire.EXPERIMENT_STATUS_PAUSED}
    await shop.call("SetExperimentStatus", **status)
    paused = await till.purchases(customers, "third", hours=4)
    assert not [answer for answer in paused if answer.HasField("arm")]
    await shop.call("SetExperimentStatus", **{**status, "status": RUNNING})
    assert _variants(await till.purchases(customers, "fourth", hours=6)) == first
    ramped = [variant("short", 5, "brief"), variant("long", 1)]
    await shop.call("PutExperiment", experiment=experiment(variants=ramped))
    moved = _variants(await till.purchases(customers, "fifth", hours=8))
    pairs = set(zip(first, moved, strict=True))
    assert ("short", "long") not in pairs
    assert ("long", "short") in pairs


async def test_an_experiment_is_in_force_in_its_period_of_event_time(
    shop: Catalog, till: Till, customers: list[str]
) -> None:
    noon = int(NOON.timestamp())
    await begin(shop, start_at={"seconds": noon + 3_600}, end_at={"seconds": noon + 7_200})
    for hours, in_force in ((2.5, False), (1.5, True), (0.5, False)):  # events of before may come later
        [answer] = await till.purchases(customers[2:3], f"at-{hours}", hours=hours)
        assert answer.HasField("arm") is in_force, hours


async def test_the_holdout_of_one_experiment_lets_another_candidate_through(
    shop: Catalog, till: Till, customers: list[str]
) -> None:
    await shop.put_event(event_name="second-best", priority=-1)
    await begin(shop, holdout_fraction=0.5)
    decided = await till.purchases(customers)
    for answer in decided:
        best, other = answer.candidates
        assert answer.outcome == decision.DECISION_OUTCOME_SEND
        assert not other.HasField("arm")
        if best.reason == HOLDOUT:
            assert best.arm.variant == HOLDOUT_VARIANT
            assert (other.reason, answer.HasField("arm")) == (SELECTED, False)
            assert "in the holdout of the experiment 'subject'" in best.explanation
        else:
            assert answer.arm == best.arm
            assert answer.arm.variant in ("short", "long")
    assert {answer.candidates[0].reason for answer in decided} == {HOLDOUT, SELECTED}


@pytest.fixture
def tenants(channel: grpc.aio.Channel, token_for: TokenFor, tenant_a: Tenant) -> Any:
    async def hold_out(fraction: float, seed: int = 3) -> None:
        request = tenancy.UpdateTenantRequest(
            tenant_id=str(tenant_a),
            defaults=tenancy.TenantDefaults(holdout=tenancy.Holdout(fraction=fraction, seed=seed)),
        )
        await TenantServiceStub(channel).UpdateTenant(
            request, metadata=bearer(token_for(tenant_a, ["admin"]))
        )

    return hold_out


async def test_the_tenants_holdout_gets_nothing_and_uses_nothing_up(
    shop: Catalog, till: Till, customers: list[str], tenant_a: Tenant, tenants: Any
) -> None:
    await begin(shop)
    await tenants(0.5)
    share = HoldoutShare(0.5, 3)
    held = {name for name in customers if draw_holdout(tenant_a, share, name).held_out}
    assert 0 < len(held) < len(customers)
    for profile, answer in zip(customers, await till.purchases(customers), strict=True):
        assert answer.reason == (HOLDOUT if profile in held else SELECTED)
        assert answer.HasField("arm") is (profile not in held)  # who is held out takes part in no experiment
        inputs = orjson.loads((await till.recorded(f"first-{profile}")).inputs)
        assert inputs["holdout"] == draw_holdout(tenant_a, share, profile)._asdict()
    [one] = await till.purchases(sorted(held)[:1], "again")
    assert one.reason_summary == "thanks: the profile is in the tenant's holdout, which gets no messages"
    await tenants(0.0)
    freed = await till.purchases(sorted(held), "freed")  # at the same time: no cooldown was used up
    assert {answer.reason for answer in freed} == {SELECTED}


async def test_thompson_sampling_follows_the_counters_and_no_bundle_changes(
    shop: Catalog, till: Till, customers: list[str], tenant_a: Tenant, proof: Proof
) -> None:
    fields = {"allocation": THOMPSON, "variants": [variant("short", 1, "brief"), variant("long", 1)]}
    await begin(shop, **fields)
    subject = as_decisions_see_it(**fields)
    bundles = set()
    for hours, counts in enumerate([{}, {"long": (200, 20), "short": (200, 60)}]):
        document = {v: {"exposures": n, "conversions": c} for v, (n, c) in counts.items()}
        await proof.execute(
            "update activation_experiments set variant_counts = $1 where tenant_id = $2",
            orjson.dumps(document).decode(),
            UUID(int=tenant_a.int),
        )
        used = (counts.get("long", (0, 0)), counts.get("short", (0, 0)))
        shares = dict(zip(("long", "short"), best_shares(used), strict=True))
        for profile, answer in zip(
            customers, await till.purchases(customers, f"round-{hours}", hours=2 * hours), strict=True
        ):
            arm = draw_arm(tenant_a, subject, profile, counts)
            assert (answer.arm.variant, answer.arm.propensity) == (arm.view.variant, shares[arm.view.variant])
            stored = await till.recorded(f"round-{hours}-{profile}")
            [recorded] = orjson.loads(stored.inputs)["arms"].values()
            assert recorded["counts"] == {"long": list(used[0]), "short": list(used[1])}
            bundles.add(stored.rule_bundle_id)
    assert shares["short"] > 0.999
    assert len(bundles) == 1
