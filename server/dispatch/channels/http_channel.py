"""What channels share whose provider is reached over HTTP."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar, Final
from urllib.parse import urlencode

import orjson

from server.dispatch.channels.channel import (
    PLAIN_TEXT,
    AddressKind,
    Credential,
    CredentialField,
    ErrorClass,
    Message,
    MetadataField,
    RateLimit,
    Refused,
    SendResult,
)
from server.dispatch.channels.provider_http import ProviderHttp

JSON: Final = {"Content-Type": "application/json"}
FORM: Final = {"Content-Type": "application/x-www-form-urlencoded"}


class HttpChannel(ABC):
    """A channel with its connections and its table of codes; a subclass makes the request and reads the answer.

    Args:
        http: connections to the provider.
        url: stands for the provider's own URL.
        codes: code of an answer → what it means, over `CODES`.
    """

    name: str
    provider: str
    account: str
    needs: AddressKind
    multicast: bool = False
    resend_safe: bool = False
    receipts: bool = False
    limits: RateLimit
    credential: tuple[CredentialField, ...] = ()
    metadata: tuple[MetadataField, ...] = ()
    content_types: tuple[str, ...] = (PLAIN_TEXT,)

    URL: ClassVar[str] = ""
    CODES: ClassVar[Mapping[str, ErrorClass]] = {}

    def __init__(
        self, http: ProviderHttp, *, url: str | None = None, codes: Mapping[str, ErrorClass] | None = None
    ) -> None:
        self.slots = http.connections
        self._http = http
        self._url = (url or self.URL).rstrip("/")
        self._codes = {**self.CODES, **(codes or {})}

    @abstractmethod
    def accept_address(self, address: str) -> str:
        """The address in the provider's form.

        Raises:
            BadAddress: it is none.
        """

    @abstractmethod
    async def _deliver(self, message: Message, credential: Credential, wait_seconds: float) -> SendResult:
        """Hand over a message with a credential that is complete."""

    async def ready(self) -> bool:
        """Always: what a provider can not take for the moment is deferred message by message."""
        return True

    async def send(self, message: Message, credential: Credential, *, wait_seconds: float) -> SendResult:
        """Hand over one message in one request, except where the subclass says otherwise."""
        missing = [f.name for f in self.credential if f.required and not credential.get(f.name)]
        if missing:
            return Refused(ErrorClass.AUTHENTICATION, "CREDENTIAL_INCOMPLETE", {"missing": missing})
        try:
            # Several requests together take no longer than one may.
            async with asyncio.timeout(wait_seconds + self._http.timeout_seconds):
                return await self._deliver(message, credential, wait_seconds)
        except TimeoutError:
            return Refused(ErrorClass.AMBIGUOUS, "NO_ANSWER_IN_TIME")

    async def close(self) -> None:
        """Close the connections."""
        await self._http.close()

    def _meaning(self, *codes: str) -> ErrorClass:
        """What the first known of these codes means. One that nobody knows was no success, and may pass."""
        return next((self._codes[code] for code in codes if code in self._codes), ErrorClass.TRANSIENT)


def json_body(document: object) -> bytes:
    """A request's body in JSON."""
    return orjson.dumps(document)


def form_body(fields: Mapping[str, str]) -> bytes:
    """A request's body as a form."""
    return urlencode(fields).encode()


def codes_of(classes: Mapping[ErrorClass, str]) -> dict[str, ErrorClass]:
    """A table of codes, from the codes of each class in one text with spaces between them."""
    return {code: error for error, codes in classes.items() for code in codes.split()}
