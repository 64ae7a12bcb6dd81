"""Every documented code of a provider, and what it means: written from the documentation, not from the tables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from server.dispatch.channels.channel import Refused
from tests.dispatch.channels.conftest import Adapters
from tests.dispatch.channels.fakes import meta, push, telegram, zalo
from tests.dispatch.channels.fakes.provider import Reply
from tests.dispatch.channels.fakes.wire import AUTHENTICATION, CONTENT, QUOTA, RECIPIENT, TRANSIENT, HttpWire

ZNS = {
    RECIPIENT: (-108, -110, -114, -118, -119, -134, -139, -140, -141),
    CONTENT: (-109, -111, -112, -1121, -1122, -1124, -113, -116, -130, -131, -132),
    AUTHENTICATION: (
        *(-124, -1241, -101, -102, -103, -104, -105, -117, -120, -125, -127, -135, -1351),
        *(-136, -137, -138, -145, -146),
    ),
    QUOTA: (-115, -126, -133, -144, -1441, -147, -1471),
    TRANSIENT: (-100,),
}
OA = {AUTHENTICATION: (-216, -220, -224, -242), RECIPIENT: (-201, -213, -230), QUOTA: (-32,)}
PAGE = {
    AUTHENTICATION: ((190, 463), (190, None), (10, None), (10, 1893063), (200, None), (299, None)),
    RECIPIENT: ((551, None), (10, 2018278), (100, 2018001)),
    QUOTA: ((613, None), (4, None), (32, None), (80006, None)),
    TRANSIENT: ((2, None), (1200, None)),
    CONTENT: ((100, None), (100, 1)),
}
WHATSAPP = {
    RECIPIENT: (131026, 131049, 131050, 130472),
    CONTENT: (131047, 132000, 132001, 132005, 132007, 132008, 132012, 132015, 132016, 131008, 131009, 131051),
    QUOTA: (130429, 131056, 131048, 80007, 4, 131064),
    AUTHENTICATION: (190, 0, 3, 10, 200, 299, 368, 131031, 130497, 131042),
    TRANSIENT: (131000, 131016, 131057, 135000),
}
FIREBASE = {
    RECIPIENT: ((404, "NOT_FOUND", "UNREGISTERED"), (403, "PERMISSION_DENIED", "SENDER_ID_MISMATCH")),
    CONTENT: ((400, "INVALID_ARGUMENT", "INVALID_ARGUMENT"), (400, "INVALID_ARGUMENT", None)),
    QUOTA: ((429, "RESOURCE_EXHAUSTED", "QUOTA_EXCEEDED"), (429, "RESOURCE_EXHAUSTED", None)),
    TRANSIENT: ((503, "UNAVAILABLE", "UNAVAILABLE"), (500, "INTERNAL", "INTERNAL")),
    AUTHENTICATION: ((401, "UNAUTHENTICATED", "THIRD_PARTY_AUTH_ERROR"), (401, "UNAUTHENTICATED", None)),
}
TELEGRAM = {
    RECIPIENT: (
        (400, "Bad Request: chat not found"),
        (403, "Forbidden: bot was blocked by the user"),
        (403, "Forbidden: user is deactivated"),
        (403, "Forbidden: bot was kicked from the group chat"),
    ),
    CONTENT: ((400, "Bad Request: message text is empty"),),
    AUTHENTICATION: ((401, "Unauthorized"), (404, "Not Found")),
    TRANSIENT: ((500, "Internal Server Error"), (502, "Bad Gateway"), (409, "Conflict")),
}


def page(code: int, subcode: int | None) -> Reply:
    """An error of the Graph API, with a subcode where there is one."""
    return meta.failed(400, code, "no", **({"error_subcode": subcode} if subcode else {}))


CASES: Mapping[str, tuple[Any, Any]] = {
    "zalo_zns": (ZNS, lambda code: zalo.failed(code, "no")),
    "zalo_oa": (OA, lambda code: zalo.failed(code, "no")),
    "facebook_page": (PAGE, lambda code: page(*code)),
    "whatsapp_cloud": (WHATSAPP, lambda code: meta.failed(400, code, "no")),
    "firebase": (FIREBASE, lambda code: push.failed(code[0], code[1], "no", code[2])),
    "telegram": (TELEGRAM, lambda code: telegram.failed(*code)),
}


@pytest.mark.parametrize("wire", list(CASES), indirect=True)
async def test_every_code_means_what_is_documented(wire: HttpWire, adapters: Adapters) -> None:
    codes, failed = CASES[wire.name]
    adapter = adapters.of(wire)
    for error, listed in codes.items():
        for code in listed:
            wire.fake.scripts.append(failed(code))
            result = await adapter.send(wire.message(), wire.credential, wait_seconds=5.0)
            assert isinstance(result, Refused), code
            assert result.error is error, (code, result)
    assert wire.fake.scripts == []
