"""Strangers on the upload's own address: no ticket, no manners.

tests/integration/test_frames.py shows what one broken frame leads to. Here there are many, and clients
that hold on to a connection, to memory or to the processor.
"""

from __future__ import annotations

import os
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.conftest import StartServer
from tests.security.raw import DEADLINE_S, slowest_answer_s
from tests.support.app import ScriptedApp
from tests.support.client_v1 import ClientV1
from tests.support.data import FileBytes
from tests.support.server import RunningServer, new_upload
from tests.support.tally import tally
from tests.support.upload_client import PATH
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


def resident_bytes(server: RunningServer) -> int:
    """Returns how much memory the server has."""
    status = Path(f"/proc/{server.pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) * 1024


def test_a_crowd_that_announces_giant_messages_gets_no_memory_for_it(server: RunningServer) -> None:
    with ExitStack() as stack:
        crowd = [WebSocket(server.url + PATH) for _ in range(CROWD)]
        for ws in crowd:
            stack.callback(ws.cut)
        before_bytes = resident_bytes(server)
        for ws in crowd:
            ws.socket.sendall(header(FIN | 0x2, 64 * MIB) + bytes(1000))
        assert slowest_answer_s(server, for_s=0.3) < 0.5
        grown_bytes = resident_bytes(server) - before_bytes
    assert grown_bytes < CROWD * MIB / 4  # they have announced 6.4 GB
    tally("attack", "WebSocket: announced 64 MiB, sent a kilobyte", CROWD, "no memory was allocated for it")


def claim(client: ClientV1) -> None:
    client.request()


def begin(client: ClientV1) -> None:
    client.request()
    client.agree()


def pause(client: ClientV1) -> None:
    begin(client)
    client.send_message("MsgPause", Pause=True)


def be_refused(client: ClientV1) -> None:
    client.ticket_id = "none"
    with pytest.raises(AssertionError, match="MsgError"):
        client.send_message("MsgUploadReq", Id="none", LengthBytes=1, Name="x")
        client.expect("MsgUploadConf")


PHASES: dict[str, Callable[[ClientV1], None]] = {
    "before a claim": lambda _: None,
    "after a claim": claim,
    "after the claim of another connection": begin,
    "after a pause": pause,
    "after an error": be_refused,
}


@pytest.mark.parametrize("prepare", PHASES.values(), ids=list(PHASES))
@pytest.mark.parametrize("first_byte", [FIN | 0x2, 0x2], ids=["whole", "fragments"])
def test_a_crowd_that_sends_chunks_which_nobody_expects_gets_no_memory_for_them(
    start_server: StartServer, app: ScriptedApp, first_byte: int, prepare: Callable[[ClientV1], None]
) -> None:
    """All with one ticket. Each sends a chunk of 4 MiB but for its last bytes."""
    server = start_server()
    data = FileBytes(8 * MIB, 7)
    ticket_id = new_upload(server, app.url)
    crowd = [ClientV1(server.url, ticket_id, data) for _ in range(CROWD // 4)]
    before_bytes = peak_bytes = resident_bytes(server)
    with ExitStack() as stack:
        for client in crowd:
            client.connect()
            stack.callback(client.drop)
            prepare(client)
            client.ws.socket.settimeout(DEADLINE_S)
            client.ws.socket.sendall(header(first_byte, 4 * MIB) + bytes(4 * MIB - 100))
            peak_bytes = max(peak_bytes, resident_bytes(server))
        assert slowest_answer_s(server, for_s=0.3) < 0.5
        peak_bytes = max(peak_bytes, resident_bytes(server))
    assert peak_bytes - before_bytes < 20 * MIB, "one chunk or two, not twenty-five"
    tally("attack", "WebSocket: chunks that nobody expects", len(crowd), "no memory was allocated for them")


@pytest.mark.skipif(not WHOLE_TIME, reason="takes half a minute: make attacks")
def test_a_client_without_a_ticket_is_disconnected(server: RunningServer) -> None:
    """Neither by saying nothing, nor by dripping a frame, nor by answering each ping."""
    left_s: list[float] = []

    def stay(ws: WebSocket, drop: bytes) -> None:
        began_s = time.monotonic()
        ws.socket.settimeout(0.5)
        while time.monotonic() - began_s < 120:
            try:
                ws.socket.sendall(drop)
                if not ws.socket.recv(4096):
                    break
            except TimeoutError:
                continue
            except OSError:
                break
        left_s.append(time.monotonic() - began_s)

    drops = [b"", header(FIN | 0x2, 65536), b"x", header(FIN | 0xA, 0)] * 25
    threads = [threading.Thread(target=stay, args=(WebSocket(server.url + PATH), drop)) for drop in drops]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(130)
    assert len(left_s) == len(drops)
    assert max(left_s) < 60
    tally(
        "attack", "WebSocket: connections without a ticket that stay", len(drops), "disconnected within 60 s"
    )
