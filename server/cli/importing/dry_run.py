"""What the server would refuse of a row by itself, told without a server."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

from server.cli.failure import CommandFailed
from server.cli.importing.patches import Part, Reject
from server.errors import FieldViolation
from server.profiles.checks import PatchCheck
from server.profiles.contact_points import is_region
from server.profiles.messages import to_patch
from server.profiles.model import CheckedPatch

_AHEAD: Final = timedelta(days=1)


class Judge:
    """Checks rows as the server does; what stands in the way of a row in the database, only the server knows.

    Raises:
        CommandFailed: the region of phone numbers is none.
    """

    def __init__(self, region: str) -> None:
        if region and not is_region(region):
            raise CommandFailed(f'default_region: "{region}" is no country whose phone numbers are known')
        self._check = PatchCheck(region=region, latest=datetime.now(UTC) + _AHEAD)

    def rejects(self, part: Part) -> list[Reject]:
        """The rows of a part that would be refused, in the order of the file."""
        found = list(part.rejects)
        for place, (row, message) in enumerate(zip(part.rows, part.patches, strict=True)):
            checked = self._check.check(place, to_patch(message))
            if not isinstance(checked, CheckedPatch):
                path = f"profiles[{place}]"
                faults = [
                    FieldViolation(fault.field.removeprefix(path).lstrip("."), fault.description)
                    for fault in checked
                ]
                found.append(Reject(row, faults))
        return sorted(found, key=lambda reject: reject.row.number)
