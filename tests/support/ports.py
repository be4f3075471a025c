"""Ports for servers that tests start, stop and start again."""

from __future__ import annotations

import contextlib
import itertools
import os
import socket
from collections.abc import Iterator
from typing import Final

FIRST: Final = 12_000
"""All of them lie below those that the system gives to outgoing connections."""
SHARES: Final = 64
SHARE_PORTS: Final = 320


def free_port() -> int:
    """Returns a port that nobody listens on, and that stays free while its server is not running.

    It is in the share of this process: neither another worker nor another run of the tests takes from that.
    """
    while True:
        port = next(_ports)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
            return port


def _own_share() -> tuple[int, socket.socket]:
    """Returns the number of a share that no other process has, and what holds it until this process ends."""
    first = os.getpid() % SHARES
    for share in (*range(first, SHARES), *range(first)):
        claim = socket.socket(socket.AF_UNIX)
        try:
            claim.bind(f"\0tests of Incoming!!, share {share} of the ports")
        except OSError:
            claim.close()
        else:
            return share, claim
    raise RuntimeError("all ports for tests are taken")


def _own_ports() -> Iterator[int]:
    """Yields the ports of the share, again and again."""
    begin = FIRST + _share * SHARE_PORTS
    return itertools.cycle(range(begin, begin + SHARE_PORTS))


_share, _claim = _own_share()
_ports: Final = _own_ports()
