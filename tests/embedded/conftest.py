"""Directories that the servers' account may enter: pytest's own are closed to it."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from server.embedded.addresses import StackAddresses
from server.embedded.options import StackOptions
from server.embedded.stack import Stack


@pytest.fixture
def state_directory() -> Iterator[Path]:
    """An empty directory for one stack."""
    yield from _open_directory()


@pytest.fixture(scope="module")
def module_directory() -> Iterator[Path]:
    """The directory of the module's stack."""
    yield from _open_directory()


@pytest.fixture(scope="module")
def stack(module_directory: Path) -> Iterator[tuple[Stack, StackAddresses]]:
    """One running stack for the tests of a module that change nothing in it."""
    stack = Stack(StackOptions(state_directory=module_directory, shared_buffers_mb=64))
    with stack as addresses:
        yield stack, addresses


def _open_directory() -> Iterator[Path]:
    directory = Path(tempfile.mkdtemp(prefix="leo-stack-"))
    directory.chmod(0o711)
    yield directory / "state"
    shutil.rmtree(directory)
