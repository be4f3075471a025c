"""A client that is gone in the middle of a sentence, at each step of both protocols, in each way to be gone.

Whatever it was, the next client with the same ticket goes on behind the last acknowledged byte, the file
arrives as it was, and nothing of the vanished one stays in the server.
"""

from __future__ import annotations

import json
import os
import re
import struct
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, Final

import pytest
import requests

from incoming.protocol.flow_control import idle_keepalive
from tests.support.app import DONE, WAIT, Delivery, Reply, ScriptedApp
from tests.support.client_v1 import ClientV1
from tests.support.client_v2 import ClientV2
from tests.support.data import FileBytes
from tests.support.halfopen import vanish
from tests.support.server import RunningServer, finish_upload, new_upload
from tests.support.tally import tally
from tests.support.upload_client import PATH
from tests.support.waiting import wait_until
from tests.support.websocket import BINARY, TEXT, WebSocket

ROUNDS: Final = int(os.environ.get("INCOMING_TEST_ROUNDS", "1"))
KIB: Final = 1024
CHUNK_BYTES: Final = 64 * KIB
DATA: Final = FileBytes(300_000, seed=44)
TIMEOUT_S: Final = 3
CROWD: Final = 1000
GIVEN_UP_WITHIN_S: Final = 60.0
"""Beside what is allowed to so many who are silent."""

AnyClient = ClientV1 | ClientV2
Step = Callable[[Any], object]


