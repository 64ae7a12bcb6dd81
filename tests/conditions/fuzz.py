"""Searches for disagreement and for crashes until its time is over: `make fuzz SECONDS=600 SEED=7`.

Each round has a seed of its own, which is printed, and which alone repeats it. Not part of `make test`.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from tests.conditions.refusals import read_or_refused
from tests.conditions.spoiling import any_document, spoilt_bytes, spoilt_trees
from tests.conditions.strategies import Person, markets, people, trees
from tests.conditions.world import Market, Running

_EXAMPLES_OF_A_ROUND = 100
_SECONDS = float(os.environ.get("LEO_FUZZ_SECONDS", "60"))
_SEED = os.environ.get("LEO_FUZZ_SEED")


def rounds(share: float) -> Iterator[int]:
    """Seeds, until this share of the time is over; only the given one where there is one."""
    if _SEED:
        yield int(_SEED)
        return
    end = time.monotonic() + share * _SECONDS
    while time.monotonic() < end:
        yield random.SystemRandom().randrange(2**32)


def played(number: int, check: Callable[..., None], *strategies: st.SearchStrategy[Any]) -> None:
    """One round of a property, from its seed."""
    print(f"SEED={number}", flush=True)
    fast = settings(
        max_examples=_EXAMPLES_OF_A_ROUND,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    fast(seed(number)(given(*strategies)(check)))()


def test_closure_and_sql_agree(world: Running) -> None:
    runner, compared = world

    def agree(crowd: list[Person], others: list[Person], market: Market, documents: list[Any]) -> None:
        runner.run(compared.compare(crowd, others, market, documents))

    for number in rounds(0.8):
        played(
            number,
            agree,
            st.lists(people, min_size=3, max_size=8),
            st.lists(people, max_size=2),
            markets,
            st.lists(trees(), min_size=5, max_size=20),
        )
        print(f"{compared.pairs} pairs of condition and profile agree, {compared.true} are true", flush=True)


@pytest.mark.parametrize(
    "documents", [any_document, spoilt_trees, spoilt_bytes], ids=["any", "spoilt trees", "spoilt bytes"]
)
def test_whatever_is_no_rule_is_refused_with_paths(documents: st.SearchStrategy[Any]) -> None:
    read = 0

    def refuse(document: Any) -> None:
        nonlocal read
        read += 1
        read_or_refused(document)

    for number in rounds(0.2 / 3):
        played(number, refuse, documents)
    print(f"{read} documents were read, or refused with paths", flush=True)
