"""Bytes to a server, right or wrong, over a plain socket; and what came back, as bytes."""

from __future__ import annotations

import contextlib
import re
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager

from tests.support.cpu_waits import Stopwatch
from tests.support.server import RunningServer

DEADLINE_S = 60.0


@contextmanager
def connected(server: RunningServer, timeout_s: float = DEADLINE_S) -> Iterator[socket.socket]:
    """Gives a connection to the server."""
    with socket.create_connection(("127.0.0.1", server.port), timeout_s) as sock:
        yield sock


def everything(sock: socket.socket) -> bytes:
    """Returns what comes until the server closes. Raises TimeoutError when it does not."""
    data = b""
    with contextlib.suppress(ConnectionResetError):
        while more := sock.recv(65536):
            data += more
    return data


def answers(server: RunningServer, request: bytes, timeout_s: float = DEADLINE_S) -> list[int]:
    """Returns the statuses of all that is answered to these bytes until the server closes."""
    with connected(server, timeout_s) as sock:
        sock.sendall(request)
        return statuses(everything(sock))


def statuses(data: bytes) -> list[int]:
    """Returns the statuses in a stream of answers."""
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3}) ", data)]


def slowest_answer_s(server: RunningServer, for_s: float) -> float:
    """Asks for the health again and again for a while, and returns how long the slowest answer took.

    What other programs of the machine took of the CPUs meanwhile does not count.
    """
    slowest_s, until_s = 0.0, time.monotonic() + for_s
    with connected(server) as sock:
        while time.monotonic() < until_s:
            stopwatch = Stopwatch(server.pid)
            sock.sendall(b"GET /incoming/healthz HTTP/1.1\r\nHost: x\r\n\r\n")
            data = b""
            while not data.endswith(b"ok"):
                more = sock.recv(4096)
                assert more, data
                data += more
            slowest_s = max(slowest_s, stopwatch.worked_s())
            time.sleep(0.01)
    return slowest_s
