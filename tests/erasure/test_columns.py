"""Every column that can hold something personal is either erased or listed with the reason why not."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import asyncpg

_DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "erasure.md"
_ROW = re.compile(r"^\| `(\w+)` \| ((?:`\w+` ?)+)\|", re.MULTILINE)
_LISTED = """
    select c.relname as table_name, a.attname as column_name,
        has_column_privilege('leo_eraser', c.oid, a.attnum, 'update') as is_erased
    from pg_class as c
    join pg_attribute as a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
    where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p') and not c.relispartition
        and a.atttypid::regtype::text not in (
            'uuid', 'boolean', 'smallint', 'integer', 'bigint', 'xid8', 'timestamp with time zone'
        )
"""
_BY_TRIGGER = {"embedding_job.vector_signs"}
# What the role changes beside: where things stand.
_STATES = {
    *("agent_task.status", "consent_management.status", "alert_rules.status", "embedding_job.status"),
}


def _listed(section: str) -> Counter[str]:
    text = _DOCUMENT.read_text().partition(f"### {section}\n")[2].partition("\n#")[0]
    return Counter(
        f"{table}.{column}"
        for table, columns in _ROW.findall(text)
        for column in re.findall(r"`(\w+)`", columns)
    )


async def test_the_lists_are_those_of_the_schema_and_of_the_rights(proof: asyncpg.Connection) -> None:
    goes, stays = _listed("What goes"), _listed("What stays, and why")
    assert not [name for name, count in (goes + stays).items() if count > 1]
    rows = await proof.fetch(_LISTED)
    columns = {f"{row['table_name']}.{row['column_name']}": row["is_erased"] for row in rows}
    assert set(goes + stays) == set(columns), "a column is new, or gone: list it in docs/erasure.md"
    assert {name for name, is_erased in columns.items() if is_erased} == set(goes) - _BY_TRIGGER | _STATES
