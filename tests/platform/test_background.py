"""Background work: it ends when stopped, and an end of its own is said."""

from __future__ import annotations

import asyncio

from server.platform.background import BackgroundTask
from tests.fixtures.logs import LogReader


async def test_stop_ends_the_work_and_waits_for_its_last_step() -> None:
    steps: list[str] = []
    begun = asyncio.Event()

    async def work() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            steps.append("cleaned up")

    task = BackgroundTask("sample")
    task.start(work())
    await begun.wait()
    await task.stop()
    assert steps == ["cleaned up"]


async def test_stop_without_start_does_nothing() -> None:
    await BackgroundTask("sample").stop()


async def test_an_error_that_ends_the_work_is_logged_at_once(logged: LogReader) -> None:
    begun = asyncio.Event()

    async def work() -> None:
        begun.set()
        raise RuntimeError("secret words")

    task = BackgroundTask("sample")
    task.start(work())
    await begun.wait()
    await task.stop()
    written = logged.text()
    assert '"event":"background_task_died"' in written
    assert '"task":"sample"' in written
    assert "RuntimeError" in written
    assert "secret words" not in written
