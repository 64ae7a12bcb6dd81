"""E-mail over SMTP.

The dialogue is led step by step, because what an error means depends on the step: until DATA nothing can have
been sent; once the text is on its way, only an answer of the server says whether it was.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from email.headerregistry import Address
from typing import Any, Final

from aiosmtplib import (
    SMTP,
    SMTPAuthenticationError,
    SMTPException,
    SMTPResponseException,
    SMTPServerDisconnected,
)

from server.dispatch.channels.channel import (
    HTML,
    PLAIN_TEXT,
    Accepted,
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
from server.dispatch.channels.mime import compose, message_id, parse_address
from server.dispatch.channels.smtp_pool import NoConnectionInTime, SmtpPool
from server.platform.clock import utc_now

# Messages that are logged as `sending` for each connection: the one it sends and the one that follows. All of them
# end as `unknown` when the worker is killed, so more would cost more than the little speed that they bring.
_WAITING: Final = 2
_LONGEST_ANSWER: Final = 500
_AUTHENTICATION_CODES: Final = frozenset({530, 534, 535, 538})
_CLOSING: Final = 421
_QUOTA_CODES: Final = frozenset({452})


class EmailSmtp:
    """The channel `email` over one relay.

    Args:
        pool: connections to the relay.
        connections: how many the pool has.
        sender: the address in From, and of the envelope.
        timeout_seconds: for one message from its first command to the last answer.
    """

    name = "email"
    provider = "smtp"
    account = "email"
    needs = AddressKind.EMAIL
    multicast = False
    resend_safe = False
    receipts = False
    # Relays say what they take by their replies only.
    limits = RateLimit(per_second=1000.0, burst=1000)
    credential: tuple[CredentialField, ...] = ()
    metadata: tuple[MetadataField, ...] = ()
    content_types: tuple[str, ...] = (PLAIN_TEXT, HTML)

    def __init__(self, *, pool: SmtpPool, connections: int, sender: Address, timeout_seconds: float) -> None:
        self.slots = connections * _WAITING
        self._pool = pool
        self._sender = sender
        self._timeout_seconds = timeout_seconds

    def accept_address(self, address: str) -> str:
        """The normalised address.

        Raises:
            BadAddress: it is none.
        """
        return parse_address(address).normalized

    async def ready(self) -> bool:
        """Whether the relay can be connected to, unless a connection is open."""
        try:
            await self._pool.probe()
        except (SMTPException, OSError, TimeoutError):
            return False
        return True

    async def send(self, message: Message, credential: Credential, *, wait_seconds: float) -> SendResult:
        """One message in one mail transaction, of which nothing is repeated.

        A connection that turns out dead at its first command is replaced once: nothing was said on it.
        """
        result = await self._send(message, wait_seconds)
        if result is None:
            result = await self._send(message, wait_seconds)
        return result or Refused(ErrorClass.TRANSIENT, "CONNECTION_LOST")

    async def close(self) -> None:
        """Close idle connections."""
        await self._pool.close()

    async def _send(self, message: Message, wait_seconds: float) -> SendResult | None:
        """None when the connection was dead before the first command."""
        try:
            async with self._pool.connection(wait_seconds=wait_seconds) as connection:
                dialogue = _Dialogue(connection, self._sender, message)
                return await dialogue.run(self._timeout_seconds)
        except NoConnectionInTime:
            return Refused(ErrorClass.TRANSIENT, "NO_CONNECTION_IN_TIME")
        except SMTPAuthenticationError as error:
            return Refused(ErrorClass.AUTHENTICATION, "PROVIDER_LOGIN_REFUSED", _answer(error))
        except (SMTPException, OSError, TimeoutError):
            return Refused(ErrorClass.TRANSIENT, "PROVIDER_UNREACHABLE")


class _Dialogue:
    """One mail transaction: MAIL, RCPT, DATA. Leaves the connection clean, or closed."""

    def __init__(self, connection: SMTP, sender: Address, message: Message) -> None:
        self._connection = connection
        self._sender = sender
        self._message = message
        self._step = "MAIL"

    async def run(self, timeout_seconds: float) -> SendResult | None:
        try:
            async with asyncio.timeout(timeout_seconds):
                return await self._talk()
        except SMTPResponseException as error:
            if self._step == "MAIL" and error.code == _CLOSING:
                self._connection.close()
                return None
            await self._reset()
            return self._refusal(error)
        except SMTPServerDisconnected:
            self._connection.close()
            return self._broken_off("CONNECTION_LOST") if self._step != "MAIL" else None
        except (SMTPException, OSError, TimeoutError):
            self._connection.close()
            return self._broken_off("NO_ANSWER_IN_TIME")
        except ValueError:
            # Refused by the libraries before it went out.
            await self._reset()
            return _not_safe(self._step)

    async def _talk(self) -> SendResult:
        envelope = parse_address(self._message.destination)
        recipient, options, encoding = envelope.ascii_email, [], "ascii"
        if recipient is None:
            if not self._connection.supports_extension("smtputf8"):
                return Refused(ErrorClass.RECIPIENT, "ADDRESS_NEEDS_SMTPUTF8")
            recipient, options, encoding = envelope.normalized, ["SMTPUTF8"], "utf-8"
        content = compose(self._message, sender=self._sender, date=utc_now())
        await self._connection.mail(self._sender.addr_spec, options=options, encoding=encoding)
        self._step = "RCPT"
        await self._connection.rcpt(recipient, encoding=encoding)
        self._step = "DATA"
        answer = await self._connection.data(content)
        return Accepted(
            message_id(self._message.delivery_key, self._sender),
            {"code": answer.code, "message": answer.message[:_LONGEST_ANSWER]},
        )

    def _broken_off(self, reason: str) -> Refused:
        error = ErrorClass.AMBIGUOUS if self._step == "DATA" else ErrorClass.TRANSIENT
        return Refused(error, reason, {"step": self._step})

    def _refusal(self, error: SMTPResponseException) -> Refused:
        return Refused(
            classify(self._step, error.code), f"SMTP_{error.code}", {**_answer(error), "step": self._step}
        )

    async def _reset(self) -> None:
        try:
            await self._connection.rset()
        except (SMTPException, OSError, TimeoutError):
            self._connection.close()


def classify(step: str, code: int) -> ErrorClass:
    """What a reply code that is no success means, given the command that it answers.

    Args:
        step: MAIL, RCPT or DATA.
        code: the reply code; outside of 400 to 599 the server broke the protocol.
    """
    if code in _AUTHENTICATION_CODES:
        return ErrorClass.AUTHENTICATION
    if code in _QUOTA_CODES:
        return ErrorClass.QUOTA
    if 400 <= code <= 499:
        return ErrorClass.TRANSIENT
    if not 500 <= code <= 599:
        return ErrorClass.AMBIGUOUS if step == "DATA" else ErrorClass.TRANSIENT
    # MAIL names only ourselves: that the relay refuses us says nothing about the recipient.
    return {"MAIL": ErrorClass.AUTHENTICATION, "RCPT": ErrorClass.RECIPIENT}.get(step, ErrorClass.CONTENT)


def _not_safe(step: str) -> Refused:
    if step == "RCPT":
        return Refused(ErrorClass.RECIPIENT, "ADDRESS_NOT_SENDABLE")
    return Refused(ErrorClass.CONTENT, "MESSAGE_NOT_SENDABLE")


def _answer(error: SMTPResponseException) -> Mapping[str, Any]:
    return {"code": error.code, "message": str(error.message)[:_LONGEST_ANSWER]}
