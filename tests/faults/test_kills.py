"""kill -9 at a random moment, again and again: nothing acknowledged is lost, nothing finished is forgotten.

INCOMING_TEST_KILLS says how often (5 unless set); INCOMING_TEST_SEED repeats a run.
"""

from __future__ import annotations

import os
import random
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from tests.conftest import StartServer
from tests.support.app import DONE, Delivery, Reply, ScriptedApp
from tests.support.client_v1 import ClientV1
from tests.support.data import MIB, FileBytes
from tests.support.server import RunningServer, new_upload
from tests.support.tally import tally
from tests.support.waiting import wait_until

KILLS = int(os.environ.get("INCOMING_TEST_KILLS", "5"))
SEED = int(os.environ.get("INCOMING_TEST_SEED", random.randrange(1 << 32)))
AT_A_TIME = 3
LENGTH_BYTES = 40 * MIB


@contextmanager
def uploading(clients: list[ClientV1]) -> Iterator[None]:
    """Uploads beside the with-block, each client coming back for as long as it takes; then waits for all."""
    with ThreadPoolExecutor(len(clients)) as pool:
        uploads: list[Future[None]] = [pool.submit(client.upload) for client in clients]
        yield
        for upload in uploads:
            upload.result()


def three_clients(server: RunningServer, app: ScriptedApp, length_bytes: int, seed: int) -> list[ClientV1]:
    """Returns clients with tickets and contents of their own."""
    files = [FileBytes(length_bytes + number, seed * 10 + number) for number in range(AT_A_TIME)]
    return [ClientV1(server.url, new_upload(server, app.url), file) for file in files]


def assert_identical(clients: list[ClientV1], app: ScriptedApp) -> None:
    """The app has seen each file, and each time it was whole."""
    for client in clients:
        arrived = {delivery.sha256 for delivery in app.about(client.ticket_id)}
        assert arrived == {client.data.sha256}


@pytest.mark.parametrize("kill", range(KILLS), ids=lambda kill: f"kill {kill + 1} of {KILLS}")
def test_three_uploads_survive_a_kill_at_a_random_moment(
    start_server: StartServer, app: ScriptedApp, kill: int
) -> None:
    chance = random.Random(SEED + kill)
    print(f"INCOMING_TEST_SEED={SEED}")
    server = start_server()
    clients = three_clients(server, app, LENGTH_BYTES, kill)
    kill_at_bytes = chance.randrange(int(AT_A_TIME * LENGTH_BYTES * 0.9))
    with uploading(clients):
        wait_until(lambda: sum(c.acked_bytes for c in clients) >= kill_at_bytes, "the random moment")
        server.kill()
        acked_bytes = {client: client.acked_bytes for client in clients}
        server.start()
    assert_identical(clients, app)
    assert any(len(client.resumed_at) > 1 for client in clients), "the kill came too late"
    for client in clients:
        # That no acknowledged byte was asked for again is checked by the client at each resume.
        assert acked_bytes[client] == 0 or client.resumed_at[-1] > 0
    tally("fault", "kill -9 at a random moment of three uploads", 1, "identical, no acknowledged byte lost")


def test_an_upload_survives_one_kill_after_another(start_server: StartServer, app: ScriptedApp) -> None:
    server = start_server()
    (client, *_) = three_clients(server, app, 100 * MIB, seed=77)
    with uploading([client]):
        for tenth in range(1, 6):
            target_bytes = tenth * 10 * MIB
            wait_until(lambda at=target_bytes: client.acked_bytes >= at, f"{tenth} tenths")  # type: ignore[misc]
            server.restart()
    assert_identical([client], app)
    tally("fault", "kill -9 again and again during one upload", 5, "identical, no acknowledged byte lost")


@pytest.mark.parametrize("turn", range(5))
def test_small_files_survive_a_kill_while_they_are_handed_over(
    start_server: StartServer, app: ScriptedApp, turn: int
) -> None:
    chance = random.Random(SEED + turn)
    print(f"INCOMING_TEST_SEED={SEED}")
    server = start_server(handover_retry_first_s=0.05)
    told = threading.Event()

    def tell(_: Delivery) -> Reply:
        told.set()
        return DONE

    app.answers = [tell]
    clients = three_clients(server, app, chance.randrange(1, MIB), turn)
    with uploading(clients):
        assert told.wait(20)
        server.restart()
    assert_identical(clients, app)
    tally("fault", "kill -9 while files are handed over", 1, "every app has its file")
