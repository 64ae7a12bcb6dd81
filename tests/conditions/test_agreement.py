"""The closure and the SQL of a condition agree, for any tree and any profile, as the servers' role.

`make fuzz` searches for longer, with fresh examples each time.
"""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from server.conditions.operators import MAX_LIST_LENGTH
from server.conditions.parser import MAX_AGGREGATES, MAX_DEPTH, MAX_NODES
from tests.conditions.grid import every_leaf_of_json, every_leaf_of_windows, leaf, one_of_each
from tests.conditions.strategies import Person, markets, people, trees
from tests.conditions.world import Market, Running

EXAMPLES = 250
LEAST_PAIRS = 2_000


def test_closure_and_sql_agree(world: Running, record_property: Any) -> None:
    runner, compared = world

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
        database=None,
    )
    @given(
        st.lists(people, min_size=3, max_size=6),
        st.lists(people, max_size=3),
        markets,
        st.lists(trees(), min_size=3, max_size=4),
    )
    def agree(crowd: list[Person], others: list[Person], market: Market, documents: list[Any]) -> None:
        runner.run(compared.compare(crowd, others, market, documents))

    agree()
    record_property("compared", f"{compared.pairs} pairs of condition and profile, {compared.true} true")
    assert compared.pairs >= LEAST_PAIRS
    assert 0.1 < compared.true / compared.pairs < 0.9


def test_every_operator_agrees_on_every_kind_of_value(world: Running, record_property: Any) -> None:
    runner, compared = world
    leaves = [*every_leaf_of_json("profile.a"), *every_leaf_of_windows()]
    negated = [{"not": leaf} for leaf in leaves[::7]]
    runner.run(compared.compare(one_of_each(), [], {}, [*leaves, *negated]))
    record_property("compared", f"{compared.pairs} pairs of condition and profile, {compared.true} true")
    assert compared.pairs > 50_000


def test_the_largest_rule_runs(world: Running) -> None:
    """As many nodes, levels, windows and members as a rule may have."""
    runner, compared = world
    windows = [leaf(f"sum(purchase.a, {days}d)", ">=", days / 10) for days in range(1, MAX_AGGREGATES + 1)]
    long_list = leaf("profile.a", "in", [f"value {number}" for number in range(MAX_LIST_LENGTH)])
    circles = [
        leaf("profile.location", "within_km", {"latitude": number / 4, "longitude": 10.77, "km": 1})
        for number in range(MAX_NODES - MAX_DEPTH - len(windows) - 1)
    ]
    tree: dict[str, Any] = {"any": [*windows, long_list, *circles]}
    for _ in range(MAX_DEPTH - 2):
        tree = {"not": tree}
    runner.run(compared.compare(one_of_each()[-40:], [], {}, [tree]))
    assert 0 < compared.true < compared.pairs
