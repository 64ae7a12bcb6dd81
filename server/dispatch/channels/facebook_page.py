"""Messages of a Facebook Page in Messenger."""

from __future__ import annotations

import re
from typing import Any, Final

from server.dispatch.channels import meta
from server.dispatch.channels.channel import (
    Accepted,
    AddressKind,
    BadAddress,
    Credential,
    CredentialField,
    ErrorClass,
    Message,
    MetadataField,
    RateLimit,
    Refused,
    SendResult,
)
from server.dispatch.channels.http_channel import JSON, HttpChannel, codes_of, json_body

_USER: Final = re.compile(r"[0-9]{1,32}")


class FacebookPage(HttpChannel):
    """The channel `facebook`; its address is the person's page-scoped id."""

    name = "facebook"
    provider = "facebook_page"
    account = "facebook"
    needs = AddressKind.OWN
    receipts = True
    limits = RateLimit(per_second=300.0, burst=300)
    credential = (
        CredentialField("access_token", True, True, "The Page's access token, with pages_messaging."),
        CredentialField("page_id", False, False, "The Page's id; the token's own Page if left out.", r"\d+"),
        meta.APP_SECRET,
        meta.VERIFY_TOKEN,
        meta.VERSION,
    )
    metadata = (
        MetadataField(
            "messaging_type",
            "UPDATE if left out.",
            choices=("RESPONSE", "UPDATE", "MESSAGE_TAG"),
        ),
        MetadataField("tag", "With MESSAGE_TAG: which one; see the Page's policy."),
    )
    URL = meta.URL
    CODES = codes_of(
        {
            ErrorClass.AUTHENTICATION: "190 10 10/1893063",
            ErrorClass.RECIPIENT: "551 10/2018278 100/2018001",
            ErrorClass.QUOTA: "613 4 32 80006",
            ErrorClass.TRANSIENT: "2 1200",
            ErrorClass.CONTENT: "100",
        }
    )

    def accept_address(self, address: str) -> str:
        """The person's id at this Page.

        Raises:
            BadAddress: it is none.
        """
        if not _USER.fullmatch(address):
            raise BadAddress("NO_PAGE_SCOPED_ID")
        return address

    async def _deliver(self, message: Message, credential: Credential, wait_seconds: float) -> SendResult:
        version, page = credential.get("api_version", meta.USUAL_VERSION), credential.get("page_id", "me")
        answer = await self._http.post(
            f"{self._url}/{version}/{page}/messages",
            json_body(_message(message)),
            JSON,
            parameters={"access_token": credential.get("access_token"), **meta.proof(credential)},
            wait_seconds=wait_seconds,
        )
        if isinstance(answer, Refused):
            return answer
        if message_id := answer.text("message_id"):
            return Accepted(message_id, answer.record(credential))
        return meta.read_error(answer, credential, self._codes)


def _message(message: Message) -> dict[str, Any]:
    tag = message.data.get("tag")
    return {
        "recipient": {"id": message.destination},
        "messaging_type": message.data.get("messaging_type") or "UPDATE",
        **({"tag": tag} if tag else {}),
        "message": {"text": message.text},
    }
