"""SMS over a gateway that takes JSON over HTTP: what a channel of one file looks like."""

from __future__ import annotations

from server.dispatch.channels.answers import Answer
from server.dispatch.channels.channel import (
    Accepted,
    AddressKind,
    Credential,
    CredentialField,
    Message,
    RateLimit,
    Refused,
    SendResult,
)
from server.dispatch.channels.http_channel import JSON, HttpChannel, json_body
from server.dispatch.channels.phones import e164


class SmsGateway(HttpChannel):
    """The channel `sms`. The gateway's own codes, in `error.code`, are given their meaning by configuration."""

    name = "sms"
    provider = "sms_gateway"
    account = "sms"
    needs = AddressKind.PHONE
    limits = RateLimit(per_second=50.0, burst=50)
    credential = (
        CredentialField("url", False, True, "Where messages are posted to.", r"https?://\S+"),
        CredentialField("authorization", True, True, "The whole value of the header Authorization."),
        CredentialField("sender", False, False, "The sender's name or number, as it is registered."),
    )

    def accept_address(self, address: str) -> str:
        """The number in E.164.

        Raises:
            BadAddress: it is no phone number.
        """
        return e164(address)

    async def _deliver(self, message: Message, credential: Credential, wait_seconds: float) -> SendResult:
        sender = credential.get("sender")
        sms = {"to": message.destination, "text": message.body, "reference": message.delivery_key}
        answer = await self._http.post(
            self._url or credential.get("url"),
            json_body({**sms, **({"from": sender} if sender else {})}),
            {
                **JSON,
                "Authorization": credential.get("authorization"),
                "Idempotency-Key": message.delivery_key,
            },
            wait_seconds=wait_seconds,
        )
        return answer if isinstance(answer, Refused) else self._read(answer, credential)

    def _read(self, answer: Answer, credential: Credential) -> SendResult:
        message_id = answer.text("id") or answer.text("message_id")
        if 200 <= answer.status < 300 and message_id:
            return Accepted(message_id, answer.record(credential))
        code = answer.text("error", "code")
        if code in self._codes:
            return answer.refused(self._codes[code], f"SMS_{code}", credential)
        return answer.refused_by_status(credential)
