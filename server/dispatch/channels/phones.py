"""Phone numbers in the forms that providers take. Pure."""

from __future__ import annotations

import re
from typing import Final

import phonenumbers

from server.dispatch.channels.channel import BadAddress

_HOME_REGION: Final = "VN"
_LONGEST: Final = 64


def _usual() -> re.Pattern[str]:
    """Mobile numbers of the home region in E.164, by the library's own data: looked up so often that parsing shows."""
    home = phonenumbers.PhoneMetadata.metadata_for_region(_HOME_REGION)
    assert home is not None
    assert home.mobile is not None
    return re.compile(rf"\+{home.country_code}(?:{home.mobile.national_number_pattern})", re.ASCII)


_USUAL: Final = _usual()


def e164(address: str) -> str:
    """The number with `+` and country code; national numbers are Vietnamese.

    Raises:
        BadAddress: it is no phone number.
    """
    if _USUAL.fullmatch(address):
        return address
    if len(address) > _LONGEST:
        raise BadAddress("TOO_LONG")
    try:
        number = phonenumbers.parse(address, _HOME_REGION)
    except phonenumbers.NumberParseException:
        raise BadAddress("NO_NUMBER") from None
    if number.extension or not phonenumbers.is_valid_number(number):
        raise BadAddress("NO_VALID_NUMBER")
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def digits(address: str) -> str:
    """The number with country code and without `+`, as Zalo and WhatsApp take it.

    Raises:
        BadAddress: it is no phone number.
    """
    return e164(address).removeprefix("+")
