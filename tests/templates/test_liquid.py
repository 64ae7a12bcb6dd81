"""Liquid beside jinja2: the same strictness, the same limits."""

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
    check,
    render,
)

LIQUID = "liquid"


@pytest.mark.parametrize(
    ("source", "variables", "expected"),
    [
        ("Hi {{ profile.name | upcase }}", {"profile": {"name": "Nam"}}, "Hi NAM"),
        ("{{ event.items[0] }}", {"event": {"items": ["first"]}}, "first"),
        ("{{ name | default: 'friend' }}", {}, "friend"),
        ("{{ profile.name | default: 'friend' }}", {"profile": {"name": None}}, "friend"),
        ("{% if vip %}VIP{% else %}guest{% endif %}", {"vip": False}, "guest"),
        ("{% unless vip %}guest{% endunless %}", {"vip": False}, "guest"),
        ("{% case tier %}{% when 'gold' %}G{% else %}x{% endcase %}", {"tier": "gold"}, "G"),
        ("{% for x in xs %}{{ forloop.index }}{{ x }}{% endfor %}", {"xs": ["a", "b"]}, "1a2b"),
        ("{% for x in (1..3) %}{{ x }}{% endfor %}", {}, "123"),
        ("{% assign t = a | plus: b %}{{ t }}", {"a": 2, "b": 3}, "5"),
        ("{% capture t %}a{{ a }}{% endcapture %}{{ t }}", {"a": 2}, "a2"),
        ("{{ xs | join: ', ' }}", {"xs": [1, "b"]}, "1, b"),
        ("{{ text | replace: 'a', 'b' }}{{ text | size }}", {"text": "aa"}, "bb2"),
        ("{{ text.size }}{{ d.size }}", {"text": "aa", "d": {"size": "big"}}, "2big"),
        ("{{ amount | round: 1 }}", {"amount": 1.26}, "1.3"),
        ("{{ at | date: '%d/%m/%Y %H:%M' }}", {"at": "2026-11-21T08:30:00+00:00"}, "21/11/2026 08:30"),
        ("{{ name | truncate: 5 }}", {"name": "a long name"}, "a ..."),
        ("{% raw %}{{ x }}{% endraw %}{% comment %}c{% endcomment %}\n", {}, "{{ x }}\n"),
        ("{% if xs contains 'a' and n >= 2 %}yes{% endif %}", {"xs": ["a"], "n": 2}, "yes"),
        ("{{ ok }}", {"ok": True}, "true"),
    ],
)
def test_renders(source: str, variables: dict[str, object], expected: str) -> None:
    check(source, engine=LIQUID)
    assert render(source, variables, engine=LIQUID) == expected


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("{{ name }}", "name"),
        ("{{ profile.name }}", "profile.name"),
        ("{{ name | upcase }}", "name"),
        ("{{ name | plus: 1 }}", "name"),
        ("{{ 'a' | append: name }}", "name"),
        ("{% if name %}{% endif %}", "name"),
        ("{% if name == 1 %}{% endif %}", "name"),
        ("{% for x in name %}{% endfor %}", "name"),
        ("{% assign x = name %}{{ x }}", "name"),
    ],
)
def test_a_missing_variable_is_named(source: str, name: str) -> None:
    with pytest.raises(MissingVariable) as caught:
        render(source, {"profile": {}}, engine=LIQUID)
    assert caught.value.name == name


@pytest.mark.parametrize(
    "source",
    [
        "{% if %}", "{% if x %}", "{{ x | nope }}", "{% include 'a' %}", "{% render 'a' %}",
        "{% macro a %}{% endmacro %}", "{% tablerow x in y %}{% endtablerow %}", "{% cycle 'a', 'b' %}",
        "{% increment x %}", "{{ x | base64_encode }}", "{{ x | strip_html }}", "{{ x | uniq }}",
        "{{ x | date: }}{% liquid %}", "{{ x", "{% if x %}" * 100,
    ],
)  # fmt: skip
def test_what_is_not_accepted_is_refused(source: str) -> None:
    with pytest.raises(TemplateFault):
        check(source, engine=LIQUID)
        render(source, {"x": "a", "y": [1]}, engine=LIQUID)


@pytest.mark.parametrize(
    "source",
    [
        "{{ " * 60_000, "{% " * 60_000, "{{" + " " * 190_000, "{% raw %}" * 20_000, "{% doc %}" * 20_000,
        "{% comment %}" + "{{ " * 60_000, ("{{" + " " * 199 + "}}") * 900, "{{ " + "(" * 100_000 + " }}",
        "{{ " + "a" * 1_001 + " }}", "{{ a }}" * 5_001, "{{ a" + "[b" * 400 + " }}", "{% if a %}" * 400,
        "{{ a" + " and b" * 100_000 + " }}", "{% raw %}{{ open {% endraw %}{{ x }}",
    ],
)  # fmt: skip
def test_source_that_would_take_long_to_parse_is_refused(source: str) -> None:
    with pytest.raises(TemplateFault):
        check(source, engine=LIQUID)


