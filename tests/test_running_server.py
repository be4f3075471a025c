"""The servers that tests start are stopped, whatever happens at their start."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.support.server import RunningServer


class InterruptedServer(RunningServer):
    """A test is interrupted while it waits for this server."""

    pid_then = 0

    def _announced_url(self) -> str:
        self.pid_then = self.pid
        raise KeyboardInterrupt


def test_an_interrupted_start_leaves_no_process(tmp_path: Path) -> None:
    server = InterruptedServer(tmp_path / "storage")
    with pytest.raises(KeyboardInterrupt):
        server.__enter__()
    assert not server.runs
    with pytest.raises(ProcessLookupError):
        os.kill(server.pid_then, 0)


def test_a_server_that_ends_at_its_start_shows_its_log(tmp_path: Path) -> None:
    server = RunningServer(tmp_path / "storage", send_ahead="many")
    with pytest.raises(AssertionError, match="'many' is not a whole number"):
        server.__enter__()
    assert not server.runs
