"""The size of an audience from a share of the pages that hold profiles. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, NamedTuple

from server.errors import FieldViolation, InvalidInput

_USUAL_SAMPLE: Final = 10
_LARGEST_SAMPLE: Final = 100
# Of a normal distribution, 95 in 100 lie within so many standard errors.
_STANDARD_ERRORS: Final = 1.96
# What was never seen in n draws is, with that certainty, rarer than 3 / n.
_UNSEEN: Final = 3


@dataclass(frozen=True, slots=True)
class Estimate:
    """How many are in an audience.

    Args:
        exact: whether they were counted.
        margin: how far off the number may be, in 19 of 20 cases.
        sample: ids of some of them.
    """

    member_count: int
    exact: bool
    margin: int
    sample: tuple[str, ...]


class Drawn(NamedTuple):
    """What pages drawn at random hold: how many pages, members, the sum of their squares by page, ids of some."""

    page_count: int
    member_count: int
    square_count: int
    sample: tuple[str, ...]


def sample_size(asked: int) -> int:
    """How many members to name.

    Raises:
        InvalidInput: out of range.
    """
    if not 0 <= asked <= _LARGEST_SAMPLE:
        raise InvalidInput([FieldViolation("sample_size", f"must be 0 to {_LARGEST_SAMPLE}")])
    return asked or _USUAL_SAMPLE


def estimate(drawn: Drawn, *, pages: int) -> Estimate:
    """The number of members on all pages from those on some of them.

    Pages are drawn, not rows, so the error follows from how members differ from page to page: it holds also where
    neighbours are alike, and where other tenants share the pages.
    """
    seen = drawn.page_count
    share = seen / max(pages, seen, 1)
    if not drawn.member_count or seen < 2:
        return Estimate(0, exact=False, margin=math.ceil(_UNSEEN * pages / max(seen, 1)), sample=())
    variance = max(0.0, drawn.square_count - drawn.member_count**2 / seen) / (seen - 1)
    error = pages * math.sqrt(variance / seen * (1 - share))
    return Estimate(
        round(drawn.member_count / share),
        exact=False,
        margin=math.ceil(_STANDARD_ERRORS * error),
        sample=drawn.sample,
    )
