"""Zalo Notification Service: approved templates to phone numbers."""

from __future__ import annotations

from typing import Any

from server.dispatch.channels import zalo
from server.dispatch.channels.channel import (
    AddressKind,
    Credential,
    CredentialField,
    ErrorClass,
    Message,
    MetadataField,
    MetadataKind,
    RateLimit,
    Refreshed,
    Refused,
    SendResult,
)
from server.dispatch.channels.http_channel import HttpChannel, codes_of, json_body
from server.dispatch.channels.phones import digits
from server.dispatch.channels.provider_http import ProviderHttp


class ZaloZns(HttpChannel):
    """The channel `zalo`. Zalo renders its own template; ours is the text that people read in the log."""

    name = "zalo"
    provider = "zalo_zns"
    account = "zalo"
    needs = AddressKind.PHONE
    receipts = True
    limits = RateLimit(per_second=20.0, burst=20)
    credential = (
        *zalo.CREDENTIAL,
        CredentialField(
            "mode", False, False, 'Give "development" to reach admins of the app only.', "development"
        ),
    )
    metadata = (
        MetadataField("template_id", "The id of the approved ZNS template.", required=True),
        MetadataField(
            "template_data", "Its parameters, each a template.", kind=MetadataKind.MAPPING, required=True
        ),
        MetadataField("sending_mode", 'Zalo\'s sending mode; leave it out for the usual one, "1".'),
    )
    URL = "https://business.openapi.zalo.me"
    CODES = codes_of(
        {
            ErrorClass.RECIPIENT: "-108 -110 -118 -119 -139 -141 -140 -114 -134",
            ErrorClass.CONTENT: "-109 -111 -112 -1121 -1122 -1124 -113 -116 -130 -131 -132",
            ErrorClass.AUTHENTICATION: (
                "-124 -1241 -101 -102 -103 -104 -105 -117 -120 -125 -127 -135 -1351 -136 -137 -138 -145 -146"
            ),
            ErrorClass.QUOTA: "-115 -126 -144 -1441 -147 -1471 -133",
            ErrorClass.TRANSIENT: "-100",
        }
    )

    def __init__(self, http: ProviderHttp, *, token_url: str | None = None, **options: Any) -> None:
        super().__init__(http, **options)
        self._token_url = token_url or zalo.TOKEN_URL

    def accept_address(self, address: str) -> str:
        """The number as `84…`.

        Raises:
            BadAddress: it is no phone number.
        """
        return digits(address)

    async def refresh(self, credential: Credential) -> Refreshed | Refused:
        """A new pair of tokens."""
        return await zalo.refresh(self._http, self._token_url, credential)

    async def _deliver(self, message: Message, credential: Credential, wait_seconds: float) -> SendResult:
        if not credential.get("access_token"):
            return zalo.no_token()
        answer = await self._http.post(
            f"{self._url}/message/template",
            json_body(_notification(message, credential)),
            zalo.headers(credential),
            wait_seconds=wait_seconds,
        )
        return answer if isinstance(answer, Refused) else zalo.read(answer, credential, self._codes, "msg_id")


def _notification(message: Message, credential: Credential) -> dict[str, Any]:
    notification = {
        "phone": message.destination,
        "template_id": message.data["template_id"],
        "template_data": message.data["template_data"],
        "tracking_id": message.reference,
    }
    optional = {"mode": credential.get("mode"), "sending_mode": message.data.get("sending_mode")}
    return {**notification, **{name: value for name, value in optional.items() if value}}
