"""The SQL of a bulk write. Identifiers come from code, never from input, and are quoted all the same.

Every text has the same core: `INSERT … SELECT … ORDER BY key`, so that two writers with overlapping rows take
their locks in one order whatever way the rows came. Text keys are ordered by code point, which no locale
changes.
"""

# ruff: noqa: S608 - generating SQL from a TableWrite is what this module is for

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from functools import cache
from typing import Literal

TENANT_COLUMN = "tenant_id"
_TYPE = re.compile(r"[a-z][a-z0-9_ ]*(\(\d+(, ?\d+)?\))?")
_COLLATED = frozenset({"text", "varchar", "citext"})


@dataclass(frozen=True, slots=True)
class TableWrite:
    """What a slice writes in bulk, told once as a module constant.

    Args:
        table: the table's name.
        columns: the columns that rows carry, in the order of each row's values; `tenant_id` among them.
        types: the PostgreSQL type of each column (`uuid`, `text`, `jsonb`, …); arrays can't be written in
        bulk. key: the columns that name a row; they give the order of locks, and are what a write returns.
        conflict: `nothing` leaves an existing row and does not return it (any unique index counts);
            `update` sets the other columns when one of them differs, and returns the rows that it wrote
            (`key` must then be a unique index). A key may stand only once in such a batch.
    """

    table: str
    columns: tuple[str, ...]
    types: tuple[str, ...]
    key: tuple[str, ...]
    conflict: Literal["nothing", "update"] = "nothing"

    def __post_init__(self) -> None:
        if len(self.columns) != len(self.types) or len(set(self.columns)) != len(self.columns):
            raise ValueError(f"{self.table}: one type for each column, and each column once")
        for name in (*self.key, TENANT_COLUMN):
            if name not in self.columns:
                raise ValueError(f"{self.table}: the column {name} is missing from the rows")
        for name in self.types:
            if not _TYPE.fullmatch(name):
                raise ValueError(f"{self.table}: {name!r} is no scalar type")


@dataclass(frozen=True, slots=True)
class WriteStatements:
    """The SQL of one `TableWrite`.

    Args:
        staging: name of the session temp table, in `pg_temp`.
        staging_size: asks for its size in bytes; null when this session hasn't made it yet.
        empty_staging: removes what an earlier write of this transaction, or one rolled back, left there.
        prepare: makes the staging table and the two functions that switch tenants.
        insert_arrays: writes `$1…$n`, one array per column, in the current context.
        insert_staged: writes what was copied to the staging table, in the current context.
        insert_arrays_by_tenant, insert_staged_by_tenant: the same, each tenant's rows in its own context.
    """

    staging: str
    staging_size: str
    empty_staging: str
    prepare: str
    insert_arrays: str
    insert_staged: str
    insert_arrays_by_tenant: str
    insert_staged_by_tenant: str


@cache
def statements_for(write: TableWrite) -> WriteStatements:
    """The SQL of a write; made once per process."""
    staging = _staging_name(write)
    functions = (f"pg_temp.{quoted(staging + '_arrays')}", f"pg_temp.{quoted(staging + '_staged')}")
    columns = ", ".join(map(quoted, write.columns))
    parameters = [f"${n}::{kind}[]" for n, kind in enumerate(write.types, start=1)]
    arrays = f"unnest({', '.join(parameters)}) AS incoming ({columns})"
    copied = f"pg_temp.{quoted(staging)} AS incoming"
    return WriteStatements(
        staging=staging,
        staging_size=f"SELECT pg_relation_size(to_regclass('pg_temp.{quoted(staging)}'))",
        empty_staging=f"TRUNCATE pg_temp.{quoted(staging)}",
        prepare=";\n".join(
            (
                _create_staging(write, staging),
                _create_function(write, staging, functions[0], arrays, write.types),
                _create_function(write, staging, functions[1], copied, ()),
            )
        ),
        insert_arrays=_insert(write, arrays),
        insert_staged=_insert(write, copied),
        insert_arrays_by_tenant=f"SELECT * FROM {functions[0]}({', '.join(parameters)})",
        insert_staged_by_tenant=f"SELECT * FROM {functions[1]}()",
    )


