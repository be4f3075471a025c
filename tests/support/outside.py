"""The server as others meet it: not by way of loopback, so that nobody is taken for this machine."""

from __future__ import annotations

import socket

import pytest

from tests.support.server import RunningServer


class PublicServer(RunningServer):
    """Listens on all addresses."""

    def _command(self) -> list[str]:
        return ["0.0.0.0" if word == "127.0.0.1" else word for word in super()._command()]


def own_address() -> str:
    """Returns an address of this machine that is not loopback."""
    with socket.socket(type=socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("203.0.113.1", 9))  # sends nothing
        except OSError:
            pytest.skip("this machine has no address but loopback")
        return str(probe.getsockname()[0])
