"""The rules that a patch or a consent has to meet, and the normal form of what meets them. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import chain
from typing import Any, Final

from server.errors import FieldViolation
from server.profiles.columns import LISTS
from server.profiles.contact_points import (
    is_time_zone,
    looks_personal,
    normal_email,
    normal_number,
)
from server.profiles.model import CheckedPatch, Consent, ProfilePatch
from server.validation import Violations, normal_language, plain_document

CLEARABLE: Final = (
    *("ext_id", "primary_email", "mobile_number", "living_location", "latitude", "longitude"),
    *("portfolio_risk_score", "language", "time_zone"),
)
_LONGEST_ID: Final = 200
_LONGEST_LIST: Final = 1_000
_MOST_CHANNELS: Final = 20
_MOST_ADDRESSES: Final = 20
_LONGEST_ADDRESS: Final = 4_096
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


class PatchCheck:
    """Checks one patch after the other.

    Args:
        region: ISO 3166 code of the country of national phone numbers; may be empty.
        latest: no source can have changed a profile after this moment.
    """

    def __init__(self, *, region: str, latest: datetime) -> None:
        self._region = region
        self._latest = latest
        where = f"of {region}" if region else "with + and country code, or give default_region"
        self._rules: tuple[tuple[str, Callable[[str], str | None], str], ...] = (
            ("primary_email", normal_email, "is not an e-mail address"),
            ("mobile_number", self._normal_number, f"is not a phone number {where}"),
            ("language", lru_cache(normal_language), 'must be a BCP 47 tag such as "vi" or "en-GB"'),
            ("time_zone", _known_zone, 'must be an IANA time zone such as "Asia/Ho_Chi_Minh"'),
        )

    def check(self, place: int, patch: ProfilePatch) -> CheckedPatch | tuple[FieldViolation, ...]:
        """The patch in its normal form, or all of its faults, under `profiles[place]`."""
        violations = Violations(f"profiles[{place}]")
        self._check_names(patch, violations)
        document = self._document(patch, violations)
        consents = self._consents(patch, violations)
        if violations.found:
            return violations.found
        return CheckedPatch(
            place,
            patch.profile_id,
            document,
            None if patch.source_updated_at is None else microseconds(patch.source_updated_at),
            patch.replace_raw_attributes and "raw_attributes" in document,
            consents,
            patch.presence,
        )

    def _check_names(self, patch: ProfilePatch, violations: Violations) -> None:
        """Which profile is meant: by its id, or by what else names it."""
        if not patch.profile_id and (patch.ext_id or patch.identities):
            return
        self._check_profile_id(patch.profile_id, violations)

    def _check_profile_id(self, profile_id: str, violations: Violations) -> None:
        _check_text("profile_id", profile_id, violations, _LONGEST_ID)
        if len(profile_id) <= _LONGEST_ID and looks_personal(profile_id, self._region):
            violations.add(
                "profile_id",
                "looks like an e-mail address or a phone number, and would stay in records that never change:"
                " send the source's own id, or a keyed hash",
            )

    def _document(self, patch: ProfilePatch, violations: Violations) -> dict[str, Any]:
        document: dict[str, Any] = {}
        _add_texts(patch, violations, document)
        self._add_contact_points(patch, violations, document)
        _add_numbers(patch, violations, document)
        _add_lists(patch, violations, document)
        _add_documents(patch, violations, document)
        _add_addresses(patch, violations, document)
        if patch.source_updated_at is not None:
            violations.moment("source_updated_at", patch.source_updated_at, latest=self._latest)
        _add_cleared(patch, violations, document)
        return document

    def _consents(self, patch: ProfilePatch, violations: Violations) -> tuple[Consent, ...]:
        """The consents alongside, with the patch's time where they have none; their faults are noted."""
        channels: set[str] = set()
        for place, consent in enumerate(patch.consents):
            inner = violations.under(f"consents[{place}]")
            if consent.profile_id and consent.profile_id != patch.profile_id:
                inner.add("profile_id", "is another one than the profile's; leave it out")
            check_terms(consent, inner, self._latest)
            if consent.channel in channels:
                inner.add("channel", "is there twice")
            channels.add(consent.channel)
        return tuple(
            consent if consent.stated_at else consent._replace(stated_at=patch.source_updated_at)
            for consent in patch.consents
        )

    def _add_contact_points(
        self, patch: ProfilePatch, violations: Violations, document: dict[str, Any]
    ) -> None:
        for field, normalise, cure in self._rules:
            value = getattr(patch, field)
            if value is not None:
                document[field] = normalise(value)
                if document[field] is None:
                    violations.add(field, f"{cure}; to empty it, name it in clear_fields")

    def _normal_number(self, number: str) -> str | None:
        return normal_number(number, self._region)


def microseconds(moment: datetime) -> int:
    """Since 1970."""
    return (moment - _EPOCH) // _MICROSECOND


def check_consent(place: int, consent: Consent, latest: datetime) -> tuple[FieldViolation, ...]:
    """All faults of a consent, under `consents[place]`.

    Args:
        latest: nobody can have stated anything after this moment.
    """
    violations = Violations(f"consents[{place}]")
    violations.text("profile_id", consent.profile_id, maximum=_LONGEST_ID)
    check_terms(consent, violations, latest)
    return violations.found


