"""What a template needs is known before it is rendered: with it nothing is missing, without it something is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.templates import (
    MissingVariable,
    TemplateFault,
    VariablePath,
    holds,
    name_of,
    render,
    required_variables,
    without_nulls,
)

JINJA, LIQUID = "jinja2", "liquid"


def needed(source: str, engine: str) -> set[str]:
    return {name_of(path) for path in required_variables(source, engine=engine)}


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("Hi", set()),
        ("{{ profile.name }} {{ event.amount * 2 }}", {"profile.name", "event.amount"}),
        ("{{ event['due date'] }}{{ event.items[0].price }}", {"event['due date']", "event.items[0].price"}),
        ("{{ event.a | default('x') }}{{ event.b | upper | default('x') }}", {"event", "event.b"}),
        ("{{ event.a.b | default('x') }}", {"event.a"}),
        ("{% if event.a is defined %}{{ event.a }}{% endif %}", {"event"}),
        ("{% if event.a %}{{ event.b }}{% endif %}", {"event.a"}),
        ("{% if event.a %}{{ event.b }}{% else %}{{ event.b ~ event.c }}{% endif %}", {"event.a", "event.b"}),
        ("{% if event.a %}1{% elif event.b %}2{% endif %}", {"event.a"}),
        ("{{ event.a if event.b else event.c }}", {"event.b"}),
        ("{% if event.a and event.b or event.c %}x{% endif %}", {"event.a"}),
        ("{% if 1 < event.a < event.b %}x{% endif %}", {"event.a"}),
        (
            "{% for x in event.items %}{{ x.name }}{{ loop.index }}{{ event.note }}{% endfor %}",
            {"event.items", "event.items[].name", "event.note"},
        ),
        ("{% for x in event.items if x.on is defined %}{{ x.name }}{% endfor %}", {"event.items"}),
        ("{% for k, v in event.map.items() %}{{ k }}{{ v }}{% endfor %}", {"event.map"}),
        ("{% set x = event.a %}{{ x.b }}{{ x.c | default(1) }}", {"event", "event.a", "event.a.b"}),
        ("{% set x = event.a %}{% if event.b %}{% set x = 1 %}{% endif %}{{ x }}", {"event", "event.b"}),
        ("{{ event.get('a', '') }}{{ event.name.upper() }}", {"event", "event.name"}),
        ("{{ event.parts | join(event.separator) }}", {"event.parts", "event.separator"}),
        ("{{ event[event.key] }}", {"event", "event.key"}),
        ("{{ nothing }}", {"nothing"}),
    ],
)
def test_what_jinja_needs(source: str, names: set[str]) -> None:
    assert needed(source, JINJA) == names


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("{{ profile.name | upcase }}{{ event.amount | plus: event.tax }}",
         {"profile.name", "event.amount", "event.tax"}),
        ("{{ event.a.b | default: 'x' }}{{ event.b | upcase | default: 'x' }}", {"event.b"}),
        ("{{ event.items[0].price }}{{ event.items.size }}{{ event.items.first.name }}",
         {"event.items[0].price", "event.items"}),
        ("{% if event.a %}{{ event.b }}{% endif %}", {"event.a"}),
        ("{% unless event.a %}{{ event.b }}{% else %}{{ event.b }}{% endunless %}", {"event.a", "event.b"}),
        ("{% if event.a and event.b %}x{% elsif event.c %}y{% endif %}", {"event.a"}),
        ("{% case event.tier %}{% when 'gold' %}{{ event.a }}{% endcase %}", {"event.tier"}),
        (
            "{% for x in event.items limit: event.most %}{{ x.name }}{{ forloop.index }}{% endfor %}",
            {"event.items", "event.most", "event.items[].name"},
        ),
        ("{% assign x = event.a %}{{ x.b }}{% assign y = event.c | upcase %}{{ y }}", {"event.a.b", "event.c"}),
        ("{% if event.a %}{% assign x = 1 %}{% endif %}{{ x }}", {"event.a"}),
        ("{% capture x %}{{ event.a }}{% endcapture %}{{ x }}", {"event.a"}),
        ("{{ event[event.key] }}", {"event", "event.key"}),
        ("{% comment %}{{ event.a }}{% endcomment %}{% raw %}{{ event.b }}{% endraw %}", set()),
    ],
)  # fmt: skip
def test_what_liquid_needs(source: str, names: set[str]) -> None:
    assert needed(source, LIQUID) == names


@pytest.mark.parametrize(
    ("path", "there"),
    [
        (("event", "a"), True),
        (("event", "null"), False),
        (("event", "a", "b"), False),
        (("event", "items", 1, "name"), True),
        (("event", "items", 2), False),
        (("event", "items", None, "name"), True),
        (("event", "items", None, "price"), False),
        (("event", "none", None, "price"), True),
        (("event", "a", None), True),
        (("event", "count", None), False),
        (("missing",), False),
    ],
)
def test_what_is_there(path: VariablePath, there: bool) -> None:
    event = {
        "a": "x",
        "count": 1,
        "null": None,
        "items": [{"name": "one", "price": 1}, {"name": "two"}],
        "none": [],
    }
    assert holds({"event": event}, path) is there
    assert holds(without_nulls({"event": event}), path) is there


_names = st.sampled_from(["event.a", "event.b", "profile.c", "event.d.e", "event.list[0]"])
_jinja_pieces: list[Callable[[str, str, str], str]] = [
    lambda a, b, inner: f"{{{{ {a} }}}}",
    lambda a, b, inner: f"{{{{ {a} | upper }}}}",
    lambda a, b, inner: f"{{{{ event.x | default({b}) }}}}",
    lambda a, b, inner: f"{{{{ {a} if {b} == 'v' else {a} }}}}",
    lambda a, b, inner: (
        f"{{% if event.x is defined %}}{{{{ event.x }}}}{{% else %}}{inner}{{% endif %}}{inner}"
    ),
    lambda a, b, inner: f"{{% set s = {a} %}}{{{{ s ~ {b} }}}}",
    lambda a, b, inner: f"{{% for item in event.lines %}}{{{{ item.name }}}}{inner}{{% endfor %}}",
    lambda a, b, inner: f"{{% if {a} == {b} %}}{inner}{{% else %}}{inner}{{% endif %}}",
    lambda a, b, inner: (
        f"{{% if event.x is defined and event.x == 'v' %}}{{{{ {a} | length }}}}{{% endif %}}{{{{ {a} }}}}"
    ),
]
_liquid_pieces: list[Callable[[str, str, str], str]] = [
    lambda a, b, inner: f"{{{{ {a} }}}}",
    lambda a, b, inner: f"{{{{ {a} | append: {b} }}}}",
    lambda a, b, inner: f"{{{{ event.x | default: 'y' | append: {b} }}}}",
    lambda a, b, inner: (
        f"{{% assign s = event.x | default: '' %}}{{% if s == 'v' %}}{{{{ s }}}}{{% endif %}}{inner}"
    ),
    lambda a, b, inner: f"{{% assign t = {a} %}}{{{{ t }}}}",
    lambda a, b, inner: f"{{% for item in event.lines %}}{{{{ item.name }}}}{inner}{{% endfor %}}",
    lambda a, b, inner: f"{{% if {a} == {b} %}}{inner}{{% else %}}{inner}{{% endif %}}",
    lambda a, b, inner: f"{{% unless {a} contains 'v' %}}{inner}{{% else %}}{inner}{{% endunless %}}",
    lambda a, b, inner: f"{{% capture c %}}{{{{ {a} }}}}{{% endcapture %}}{{{{ c }}}}",
]


def _templates(pieces: list[Callable[[str, str, str], str]]) -> st.SearchStrategy[str]:
    def nest(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
        return st.builds(
            lambda piece, a, b, text: piece(a, b, text), st.sampled_from(pieces), _names, _names, inner
        )

    one = st.recursive(st.just("text"), nest, max_leaves=3)
    return st.lists(one, min_size=1, max_size=3).map("".join)


_documents = st.fixed_dictionaries(
    {
        "event": st.fixed_dictionaries(
            {},
            optional={
                "a": st.just("v"),
                "b": st.sampled_from(["v", "w", None]),
                "d": st.fixed_dictionaries({}, optional={"e": st.just("v")}),
                "list": st.lists(st.just("v"), max_size=1),
                "lines": st.lists(st.fixed_dictionaries({}, optional={"name": st.just("n")}), max_size=2),
                "x": st.just("v"),
            },
        ),
        "profile": st.fixed_dictionaries({}, optional={"c": st.just("v")}),
    }
)


def _renders(source: str, variables: Mapping[str, Any], engine: str) -> bool:
    try:
        render(source, without_nulls(variables), engine=engine)
    except MissingVariable:
        return False
    return True


@pytest.mark.parametrize(
    ("engine", "templates"), [(JINJA, _templates(_jinja_pieces)), (LIQUID, _templates(_liquid_pieces))]
)
def test_what_has_all_that_is_needed_renders_and_nothing_else_does(
    engine: str, templates: st.SearchStrategy[str]
) -> None:
    """Of templates whose branches ask before they read: others may need more than can be told beforehand. What is read
    of the items of an empty list, and a default for what is there, count as needed though they are not read."""

    @given(source=templates, variables=_documents)
    def check(source: str, variables: dict[str, Any]) -> None:
        missing = [path for path in required_variables(source, engine=engine) if not holds(variables, path)]
        rendered = _renders(source, variables, engine)
        assert rendered or missing
        if variables["event"].get("lines") != [] and "x" not in variables["event"]:
            assert not (rendered and missing)

    check()


@given(source=st.text(max_size=60))
@pytest.mark.parametrize("engine", [JINJA, LIQUID])
def test_nonsense_is_a_fault(engine: str, source: str) -> None:
    with suppress(TemplateFault):
        required_variables("{{ " + source + " }}", engine=engine)
