"""Ports for servers that tests start, stop and start again."""

from __future__ import annotations

import contextlib
import itertools
import os
import socket
from collections.abc import Iterator
from typing import Final


def free_port() -> int:
    """Returns a port that nobody listens on, and that stays free while its server is not running.

    It lies below those that the system gives to outgoing connections, and in the share of this test worker.
    """
    while True:
        port = next(_ports)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
            return port


def _own_ports() -> Iterator[int]:
    """Yields the ports of this test worker, again and again, from one that differs between runs."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw15").removeprefix("gw")) % 16
    share = range(12_000 + worker * 1_280, 12_000 + (worker + 1) * 1_280)
    start = os.getpid() % len(share)
    return itertools.cycle([*share[start:], *share[:start]])


_ports: Final = _own_ports()
