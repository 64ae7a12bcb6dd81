"""Messages of a Zalo Official Account to people who talked to it."""

from __future__ import annotations

import re
from typing import Any, Final

from server.dispatch.channels import zalo
from server.dispatch.channels.channel import (
    AddressKind,
    BadAddress,
    Credential,
    ErrorClass,
    Message,
    RateLimit,
    Refreshed,
    Refused,
    SendResult,
)
from server.dispatch.channels.http_channel import HttpChannel, codes_of, json_body
from server.dispatch.channels.provider_http import ProviderHttp

_USER: Final = re.compile(r"[0-9]{1,32}")


class ZaloOa(HttpChannel):
    """The channel `zalo_oa`; it shares the account of `zalo`."""

    name = "zalo_oa"
    provider = "zalo_oa"
    account = "zalo"
    needs = AddressKind.OWN
    receipts = True
    limits = RateLimit(per_second=20.0, burst=20)
    credential = zalo.CREDENTIAL
    URL = "https://openapi.zalo.me"
    CODES = codes_of(
        {
            ErrorClass.AUTHENTICATION: "-216 -220 -242 -224 -124 -1241",
            ErrorClass.RECIPIENT: "-230 -213 -201",
            ErrorClass.QUOTA: "-32",
        }
    )

    def __init__(self, http: ProviderHttp, *, token_url: str | None = None, **options: Any) -> None:
        super().__init__(http, **options)
        self._token_url = token_url or zalo.TOKEN_URL

    def accept_address(self, address: str) -> str:
        """The user's id at this Official Account.

        Raises:
            BadAddress: it is none.
        """
        if not _USER.fullmatch(address):
            raise BadAddress("NO_USER_ID")
        return address

    async def refresh(self, credential: Credential) -> Refreshed | Refused:
        """A new pair of tokens."""
        return await zalo.refresh(self._http, self._token_url, credential)

    async def _deliver(self, message: Message, credential: Credential, wait_seconds: float) -> SendResult:
        if not credential.get("access_token"):
            return zalo.no_token()
        answer = await self._http.post(
            f"{self._url}/v3.0/oa/message/cs",
            json_body({"recipient": {"user_id": message.destination}, "message": {"text": message.text}}),
            zalo.headers(credential),
            wait_seconds=wait_seconds,
        )
        if isinstance(answer, Refused):
            return answer
        return zalo.read(answer, credential, self._codes, "message_id")
