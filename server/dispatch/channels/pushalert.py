"""Web push over PushAlert.

A request without a target would go to every subscriber of the site. There is none: an address is checked when it
is accepted, and again when the request is made.
"""

from __future__ import annotations

import re
from typing import Final

import orjson

from server.dispatch.channels.answers import Answer
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
from server.dispatch.channels.http_channel import FORM, HttpChannel, form_body

_SUBSCRIBER: Final = re.compile(r"[A-Za-z0-9_.:=+/-]{6,256}")
_LONGEST_TITLE: Final = 64
_LONGEST_MESSAGE: Final = 192


class Pushalert(HttpChannel):
    """The channel `pushalert`: all subscriber ids of the profile in one request."""

    name = "pushalert"
    provider = "pushalert"
    account = "pushalert"
    needs = AddressKind.OWN
    multicast = True
    limits = RateLimit(per_second=10.0, burst=10)
    credential = (CredentialField("api_key", True, True, "The REST API key of the site."),)
    metadata = (
        MetadataField("url", "What a click opens.", required=True),
        MetadataField("icon", "An https URL of an icon."),
        MetadataField("image", "An https URL of a large image."),
    )
    URL = "https://api.pushalert.co"

    def accept_address(self, address: str) -> str:
        """A subscriber's id.

        Raises:
            BadAddress: it can be none.
        """
        if not _SUBSCRIBER.fullmatch(address):
            raise BadAddress("NO_SUBSCRIBER_ID")
        return address

    async def _deliver(self, message: Message, credential: Credential, wait_seconds: float) -> SendResult:
        if not all(_SUBSCRIBER.fullmatch(address) for address in message.destinations):
            return Refused(ErrorClass.RECIPIENT, "PUSHALERT_NO_TARGET")
        if len(message.subject) > _LONGEST_TITLE or len(message.body) > _LONGEST_MESSAGE:
            return Refused(ErrorClass.CONTENT, "PUSHALERT_TEXT_TOO_LONG")
        answer = await self._http.post(
            f"{self._url}/rest/v1/send",
            form_body(_fields(message)),
            {**FORM, "Authorization": f"api_key={credential.get('api_key')}"},
            wait_seconds=wait_seconds,
        )
        return answer if isinstance(answer, Refused) else self._read(answer, credential)

    def _read(self, answer: Answer, credential: Credential) -> SendResult:
        success = answer.find("success")
        if success is True:
            return Accepted(answer.text("id"), answer.record(credential))
        if success is not False or answer.status in {401, 403, 429}:
            return answer.refused_by_status(credential)
        # PushAlert publishes no list of errors: texts of `msg`, in lower case, can be given a meaning where they
        # are known.
        error = self._codes.get(answer.text("msg").lower(), ErrorClass.CONTENT)
        return answer.refused(error, "PUSHALERT_REFUSED", credential)


def _fields(message: Message) -> dict[str, str]:
    targets = message.destinations
    target = (
        {"subscriber": targets[0]}
        if len(targets) == 1
        else {"subscribers": orjson.dumps(list(targets)).decode()}
    )
    optional = {"icon": message.data.get("icon"), "large_image": message.data.get("image")}
    return {
        "title": message.subject,
        "message": message.body,
        "url": message.data["url"],
        **{name: value for name, value in optional.items() if value},
        **target,
    }
