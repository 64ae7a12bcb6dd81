"""E-mail addresses and phone numbers in their normal form, and time zones. Pure."""

from __future__ import annotations

import re
import zoneinfo
from functools import cache
from typing import Final

import phonenumbers
from email_validator import EmailNotValidError, validate_email

_LONGEST_NUMBER: Final = 64
_LONGEST_EMAIL: Final = 254
_EMAIL_LIKE: Final = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
_NUMBER_LIKE: Final = re.compile(r"\+?[\d\s().-]{8,24}")
_HOME_REGION: Final = "VN"


def normal_email(address: str) -> str | None:
    """The address as it is stored; None where it is none."""
    if len(address) > _LONGEST_EMAIL:
        return None
    try:
        return validate_email(address.strip(), check_deliverability=False).normalized
    except EmailNotValidError:
        return None


def normal_number(number: str, region: str) -> str | None:
    """The number as E.164; None where it is none.

    Args:
        region: ISO 3166 code of the country of national numbers; empty accepts international ones only.
    """
    if len(number) > _LONGEST_NUMBER:
        return None
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
