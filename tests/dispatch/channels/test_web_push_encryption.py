"""The example of RFC 8291, section 5 and appendix A."""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric import ec

from server.dispatch.channels.web_push_encryption import LONGEST_PAYLOAD, decode, encrypt
from tests.dispatch.channels.fakes.push import Browser, encode, point


def test_the_standards_own_example() -> None:
    number = int.from_bytes(decode("yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw"), "big")

    body = encrypt(
        b"When I grow up, I want to be a watermelon",
        p256dh=decode(
            "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4"
        ),
        auth=decode("BTBZMqHH6r4Tts7J_aSIgg"),
        own=ec.derive_private_key(number, ec.SECP256R1()),
        salt=decode("DGv6ra1nlYgDCS1FRnbzlw"),
    )

    assert encode(body) == (
        "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8w"
        "EqKK6PBru3jl7A_yl95bQpu6cVPTpK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN"
    )


def test_the_longest_payload_fits_what_every_service_takes() -> None:
    browser = Browser("https://push.example/x")
    payload = b'"' + b"x" * (LONGEST_PAYLOAD - 2) + b'"'

    body = encrypt(payload, p256dh=point(browser.private.public_key()), auth=browser.secret)

    assert len(body) == 4096
    assert browser.read(body) == "x" * (LONGEST_PAYLOAD - 2)
