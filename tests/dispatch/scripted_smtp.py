"""A real SMTP server that answers as a test wants: refuses, defers, hangs up, or keeps a worker waiting."""

from __future__ import annotations

import asyncio
import email
import email.policy
import threading
from collections.abc import Callable
from email.message import EmailMessage

from aiosmtpd.smtp import SMTP, Envelope, Session

Answer = Callable[[str], str | None]
"""From a recipient to the reply; None for the usual one."""


def _usual(_recipient: str) -> str | None:
    return None


class ScriptedSmtp:
    """Listens on a free port from `start` to `stop`; may be started again on the same port.

    Attributes:
        on_recipient: the reply to RCPT.
        on_data: the reply once the text has arrived.
        hang_up_after_data: close the connection instead of answering the text.
        last_words: bytes that are sent before that.
        received: the messages that were answered with 250.
        texts: the messages that arrived, whatever the answer was.
        arrived: recipients whose text arrived, whatever the answer was.
        data_arrived: set at the first text; with `hold`, the answer waits for `release`.
    """

    def __init__(self) -> None:
        self.on_recipient: Answer
        self.on_data: Answer
        self._forget()
        self.port = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._server: asyncio.Server | None = None
        self._transports: list[asyncio.BaseTransport] = []

    @property
    def url(self) -> str:
        return f"smtp://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Listen; on the port of before, if there was one."""
        if not self._thread.is_alive():
            self._thread.start()
        asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(10)

    def stop(self) -> None:
        """Close the port and every connection."""
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(10)

    def reset(self) -> None:
        """Forget what was, and take messages again."""
        self.release()
        self._forget()
        if self._server is None:
            self.start()

    def release(self) -> None:
        """Answer what is held."""
        self._loop.call_soon_threadsafe(self._released.set)

    def end(self) -> None:
        """Stop, and end the thread."""
        self.stop()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    async def handle_RCPT(  # noqa: N802
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        answer = self.on_recipient(address)
        if answer is None:
            envelope.rcpt_tos.append(address)
        return answer or "250 fine"

    async def handle_DATA(self, server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802
        recipient = envelope.rcpt_tos[0]
        self.arrived.append(recipient)
        message = email.message_from_bytes(envelope.original_content or b"", policy=email.policy.default)
        assert isinstance(message, EmailMessage)
        self.texts.append(message)
        self.data_arrived.set()
        if self.hold:
            await self._released.wait()
        if self.hang_up_after_data:
            assert isinstance(server.transport, asyncio.WriteTransport)
            if self.last_words:
                server.transport.write(self.last_words)
                server.transport.close()
            else:
                server.transport.abort()
            return "250 never heard"
        answer = self.on_data(recipient)
        if answer is None:
            self.received.append(message)
        return "250 kept" if answer is None else answer

    def _forget(self) -> None:
        self.on_recipient = _usual
        self.on_data = _usual
        self.hang_up_after_data = False
        self.last_words = b""
        self.hold = False
        self.received: list[EmailMessage] = []
        self.texts: list[EmailMessage] = []
        self.arrived: list[str] = []
        self.connections = 0
        self.data_arrived = threading.Event()
        self._released = asyncio.Event()

    async def _listen(self) -> None:
        self._server = await self._loop.create_server(self._protocol, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _close(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        for transport in self._transports:
            transport.abort()  # type: ignore[attr-defined]
        self._transports.clear()

    def _protocol(self) -> SMTP:
        self.connections += 1
        outer = self

        class Connection(SMTP):
            def connection_made(self, transport: asyncio.BaseTransport) -> None:
                outer._transports.append(transport)
                super().connection_made(transport)

        return Connection(self, enable_SMTPUTF8=True, loop=self._loop)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()
        self._loop.close()