def quoted(identifier: str) -> str:
    """An SQL identifier, quoted."""
    return '"' + identifier.replace('"', '""') + '"'


def _staging_name(write: TableWrite) -> str:
    """Named after the table; the digest keeps two writes of different columns apart within 63 bytes."""
    digest = hashlib.sha256(repr(write).encode()).hexdigest()[:8]
    return f"staging_{write.table[:34]}_{digest}"


def _create_staging(write: TableWrite, staging: str) -> str:
    pairs = zip(write.columns, write.types, strict=True)
    columns = ", ".join(f"{quoted(name)} {kind}" for name, kind in pairs)
    return f"CREATE TEMP TABLE {quoted(staging)} ({columns}) ON COMMIT DELETE ROWS"


def _insert(write: TableWrite, source: str) -> str:
    columns = ", ".join(map(quoted, write.columns))
    key = ", ".join(f"target.{quoted(name)}" for name in write.key)
    return (
        f"INSERT INTO {quoted(write.table)} AS target ({columns}) SELECT {columns} FROM {source} "
        f"ORDER BY {_order(write)} ON CONFLICT {_on_conflict(write)} RETURNING {key}"
    )


def _order(write: TableWrite) -> str:
    kinds = dict(zip(write.columns, write.types, strict=True))
    return ", ".join(
        quoted(name) + (' COLLATE "C"' if kinds[name] in _COLLATED else "")
        for name in (TENANT_COLUMN, *(name for name in write.key if name != TENANT_COLUMN))
    )


def _on_conflict(write: TableWrite) -> str:
    changed = [quoted(name) for name in write.columns if name not in write.key]
    if write.conflict == "nothing" or not changed:
        return "DO NOTHING"
    key = ", ".join(map(quoted, write.key))
    assignments = ", ".join(f"{name} = excluded.{name}" for name in changed)
    before = ", ".join(f"target.{name}" for name in changed)
    after = ", ".join(f"excluded.{name}" for name in changed)
    return f"({key}) DO UPDATE SET {assignments} WHERE ROW({before}) IS DISTINCT FROM ROW({after})"


def _create_function(
    write: TableWrite, staging: str, function: str, source: str, arguments: tuple[str, ...]
) -> str:
    """A loop over the tenants of `source`, inside the server: one round trip for any number of tenants.

    SECURITY INVOKER, so every INSERT meets the policy with that tenant's setting. Rows are gathered by tenant
    in one pass: filtering the source once per tenant would cost tenants × rows. The caller's context is put
    back at the end.
    """
    kinds = dict(zip(write.columns, write.types, strict=True))
    results = ", ".join(f"result_{n} {kinds[name]}" for n, name in enumerate(write.key, start=1))
    values = ", ".join(f"incoming.{quoted(name)}" for name in write.columns)
    tenant = f"incoming.{TENANT_COLUMN}"
    row_type = f"pg_temp.{quoted(staging)}"
    return f"""
CREATE FUNCTION {function}({", ".join(f"{kind}[]" for kind in arguments)})
RETURNS TABLE ({results}) LANGUAGE plpgsql SECURITY INVOKER AS $function$
#variable_conflict use_column
DECLARE
    context_before text := current_setting('app.current_tenant_id', true);
    one_tenant uuid;
    its_rows {row_type}[];
BEGIN
    FOR one_tenant, its_rows IN
        SELECT {tenant}, array_agg(ROW({values})::{row_type})
        FROM {source} GROUP BY {tenant} ORDER BY {tenant}
    LOOP
        PERFORM set_config('app.current_tenant_id', one_tenant::text, true);
        RETURN QUERY {_insert(write, "unnest(its_rows) AS incoming")};
    END LOOP;
    PERFORM set_config('app.current_tenant_id', coalesce(context_before, ''), true);
END
$function$"""
