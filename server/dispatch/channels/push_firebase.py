"""Push notifications over Firebase Cloud Messaging (HTTP v1)."""

from __future__ import annotations

import re
from functools import partial
from typing import Any, Final

from server.dispatch.channels import google_tokens
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
    MetadataKind,
    RateLimit,
    Refreshed,
    Refused,
    SendResult,
)
from server.dispatch.channels.http_channel import JSON, HttpChannel, codes_of, json_body
from server.dispatch.channels.multicast import to_each
from server.dispatch.channels.provider_http import ProviderHttp
from server.dispatch.channels.waiting import retry_after

_TOKEN: Final = re.compile(r"[A-Za-z0-9_:.~%-]{8,4096}")
_DEAD: Final = frozenset({"UNREGISTERED", "SENDER_ID_MISMATCH", "BAD_TOKEN"})
_BAD_TOKEN: Final = "The registration token is not a valid FCM registration token"  # noqa: S105
_USUAL_WAIT_SECONDS: Final = 60.0


class PushFirebase(HttpChannel):
    """The channel `push`: every token of the profile.

    A device shows a message once however often it gets it: all attempts bear the delivery's tag.
    """

    name = "push"
    provider = "firebase"
    account = "push"
    needs = AddressKind.OWN
    multicast = True
    resend_safe = True
    limits = RateLimit(per_second=10_000.0, burst=10_000)
    credential = (
        CredentialField("service_account", True, True, "The JSON key of a service account, as downloaded."),
        CredentialField("access_token", True, False, "Renewed by itself; leave it out."),
    )
    metadata = (
        MetadataField("data", "What the app gets beside the text.", kind=MetadataKind.MAPPING),
        MetadataField("url", "What a tap opens; the app finds it in its data."),
        MetadataField("image", "An https URL of an image."),
    )
    URL = "https://fcm.googleapis.com"
    CODES = codes_of(
        {
            ErrorClass.RECIPIENT: "UNREGISTERED SENDER_ID_MISMATCH BAD_TOKEN",
            ErrorClass.CONTENT: "INVALID_ARGUMENT",
            ErrorClass.QUOTA: "QUOTA_EXCEEDED RESOURCE_EXHAUSTED",
            ErrorClass.TRANSIENT: "UNAVAILABLE INTERNAL",
            ErrorClass.AUTHENTICATION: (
                "THIRD_PARTY_AUTH_ERROR APNS_AUTH_ERROR UNAUTHENTICATED PERMISSION_DENIED NOT_FOUND"
            ),
        }
    )

    def __init__(self, http: ProviderHttp, *, token_url: str | None = None, **options: Any) -> None:
        super().__init__(http, **options)
        self._token_url = token_url or google_tokens.TOKEN_URL

    def accept_address(self, address: str) -> str:
        """A registration token.

        Raises:
            BadAddress: it can be none.
        """
        if not _TOKEN.fullmatch(address):
            raise BadAddress("NO_REGISTRATION_TOKEN")
        return address

    async def refresh(self, credential: Credential) -> Refreshed | Refused:
        """An access token for the service account."""
        return await google_tokens.refresh(self._http, self._token_url, credential)

    async def _deliver(self, message: Message, credential: Credential, wait_seconds: float) -> SendResult:
        project = google_tokens.project_of(credential)
        if project is None:
            return Refused(ErrorClass.AUTHENTICATION, "SERVICE_ACCOUNT_UNREADABLE")
        if not credential.get("access_token"):
            return Refused(ErrorClass.AUTHENTICATION, "ACCESS_TOKEN_MISSING")
        url = f"{self._url}/v1/projects/{project}/messages:send"
        send = partial(self._send_one, url, message, credential, wait_seconds)
        return await to_each(message.destinations, send)

    async def _send_one(
        self, url: str, message: Message, credential: Credential, wait_seconds: float, token: str
    ) -> SendResult:
        answer = await self._http.post(
            url,
            json_body({"message": {"token": token, **_content(message)}}),
            {**JSON, "Authorization": f"Bearer {credential.get('access_token')}"},
            wait_seconds=wait_seconds,
        )
        return answer if isinstance(answer, Refused) else self._read(answer, credential, token)

    def _read(self, answer: Answer, credential: Credential, token: str) -> SendResult:
        if answer.status == 200 and (name := answer.text("name")):
            return Accepted(name, answer.record(credential))
        code = _code(answer)
        if not code:
            return answer.refused_by_status(credential)
        error = self._meaning(code)
        wait = retry_after(answer.headers)
        if error is ErrorClass.QUOTA and wait is None:
            wait = _USUAL_WAIT_SECONDS
        dead = (token,) if code in _DEAD and error is ErrorClass.RECIPIENT else ()
        return answer.refused(error, f"FCM_{code}", credential, retry_after_seconds=wait, dead_addresses=dead)


def _code(answer: Answer) -> str:
    """Firebase's own code, else the status; an argument that is the token has a code of its own."""
    details = answer.find("error", "details")
    found = [d.get("errorCode") for d in details if isinstance(d, dict)] if isinstance(details, list) else []
    code = next((c for c in found if isinstance(c, str)), answer.text("error", "status"))
    if code == "INVALID_ARGUMENT" and answer.text("error", "message") == _BAD_TOKEN:
        return "BAD_TOKEN"
    return code


def _content(message: Message) -> dict[str, Any]:
    """The notification on each platform; the tag makes a further attempt replace the one before."""
    tag = message.reference
    url, image = message.data.get("url"), message.data.get("image")
    data = {**(message.data.get("data") or {}), **({"url": url} if url else {})}
    return {
        "notification": {
            "title": message.subject,
            "body": message.body,
            **({"image": image} if image else {}),
        },
        **({"data": data} if data else {}),
        "android": {"notification": {"tag": tag}},
        "apns": {"headers": {"apns-collapse-id": tag}},
        "webpush": {"notification": {"tag": tag}},
    }
