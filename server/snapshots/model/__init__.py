"""What can be frozen, and what a frozen audience is. Pure."""

from server.snapshots.model.audience import (
    FIRST_PARAMETER,
    Audience,
    Members,
    combined_members,
    condition_audience,
    label_audience,
    listed_members,
)
from server.snapshots.model.difference import (
    Change,
    Difference,
    DifferencePage,
    DifferenceRequest,
    checked_changes,
)
from server.snapshots.model.estimate import Drawn, Estimate, estimate, sample_size
from server.snapshots.model.snapshot import (
    Found,
    Frozen,
    LeftOut,
    Snapshot,
    Verified,
    check_snapshot_id,
    member_page,
)
from server.snapshots.model.wanted import (
    Combination,
    FreezeRequest,
    GivenCondition,
    GivenList,
    Label,
    NamedSegment,
    Operation,
    Wanted,
)

__all__ = [
    "FIRST_PARAMETER",
    "Audience",
    "Change",
    "Combination",
    "Difference",
    "DifferencePage",
    "DifferenceRequest",
    "Drawn",
    "Estimate",
    "Found",
    "FreezeRequest",
    "Frozen",
    "GivenCondition",
    "GivenList",
    "Label",
    "LeftOut",
    "Members",
    "NamedSegment",
    "Operation",
    "Snapshot",
    "Verified",
    "Wanted",
    "check_snapshot_id",
    "checked_changes",
    "combined_members",
    "condition_audience",
    "estimate",
    "label_audience",
    "listed_members",
    "member_page",
    "sample_size",
]
