"""Encryption: what opens it, and everything that does not."""

from __future__ import annotations

from base64 import b64decode, b64encode
from dataclasses import replace
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.dispatch.credentials.model import Place
from server.errors import PreconditionFailed
from server.platform.credential_keys import NO_KEYS, CredentialKeys
from server.platform.sealing import Unreadable, seal, unseal
from tests.fixtures import planted

OLD, NEW = "2025:" + "a" * 43, "2026:" + "b" * 43
KEYS = CredentialKeys.parse(NEW)
VALUES = {"app_secret": planted.SECRET}
PLACE = Place(UUID(int=1), "zalo", "zalo_zns", 3)


@given(values=st.dictionaries(st.text(max_size=20), st.text(max_size=200), max_size=8))
def test_what_was_sealed_is_what_comes_out_and_never_looks_alike(values: dict[str, str]) -> None:
    values = {
        k.encode("utf-8", "replace").decode(): v.encode("utf-8", "replace").decode()
        for k, v in values.items()
    }
    first, second = seal(values, PLACE, KEYS), seal(values, PLACE, KEYS)
    assert unseal(first, PLACE, KEYS) == unseal(second, PLACE, KEYS) == values
    assert first.nonce != second.nonce
    assert first.ciphertext != second.ciphertext


@pytest.mark.parametrize(
    "elsewhere",
    [
        replace(PLACE, tenant_id=uuid4()),
        replace(PLACE, channel="zalo_oa"),
        replace(PLACE, provider="zalo_oa"),
        replace(PLACE, version=2),
    ],
    ids=["another tenant", "another channel", "another provider", "an older version"],
)
def test_moved_elsewhere_it_does_not_open(elsewhere: Place) -> None:
    with pytest.raises(Unreadable, match="CREDENTIAL_NOT_AUTHENTIC"):
        unseal(seal(VALUES, PLACE, KEYS), elsewhere, KEYS)


@given(position=st.integers(0, 10_000), change=st.integers(1, 255))
def test_a_changed_byte_does_not_open(position: int, change: int) -> None:
    sealed = seal(VALUES, PLACE, KEYS)
    raw = bytearray(b64decode(sealed.ciphertext))
    raw[position % len(raw)] ^= change
    with pytest.raises(Unreadable) as caught:
        unseal(replace(sealed, ciphertext=b64encode(raw).decode()), PLACE, KEYS)
    assert caught.value.__cause__ is None


def test_old_keys_open_what_they_sealed_and_the_newest_seals() -> None:
    old = CredentialKeys.parse(OLD)
    both = CredentialKeys.parse(f"{NEW}, {OLD}\n")
    sealed = seal(VALUES, PLACE, old)
    assert unseal(sealed, PLACE, both) == VALUES
    assert seal(VALUES, PLACE, both).key_id == "2026"
    with pytest.raises(Unreadable, match="CREDENTIAL_KEY_UNKNOWN"):
        unseal(sealed, PLACE, KEYS)
    # Another key of the same id is noticed as well.
    with pytest.raises(Unreadable, match="CREDENTIAL_NOT_AUTHENTIC"):
        unseal(sealed, PLACE, CredentialKeys.parse("2025:" + "c" * 43))


def test_without_a_key_nothing_is_stored() -> None:
    with pytest.raises(PreconditionFailed) as caught:
        seal(VALUES, PLACE, NO_KEYS)
    assert caught.value.reason == "CREDENTIAL_KEY_MISSING"


@pytest.mark.parametrize(
    "text", ["", "k", "k:short", f"a b:{planted.SECRET}", f"{NEW},{NEW}", "k:" + "a" * 44]
)
def test_a_malformed_key_is_refused_without_showing_it(text: str) -> None:
    with pytest.raises(ValueError) as caught:
        CredentialKeys.parse(text)
    assert planted.SECRET not in str(caught.value)
    assert "b" * 43 not in str(caught.value)


def test_nothing_shows_in_a_repr() -> None:
    assert repr(KEYS) == "CredentialKeys(2026)"
    assert planted.SECRET not in repr(seal(VALUES, PLACE, KEYS))
