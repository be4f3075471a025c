"""Strangers on the upload's own address: no ticket, no manners.

What one broken frame leads to is in tests/wire/test_frames.py; here it is about many of them, and about those
who hold on to a connection, to memory or to the processor.
"""

from __future__ import annotations

import os
import socket
import struct
import threading
from collections.abc import Iterator

import pytest

from tests.security.raw import DEADLINE_S, slowest_answer_s
from tests.support.client import PATH
from tests.support.server import RunningServer
from tests.support.tally import tally
from tests.support.websocket import WebSocket

WHOLE_TIME = bool(os.environ.get("INCOMING_TEST_ATTACKS"))
FIN = 0x80
MASK = b"mask"
FLOOD_S = 5.0 if WHOLE_TIME else 0.7
CROWD = 100
MIB = 1024 * 1024


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """The server that the tests of this module share."""
    with RunningServer(tmp_path_factory.mktemp("websocket") / "storage") as running:
        yield running
        assert "Traceback" not in running.log_text()


def header(first_byte: int, size_bytes: int) -> bytes:
    """Returns a client's frame header in its shortest form."""
    if size_bytes < 126:
        return struct.pack("!BB", first_byte, 0x80 | size_bytes) + MASK
    return struct.pack("!BBQ", first_byte, 0x80 | 127, size_bytes) + MASK


FLOODS = {
    "empty pongs": header(FIN | 0xA, 0) * 10_000,
    "empty pings": header(FIN | 0x9, 0) * 10_000,
    "empty fragments": header(0x2, 0) + header(0x0, 0) * 10_000,
    "pings in a message": header(0x2, 0) + header(FIN | 0x9, 1) * 10_000,
    "texts that are none": (header(FIN | 0x1, 1) + b"x") * 10_000,
    "chunks without a ticket": (header(FIN | 0x2, 1) + b"x") * 10_000,
    "bytes of a chunk that is too large": header(FIN | 0x2, 64 * MIB) + bytes(MIB),
}


@pytest.mark.parametrize("frames", FLOODS.values(), ids=list(FLOODS))
def test_a_flood_of_frames_does_not_keep_others_waiting(server: RunningServer, frames: bytes) -> None:
    stop = threading.Event()

    def flood(sock: socket.socket) -> None:
        sock.settimeout(0.2)
        while not stop.is_set():
            try:
                sock.sendall(frames)
            except TimeoutError:
                continue
            except OSError:
                return  # it was shown the door

    ws = WebSocket(server.url + PATH)
    flooding = threading.Thread(target=flood, args=(ws.socket,))
    flooding.start()
    try:
        slowest_s = slowest_answer_s(server, FLOOD_S)
    finally:
        stop.set()
        flooding.join(DEADLINE_S)
        ws.cut()
    assert slowest_s < 0.5
    tally("attack", "WebSocket: floods of small or broken frames", 1, "others were answered within 0.5 s")
