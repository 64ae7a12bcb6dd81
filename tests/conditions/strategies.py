"""Random rules, profiles, past events and prices, drawn from small pools so that they often meet."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from hypothesis import strategies as st

from server.conditions.attributes import COLUMNS, parse_attribute
from server.conditions.operators import OPERATORS, OPERATORS_OF_KIND
from server.conditions.values import MAX_INTEGER, Kind, write_time

AT = datetime(2020, 3, 15, 12, tzinfo=UTC)
SYMBOLS = ("AAA", "BRK.B", "CCC")
EVENT_TYPES = ("purchase", "page_view")

# The last ones sort differently by code point, by UTF-16 and by any human alphabet.
TEXTS = (
    *("", "a", "ab", "abc", "b", "A", "Z", "VN", "vip", "100", "true", "null", "a%b", "a_b", "a\\b", "a*b?"),
    *("a\nb", "a' OR 1=1", '"', "é", "e\u0301", "\uffff", "𝄞", "ß", "İ"),
    *("NaN", "Infinity", "-Infinity", "1e5", "-0", "[ab]", "\\", "\\%", "%", "_", "x" * 1_024),
)
NUMBERS = (-1, 0, 1, 2, 3, 100, 100.0, 0.1, 0.3, 0.1 + 0.2, 2.5, 1e-7, 1e15, MAX_INTEGER, -2.5)
INSTANTS = tuple(
    AT - delta
    for delta in (
        *(timedelta(days=days) for days in (0, 1, 30, 31, 90, 400)),
        *(timedelta(days=30, microseconds=step) for step in (-1, 1)),
        *(timedelta(hours=-1), timedelta(microseconds=1), timedelta(seconds=45), timedelta(hours=12)),
    )
)
NOT_INSTANTS = (
    *("2020-02-30T00:00:00Z", "2020-01-01T00:00:00", "2020-01-01t00:00:00z", "2020-01-01T24:00:00Z"),
    *("2020-01-01T00:00:00.1234567Z", "2020-01-01 00:00:00Z", "2020-06-31T10:00:00Z", "0000-01-01T00:00:00Z"),
    *("2020-01-01T00:00:60Z", "2020-01-01T00:00:00Z\n", "now", "infinity", "10000-01-01T00:00:00Z"),
    *(
        "2020-02-29T00:00:00+16:00",
        "2019-02-29T00:00:00Z",
        "2020-1-1T00:00:00Z",
        "epoch",
        "-0001-01-01T00:00:00Z",
    ),
    *("2016-12-31T23:59:60Z", "2020-01-01T00:00:00.Z", "2020-01-01T00:00:00+07", "２０２０-01-01T00:00:00Z"),
)
FAR_INSTANTS = (
    *(
        "2999-12-31T23:59:59-15:59",
        "1000-01-01T00:00:00+15:59",
        "1582-10-10T00:00:00Z",
        "1900-02-28T23:59:59Z",
    ),
    *("2020-03-15T12:00:00-00:00", "2020-03-15T12:00:00.000000Z", "2020-03-08T02:30:00-05:00"),
)

texts = st.sampled_from(TEXTS) | st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=4)
rule_numbers = st.sampled_from(NUMBERS) | st.integers(-200, 200) | st.decimals(-5, 5, places=2).map(float)
json_numbers = (
    rule_numbers
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from(
        (10**30, -(10**30), 2**53 + 1, 2**53, 2**63, 2**64, 1e300, 5e-324, -0.0, 9007199254740991.5, 1e16)
    )
)
times = st.sampled_from(INSTANTS).map(write_time) | st.just("2020-03-15T19:00:00.5+07:00")
durations = st.sampled_from(("45s", "1d", "24h", "30d", "15m", "90d", "36500d"))
degrees = st.sampled_from((0.0, 10.77, 10.78, -10.77, 45.5, 89.9, 90.0, -90.0, 1e-300, -5e-324, 1e-39))
meridians = degrees | st.sampled_from((180.0, -180.0, 179.9999999, -179.9999999, 180.0000001, 106.69))
places = st.fixed_dictionaries({"latitude": degrees, "longitude": meridians | st.floats(-180, 180)})
circles = st.builds(
    lambda latitude, longitude, km: {"latitude": latitude, "longitude": longitude, "km": km},
    st.sampled_from((0, 10.77, -10.77, 45.5, 90, -90, 89.99999)),
    st.sampled_from((0, 10.77, 106.69, -180, 180, 179.99999)),
    st.sampled_from((0.001, 1, 1.5, 1000, 10007.5, 20000, 0.0111195)),
)
leaves_of_json = (
    st.none()
    | st.booleans()
    | json_numbers
    | texts
    | times
    | st.sampled_from((*NOT_INSTANTS, *FAR_INSTANTS, "a" * 3_000))
    | places
)
json_values = leaves_of_json | st.lists(
    leaves_of_json | st.lists(leaves_of_json, max_size=2) | st.just({"a": 1}), max_size=4
)
documents = st.dictionaries(
    st.sampled_from(("a", "b", "tags", "é-1")),
    json_values
    | st.dictionaries(st.sampled_from(("a", "b", "latitude", "longitude")), json_values, max_size=3),
    max_size=3,
)

_JSON_NAMES = ("a", "b", "tags", "a.a", "a.b", "b.tags", "a.latitude", "é-1", "é-1.a")
WINDOWS = (
    *("count(purchase, 30d)", "count(page_view, 1d)", "sum(purchase.a, 30d)", "sum(purchase.a.b, 90d)"),
    *("max(purchase.a, 90d)", "max(page_view.b, 36500d)", "last_seen(purchase)", "last_seen(page_view)"),
)
attributes = st.sampled_from(
    (
        *(f"profile.{column}" for column in (*COLUMNS, "location")),
        *(f"profile.{name}" for name in _JSON_NAMES),
        *(f"profile.{name}" for name in _JSON_NAMES),
        *(f"profile.portfolio_snapshot.{name}" for name in ("a", "b.a")),
        *(f"market.{symbol}.{column}" for symbol in SYMBOLS for column in ("price", "change_percent")),
        *("segment", "segment"),
        *WINDOWS,
    )
)


@dataclass(frozen=True)
class Person:
    """One row of cdp_profiles and its past events: type, time, attributes."""

    columns: dict[str, Any]
    events: list[tuple[str, datetime, dict[str, Any]]] = field(default_factory=list)


_POOLS: dict[Kind | None, list[st.SearchStrategy[Any]]] = {
    Kind.NUMBER: [rule_numbers],
    Kind.TEXT: [texts],
    Kind.TIME: [times],
}
_OWN_POOLS: dict[str, st.SearchStrategy[Any]] = {
    "exists": st.booleans(),
    "starts_with": texts.filter(bool),
    "ends_with": texts.filter(bool),
    "glob": st.text("ab*?%_\\", min_size=1, max_size=6) | texts.filter(bool),
    "within_km": circles,
    "before": times,
    "after": times,
    "older_than": durations,
}


def _operand(operator: str, kind: Kind | None) -> st.SearchStrategy[Any]:
    """A value that the operator takes for an attribute of the kind."""
    ordered = _POOLS.get(kind, [rule_numbers, texts])
    scalars = ordered if kind in _POOLS else [*ordered, st.booleans()]
    if operator == "between":
        key = datetime.fromisoformat if kind is Kind.TIME else None
        return st.one_of(*(_lists_of(pool, 2, 2).map(lambda pair: sorted(pair, key=key)) for pool in ordered))
    if operator in ("in", "not_in", "contains_any"):
        return st.one_of(*(_lists_of(pool, 1, 3) for pool in scalars))
    if operator in ("==", "!=", "contains"):
        return st.one_of(*scalars)
    return _OWN_POOLS.get(operator, st.one_of(*ordered))


def _lists_of(pool: st.SearchStrategy[Any], least: int, most: int) -> st.SearchStrategy[list[Any]]:
    return st.lists(pool, min_size=least, max_size=most)


@st.composite
def comparisons(draw: st.DrawFn, names: st.SearchStrategy[str] = attributes) -> dict[str, Any]:
    """A good leaf."""
    name = draw(names)
    kind = parse_attribute(name).kind
    usable = sorted(OPERATORS if kind is None else OPERATORS_OF_KIND[kind])
    operator = draw(st.sampled_from(usable))
    return {"attribute": name, "operator": operator, "value": draw(_operand(operator, kind))}


def trees(names: st.SearchStrategy[str] = attributes) -> st.SearchStrategy[dict[str, Any]]:
    """Good documents of up to a dozen leaves; half of them are a single one, which hides nothing."""
    return comparisons(names) | st.recursive(
        comparisons(names),
        lambda parts: st.one_of(
            st.lists(parts, max_size=3).map(lambda found: {"all": found}),
            st.lists(parts, min_size=1, max_size=3).map(lambda found: {"any": found}),
            parts.map(lambda part: {"not": part}),
        ),
        max_leaves=12,
    )


json_attributes = st.sampled_from(tuple(f"profile.{name}" for name in _JSON_NAMES))
_lists = st.lists(st.sampled_from(TEXTS) | st.integers(0, 3) | st.booleans(), max_size=3)
_instants = st.none() | st.sampled_from(INSTANTS)
people = st.builds(
    Person,
    st.fixed_dictionaries(
        {
            **dict.fromkeys(("living_location", "language", "time_zone", "mobile_number"), st.none() | texts),
            "primary_email": st.none() | texts,
            "latitude": st.none() | degrees,
            "longitude": st.none() | meridians.filter(lambda degrees: abs(degrees) <= 180),
            "portfolio_risk_score": st.none() | st.sampled_from(("0.00", "0.10", "0.3", "1")).map(Decimal),
            **dict.fromkeys(("identities", "job_titles", "interests", "data_labels"), _lists),
            "segments": st.lists(st.sampled_from(TEXTS), max_size=3),
            "portfolio_snapshot": documents,
            "raw_attributes": documents,
            "source_updated_at": _instants,
            "created_at": st.sampled_from(INSTANTS),
        }
    ),
    st.lists(
        st.tuples(st.sampled_from(EVENT_TYPES), st.sampled_from(INSTANTS), documents),
        max_size=5,
    ),
)
prices = st.integers(0, 3 * 10**9) | st.sampled_from((100 * 10**9, 2_500_000_000, 100_000_000))
markets = st.dictionaries(
    st.sampled_from(SYMBOLS),
    st.tuples(prices, st.none() | st.sampled_from(("-1", "0.1", "2.50")).map(Decimal)),
)
