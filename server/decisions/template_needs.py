"""What the templates of a rule bundle need of event and profile, so that no message is chosen that can not be written.

Which template a profile would get depends on the channel and on its language. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from server.templates import VariablePath, holds, languages, name_of

# What every message knows, whatever it is about (`server/dispatch/rendering.py`).
_ALWAYS: Final = {
    "campaign": frozenset({"campaign_id", "campaign_code", "campaign_name"}),
    "marketing_event": frozenset({"event_name"}),
    "tenant": frozenset({"tenant_name"}),
    "digest": frozenset({"items", "count"}),
    "event": frozenset({"type", "occurred_at"}),
    "profile": frozenset({"profile_id"}),
}
_LOADED_ON_DEMAND: Final = frozenset({"ext_id", "living_location", "language", "job_titles", "interests"})
_NOTHING: Final[frozenset[str]] = frozenset()


class Needs(NamedTuple):
    """What one template needs.

    Args:
        event: name and path within the event's attributes.
        others: names of what the profile has to hold, and of what nothing ever holds.
    """

    event: tuple[tuple[str, Sequence[Any]], ...]
    others: frozenset[str]

    def lacking(self, attributes: Mapping[str, Any], lacks: frozenset[str]) -> frozenset[str]:
        """The names of what is missing.

        Args:
            attributes: of the event.
            lacks: what the profile does not hold.
        """
        missing = [name for name, path in self.event if not holds(attributes, path)]
        lacking = self.others & lacks
        return lacking.union(missing) if missing else lacking


_NEEDS_NOTHING: Final = Needs((), _NOTHING)


class TemplateNeeds:
    """The needs of all templates of a bundle.

    Args:
        templates: `template_name`, `channel`, `language` and `required` (paths) of each; empty for bundles of before
            templates were asked, and then nothing is missing.

    Attributes:
        any: whether any template needs anything.
    """

    def __init__(self, templates: Iterable[Mapping[str, Any]]) -> None:
        self._templates: dict[tuple[str, str, str], Needs] = {}
        self._profile_paths: dict[str, VariablePath] = {}
        self._never: set[str] = set()
        for template in templates:
            key = template["template_name"], template["channel"], template["language"].lower()
            self._templates[key] = self._needs([tuple(path) for path in template["required"]])
        self._never_held = frozenset(self._never)
        self.any = any(needs != _NEEDS_NOTHING for needs in self._templates.values())

    def _needs(self, paths: Sequence[VariablePath]) -> Needs:
        wanted = [path for path in paths if not _always_there(path)]
        mine = {name_of(path): path for path in wanted if len(path) > 1 and path[0] == "profile"}
        self._profile_paths |= mine
        events = tuple((name_of(p), p[1:]) for p in wanted if len(p) > 1 and p[0] == "event")
        never = {name_of(path) for path in wanted if path[0] not in ("event", "profile")}
        self._never |= never
        return Needs(events, frozenset(mine) | never)

    @property
    def columns(self) -> frozenset[str]:
        """The columns of a profile that are needed and not always loaded."""
        return (self.profile_names & _LOADED_ON_DEMAND) | {"language"}

    @property
    def profile_names(self) -> frozenset[str]:
        """The outermost names of what is needed of a profile: columns and raw attributes."""
        return frozenset(str(path[1]) for path in self._profile_paths.values())

    def lacks(self, profile: Mapping[str, Any]) -> frozenset[str]:
        """The names of what templates need and the profile does not hold.

        Args:
            profile: as templates see it.
        """
        found = [name for name, path in self._profile_paths.items() if not holds(profile, path[1:])]
        return self._never_held.union(found) if found else self._never_held

    def of(self, template_name: str, channel: str, language: str | None) -> Needs:
        """What the template needs that a profile of this language would get."""
        for candidate in languages(language):
            needs = self._templates.get((template_name, channel, candidate))
            if needs is not None:
                return needs
        return _NEEDS_NOTHING


NO_NEEDS: Final = TemplateNeeds(())


def _always_there(path: VariablePath) -> bool:
    head = str(path[0])
    return head in _ALWAYS and (len(path) == 1 or path[1] in _ALWAYS[head])
