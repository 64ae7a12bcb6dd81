"""E-mail as bytes. Pure: the same message and time give the same bytes."""

from __future__ import annotations

from datetime import datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime

from email_validator import EmailNotValidError, ValidatedEmail, validate_email

from server.dispatch.channels.channel import BadAddress, Message


def message_id(delivery_key: str, sender: Address) -> str:
    """The Message-ID: the same for every attempt, so that mail servers can tell a repetition.

    Half of the hash tells deliveries apart, and keeps the header on one line.
    """
    return f"<{delivery_key[:32]}@{sender.domain}>"


def compose(message: Message, *, sender: Address, date: datetime) -> bytes:
    """The message in MIME, with CRLF line ends.

    A value cannot add a header: addresses were parsed, the Message-ID is our own hash, and the subject is set
    as one value, which the library encodes and refuses if it held a line end.
    """
    mail = EmailMessage(policy=SMTP)
    mail["From"] = sender
    mail["To"] = message.destination
    mail["Subject"] = message.subject
    mail["Date"] = format_datetime(date)
    mail["Message-ID"] = message_id(message.delivery_key, sender)
    mail.set_content(message.body, subtype=message.content_type.removeprefix("text/"), charset="utf-8")
    return mail.as_bytes()


def parse_address(address: str) -> ValidatedEmail:
    """The parts of an address.

    Raises:
        BadAddress: it is none. DNS is not asked.
    """
    try:
        return validate_email(address, check_deliverability=False, allow_smtputf8=True)
    except EmailNotValidError as error:
        raise BadAddress(type(error).__name__) from None