def half_a_text(client: AnyClient, msg_type: str, **msg_data: object) -> object:
    """Sends the first half of a message."""
    text = json.dumps({"MsgType": msg_type, "MsgData": msg_data}).encode()
    frame = bytes(client.ws.frame(0x80 | TEXT, text))
    client.ws.socket.sendall(frame[: len(frame) // 2])
    return frame


def part_of_a_chunk(share: float) -> Step:
    """Sends a part of a chunk, after a whole one that was acknowledged."""

    def step(client: AnyClient) -> None:
        client.open()
        if isinstance(client, ClientV2):
            client.send_until_stored(CHUNK_BYTES)
            message = client.chunk(CHUNK_BYTES, CHUNK_BYTES)
        else:
            client.send_until_acked(CHUNK_BYTES)
            message = client.data.read(client.sent_bytes, CHUNK_BYTES)
        frame = bytes(client.ws.frame(0x80 | BINARY, message))
        client.ws.socket.sendall(frame[: int(len(frame) * share) or 1])

    return step


def asks_and_reads_nothing(client: AnyClient) -> None:
    """The answer meets nobody."""
    version = {"Version": 2, "LastModifiedMs": 0} if isinstance(client, ClientV2) else {}
    client.connect().send_message(
        "MsgUploadReq", Id=client.ticket_id, LengthBytes=DATA.length_bytes, Name="a.mov", **version
    )


def sends_all(client: AnyClient) -> None:
    """Sends all bytes, and reads no acknowledgement."""
    client.open()
    while client.sent_bytes < DATA.length_bytes:
        client.send_chunk()


def has_sent_all(client: ClientV2) -> object:
    """All bytes are acknowledged; "complete" was not said."""
    client.open().send_until_stored()
    return client


def completes(client: ClientV2) -> None:
    """Says "complete", and does not wait for what comes of it."""
    has_sent_all(client)
    client.complete()


def damages(client: ClientV2) -> None:
    """Sends a damaged chunk, and does not hear that it is asked for again."""
    client.open()
    message = bytearray(client.chunk(0, CHUNK_BYTES))
    message[-1] ^= 1
    client.send_instead(bytes(message))


def closes_and_does_not_wait(client: AnyClient) -> None:
    """Sends a close frame, and is gone before it is answered."""
    client.open().ws.send_frame(0x88, struct.pack("!H", 1000))


BOTH: Final[dict[str, Step]] = {
    "connected": lambda client: client.connect(),
    "half a request": lambda c: half_a_text(c.connect(), "MsgUploadReq", Id=c.ticket_id, LengthBytes=1),
    "asked": asks_and_reads_nothing,
    "allowed": lambda client: client.connect().request(),
    "agreed": lambda client: client.open(),
    "one byte of a chunk": part_of_a_chunk(0),
    "half a chunk": part_of_a_chunk(0.5),
    "a chunk, unacknowledged": part_of_a_chunk(1),
    "some chunks, unread": lambda client: [client.open(), *(client.send_chunk() for _ in range(3))],
    "all sent, unread": sends_all,
    "a ping, unanswered": lambda client: client.open().ws.send_frame(0x89, b"?"),
    "closing": closes_and_does_not_wait,
}
OLD: Final = BOTH | {
    "half an agreement": lambda c: [c.connect().request(), half_a_text(c, "MsgAck", Ack=True)],
    "paused": lambda client: client.open().send_message("MsgPause", Pause=True),
    "all acknowledged": lambda client: client.open().send_until_acked(),
}
NEW: Final = BOTH | {
    "half an agreement": lambda c: [c.connect().request(), half_a_text(c, "MsgAgree", Crc32c=[])],
    "all acknowledged": has_sent_all,
    "complete": completes,
    "damaged": damages,
    "a MsgPing, unanswered": lambda client: client.open().send_message("MsgPing"),
    "half a complete": lambda c: [has_sent_all(c), half_a_text(c, "MsgComplete", Crc32c=0, Round=0)],
}
STEPS: Final[list[tuple[type[Any], str, Step]]] = [(ClientV1, name, step) for name, step in OLD.items()] + [
    (ClientV2, name, step) for name, step in NEW.items()
]

WAYS: Final[dict[str, Callable[[WebSocket], object]]] = {
    "reset": WebSocket.cut,
    "closed": WebSocket.drop,
    "half-closed": WebSocket.leave,
    "half-open": lambda ws: vanish(ws.socket),
    "frozen": lambda _: None,
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server that soon gives silent peers up."""
    folder = tmp_path_factory.mktemp("vanishing")
    with RunningServer(
        folder / "storage", chunk_size_kib=64, connection_timeout_s=TIMEOUT_S, handover_retry_first_s=0.05
    ) as running:
        yield running


def connections(server: RunningServer) -> int:
    """Returns how many upload connections the server has, as far as it knows."""
    text = requests.get(f"{server.url}/incoming/metrics", timeout=60).text
    found = re.search(r"^incoming_websocket_connections (\d+)", text, re.MULTILINE)
    assert found
    return int(found[1])


def nothing_is_left(server: RunningServer) -> None:
    """The server has given up whoever is gone, and has nothing to be ashamed of in its log."""
    allowed = idle_keepalive(TIMEOUT_S / 2, connections(server))  # each is asked, and then has time to answer
    within_s = GIVEN_UP_WITHIN_S + allowed.ping_after_s + allowed.pong_after_s
    wait_until(lambda: connections(server) == 0, "vanished clients are given up", within_s)
    log = server.log_text()
    assert "a defect" not in log
    assert "Traceback" not in log


@pytest.mark.parametrize("way", WAYS)
def test_the_next_client_resumes_whatever_the_last_one_sent(
    server: RunningServer, app: ScriptedApp, way: str
) -> None:
    gone = []  # else the garbage collector closes what should stay open
    steps = STEPS * ROUNDS if ROUNDS > 1 else STEPS[list(WAYS).index(way) % 2 :: 2]
    for kind, name, step in steps:
        client: Any = kind(server.url, new_upload(server, app.url), DATA)
        client.chunk_size_bytes = CHUNK_BYTES
        step(client)
        acknowledged = client.acked_bytes if isinstance(client, ClientV1) else client.stored_bytes
        WAYS[way](client.ws)
        gone.append(client.ws)
        client.upload()  # checks that it is asked for nothing that was acknowledged
        assert client.resumed_at[-1] >= acknowledged, name
        assert {d.sha256 for d in app.about(client.ticket_id)} == {DATA.sha256}, name
    nothing_is_left(server)
    tally("fault", f"client gone at each protocol step: {way}", len(steps), "the next client resumed")


@pytest.mark.parametrize("way", ["half-open", "frozen"])
def test_a_silent_connection_is_closed_without_a_newer_one(
    server: RunningServer, app: ScriptedApp, way: str
) -> None:
    gone = []
    moments = ("half a chunk", "all acknowledged", "agreed")
    for kind, step in [(kind, step) for kind, name, step in STEPS if name in moments]:
        client: Any = kind(server.url, new_upload(server, app.url), DATA)
        step(client)
        WAYS[way](client.ws)
        gone.append(client)
    assert connections(server) > 0, "it is too early to know that they are gone"
    nothing_is_left(server)
    tally("fault", f"silent peer that nobody replaces: {way}", len(gone), "disconnected, the upload was kept")
    for client in gone:
        client.upload()


@pytest.mark.parametrize("way", ["half-open", "frozen"])
def test_a_client_that_vanished_in_a_crowd_is_given_up_in_time_once_the_crowd_has_gone(
    server: RunningServer, app: ScriptedApp, way: str
) -> None:
    """A client may be silent for longer among many, but only as long as there are many."""
    url = f"{server.url}{PATH}"
    crowd = [WebSocket(url, {}, 30.0) for _ in range(CROWD)]
    gone = []
    for kind in (ClientV1, ClientV2) * 3:
        client: Any = kind(server.url, new_upload(server, app.url), DATA).open()
        WAYS[way](client.ws)
        gone.append(client)
    looked_at_s = time.monotonic() + TIMEOUT_S
    wait_until(lambda: time.monotonic() > looked_at_s, "each was looked at in the crowd")
    assert connections(server) > CROWD / 2, "there is a crowd"
    for one in crowd:
        one.cut()
    wait_until(lambda: connections(server) <= len(gone), "the crowd has gone")
    nothing_is_left(server)
    tally(
        "fault", f"clients gone in a crowd: {way}", len(gone), "disconnected in time, once the crowd had gone"
    )


@pytest.mark.parametrize("way", WAYS)
def test_a_cancellation_counts_though_nobody_hears_its_answer(
    server: RunningServer, app: ScriptedApp, way: str
) -> None:
    gone = []
    for kind in (ClientV1, ClientV2):
        client: Any = kind(server.url, new_upload(server, app.url), DATA)
        client.open().send_message("MsgCancel", Reason="enough")
        WAYS[way](client.ws) if way != "reset" else client.ws.drop()  # a reset may overtake what was said
        gone.append(client.ws)
        wait_until(lambda c=client: app.about(c.ticket_id), "the app hears of it")  # type: ignore[misc]
        assert app.about(client.ticket_id)[0].fields["cancelReason"] == "enough"
        file = server.stored_file(client.ticket_id)
        wait_until(lambda f=file: not f.exists(), "the file is removed, beside the call")  # type: ignore[misc]
    tally("fault", f"client gone right after its cancellation: {way}", 2, "cancelled, the app was told")


class Hanging:
    """An app that answers when it is let go."""

    def __init__(self, answer: Reply) -> None:
        self.let_go = threading.Event()
        self._answer = answer

    def __call__(self, _: Delivery) -> Reply:
        assert self.let_go.wait(30)
        return self._answer


@pytest.mark.parametrize("way", WAYS)
def test_a_client_that_is_gone_during_the_handover_hears_the_result_when_it_comes_back(
    server: RunningServer, app: ScriptedApp, way: str
) -> None:
    gone = []
    for kind, answer in ((ClientV1, DONE), (ClientV2, DONE), (ClientV1, WAIT), (ClientV2, WAIT)):
        hanging = Hanging(answer)
        app.answers = [hanging]
        app.deliveries.clear()
        client: Any = kind(server.url, new_upload(server, app.url), DATA)
        sends_all(client)
        if kind is ClientV2:
            client.receive_until_stored()
            client.complete()
        app.wait_for(1)
        WAYS[way](client.ws)
        gone.append(client.ws)
        hanging.let_go.set()
        if answer is WAIT:
            wait_until(lambda c=client: finish_upload(server, c.ticket_id).text == "ok", "the app finishes")  # type: ignore[misc]
        client.upload()
        assert client.resumed_at[-1] == DATA.length_bytes
        assert len(app.deliveries) == 1
    nothing_is_left(server)
    tally(
        "fault",
        f"client gone during the handover: {way}",
        4,
        "handed over once; the next client got the result",
    )
