"""Documents that are nearly rules: good trees with something wrong put anywhere, and bytes with some changed."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import strategies as st

from server.conditions.operators import OPERATORS
from tests.conditions.strategies import trees

_scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from(
        ("\ud800", "\0", "a\0", "\ud83d\ude00", "Infinity", "1e999", 2**53, -(2**63), 2**64, 10**400)
    )
)
_keys = st.sampled_from(("all", "any", "not", "attribute", "operator", "value", "x", "\ud800", "")) | st.text(
    max_size=3
)
any_document = st.recursive(
    _scalars,
    lambda parts: st.lists(parts, max_size=3) | st.dictionaries(_keys, parts, max_size=4),
    max_leaves=15,
) | st.binary(max_size=60)

_names = st.sampled_from(
    (
        *(
            "profile.",
            "event.a.",
            "segment.x",
            "market.",
            "market..price",
            "market.A.volume",
            "count()",
            "sum(a.b)",
        ),
        *(
            "count(a,1d,2d)",
            "last_seen()",
            "max(a.b, 0d)",
            "count(a, 99999999999d)",
            "profile.a.0",
            "profile.tenant_id",
        ),
        *(
            "profile.\ud800",
            "event.\0",
            "event." + "a" * 65,
            "event." + "a." * 8 + "a",
            "sum(a." + "b." * 9 + "b, 1d)",
        ),
    )
)
_operands = (
    _scalars
    | st.lists(_scalars, max_size=4)
    | st.dictionaries(st.sampled_from(("latitude", "longitude", "km", "x")), _scalars, max_size=4)
)


@st.composite
def _spoilt(draw: st.DrawFn) -> Any:
    document = draw(trees())
    for _ in range(draw(st.integers(0, 3))):
        places = list(_places(document))
        if not places:
            break
        container, key = draw(st.sampled_from(places))
        container[key] = draw(
            {"attribute": _names | _scalars, "operator": st.sampled_from(sorted(OPERATORS)) | _scalars}.get(
                str(key), _operands | trees()
            )
        )
        if isinstance(container, dict) and draw(st.booleans()):
            container[draw(_keys)] = draw(_operands)
    return document


def _places(document: Any) -> Any:
    """Every place of a document that holds something: its container and the key or index there."""
    items = document.items() if isinstance(document, dict) else enumerate(document)
    for key, value in list(items):
        yield document, key
        if isinstance(value, dict | list):
            yield from _places(value)


spoilt_trees = _spoilt()


@st.composite
def _bytes(draw: st.DrawFn) -> bytes:
    data = bytearray(
        json.dumps(draw(spoilt_trees), ensure_ascii=draw(st.booleans())).encode(errors="surrogatepass")
    )
    for _ in range(draw(st.integers(0, 4))):
        place = draw(st.integers(0, max(len(data) - 1, 0)))
        match draw(st.sampled_from(("change", "cut", "repeat"))):
            case "change" if data:
                data[place] = draw(st.integers(0, 255))
            case "cut":
                del data[place : place + draw(st.integers(1, 5))]
            case _:
                data[place:place] = data[place : place + draw(st.integers(1, 20))]
    return bytes(data)


spoilt_bytes = _bytes()
