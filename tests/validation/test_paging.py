"""Pages and their tokens."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.errors import InvalidInput
from server.paging import Page, PageRequest, open_cursor


def read(rows: list[tuple[str, int]], request: PageRequest) -> Page[tuple[str, int]]:
    """A list as a store would read it."""
    cursor = open_cursor(request, listing=["rows"], first=("", 0))
    after = (str(cursor.after[0]), int(cursor.after[1]))
    return cursor.page(sorted(row for row in rows if row > after)[: cursor.limit], lambda row: row)


names = st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), min_size=1)


@given(rows=st.lists(st.tuples(names, st.integers(0, 2**31 - 1)), unique=True), size=st.integers(1, 7))
def test_pages_hold_every_row_once_and_in_order(rows: list[tuple[str, int]], size: int) -> None:
    seen: list[tuple[str, int]] = []
    page = read(rows, PageRequest(size))
    seen += page.items
    while page.next_token:
        page = read(rows, PageRequest(size, page.next_token))
        assert len(page.items) <= size
        seen += page.items
    assert seen == sorted(rows)


@given(token=st.text(min_size=1))
def test_made_up_tokens_are_refused(token: str) -> None:
    with pytest.raises(InvalidInput):
        open_cursor(PageRequest(token=token), listing=["rows"], first=("",))


def test_a_token_serves_only_its_own_list() -> None:
    token = read([("a", 1), ("b", 1)], PageRequest(1)).next_token
    assert open_cursor(PageRequest(token=token), listing=["rows"], first=("", 0)).after == ("a", 1)
    for listing, first in ((["other"], ("", 0)), (["rows"], ("",)), (["rows", "x"], ("", 0))):
        with pytest.raises(InvalidInput):
            open_cursor(PageRequest(token=token), listing=listing, first=first)
