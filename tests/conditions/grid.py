"""Every operator against every kind of value: what random search would need long to meet."""

from __future__ import annotations

from typing import Any

from server.conditions.values import write_time
from tests.conditions.strategies import (
    FAR_INSTANTS,
    INSTANTS,
    NOT_INSTANTS,
    NUMBERS,
    TEXTS,
    WINDOWS,
    Person,
)


def every_leaf_of_json(name: str) -> list[dict[str, Any]]:
    """Every operator over a JSON attribute with every value of the pools that it takes."""
    scalars = [*TEXTS, *NUMBERS]
    patterns = [*filter(None, TEXTS), "*", "?", "a*", "*b", "a?b", "*a*b*", "a\\*", "_*", "%"]
    instants = [write_time(instant) for instant in INSTANTS]
    operands: dict[str, list[Any]] = {
        **{key: [*scalars, True, False] for key in ("==", "!=", "contains")},
        **dict.fromkeys(("<", "<=", ">", ">="), scalars),
        **{
            key: [["a", "𝄞", ""], [0.1, 100, 3], [True], ["null"]] for key in ("in", "not_in", "contains_any")
        },
        "between": [["A", "a"], ["", "\uffff"], [0.1, 0.3], [-1, 100]],
        **{key: [*filter(None, TEXTS)] for key in ("starts_with", "ends_with")},
        "glob": patterns,
        "exists": [True, False],
        **dict.fromkeys(("before", "after"), instants),
        "older_than": ["45s", "12h", "1d", "30d", "400d"],
        "within_km": [
            {"latitude": latitude, "longitude": 10.77, "km": km}
            for latitude in (0, 10.77, 90)
            for km in (0.001, 1.112, 10007.5, 20000)
        ],
    }
    return [leaf(name, operator, value) for operator, values in operands.items() for value in values]


def every_leaf_of_windows() -> list[dict[str, Any]]:
    """Every window of the pool, at values that its edges decide."""
    numbers = [
        leaf(name, operator, value)
        for name in WINDOWS
        if not name.startswith("last_seen")
        for operator in ("==", "!=", ">=", "<")
        for value in (0, 0.1, 0.3, 1, 2)
    ]
    times = [
        leaf("last_seen(purchase)", operator, write_time(instant))
        for operator in ("before", "after")
        for instant in INSTANTS
    ]
    ages = [leaf("last_seen(purchase)", "older_than", age) for age in ("45s", "12h", "1d", "30d")]
    return [*numbers, *times, *ages, leaf("last_seen(purchase)", "exists", True)]


def leaf(attribute: str, operator: str, value: object) -> dict[str, Any]:
    """A leaf as a caller writes it."""
    return {"attribute": attribute, "operator": operator, "value": value}


def one_of_each() -> list[Person]:
    """People who differ in one value, of every kind and at every edge, and in the time of one event."""
    scalars = [*TEXTS, *NUMBERS, *map(write_time, INSTANTS), *NOT_INSTANTS, *FAR_INSTANTS, True, False, None]
    places_ = [
        {"latitude": latitude, "longitude": longitude}
        for latitude in (0, 10.77, 10.78, 90, 90.1, 1e-300, "0", None)
        for longitude in (10.77, -180, 0.0)
    ]
    lists = [[scalar] for scalar in (*TEXTS, *NUMBERS, True, None)]
    values = [*scalars, *places_, *lists, [], [["a"]], [{"a": "a"}, "b"], {}, {"a": "a"}]
    alone = [Person({"raw_attributes": {"a": value}}) for value in values]
    events = [
        Person({}, [("purchase", instant, {"a": 0.1}), ("purchase", other, {"a": amount})])
        for instant in INSTANTS
        for other, amount in ((INSTANTS[0], 5), (INSTANTS[1], 0.2), (INSTANTS[2], "1"))
    ]
    return [*alone, Person({}), *events]
