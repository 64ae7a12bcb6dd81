"""A TCP proxy before PostgreSQL that holds a worker at a statement, so that it can be killed exactly there."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from tests.platform.proxy import CuttingProxy

_CHUNK = 65536
_COMMIT = b"COMMIT\x00"


@dataclass(slots=True)
class _Passage:
    """One connection of a worker.

    Args:
        asked: the end of what was asked last, since a statement may come in two pieces.
        committing: whether the answer that comes next says that the statement is committed.
    """

    asked: bytes = b""
    began: bool = False
    committing: bool = False


class HoldingProxy(CuttingProxy):
    """Stands before PostgreSQL. A connection that is held says nothing more to either side, until its worker ends.

    Attributes:
        held: how many connections were held since `hold`.
    """

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.held = 0
        self._text = b""
        self._committed = False

    def hold(self, text: str, *, committed: bool) -> None:
        """From now on, hold connections on which a statement is prepared.

        Args:
            text: a part of the statement's own, as it is in `db/queries`.
            committed: whether to let it be carried out and committed, and to hold the answer to the commit.
        """
        self.held, self._text, self._committed = 0, text.encode(), committed

    def let_pass(self) -> None:
        """From now on, hold nothing."""
        self._text = b""

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        answers, questions = await asyncio.open_connection(self._target.hostname, self._target.port)
        passage = _Passage()
        for way in (self._ask(passage, reader, questions), self._answer(passage, answers, writer)):
            task = asyncio.create_task(way)
            self._tasks.add(task)

    async def _ask(
        self, passage: _Passage, reader: asyncio.StreamReader, questions: asyncio.StreamWriter
    ) -> None:
        while data := await reader.read(_CHUNK):
            passage.asked = passage.asked[-len(self._text) :] + data
            if self._text and self._text in passage.asked:
                passage.began = True
                if not self._committed:
                    self.held += 1
                    await _until_ended(reader)
                    break
            elif passage.began and _COMMIT in data:
                passage.committing = True
            questions.write(data)
            await questions.drain()
        questions.close()

    async def _answer(
        self, passage: _Passage, answers: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        while data := await answers.read(_CHUNK):
            if passage.committing:
                self.held += 1
                await _until_ended(answers)
                break
            writer.write(data)
            await writer.drain()
        writer.close()


async def _until_ended(reader: asyncio.StreamReader) -> None:
    while await reader.read(_CHUNK):
        pass
