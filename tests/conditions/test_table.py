"""What docs/conditions.md says of comparisons is so, for the closure and for SQL, row by row."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import orjson
import pytest

from server.conditions import Facts, compile_predicate, compile_sql, parse
from server.conditions.operators import OPERATORS
from tests.conditions.grid import leaf
from tests.conditions.strategies import AT
from tests.conditions.table import KIND_ROWS, MISSING, OPERATOR_ROWS
from tests.conditions.world import Running

_DOCUMENT = Path(__file__).parents[2] / "docs" / "conditions.md"
ROWS = [*OPERATOR_ROWS, *KIND_ROWS]


def stored(value: object) -> str:
    """The profile's attributes with this value under `a`."""
    return json.dumps({} if value is MISSING else {"a": value})


def both_ways(operator: str, operand: Any, *, expected: bool) -> list[tuple[dict[str, Any], bool]]:
    """The rule and its negation, each with whether it holds."""
    rule = leaf("profile.a", operator, operand)
    return [(rule, expected), ({"not": rule}, not expected)]


@pytest.mark.parametrize(
    ("operator", "operand", "value", "expected"),
    [row[1:] for row in ROWS],
    ids=[f"{row[0]} {number}" for number, row in enumerate(ROWS)],
)
def test_the_closure_compares_as_documented(
    operator: str, operand: Any, value: object, expected: bool
) -> None:
    for document, holds in both_ways(operator, operand, expected=expected):
        facts = Facts(occurred_at=AT, profile={"raw_attributes": orjson.loads(stored(value))})
        assert compile_predicate(parse(document))(facts) is holds


def test_sql_compares_as_documented(world: Running) -> None:
    runner, compared = world
    wrong = []

    async def ask() -> None:
        connection, tenant = compared.connection, compared.tenants[0]
        await connection.execute("select set_config('app.current_tenant_id', $1, false)", str(tenant))
        for row, operator, operand, value, expected in ROWS:
            for document, holds in both_ways(operator, operand, expected=expected):
                fragment = compile_sql(parse(document), at=AT, first_parameter=2)
                found = await connection.fetchval(
                    f"select {fragment.text} from (select $1::jsonb as raw_attributes) as p",
                    stored(value),
                    *fragment.parameters,
                )
                if found is not holds:
                    wrong.append((row, document, value, found))

    runner.run(ask())
    assert not wrong


def test_every_row_of_the_tables_has_cases() -> None:
    section = _DOCUMENT.read_text().split("## Comparison", 1)[1].split("\n## ", 1)[0]
    operators, kinds = (table.splitlines() for table in re.findall(r"(?:^\|.*\n)+", section, re.MULTILINE))
    first_cells = [
        [line.split("|")[1].replace("`", "").strip() for line in table[2:]] for table in (operators, kinds)
    ]
    assert first_cells[0] == list(dict.fromkeys(row[0] for row in OPERATOR_ROWS))
    assert first_cells[1] == list(dict.fromkeys(row[0] for row in KIND_ROWS))
    assert {name for cell in first_cells[0] for name in cell.split()} == set(OPERATORS)
