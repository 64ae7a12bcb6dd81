"""Phone numbers in the forms that providers take. Pure."""

from __future__ import annotations

from typing import Final

import phonenumbers

from server.dispatch.channels.channel import BadAddress

_HOME_REGION: Final = "VN"
_LONGEST: Final = 64


def e164(address: str) -> str:
    """The number with `+` and country code; national numbers are Vietnamese.

    Raises:
        BadAddress: it is no phone number.
    """
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
