"""A ticket with a limit of its own: maxBytesPerS (docs/reference/protocol.md, Window and chunk size)."""

from __future__ import annotations

import itertools
import threading
import time

import pytest

from incoming.core.rate_limit import CREDIT_S
from tests.conftest import StartServer
from tests.integration.v2.conftest import CHUNK, QUICK, NewClient, old_client
from tests.support.app import ScriptedApp
from tests.support.client_v1 import ClientV1
from tests.support.client_v2 import ClientV2, UploadRefused
from tests.support.server import RunningServer, cancel_upload
from tests.support.waiting import wait_until

TOLERANCE = 0.05
STRETCH_S = 1.0
LONG_PAUSE_S = 0.5
LIMIT_BYTES_PER_S = 2_000_000
MEASURED_S = 4


Stored = list[tuple[float, int]]
"""When which offset was acknowledged."""


def best_rate(stored: Stored, *, min_s: float = 0.0, min_bytes: int = 1) -> float:
    """Returns the bytes a second of the best stretch that is so long: a busy machine holds up the others."""
    rates = [0.0]
    for index, (began_s, began_bytes) in enumerate(stored):
        for ended_s, ended_bytes in stored[index + 1 :]:
            if ended_s - began_s >= min_s and ended_bytes - began_bytes >= min_bytes:
                rates.append((ended_bytes - began_bytes) / (ended_s - began_s))
                break
    return max(rates)


def check_rate(began_s: float, stored: Stored) -> None:
    """It was never faster than the limit, and is as fast where nothing but the limit holds it up."""
    for at_s, offset_bytes in stored:
        allowed_bytes = LIMIT_BYTES_PER_S * (at_s - began_s + CREDIT_S) + CHUNK
        assert offset_bytes <= allowed_bytes, f"{offset_bytes} bytes within {at_s - began_s:.2f} s"
    rate = best_rate(stored, min_s=STRETCH_S)
    assert rate > LIMIT_BYTES_PER_S * (1 - TOLERANCE), rate


def upload_and_measure(client: ClientV2) -> Stored:
    """Uploads and returns when which offset was acknowledged."""
    client.upload()
    return client.stored_at_s


@pytest.mark.parametrize("chunk_size_bytes", [CHUNK, 8 * 1024])
def test_a_ticket_with_a_limit_is_stored_at_that_rate(
    new_client: NewClient, app: ScriptedApp, chunk_size_bytes: int
) -> None:
    client = new_client(MEASURED_S * LIMIT_BYTES_PER_S, maxBytesPerS=str(LIMIT_BYTES_PER_S))
    client.chunk_size_bytes = chunk_size_bytes
    began_s = time.monotonic()
    check_rate(began_s, upload_and_measure(client))
    assert app.deliveries[0].sha256 == client.data.sha256


def test_the_rate_is_steady(new_client: NewClient) -> None:
    client = new_client(MEASURED_S * LIMIT_BYTES_PER_S, maxBytesPerS=str(LIMIT_BYTES_PER_S))
    stored = upload_and_measure(client)
    pauses_s = [later[0] - earlier[0] for earlier, later in itertools.pairwise(stored)]
    long_s = sum(pause_s for pause_s in pauses_s if pause_s > LONG_PAUSE_S)
    assert long_s < sum(pauses_s) / 2, "a busy machine holds it up now and then"


def test_version_1_keeps_to_the_limit_too(server: RunningServer, new_client: NewClient) -> None:
    client = new_client(MEASURED_S * LIMIT_BYTES_PER_S, maxBytesPerS=str(LIMIT_BYTES_PER_S))
    began_s = time.monotonic()
    old: ClientV1 = old_client(server, client).open()
    acked: Stored = []
    while old.acked_bytes < old.data.length_bytes:
        old.send_until_acked(old.acked_bytes + 1)
        acked.append((time.monotonic(), old.acked_bytes))
    old.receive_result()
    check_rate(began_s, acked)


def test_coming_back_again_and_again_does_not_get_round_the_limit(new_client: NewClient) -> None:
    client = new_client(3 * LIMIT_BYTES_PER_S, maxBytesPerS=str(LIMIT_BYTES_PER_S))
    began_s = time.monotonic()
    while client.stored_bytes < 2 * LIMIT_BYTES_PER_S:
        client.open().send_until_stored(client.stored_bytes + 2 * CHUNK)
        client.drop()
    rate = client.stored_bytes / (time.monotonic() - began_s)
    assert rate < LIMIT_BYTES_PER_S * 1.5


def test_a_limit_does_not_slow_down_the_others(server: RunningServer, new_client: NewClient) -> None:
    slow = new_client(2000 * CHUNK, maxBytesPerS="200000")
    other = new_client(200 * CHUNK)

    def upload_slowly() -> None:
        with pytest.raises(UploadRefused, match="cancelled"):
            slow.upload()

    thread = threading.Thread(target=upload_slowly)
    thread.start()
    wait_until(lambda: slow.stored_bytes > 0, "the slow one is under way")
    other.upload()
    assert slow.stored_bytes < 200 * CHUNK
    assert cancel_upload(server, slow.ticket_id).text == "ok"
    thread.join()


def test_a_ticket_without_a_rate_limit_is_not_slowed_down(new_client: NewClient) -> None:
    client = new_client(10 * LIMIT_BYTES_PER_S)
    rate = best_rate(upload_and_measure(client), min_bytes=LIMIT_BYTES_PER_S)
    assert rate > 5 * LIMIT_BYTES_PER_S


def test_a_slow_ticket_whose_client_sends_a_lot_ahead_keeps_its_connection(
    start_server: StartServer, new_client: NewClient, app: ScriptedApp
) -> None:
    """What waits in the buffers is read slowly, and so are the client's answers to pings."""
    server = start_server(**QUICK | {"connection_timeout_s": 1})
    client = new_client(1_000_000, at=server, maxBytesPerS="250000").open()
    while client.sent_bytes < client.data.length_bytes:
        client.send_chunk(10_000)
    client.receive_until_stored()
    client.finish()
    assert client.resumed_at == [0]
    assert app.deliveries[0].sha256 == client.data.sha256


def test_a_slow_ticket_is_offered_chunks_and_a_window_that_are_acknowledged_in_time(
    start_server: StartServer, new_client: NewClient, app: ScriptedApp
) -> None:
    server = start_server(connection_timeout_s=4)
    client = new_client(1_000_000, at=server, maxBytesPerS="200000").open()
    client.chunk_size_bytes = client.conf["MaxChunkBytes"]
    assert client.chunk_size_bytes / 200_000 < client.conf["SilenceS"] / 2
    assert client.conf["MaxWindowBytes"] >= client.chunk_size_bytes
    client.finish()
    pauses_s = [later[0] - earlier[0] for earlier, later in itertools.pairwise(client.stored_at_s)]
    assert max(pauses_s) < client.conf["SilenceS"]
    assert client.resumed_at == [0]
    assert app.deliveries[0].sha256 == client.data.sha256
