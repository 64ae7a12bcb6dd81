"""A mail relay over real SMTP."""

from __future__ import annotations

from email.message import EmailMessage
from typing import Any

from tests.dispatch.channels.fakes.wire import CONTENT, KEY, RECIPIENT, TEXT, Wire
from tests.dispatch.scripted_smtp import ScriptedSmtp


class SmtpWire(Wire):
    name = "smtp"
    subject = "Đơn hàng"
    golden = {
        "from": "Shop <shop@leo.example>",
        "to": "lan@example.com",
        "subject": "Đơn hàng",
        "message_id": f"<{KEY[:32]}@leo.example>",
        "type": "text/plain",
        "text": TEXT,
    }
    addresses = {"lan@example.com": "lan@example.com", "Lan@EXAMPLE.com": "Lan@example.com"}
    nonsense = ("", "lan", "a@", "@b.c", "a b@c.de", "a@b.de,c@d.de", "a@b.de\nBcc: x@y.z")
    # A relay names the step: what it says to the text is about the text, and what it says to the recipient is
    # about the recipient.
    expected = {
        "answers_a_code_that_nobody_knows": CONTENT,
        "answers_a_page_of_an_error": CONTENT,
        "sends_elsewhere": RECIPIENT,
    }

    def __init__(self) -> None:
        self.smtp = ScriptedSmtp()

    def start(self) -> None:
        self.smtp.start()

    def end(self) -> None:
        self.smtp.end()

    def reset(self) -> None:
        self.smtp.reset()

    def script(self, case: str) -> None:
        smtp = self.smtp
        recipients = {
            "refuses_the_recipient": "550 5.1.1 no such user",
            "limits_the_rate": "452 4.5.3 too many recipients",
            "expires_the_token": "530 5.7.0 authentication required",
            "is_unavailable": "451 4.3.0 try later",
            "sends_elsewhere": "551 5.1.6 user not local; please try <lan@elsewhere.example>",
        }
        texts = {
            "refuses_the_content": "554 5.6.0 looks like spam",
            "answers_a_code_that_nobody_knows": "599 something new",
            "answers_a_page_of_an_error": "554 <html>Internal Server Error</html>",
            "answers_garbage": "fine",
            "answers_nothing": "",
            "answers_too_much": "250 " + "a" * 1_000_000,
            "speaks_no_protocol": "\x00\x01\x02 +OK",
        }
        if case in recipients:
            smtp.on_recipient = lambda _recipient: recipients[case]
        elif case in texts:
            smtp.on_data = lambda _recipient: texts[case]
        elif case == "answers_late":
            smtp.hold = True
        elif case == "does_not_listen":
            smtp.stop()
        else:
            smtp.hang_up_after_data = True
            smtp.last_words = b"25" if case == "hangs_up_within_its_answer" else b""

    def received(self) -> list[Any]:
        return [_seen(message) for message in self.smtp.texts]

    def wait_until_something_arrived(self) -> None:
        assert self.smtp.data_arrived.wait(10)

    def text_of(self, received: Any) -> str:
        return str(received["text"])


def _seen(message: EmailMessage) -> dict[str, Any]:
    return {
        "from": str(message["From"]),
        "to": str(message["To"]),
        "subject": str(message["Subject"]),
        "message_id": str(message["Message-ID"]),
        "type": message.get_content_type(),
        "text": message.get_content().replace("\r\n", "\n").removesuffix("\n"),
    }
