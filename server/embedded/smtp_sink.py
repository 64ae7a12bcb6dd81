"""An SMTP server that delivers nothing: every message ends in a mailbox on disk."""

from __future__ import annotations

import asyncio
import threading

from aiosmtpd.smtp import SMTP, Envelope, Session

from server.embedded.errors import StackError
from server.embedded.mailbox import Mailbox

_START_SECONDS = 10.0
_MESSAGE_BYTES = 10 * 1024 * 1024


class SmtpSink:
    """The sink, in a thread with an event loop of its own."""

    def __init__(self, mailbox: Mailbox) -> None:
        self.mailbox = mailbox
        self.port = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="smtp-sink", daemon=True)

    @property
    def url(self) -> str:
        """Where to send, e.g. `smtp://127.0.0.1:2525`."""
        return f"smtp://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Listen on a free port of the loopback interface; returns when it does."""
        self._thread.start()
        try:
            asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(_START_SECONDS)
        except OSError as error:
            raise StackError(f"the SMTP sink cannot listen ({error}): set LEO_SMTP_URL") from error

    def stop(self) -> None:
        """Close the port and end the thread."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(_START_SECONDS)

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802
        """Called by aiosmtpd when a message has arrived; answers the SMTP status line."""
        content = envelope.original_content or b""
        self.mailbox.add(sender=envelope.mail_from or "", recipients=envelope.rcpt_tos, content=content)
        return "250 kept"

    async def _listen(self) -> None:
        server = await self._loop.create_server(self._protocol, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]

    def _protocol(self) -> SMTP:
        return SMTP(self, data_size_limit=_MESSAGE_BYTES, enable_SMTPUTF8=True, loop=self._loop)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()
        self._loop.close()
