"""The written schema is complete, and the same on every machine and day."""

from __future__ import annotations

from pathlib import Path

from server.embedded.schema_dump import dump_schema
from tests.embedded.processes import processes_of


def test_the_dump_has_every_table_once_and_nothing_that_changes(
    state_directory: Path, tmp_path: Path
) -> None:
    text = dump_schema(state_directory, tmp_path / "schema.sql").read_text()
    tables = [line.split()[2] for line in text.splitlines() if line.startswith("CREATE TABLE ")]
    assert len(tables) == len(set(tables)) == 20, "the 19 tables and dbmate's own"
    assert "PARTITION OF" not in text
    assert not [line for line in text.splitlines() if line.startswith(("\\restrict", "\\unrestrict"))]
    assert "Dumped by" not in text
    assert processes_of(state_directory) == []
