"""The sender of a file, where the command's own tests would have to wait for long."""

from __future__ import annotations

import io
import socket
import ssl
from pathlib import Path

import pytest

from incoming.client import connect as dialing
from incoming.client.address import Address
from incoming.client.display import Display
from incoming.client.file import FileSource
from incoming.client.loop import Sender, Server
from incoming.client.protocol.events import Ending, Options


def test_it_gives_up_in_time_on_a_server_that_accepts_and_says_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dialing, "CONNECT_TIMEOUT_S", 3600.0)
    (tmp_path / "a.txt").write_text("some text")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = Address("127.0.0.1", silent.getsockname()[1], secure=False)
        server, options = Server(address, ssl.create_default_context()), Options(give_up_after_s=0.5)
        display = Display(io.StringIO(), quiet=True)
        outcome = Sender(FileSource(tmp_path / "a.txt"), "a" * 32, server, options, display).run()
    assert outcome.ending is Ending.GAVE_UP
    assert outcome.text == f"Gave up: no progress for 0.5 s. {address} does not answer."
