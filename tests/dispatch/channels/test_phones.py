"""Numbers that need no parsing are those that parsing would leave as they are."""

from __future__ import annotations

import phonenumbers
from hypothesis import given
from hypothesis import strategies as st

from server.dispatch.channels.channel import BadAddress
from server.dispatch.channels.phones import e164


def parsed(address: str) -> str | None:
    number = phonenumbers.parse(address, "VN")
    if not phonenumbers.is_valid_number(number):
        return None
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


@given(st.from_regex(r"\+84[1-9][0-9]{7,9}", fullmatch=True))
def test_vietnamese_numbers_are_what_the_library_says(address: str) -> None:
    try:
        found: str | None = e164(address)
    except BadAddress:
        found = None
    assert found == parsed(address)
