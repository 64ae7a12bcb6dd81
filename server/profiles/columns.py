"""Between the columns of a profile and the paths of its fields. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from server.profiles.merge import ABSENT, ADDRESSES, ATTRIBUTES, POSITION, ProfileState

SCALARS: Final = (
    *("ext_id", "primary_email", "mobile_number", "living_location", "portfolio_risk_score", "language"),
    "time_zone",
)
LISTS: Final = ("identities", "job_titles", "interests", "data_labels", "segments")
PORTFOLIO: Final = "portfolio_snapshot"
KEYED: Final = (ATTRIBUTES, ADDRESSES)


def paths_of(columns: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a document that holds some columns, as JSON values; what is empty there is ABSENT.

    Latitude and longitude come together. A channel that is null, or has no address, is ABSENT.
    """
    fields: dict[str, Any] = {}
    for name, value in columns.items():
        if name == ATTRIBUTES:
            fields.update((f"{ATTRIBUTES}.{key}", inner) for key, inner in value.items())
        elif name == ADDRESSES:
            fields.update((f"{ADDRESSES}.{key}", inner or ABSENT) for key, inner in value.items())
        elif name == "latitude":
            fields[POSITION] = ABSENT if value is None else [value, columns["longitude"]]
        elif name != "longitude":
            fields[name] = ABSENT if value is None or value in ([], {}) else value
    return fields


def columns_of(state: ProfileState, names: Iterable[str]) -> dict[str, Any]:
    """These columns of a state as JSON values; `position` stands for both of its columns."""
    columns: dict[str, Any] = {}
    for name in names:
        if name in KEYED:
            columns[name] = keyed(state, name)
        elif name == POSITION:
            columns["latitude"], columns["longitude"] = state.values.get(POSITION, (None, None))
        elif name in LISTS:
            columns[name] = state.values.get(name, [])
        else:
            columns[name] = state.values.get(name, {} if name == PORTFOLIO else None)
    return columns


def keyed(state: ProfileState, name: str) -> dict[str, Any]:
    """The object of a column whose keys are fields of their own."""
    prefix = f"{name}."
    length = len(prefix)
    return {path[length:]: value for path, value in state.values.items() if path.startswith(prefix)}
