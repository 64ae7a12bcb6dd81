"""What a fake knows of one provider, as the suite of all channels asks for it.

Of the server it uses the types that go in and out of every channel, and nothing of any adapter.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

from server.dispatch.channels.channel import Credential, ErrorClass, Message
from tests.dispatch.channels.fakes.provider import FakeProvider, Reply, half_of, hang_up, never, no_http

KEY = "0123456789abcdef" * 4
TEXT = "Chào Lan, đơn #12 – 1.5 kg > 1!"
UNUSUAL = "“Đặng” <b>&amp;</b> 'x' \"y\" \\ / 100% {{ }} `_*[~]` שלום 👩🏽‍🚀\nline 2\ttab"

AMBIGUOUS, TRANSIENT = ErrorClass.AMBIGUOUS, ErrorClass.TRANSIENT
AUTHENTICATION, QUOTA = ErrorClass.AUTHENTICATION, ErrorClass.QUOTA
CONTENT, RECIPIENT = ErrorClass.CONTENT, ErrorClass.RECIPIENT

CASES: Mapping[str, ErrorClass] = {
    "refuses_the_recipient": RECIPIENT,
    "refuses_the_content": CONTENT,
    "limits_the_rate": QUOTA,
    "expires_the_token": AUTHENTICATION,
    "is_unavailable": TRANSIENT,
    "answers_a_code_that_nobody_knows": TRANSIENT,
    "answers_a_page_of_an_error": AMBIGUOUS,
    "answers_garbage": AMBIGUOUS,
    "answers_nothing": AMBIGUOUS,
    "answers_too_much": AMBIGUOUS,
    "speaks_no_protocol": AMBIGUOUS,
    "answers_late": AMBIGUOUS,
    "hangs_up_after_accepting": AMBIGUOUS,
    "hangs_up_within_its_answer": AMBIGUOUS,
    "does_not_listen": TRANSIENT,
    "sends_elsewhere": AUTHENTICATION,
}
"""What a provider may do instead of taking a message, and what that means unless a wire says otherwise."""


class Wire(ABC):
    """One provider: a server that speaks its wire format.

    Attributes:
        golden: what the default message looks like on the wire, written from the provider's documentation.
        expected: where a case means something else than usual.
        retry_after_seconds: what the provider asks for when it limits the rate; None when it has no way to ask.
        addresses: given → in the provider's form.
        nonsense: what can be no address.
    """

    name: str
    golden: Any
    expected: Mapping[str, ErrorClass] = {}
    retry_after_seconds: float | None = None
    addresses: Mapping[str, str]
    nonsense: tuple[str, ...]
    credential: Credential = Credential({})
    data: Mapping[str, Any] = {}
    subject = ""

    def message(self, body: str = TEXT, **fields: Any) -> Message:
        """The default message with another body."""
        destination = next(iter(self.addresses.values()))
        given = {"delivery_key": KEY, "destination": destination, "subject": self.subject, "data": self.data}
        return Message(body=body, **{**given, **fields})

    def means(self, case: str) -> ErrorClass:
        """The class of a case at this provider."""
        return self.expected.get(case, CASES[case])

    @abstractmethod
    def start(self) -> None:
        """Begin to listen; called once."""

    @abstractmethod
    def reset(self) -> None:
        """Forget what was received; take messages again."""

    @abstractmethod
    def end(self) -> None:
        """Stop for good."""

    @abstractmethod
    def script(self, case: str) -> None:
        """Make the next message meet this case."""

    @abstractmethod
    def received(self) -> list[Any]:
        """The messages that arrived, in the form of `golden`."""

    @abstractmethod
    def wait_until_something_arrived(self) -> None:
        """Blocks until the first message since the reset is here."""

    @abstractmethod
    def text_of(self, received: Any) -> str:
        """The text that the person would read of a received message."""


class HttpWire(Wire):
    """A provider over HTTP.

    Attributes:
        answers: case → what it answers in its own words.
        cut_short: the answer of which half arrives; the usual one unless its status says it all.
    """

    answers: Mapping[str, Reply]
    cut_short: Reply | None = None

    def __init__(self) -> None:
        self.fake = FakeProvider()

    @abstractmethod
    def accept(self, received: Any) -> Reply:
        """The answer to a message that is taken."""

    def start(self) -> None:
        self.fake.start()

    def end(self) -> None:
        self.fake.end()

    def reset(self) -> None:
        self.fake.reset(self.accept)

    def wait_until_something_arrived(self) -> None:
        assert self.fake.arrived.wait(10)

    def swollen(self) -> Reply:
        """A success, were it not too long to be read."""
        usual = self.answers["accepted"]
        assert isinstance(usual.body, dict)
        return Reply(usual.status, {**usual.body, "padding": "a" * 1_000_000}, usual.headers)

    def script(self, case: str) -> None:
        if case == "does_not_listen":
            self.fake.stop()
            return
        behaviours = {
            "answers_a_page_of_an_error": Reply(500, b"<html>Internal Server Error</html>"),
            "answers_garbage": Reply(200, b"<html>fine</html>"),
            "answers_nothing": Reply(200, b""),
            "answers_too_much": self.swollen(),
            "speaks_no_protocol": no_http,
            "answers_late": never,
            "hangs_up_after_accepting": hang_up,
            "hangs_up_within_its_answer": half_of(self.cut_short or self.answers["accepted"]),
            "sends_elsewhere": Reply(307, b"", {"Location": f"{self.fake.url}/elsewhere"}),
        }
        self.fake.scripts.append(self.answers[case] if case in self.answers else behaviours[case])
