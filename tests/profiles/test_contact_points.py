"""Normal forms: stable, and never an exception, whatever comes in."""

from __future__ import annotations

import phonenumbers
import pytest
from email_validator import EmailNotValidError, validate_email
from hypothesis import given, settings
from hypothesis import strategies as st

from server.profiles.contact_points import (
    is_time_zone,
    looks_personal,
    normal_email,
    normal_number,
)
from server.validation import normal_language


@pytest.mark.parametrize(
    ("number", "region", "expected"),
    [
        ("0912345678", "VN", "+84912345678"),
        ("84912345678", "VN", "+84912345678"),
        ("+84 912 345 678", "", "+84912345678"),
        ("0912345678", "", None),
        ("+849", "", None),
        ("not a number", "VN", None),
        ("+1 650-253-0000", "VN", "+16502530000"),
    ],
)
def test_numbers(number: str, region: str, expected: str | None) -> None:
    assert normal_number(number, region) == expected


@pytest.mark.parametrize(
    ("tag", "expected"),
    [("vi", "vi"), ("EN-gb", "en-GB"), ("zh-hant-tw", "zh-Hant-TW"), ("", None), ("e", None), ("a_b", None)],
)
def test_languages(tag: str, expected: str | None) -> None:
    assert normal_language(tag) == expected


@pytest.mark.parametrize("identifier", ["nam@example.com", "crm:nam@example.com", "+84912345678", "0912 345 678",
                                        "84912345678", "(091) 234-5678"])  # fmt: skip
def test_ids_that_are_personal(identifier: str) -> None:
    assert looks_personal(identifier, "")


@pytest.mark.parametrize("identifier", ["U_NAM_INVESTOR", "00004", "0000012345", "123456789012",
                                        "9f86d081-884c-4d65-9a2f-eaa0c55ad015", "crm:123"])  # fmt: skip
def test_ids_that_are_not(identifier: str) -> None:
    assert not looks_personal(identifier, "")


@given(text=st.text())
def test_normal_forms_are_stable(text: str) -> None:
    for normalise in (normal_email, normal_language, lambda value: normal_number(value, "VN")):
        once = normalise(text)
        assert once is None or normalise(once) == once
    assert is_time_zone(text) in (True, False)
    assert looks_personal(text, "VN") in (True, False)


@given(local=st.from_regex(r"[a-z0-9]{1,20}", fullmatch=True))
def test_every_plain_address_is_accepted(local: str) -> None:
    assert normal_email(f"{local}@Example.COM") == f"{local}@example.com"


@given(digits=st.integers(0, 10**7 - 1))
def test_every_vietnamese_mobile_number_has_one_form(digits: int) -> None:
    national = f"091{digits:07d}"
    assert normal_number(national, "VN") == normal_number(f"+84{national[1:]}", "") == f"+84{national[1:]}"


_EXAMPLES = [
    (code, desc.example_number)
    for code, regions in phonenumbers.COUNTRY_CODE_TO_REGION_CODE.items()
    if (metadata := phonenumbers.PhoneMetadata.metadata_for_region(regions[0], None))
    for desc in (metadata.fixed_line, metadata.mobile, metadata.toll_free, metadata.voip)
    if desc is not None and desc.example_number
]


@settings(max_examples=500, deadline=None)
@given(
    example=st.sampled_from(_EXAMPLES),
    changes=st.lists(st.tuples(st.integers(0, 14), st.sampled_from("0123456789")), max_size=4),
    surplus=st.text("0123456789", max_size=1),
)
def test_the_quick_way_knows_no_other_numbers_than_the_library(
    example: tuple[int, str], changes: list[tuple[int, str]], surplus: str
) -> None:
    code, national = example
    digits = list(national + surplus)
    for place, digit in changes:
        digits[place % len(digits)] = digit
    number = f"+{code}{''.join(digits)}"
    assert normal_number(number, "") == _by_the_library(number)


@settings(max_examples=300, deadline=None)
@given(
    local=st.text("abzAZ019._+-'\"()@ é", min_size=1, max_size=70),
    domain=st.sampled_from(
        ["Example.com", "bücher.example", "a.b", "-a.com", "x.test", "localhost", "[127.0.0.1]", ""]
    ),
)
def test_the_quick_way_knows_no_other_addresses_than_the_library(local: str, domain: str) -> None:
    address = f"{local}@{domain}"
    try:
        expected = validate_email(address.strip(), check_deliverability=False).normalized
    except EmailNotValidError:
        expected = None
    assert normal_email(address) == expected


def _by_the_library(number: str) -> str | None:
    try:
        parsed = phonenumbers.parse(number, None)
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_valid_number(parsed):
        return None
    return phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164)
