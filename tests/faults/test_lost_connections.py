"""A large file over a bad network: nothing acknowledged is ever asked for again.

INCOMING_TEST_LOST_MIB says how large it is (256 unless set; a gigabyte in `make faults`).
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable

from tests.conftest import StartServer
from tests.support.app import ScriptedApp
from tests.support.client_v1 import ClientV1
from tests.support.data import MIB, FileBytes
from tests.support.server import new_upload
from tests.support.tally import tally
from tests.support.websocket import BINARY, WebSocket

LENGTH_BYTES = int(os.environ.get("INCOMING_TEST_LOST_MIB", "256")) * MIB + 4321
CUTS = 20


def leave_open(_: WebSocket) -> None:
    """The network is gone and nobody says so: the server learns of it from the next connection."""


WAYS_TO_LOSE_IT: list[Callable[[WebSocket], object]] = [WebSocket.cut, WebSocket.drop, leave_open]


def test_a_large_file_that_loses_its_connection_20_times_arrives_byte_for_byte(
    start_server: StartServer, app: ScriptedApp
) -> None:
    server = start_server()
    chance = random.Random(20)
    client = ClientV1(server.url, new_upload(server, app.url), FileBytes(LENGTH_BYTES))
    lost = []
    for place in sorted(chance.randrange(LENGTH_BYTES) for _ in range(CUTS)):
        client.open().send_until_acked(place)
        send_part_of_a_chunk(client, chance)
        chance.choice(WAYS_TO_LOSE_IT)(client.ws)
        lost.append(client.ws)  # else the garbage collector closes what should stay open
    client.open().send_until_acked()
    client.receive_result()
    (delivery,) = app.deliveries
    assert (delivery.size_bytes, delivery.sha256) == (LENGTH_BYTES, client.data.sha256)
    assert len(client.resumed_at) == CUTS + 1
    assert client.resumed_at == sorted(client.resumed_at)
    tally("fault", "connection lost at a random byte of 1 GiB", CUTS, "no acknowledged byte lost")


def send_part_of_a_chunk(client: ClientV1, chance: random.Random) -> None:
    """The connection is lost in the middle of a frame more often than between two."""
    chunk = client.data.read(client.sent_bytes, client.chunk_size_bytes)
    frame = client.ws.frame(0x80 | BINARY, chunk)
    client.ws.socket.sendall(frame[: chance.randrange(len(frame))])
