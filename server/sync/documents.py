"""From documents of a source to what is written of customers, and why some are not. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, NamedTuple

from server.errors import FieldViolation
from server.mapping.mapping import BadRow, MappedProfile, ProfileMapping
from server.sync.model import Counts
from server.sync.sources.source import Change

SYNCED_FROM: Final = "synced_from"
"""The raw attribute that names the source of a profile, where vanished documents are looked for."""

_NAMES: Final = ("profile_id", "ext_id", "identities", "source_updated_at")


class Arrival(NamedTuple):
    """What a source says of one customer.

    Args:
        gone: that it has deleted it; the profile then holds no more than what names it.
    """

    profile: MappedProfile
    gone: bool


class Written(NamedTuple):
    """What became of an arrival: created, updated, unchanged, stale, suppressed, or refused, then with why."""

    outcome: str
    faults: Sequence[FieldViolation] = ()


@dataclass(frozen=True, slots=True)
class Documents:
    """The documents of one page, read.

    Args:
        rejected: how many were not good, by reason.
    """

    arrivals: tuple[Arrival, ...]
    rejected: Mapping[str, int]

    def counts(self, written: Sequence[Written]) -> Counts:
        """What the page came to, once its arrivals were written."""
        outcomes = Counter(each.outcome for each in written)
        deletions = zip(self.arrivals, written, strict=True)
        reasons = Counter(self.rejected)
        reasons.update(_reason("REFUSED", each.faults) for each in written if each.outcome == "refused")
        return Counts(
            read=len(self.arrivals) + sum(self.rejected.values()),
            written=outcomes["created"] + outcomes["updated"],
            rejected=sum(reasons.values()),
            suppressed=outcomes["suppressed"],
            deleted=sum(arrival.gone and each.outcome == "updated" for arrival, each in deletions),
            reasons=dict(reasons),
        )


def read_documents(
    changes: Iterable[Change], mapping: ProfileMapping, *, marks: Mapping[str, Any]
) -> Documents:
    """Read the documents of a page as the mapping says.

    Args:
        marks: raw attributes that each profile gets beside what the mapping gives it.
    """
    arrivals: list[Arrival] = []
    rejected: Counter[str] = Counter()
    for change in changes:
        if change.fault:
            rejected[change.fault] += 1
            continue
        try:
            profile = mapping.read(change.document)
        except BadRow as error:
            rejected[_reason("NOT_MAPPED", error.violations)] += 1
        else:
            arrivals.append(
                Arrival(_named_only(profile) if change.deleted else _marked(profile, marks), change.deleted)
            )
    return Documents(tuple(arrivals), rejected)


def _named_only(profile: MappedProfile) -> MappedProfile:
    """Of a deletion counts only whose it is, and when."""
    fields = {name: profile.fields[name] for name in _NAMES if name in profile.fields}
    return MappedProfile(fields, {}, {})


def _marked(profile: MappedProfile, marks: Mapping[str, Any]) -> MappedProfile:
    return replace(profile, attributes={**profile.attributes, **marks}) if marks else profile


def _reason(code: str, faults: Sequence[FieldViolation]) -> str:
    """A code with the field that is at fault: names of columns, and nothing that a document holds."""
    field = faults[0].field if faults else ""
    if field.startswith("profiles["):
        field = field.partition(".")[2]
    name = field.partition(".")[0].partition("[")[0]
    return f"{code}:{name}" if name else code
