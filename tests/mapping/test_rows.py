"""Files whose first line is not one of names."""

from __future__ import annotations

from pathlib import Path

import pytest

from server.mapping.failure import FileNotReadable
from server.mapping.rows import RowFile


def test_a_first_line_that_csv_can_not_hold_is_refused_with_its_cure(tmp_path: Path) -> None:
    file = tmp_path / "people.csv"
    file.write_text('"an.secret@example.com' + "x" * 131_072 + '",name\n1,An\n')
    with pytest.raises(
        FileNotReadable, match=r"people\.csv: the first line .*131072.*close every quote"
    ) as caught:
        RowFile(file)
    assert "an.secret" not in str(caught.value)