def check_terms(consent: Consent, violations: Violations, latest: datetime) -> None:
    """Note what is wrong with a consent, whosever it is."""
    violations.channel("channel", consent.channel)
    violations.one_of("status", consent.status, ("granted", "withdrawn"))
    _check_text("legal_basis", consent.legal_basis, violations, 100)
    _check_text("source", consent.source, violations, 200)
    violations.moment("expires_at", consent.expires_at)
    if consent.expires_at is not None and consent.status == "withdrawn":
        violations.add("expires_at", "only a granted consent has an end; leave it out")
    violations.moment("stated_at", consent.stated_at, latest=latest)


def _known_zone(name: str) -> str | None:
    return name if is_time_zone(name) else None


def _add_texts(patch: ProfilePatch, violations: Violations, document: dict[str, Any]) -> None:
    for field, maximum in (("ext_id", _LONGEST_ID), ("living_location", 500)):
        value = getattr(patch, field)
        if value is not None:
            _check_text(field, value, violations, maximum)
            document[field] = value


def _check_text(field: str, value: str, violations: Violations, maximum: int) -> None:
    """As `Violations.text`, which is asked only where something is wrong: the usual case for a third of the time."""
    if not (0 < len(value) <= maximum) or "\0" in value or value.isspace():
        violations.text(field, value, maximum=maximum)


def _add_numbers(patch: ProfilePatch, violations: Violations, document: dict[str, Any]) -> None:
    ranges = (("latitude", -90.0, 90.0), ("longitude", -180.0, 180.0), ("portfolio_risk_score", 0.0, 1.0))
    for field, lowest, highest in ranges:
        value = getattr(patch, field)
        if value is not None:
            violations.between(field, value, lowest, highest)
            document[field] = value
    if "portfolio_risk_score" in document:
        document["portfolio_risk_score"] = round(document["portfolio_risk_score"], 2)


def _add_lists(patch: ProfilePatch, violations: Violations, document: dict[str, Any]) -> None:
    lists: dict[str, list[str]] = {}
    for field in LISTS:
        texts = getattr(patch, field)
        if texts is not None:
            lists[field] = texts if type(texts) is list else list(texts)
    document.update(lists)
    if not _are_sound(list(lists.values())):
        for field, texts in lists.items():
            _check_list(f"{field}.values", texts, violations, most=_LONGEST_LIST, longest=_LONGEST_ID)


def _check_list(
    field: str, values: Sequence[str], violations: Violations, *, most: int, longest: int
) -> None:
    violations.count(field, values, lowest=0, highest=most)
    for place, value in enumerate(values[:most]):
        violations.text(f"{field}[{place}]", value, maximum=longest)
    if len(set(values)) != len(values):
        violations.add(field, "has a text twice; name each once")


def _are_sound(lists: Sequence[Sequence[str]]) -> bool:
    """Whether there is nothing to complain of, without collecting what: the usual case, for a third of the time."""
    texts = list(chain.from_iterable(lists))
    return not texts or (
        len(texts) <= _LONGEST_LIST
        and all(texts)
        and max(map(len, texts)) <= _LONGEST_ID
        and not any(map(str.isspace, texts))
        and "\0" not in "".join(texts)
        and (len(set(texts)) == len(texts) or sum(map(len, map(set, lists))) == len(texts))
    )


def _add_documents(patch: ProfilePatch, violations: Violations, document: dict[str, Any]) -> None:
    for field in ("portfolio_snapshot", "raw_attributes"):
        data: bytes | None = getattr(patch, field)
        if data is not None:
            plain = plain_document(data)
            document[field] = violations.document(field, data) if plain is None else plain


def _add_addresses(patch: ProfilePatch, violations: Violations, document: dict[str, Any]) -> None:
    """A channel without addresses becomes null, which removes it on merging."""
    if not patch.channel_addresses:
        return
    violations.count("channel_addresses", tuple(patch.channel_addresses), lowest=0, highest=_MOST_CHANNELS)
    for channel, addresses in list(patch.channel_addresses.items())[:_MOST_CHANNELS]:
        field = f"channel_addresses[{channel[:_MOST_CHANNELS]!r}]"
        violations.channel(field, channel)
        _check_list(
            f"{field}.addresses", addresses, violations, most=_MOST_ADDRESSES, longest=_LONGEST_ADDRESS
        )
    document["channel_addresses"] = {
        channel: list(addresses) or None for channel, addresses in patch.channel_addresses.items()
    }


def _add_cleared(patch: ProfilePatch, violations: Violations, document: dict[str, Any]) -> None:
    for place, field in enumerate(patch.clear_fields[: len(CLEARABLE) + 1]):
        violations.one_of(f"clear_fields[{place}]", field, CLEARABLE)
        if field in document:
            violations.add(f"clear_fields[{place}]", "has a value in this request, or is there twice")
        document[field] = None
    if ("latitude" in document) != ("longitude" in document):
        violations.add("latitude" if "longitude" in document else "longitude", "goes together with the other")
