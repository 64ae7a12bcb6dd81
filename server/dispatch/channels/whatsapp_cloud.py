"""WhatsApp over Meta's Cloud API."""

from __future__ import annotations

from typing import Any

from server.dispatch.channels import meta
from server.dispatch.channels.channel import (
    Accepted,
    AddressKind,
    Credential,
    CredentialField,
    ErrorClass,
    Message,
    MetadataField,
    MetadataKind,
    RateLimit,
    Refused,
    SendResult,
)
from server.dispatch.channels.http_channel import JSON, HttpChannel, codes_of, json_body
from server.dispatch.channels.phones import digits


class WhatsappCloud(HttpChannel):
    """The channel `whatsapp`: an approved template, or plain text within 24 hours of the person's last message.

    That Meta took a message means little: many failures arrive by webhook only.
    """

    name = "whatsapp"
    provider = "whatsapp_cloud"
    account = "whatsapp"
    needs = AddressKind.PHONE
    receipts = True
    limits = RateLimit(per_second=80.0, burst=80)
    credential = (
        CredentialField("access_token", True, True, "A system user's token."),
        CredentialField("phone_number_id", False, True, "The id of the sending number.", r"\d+"),
        meta.APP_SECRET,
        meta.VERIFY_TOKEN,
        meta.VERSION,
    )
    metadata = (
        MetadataField("template_name", "The approved template; plain text is sent if left out."),
        MetadataField("template_language", 'Its language code at Meta; "vi" if left out.'),
        MetadataField("template_parameters", "Parameters of its body, in order.", kind=MetadataKind.TEXTS),
    )
    URL = meta.URL
    CODES = codes_of(
        {
            ErrorClass.RECIPIENT: "131026 131049 131050 130472 131021 131030",
            ErrorClass.CONTENT: (
                "131047 132000 132001 132005 132007 132008 132012 132015 132016 131008 131009 131051 100"
            ),
            ErrorClass.QUOTA: "130429 131056 131048 80007 4 131064",
            ErrorClass.AUTHENTICATION: "190 0 3 10 368 131031 130497 131042",
            ErrorClass.TRANSIENT: "131000 131016 131057 135000",
        }
    )

    def accept_address(self, address: str) -> str:
        """The number with country code, without `+`.

        Raises:
            BadAddress: it is no phone number.
        """
        return digits(address)

    async def _deliver(self, message: Message, credential: Credential, wait_seconds: float) -> SendResult:
        version = credential.get("api_version", meta.USUAL_VERSION)
        answer = await self._http.post(
            f"{self._url}/{version}/{credential.get('phone_number_id')}/messages",
            json_body(_message(message)),
            {**JSON, "Authorization": f"Bearer {credential.get('access_token')}"},
            parameters=meta.proof(credential),
            wait_seconds=wait_seconds,
        )
        if isinstance(answer, Refused):
            return answer
        if message_id := answer.text("messages", 0, "id"):
            return Accepted(message_id, answer.record(credential))
        return meta.read_error(answer, credential, self._codes)


def _message(message: Message) -> dict[str, Any]:
    return {
        "messaging_product": "whatsapp",
        "recipient_type": "individual",
        "to": message.destination,
        **(_template(message) if message.data.get("template_name") else _text(message)),
        "biz_opaque_callback_data": message.delivery_key,
    }


def _text(message: Message) -> dict[str, Any]:
    return {"type": "text", "text": {"body": message.text}}


def _template(message: Message) -> dict[str, Any]:
    parameters = [{"type": "text", "text": text} for text in message.data.get("template_parameters") or ()]
    components = [{"type": "body", "parameters": parameters}] if parameters else []
    return {
        "type": "template",
        "template": {
            "name": message.data["template_name"],
            "language": {"code": message.data.get("template_language") or "vi"},
            "components": components,
        },
    }
