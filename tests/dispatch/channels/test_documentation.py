"""docs/channels.md names what the channels declare."""

from __future__ import annotations

from pathlib import Path

import pytest

from server.dispatch.channels.channel import Channel
from server.dispatch.channels.registry import CHANNEL_TYPES

PAGE = (Path(__file__).parents[3] / "docs" / "channels.md").read_text("utf-8")
ROWS = {
    tuple(cell.strip() for cell in line.split("|")[1:-1])
    for line in PAGE.splitlines()
    if line.startswith("|")
}


@pytest.mark.parametrize("kind", CHANNEL_TYPES, ids=lambda kind: kind.provider)
def test_the_page_says_what_the_channel_is(kind: type[Channel]) -> None:
    [row] = [row for row in ROWS if row[:2] == (f"`{kind.name}`", f"`{kind.provider}`")]
    assert row[3:6] == tuple(
        word
        for said, (yes, no) in (
            (kind.multicast, ("all", "one")),
            (kind.resend_safe, ("yes", "no")),
            (kind.receipts, ("yes", "no")),
        )
        for word in [yes if said else no]
    )
    if kind.provider != "smtp":
        assert row[6] == f"{kind.limits.per_second:,.0f}"
    assert all(f"`{field.name}`" in PAGE for field in (*kind.credential, *kind.metadata))
