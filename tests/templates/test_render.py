"""Templates: what they may contain, what they make of variables, and where rendering stops."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.templates import (
    Escaping,
    MissingVariable,
    RenderLimitReached,
    RenderLimits,
    TemplateFault,
    UnknownEngine,
    check,
    render,
)


@pytest.mark.parametrize(
    ("source", "variables", "expected"),
    [
        ("Hi {{ profile.name|upper }}", {"profile": {"name": "Nam"}}, "Hi NAM"),
        ("{{ event.items[0] }}", {"event": {"items": ["first"]}}, "first"),
        ("{{ name|default('friend') }}", {}, "friend"),
        ("{{ name|default('friend', true) }}", {"name": None}, "friend"),
        ("{% if vip is defined and vip %}VIP{% else %}guest{% endif %}", {}, "guest"),
        ("{{ first ~ ' ' ~ last }}", {"first": "A", "last": "B"}, "A B"),
        ("{{ a + b }} {{ a * b }}", {"a": 2, "b": 3}, "5 6"),
        ("{{ '%.2f'|format(amount) }}", {"amount": 1.5}, "1.50"),
        (
            "{% for x in xs %}{{ loop.index }}{{ x }}{% if not loop.last %},{% endif %}{% endfor %}",
            {"xs": ["a", "b"]},
            "1a,2b",
        ),
        ("{% for k, v in d.items() %}{{ k }}={{ v }};{% endfor %}", {"d": {"a": 1}}, "a=1;"),
        ("{% if x in ['a', 'b'] %}yes{% endif %}", {"x": "a"}, "yes"),
        ("{{ xs|join(', ') }}", {"xs": [1, "b"]}, "1, b"),
        ("{{ orders|join('; ', 'code') }}", {"orders": [{"code": "A"}, {"code": "B"}]}, "A; B"),
        ("{{ xs|tojson }}", {"xs": [1]}, "[1]"),
        ("{{ name.split(' ')[0] }}", {"name": "Nam Le"}, "Nam"),
        ("{{ text|replace('a', 'b') }}", {"text": "aa"}, "bb"),
        ("{{ amount|round(1) }}", {"amount": 1.26}, "1.3"),
        ("{% set total = 1 + 1 %}{{ total }}\n", {}, "2\n"),
    ],
)
def test_renders(source: str, variables: dict[str, object], expected: str) -> None:
    check(source)
    assert render(source, variables) == expected


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("{{ name }}", "name"),
        ("{{ profile.name }}", "name"),
        ("{{ name|upper }}", "name"),
        ("{% if name %}{% endif %}", "name"),
        ("{% for x in name %}{% endfor %}", "name"),
        ("{{ 'a' ~ name }}", "name"),
        ("{{ xs[5] }}", "5"),
    ],
)
def test_a_missing_variable_is_named(source: str, name: str) -> None:
    with pytest.raises(MissingVariable) as caught:
        render(source, {"profile": {}, "xs": []})
    assert caught.value.name == name


@pytest.mark.parametrize(
    "source",
    [
        "{% if %}", "{{ x|nope }}", "{{ x is nope }}", "{% macro a() %}{% endmacro %}", "{% include 'a' %}",
        "{% import 'a' as a %}", "{% extends 'a' %}", "{% block a %}{% endblock %}", "{{ range(10) }}",
        "{{ ''.join(x) }}", "{{ x.format(1) }}", "{{ 2 ** 9 }}", "{{ [x] }}", "{{ {'a': x} }}",
        "{% for x in y recursive %}{% endfor %}", "{% set a, b = x %}", "{{ x.upper(*y) }}",
        "{{ x|join(*y) }}",
        "{{" + "(" * 5000 + "}}", "{{ " + "9" * 6000 + " }}", "{{ x }}" * 30_000,
    ],
)  # fmt: skip
def test_what_is_not_accepted_is_refused_on_write(source: str) -> None:
    with pytest.raises(TemplateFault):
        check(source)


@pytest.mark.parametrize("engine", ["handlebars", "erb", "mustache", ""])
def test_other_engines_are_refused_with_a_reason(engine: str) -> None:
    with pytest.raises(UnknownEngine, match="jinja2"):
        check("x", engine=engine)


def test_the_line_of_a_fault_is_told() -> None:
    with pytest.raises(TemplateFault, match="line 2"):
        check("fine\n{% if %}")


@pytest.mark.parametrize(
    "source",
    [
        "{% for a in xs %}{% for b in xs %}{% for c in xs %}{% endfor %}{% endfor %}{% endfor %}",
        "{% set x = 'aaaaaaaaaa' %}" + "{% set x = x ~ x %}" * 40 + "{{ x }}",
        "{% set x = 'aaaaaaaaaa' %}" + "{% set x = x + x %}" * 40 + "{{ x }}",
        "{{ text|replace('a', text) }}",
        "{{ texts|join(text) }}",
        "{% for a in xs %}{{ text }}{% endfor %}",
        "{% for a in xs %}{% if text == other %}{% endif %}{% endfor %}",
        "{% for a in xs %}{% set y = text|upper %}{% endfor %}",
        "{% for a in xs %}{% set y = text[1:] %}{% endfor %}",
        "{% for a in xs %}{% set y = text.upper() %}{% endfor %}",
    ],
)
def test_work_without_end_is_stopped(source: str) -> None:
    variables = {"xs": list(range(1000)), "text": "a" * 50_000, "texts": ["a"] * 50, "other": "a" * 50_001}
    with pytest.raises(RenderLimitReached):
        render(source, variables)


@pytest.mark.parametrize(
    "source",
    [
        "{{ 'a' * 1000000000 }}", "{{ '%999999999d'|format(1) }}", "{{ 1 / 0 }}", "{{ 'a' + 1 }}",
        "{{ 1.5|round(99999999, 'ceil') }}", "{{ xs }}", "{{ nothing }}", "{{ 'a' ~ nothing }}",
        "{{ xs|join(xs) }}",
        "{% set x = 9 %}" + "{% set x = x * x %}" * 40 + "{{ x }}", "{% for i in 5 %}{% endfor %}",
        "{{ xs.__class__ }}", "{{ xs['__class__'] }}", "{{ xs|join(',', 'a') }}",
    ],
)  # fmt: skip
def test_an_expression_that_fails_is_a_fault_of_the_template(source: str) -> None:
    with pytest.raises(TemplateFault):
        render(source, {"xs": [1], "nothing": None})


def test_limits_are_the_callers() -> None:
    assert render("{{ x }}", {"x": "abc"}, RenderLimits(output_characters=3)) == "abc"
    with pytest.raises(RenderLimitReached):
        render("{{ x }}", {"x": "abcd"}, RenderLimits(output_characters=3))


@given(value=st.text())
def test_html_escapes_whatever_variables_bring(value: str) -> None:
    rendered = render("<p>{{ x }}{{ 'a' ~ x }}{{ [1, 2]|join(x) }}</p>", {"x": value}, escaping=Escaping.HTML)
    assert "<" not in rendered.removeprefix("<p>").removesuffix("</p>")


@given(value=st.text())
def test_plain_text_comes_out_as_it_went_in(value: str) -> None:
    assert render("{{ x }}", {"x": value}) == value


@given(source=st.text(alphabet="{}%# ()[]|.'\"abifor=in+~*-0_\n", max_size=60))
def test_no_source_gets_past_as_another_error(source: str) -> None:
    try:
        check(source)
        render(source, {"a": "x", "b": [1], "i": 3})
    except TemplateFault:
        return
