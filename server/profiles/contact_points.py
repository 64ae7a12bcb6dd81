"""E-mail addresses and phone numbers in their normal form, and time zones. Pure."""

from __future__ import annotations

import re
import zoneinfo
from collections.abc import Sequence
from functools import cache, lru_cache
from typing import Any, Final

import phonenumbers
from email_validator import EmailNotValidError, validate_email

_LONGEST_NUMBER: Final = 64
_LONGEST_EMAIL: Final = 254
_EMAIL_LIKE: Final = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
_NUMBER_LIKE: Final = re.compile(r"\+?[\d\s().-]{8,24}")
_HOME_REGION: Final = "VN"
_LONGEST_LOCAL_PART: Final = 64
_PLAIN_LOCAL_PART: Final = re.compile(r"[A-Za-z0-9_+-]+(?:\.[A-Za-z0-9_+-]+)*")
_INTERNATIONAL: Final = re.compile(r"\+[1-9][0-9]{6,14}")
_KINDS_OF_NUMBERS: Final = (
    *("fixed_line", "mobile", "toll_free", "premium_rate", "shared_cost", "voip", "personal_number"),
    *("pager", "uan", "voicemail"),
)


def normal_email(address: str) -> str | None:
    """The address as it is stored; None where it is none."""
    if len(address) > _LONGEST_EMAIL:
        return None
    local_part, _, domain = address.strip().rpartition("@")
    if len(local_part) <= _LONGEST_LOCAL_PART and _PLAIN_LOCAL_PART.fullmatch(local_part):
        known = _normal_domain(domain)
        if known is not None and len(local_part) + 1 + len(known) <= _LONGEST_EMAIL:
            return f"{local_part}@{known}"
    return _validated(address)


def normal_number(number: str, region: str) -> str | None:
    """The number as E.164; None where it is none.

    Args:
        region: ISO 3166 code of the country of national numbers; empty accepts international ones only.
    """
    if len(number) > _LONGEST_NUMBER:
        return None
    if _is_plain_number(number):
        return number
    try:
        parsed = phonenumbers.parse(number, region or None)
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_valid_number(parsed):
        return None
    return phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164)


def is_region(region: str) -> bool:
    """Whether phone numbers of this country are known."""
    return region in phonenumbers.SUPPORTED_REGIONS


def is_time_zone(name: str) -> bool:
    """Whether it is the name of an IANA time zone."""
    return name in _time_zones()


def looks_personal(identifier: str, region: str) -> bool:
    """Whether an id is itself an e-mail address or a phone number.

    Numbers count when they are valid in the region of the request, in Vietnam, or with a leading "+": other
    numeric ids are common in CRMs, and stay welcome.
    """
    if _EMAIL_LIKE.search(identifier):
        return True
    if not _NUMBER_LIKE.fullmatch(identifier):
        return False
    return any(normal_number(identifier, home) for home in {region, _HOME_REGION})


@cache
def _time_zones() -> frozenset[str]:
    return frozenset(zoneinfo.available_timezones())


def _validated(address: str) -> str | None:
    try:
        return validate_email(address.strip(), check_deliverability=False).normalized
    except EmailNotValidError:
        return None


@lru_cache(maxsize=65_536)
def _normal_domain(domain: str) -> str | None:
    """What the library makes of a domain. Few domains hold most addresses, and a plain rest needs no library."""
    whole = _validated(f"a@{domain}")
    return None if whole is None else whole.removeprefix("a@")


def _is_plain_number(number: str) -> bool:
    """Whether it is surely valid and in its normal form, told for a tenth of the library's time: the usual case."""
    if not _INTERNATIONAL.fullmatch(number):
        return False
    for end in (2, 3, 4):
        if int(number[1:end]) in phonenumbers.COUNTRY_CODE_TO_REGION_CODE:
            return any(pattern.fullmatch(number, end) for pattern in _plain_patterns(int(number[1:end])))
    return False


@cache
def _plain_patterns(country_code: int) -> Sequence[re.Pattern[str]]:
    """The kinds of numbers of a country, the most usual first; none where one code has several countries, or where
    digits that belong to the number may be read as a prefix."""
    regions = phonenumbers.COUNTRY_CODE_TO_REGION_CODE[country_code]
    metadata = phonenumbers.PhoneMetadata.metadata_for_region(regions[0], None) if len(regions) == 1 else None
    if metadata is None or metadata.national_prefix_for_parsing != "0":
        return ()
    described = [getattr(metadata, kind) for kind in ("general_desc", *_KINDS_OF_NUMBERS)]
    general, *kinds = [_pattern(desc) for desc in described]
    if general is None:
        return ()
    return tuple(re.compile(f"(?=(?:{general})$){kind}") for kind in kinds if kind is not None)


def _pattern(desc: Any) -> str | None:
    """One kind of numbers that begin with no zero, of the lengths that it may have."""
    if desc is None or desc.national_number_pattern is None:
        return None
    lengths = "|".join(rf"\d{{{length}}}" for length in desc.possible_length if length > 0) or r"\d+"
    return rf"(?!0)(?=(?:{lengths})$)(?:{desc.national_number_pattern})"
