"""`leo run`: the whole product in one terminal."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from leo.activation.v1 import catalog_service_pb2, catalog_service_pb2_grpc

from server.embedded.ports import free_port
from server.embedded.state import checkout_directory


@pytest.fixture
def state_directory() -> Iterator[Path]:
    """An empty directory that the servers' account may enter."""
    directory = Path(tempfile.mkdtemp(prefix="leo-run-"))
    directory.chmod(0o711)
    yield directory / "state"
    shutil.rmtree(directory)


def test_the_printed_token_is_good_for_a_call_and_ctrl_c_stops_everything(state_directory: Path) -> None:
    listen = f"127.0.0.1:{free_port()}"
    kept = {name: value for name, value in os.environ.items() if not name.startswith("LEO_")}
    process = subprocess.Popen(
        [sys.executable, "-m", "server.cli.main", "run"],
        cwd=checkout_directory(),
        env=kept | {"LEO_STATE_DIRECTORY": str(state_directory), "LEO_LISTEN": listen},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        token = next(
            found[1] for line in process.stdout if (found := re.match("export LEO_TOKEN=(.+)", line))
        )
        with grpc.insecure_channel(listen) as channel:
            answer = catalog_service_pb2_grpc.CatalogServiceStub(channel).ListCampaigns(
                catalog_service_pb2.ListCampaignsRequest(),
                metadata=(("authorization", f"Bearer {token}"),),
                timeout=20,
            )
        assert list(answer.campaigns) == []
    finally:
        process.send_signal(signal.SIGINT)
        process.stdout.read()
        assert process.wait(60) == 0
