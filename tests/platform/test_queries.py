"""The loader of named SQL, and the rules that every query file of the project keeps."""

from __future__ import annotations

import pytest

from server.platform.queries import QUERIES_DIRECTORY, InvalidQueryFile, Queries

TWO = """
-- What this file is for.

-- name: first
-- Reads one thing.
-- It has two lines of description.
select 1
 where $1 -- kept: part of the statement
;

-- name: second
-- Reads another.
select 2
"""


def test_statements_are_found_by_name_without_their_description() -> None:
    queries = Queries.parse(TWO, "two.sql")
    assert queries["first"] == "select 1\n where $1 -- kept: part of the statement"
    assert queries["second"] == "select 2"
    assert list(queries) == ["first", "second"]
    assert next(queries.described()).description == "Reads one thing. It has two lines of description."


def test_an_unknown_name_is_an_error() -> None:
    with pytest.raises(KeyError):
        Queries.parse(TWO, "two.sql")["third"]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("-- name: bare\nselect 1", "no comment that describes"),
        ("-- name: bare\n--\nselect 1", "no comment that describes"),
        ("-- name: empty\n-- Does nothing.\n", "has no statement"),
        ("-- name: twice\n-- A.\nselect 1\n-- name: twice\n-- B.\nselect 2", "used twice"),
        ("select 1", "before the first"),
        ("-- name: Bad Name\n-- A.\nselect 1", "no valid name"),
        ("-- name: good\n-- A.\nselect 1\n-- name: Bad Name\n-- B.\nselect 2", "no valid name"),
    ],
)
def test_a_file_that_breaks_a_rule_is_refused(text: str, fault: str) -> None:
    with pytest.raises(InvalidQueryFile, match=fault):
        Queries.parse(text, "bad.sql")


def test_every_query_file_of_the_project_keeps_the_rules() -> None:
    paths = sorted(QUERIES_DIRECTORY.glob("*.sql"))
    assert paths
    for path in paths:
        assert len(Queries.load(path.stem)) > 0
