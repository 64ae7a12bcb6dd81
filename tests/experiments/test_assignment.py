"""Who falls to which variant: by the weights, always the same, and moving no further than it must."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

import asyncpg
from hypothesis import given, settings
from hypothesis import strategies as st

from server.decisions.arms.assignment import draw_arm, draw_arms, draw_holdout
from server.decisions.arms.definitions import compile_experiments
from server.decisions.arms.model import HOLDOUT_VARIANT, Experiment, HoldoutShare, Window
from server.decisions.arms.thompson import best_shares
from server.decisions.intake import IncomingEvent, accept
from tests.decisions.definitions import NOON, TENANT, compiled, definition, document, event

PROFILES: Final = [f"profile-{number}" for number in range(100)]
quick = settings(max_examples=50, deadline=None)
# The 99.9 % quantile of chi-square, by degrees of freedom.
CRITICAL: Final = {1: 10.83, 3: 16.27, 4: 18.47}
_names = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=8)
_weights = st.dictionaries(
    _names.filter(lambda name: name != HOLDOUT_VARIANT), st.integers(1, 1_000), min_size=2, max_size=6
)


def running(weights: Mapping[str, float], **values: Any) -> Experiment:
    """An experiment with these weights, each variant with a template of its name."""
    return Experiment(
        **{
            "experiment_id": "subject",
            "weights": dict(sorted(weights.items())),
            "templates": {name: name for name in weights},
            "adaptive": False,
            "holdout_fraction": 0.0,
            "seed": 7,
            "period": Window(None, None),
            **values,
        }
    )


def variants(experiment: Experiment, profiles: Sequence[str] = PROFILES) -> list[str]:
    """The variant of each profile."""
    return [draw_arm(TENANT, experiment, profile, {}).view.variant for profile in profiles]


def chi_square(seen: Mapping[str, int], shares: Mapping[str, float]) -> float:
    """How far the numbers are from the shares."""
    total = sum(seen.values())
    return sum((seen[name] - total * share) ** 2 / (total * share) for name, share in shares.items())


def test_a_hundred_thousand_profiles_show_the_weights_and_the_holdout() -> None:
    subject = running({"a": 1, "b": 2, "c": 5}, holdout_fraction=0.2)
    seen = Counter(variants(subject, [f"customer-{number}" for number in range(100_000)]))
    expected = {"a": 0.1, "b": 0.2, "c": 0.5, HOLDOUT_VARIANT: 0.2}
    assert seen.total() == 100_000
    assert chi_square(seen, expected) < CRITICAL[3], seen


def test_the_tenants_holdout_holds_its_fraction_and_seeds_share_out_anew() -> None:
    held = [
        {p for p in range(5_000) if draw_holdout(TENANT, HoldoutShare(0.3, seed), f"customer-{p}").held_out}
        for seed in (1, 2)
    ]
    everybody = 5_000
    for group in held:
        seen = {"in": len(group), "out": everybody - len(group)}
        assert chi_square(seen, {"in": 0.3, "out": 0.7}) < CRITICAL[1]
    both = len(held[0] & held[1])
    assert abs(both / everybody - 0.09) < 0.02  # 0.3 of 0.3: one seed says nothing about the other


def test_two_experiments_share_the_same_profiles_out_independently() -> None:
    profiles = [f"customer-{number}" for number in range(20_000)]
    first, second = (
        variants(running({"a": 1, "b": 1}, experiment_id=name), profiles) for name in ("first", "second")
    )
    seen = Counter(one + other for one, other in zip(first, second, strict=True))
    assert chi_square(seen, dict.fromkeys(("aa", "ab", "ba", "bb"), 0.25)) < CRITICAL[3], seen


@quick
@given(_weights, st.integers(0, 2**53 - 1), st.sampled_from([0.0, 0.1, 0.5]))
def test_it_is_stable_scale_free_and_does_not_depend_on_any_order(
    weights: dict[str, int], seed: int, fraction: float
) -> None:
    listed: list[dict[str, Any]] = [
        {"name": n, "weight": w, "template_name": None} for n, w in weights.items()
    ]
    scaled = [{**v, "weight": v["weight"] * 3} for v in reversed(listed)]
    drawn = []
    for order in (listed, listed, scaled):
        subject = _compiled(order, seed=seed, holdout_fraction=fraction)
        arms = [draw_arm(TENANT, subject, profile, {}) for profile in PROFILES[:40]]
        drawn.append([(arm.view.variant, arm.draw) for arm in arms])
    assert drawn[0] == drawn[1] == drawn[2]


@quick
@given(_weights.map(lambda weights: {name: weight % 5 + 1 for name, weight in weights.items()}))
def test_the_propensities_of_an_experiment_and_its_holdout_add_up_to_one(weights: dict[str, int]) -> None:
    for fraction in (0.0, 0.25):
        propensities = _every_propensity(running(weights, holdout_fraction=fraction))
        assert math.isclose(math.fsum(propensities.values()), 1.0)


def _compiled(listed: Sequence[Mapping[str, Any]], **values: Any) -> Experiment:
    entry: dict[str, Any] = {
        "experiment_id": "subject", "campaign_id": "c", "event_name": "m", "allocation": "fixed",
        "variants": listed, "holdout_fraction": 0, "seed": 7, "start_at": None, "end_at": None, **values,
    }  # fmt: skip
    return compile_experiments([entry], [definition("m")])["m"]


def _every_propensity(subject: Experiment) -> dict[str, float]:
    """The propensity of each variant and of the holdout, from profiles that fell to them."""
    wanted = len(subject.weights) + (subject.holdout_fraction > 0)
    seen: dict[str, float] = {}
    for number in itertools.count():
        view = draw_arm(TENANT, subject, f"searched-{number}", {}).view
        seen[view.variant] = view.propensity
        if len(seen) == wanted:
            return seen
    raise AssertionError


@quick
@given(_weights, st.data())
def test_a_profile_moves_only_to_a_variant_that_grew_more_than_its_own(
    weights: dict[str, int], data: st.DataObject
) -> None:
    changed = {name: data.draw(st.integers(1, 1_000), label=name) for name in weights}
    before, after = variants(running(weights)), variants(running(changed))
    for left, joined in zip(before, after, strict=True):
        if left != joined:
            assert changed[joined] * weights[left] > changed[left] * weights[joined]


@quick
@given(_weights, st.integers(1, 1_000))
def test_a_new_variant_takes_from_the_others_and_moves_nobody_between_them(
    weights: dict[str, int], weight: int
) -> None:
    grown = {**weights, "the new one": weight}
    for left, joined in zip(variants(running(weights)), variants(running(grown)), strict=True):
        assert joined in (left, "the new one")


@quick
@given(st.floats(0.0, 0.99), st.floats(0.0, 0.99))
def test_a_larger_holdout_holds_all_of_a_smaller_one_and_moves_nobody_else(one: float, other: float) -> None:
    small, large = sorted((one, other))
    weights = {"a": 1, "b": 2}
    before = variants(running(weights, holdout_fraction=small))
    after = variants(running(weights, holdout_fraction=large))
    for left, joined in zip(before, after, strict=True):
        assert joined in (left, HOLDOUT_VARIANT)


async def test_the_numbers_can_be_computed_again_in_sql(app: asyncpg.Connection) -> None:
    subject = running({"a": 1, "b": 2}, holdout_fraction=0.5)
    query = "select ('x' || left(leo_key_id($1, $2, variadic $3::text[]), 13))::bit(52)::bigint / 2.0 ^ 52"
    tenant = UUID(int=TENANT.int)
    for profile in [*PROFILES[:20], "khách hàng"]:
        arm = draw_arm(TENANT, subject, profile, {})
        kind, middle = ("experiment_arm", ["subject", "7", arm.view.variant])
        if arm.view.held_out:
            kind, middle = ("experiment_holdout", ["subject", "7"])
        assert arm.draw == float(await app.fetchval(query, kind, tenant, [*middle, profile]))
        holdout = draw_holdout(TENANT, HoldoutShare(0.1, 3), profile)
        assert holdout.draw == float(await app.fetchval(query, "holdout", tenant, ["3", profile]))


def test_thompson_sampling_draws_with_the_shares_that_it_records() -> None:
    subject = running({"a": 1, "b": 900, "c": 1}, adaptive=True, holdout_fraction=0.1)
    counts = {"a": (500, 40), "b": (500, 50), "gone": (9, 9)}
    shares = dict(zip("abc", best_shares(((500, 40), (500, 50), (0, 0))), strict=True))
    seen: Counter[str] = Counter()
    for number in range(20_000):
        arm = draw_arm(TENANT, subject, f"customer-{number}", counts)
        assert arm.counts == {"a": (500, 40), "b": (500, 50), "c": (0, 0)}
        seen[arm.view.variant] += 1
        expected = 0.1 if arm.view.held_out else 0.9 * shares[arm.view.variant]
        assert math.isclose(arm.view.propensity, expected)
    assert chi_square(seen, {**{n: 0.9 * s for n, s in shares.items()}, HOLDOUT_VARIANT: 0.1}) < CRITICAL[3]


def test_an_experiment_is_on_the_name_of_a_marketing_event_and_in_force_in_its_period() -> None:
    entry = {
        "experiment_id": "subject", "campaign_id": "c", "event_name": "thanks", "allocation": "fixed",
        "variants": [
            {"name": "own", "weight": 1, "template_name": None},
            {"name": "other", "weight": 1, "template_name": "brief"},
            {"name": "out", "weight": 0, "template_name": "none"},
        ],
        "holdout_fraction": 0, "seed": 7, "start_at": None, "end_at": NOON.isoformat(),
    }  # fmt: skip
    drawn = []
    for identity in ("first", "second"):  # two versions of one definition
        content = document([definition(identity, event_name="thanks"), definition("else", priority=1)])
        bundle = compiled({**content, "experiments": [entry]})
        assert bundle.draws
        assert draw_arms(TENANT, bundle, event(), {}) == {}  # at its end
        incoming = IncomingEvent("order-1", "ann", "purchase", NOON - timedelta(microseconds=1), b"")
        earlier = accept(TENANT, incoming, "event", NOON)
        arms = draw_arms(TENANT, bundle, earlier, {})
        assert list(arms) == [identity]
        drawn.append(arms[identity])
        assert bundle.experiments[identity].templates == {"own": "hello", "other": "brief"}
    assert drawn[0] == drawn[1]
    assert drawn[0].view.template_name == {"own": "hello", "other": "brief"}[drawn[0].view.variant]


def test_a_tenant_without_experiments_and_holdout_draws_nothing() -> None:
    content = document([definition("m")])
    assert not compiled(content).draws
    unheld = {**content, "tenant": {**content["tenant"], "holdout": {"fraction": 0, "seed": 1}}}
    assert not compiled({**unheld, "experiments": []}).draws