def test_the_line_of_a_fault_is_told() -> None:
    with pytest.raises(TemplateFault, match="line 2"):
        check("fine\n{% nope %}", engine=LIQUID)


@pytest.mark.parametrize(
    "source",
    [
        "{% for a in xs %}{% for b in xs %}{% for c in xs %}{% endfor %}{% endfor %}{% endfor %}",
        "{% for a in (1..1000000000) %}{% endfor %}",
        "{% assign x = 'aaaaaaaaaa' %}" + "{% assign x = x | append: x %}" * 40 + "{{ x }}",
        "{% capture x %}aaaaaaaaaa{% endcapture %}" + "{% capture x %}{{ x }}{{ x }}{% endcapture %}" * 40,
        "{{ text | replace: 'a', text }}",
        "{{ text | replace: '', text }}",
        "{{ texts | join: text }}",
        "{% for a in xs %}{{ text }}{% endfor %}",
        "{% for a in xs %}{% if text == other %}{% endif %}{% endfor %}",
        "{% for a in xs %}{% if text contains other %}{% endif %}{% endfor %}",
        "{% for a in xs %}{% assign y = text | upcase %}{% endfor %}",
    ],
)
def test_work_without_end_is_stopped(source: str) -> None:
    variables = {"xs": list(range(1000)), "text": "a" * 50_000, "texts": ["a"] * 50, "other": "a" * 50_001}
    with pytest.raises(RenderLimitReached):
        render(source, variables, engine=LIQUID)


@pytest.mark.parametrize(
    "source",
    [
        "{{ xs }}", "{{ nothing }}", "{{ 1 | divided_by: 0 }}", "{{ 1.5 | round: 99999999 }}",
        "{{ at | date: '%999999999Y' }}", "{{ 'now' | date: '%Y' }}", "{{ 'a' | append: nothing }}",
        "{% assign x = 9 %}" + "{% assign x = x | times: x %}" * 40 + "{{ x }}", "{{ xs | join: xs }}",
        "{{ d.__class__ }}", "{{ d['__class__'] }}", "{{ d.keys }}", "{{ xs.append }}",
    ],
)  # fmt: skip
def test_an_expression_that_fails_is_a_fault_of_the_template(source: str) -> None:
    with pytest.raises(TemplateFault):
        variables = {"xs": [1], "nothing": None, "d": {}, "at": "2026-11-21T08:30:00+00:00"}
        render(source, variables, engine=LIQUID)


def test_limits_are_the_callers() -> None:
    assert render("{{ x }}", {"x": "abc"}, RenderLimits(output_characters=3), engine=LIQUID) == "abc"
    with pytest.raises(RenderLimitReached):
        render("{{ x }}", {"x": "abcd"}, RenderLimits(output_characters=3), engine=LIQUID)


@given(value=st.text())
def test_html_escapes_whatever_variables_bring(value: str) -> None:
    source = "<p>{{ x }}{{ 'a' | append: x }}{% capture y %}{{ x }}{% endcapture %}{{ y }}</p>"
    rendered = render(source, {"x": value}, engine=LIQUID, escaping=Escaping.HTML)
    assert "<" not in rendered.removeprefix("<p>").removesuffix("</p>")


@pytest.mark.parametrize("engine", ["jinja2", "liquid"])
@given(value=st.text())
def test_values_add_no_markup_to_markdown(engine: str, value: str) -> None:
    rendered = render("*Hi* {{ x }}", {"x": value}, engine=engine, escaping=Escaping.MARKDOWN)

    shown = rendered.removeprefix("*Hi* ")
    assert shown.replace("\\", "") == value.replace("\\", "")
    unescaped = [c for i, c in enumerate(shown) if c in "_*[]()~`>#+-=|{}.!" and shown[i - 1 : i] != "\\"]
    assert unescaped == []


@given(value=st.text())
def test_plain_text_comes_out_as_it_went_in(value: str) -> None:
    assert render("{{ x }}", {"x": value}, engine=LIQUID) == value


@given(source=st.text(alphabet="{}%# ()[]|.:,'\"abifor=in+~*-0_\n", max_size=60))
def test_no_source_gets_past_as_another_error(source: str) -> None:
    try:
        check(source, engine=LIQUID)
        render(source, {"a": "x", "b": [1], "i": 3}, engine=LIQUID)
    except TemplateFault:
        return
