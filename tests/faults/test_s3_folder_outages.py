"""What all servers share is killed in the middle of a folder into S3, and comes back: Redis, or the store.

The store needs long to start, so INCOMING_TEST_SCALE kills it, as `make faults-scale` sets it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.faults.test_s3_folders import FOLDER, SETTINGS, VIDEO, loaded, taken
from tests.support.app import WAIT, ScriptedApp
from tests.support.client_v2 import ClientV2, UploadRefused
from tests.support.cluster import Cluster
from tests.support.data import MIB
from tests.support.folder_data import StreamBytes
from tests.support.forked import Launcher
from tests.support.redis_server import RedisServer
from tests.support.s3_choice import new_s3_server
from tests.support.s3_place import BUCKET
from tests.support.s3_server import S3Server
from tests.support.server import RunningServer
from tests.support.tally import tally
from tests.support.waiting import wait_until
from tests.support.websocket import ConnectionClosed, HandshakeRefused

IS_LONG: Final = "INCOMING_TEST_SCALE" in os.environ
PATIENCE_S: Final = 150.0
"""How long a client waits for a word of the server: longer than the server waits for the store."""
START = FOLDER.manifest.range_of(VIDEO)[0]
STOPS: Final = (1_000, len(FOLDER.head) + 20_000, START + MIB, START + 6 * MIB, len(FOLDER.stream))
QUICK_STOPS: Final = (len(FOLDER.head) + 20_000, START + 6 * MIB)
LOST: Final = (UploadRefused, ConnectionClosed, HandshakeRefused, OSError)


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    """A Redis of this test's own, since it is killed. It has an append-only file."""
    with RedisServer(tmp_path / "redis") as server:
        yield server


@pytest.fixture(
    params=["Redis", pytest.param("S3", marks=pytest.mark.skipif(not IS_LONG, reason="make faults-scale"))]
)
def part(request: pytest.FixtureRequest) -> str:
    """What is killed."""
    return str(request.param)


@pytest.fixture
def s3(request: pytest.FixtureRequest, part: str, tmp_path: Path) -> Iterator[S3Server]:
    """The S3 server. If it is killed, it is one of this test's own."""
    if part != "S3":
        yield request.getfixturevalue("s3_server")
        return
    with new_s3_server(tmp_path / "s3") as server:
        server.create_bucket(BUCKET)
        yield server


@pytest.fixture
def cluster(tmp_path: Path, redis: RedisServer, s3: S3Server, launcher: Launcher) -> Iterator[Cluster]:
    """Two servers."""
    with Cluster(tmp_path, redis, s3, size=2, launcher=launcher, **SETTINGS) as cluster:
        yield cluster
        assert "Traceback" not in cluster.log_text()


@pytest.fixture
def app() -> Iterator[ScriptedApp]:
    """An app that says when it is done with a folder."""
    with ScriptedApp(WAIT) as app:
        app.hash_files = False
        yield app


class Sender:
    """A client that comes back when it has lost its connection, and knows what was acknowledged to it."""

    def __init__(self, ticket_id: str) -> None:
        self.acknowledged_bytes = 0
        self._ticket_id = ticket_id
        self._client: ClientV2 | None = None

    def send_to(self, server: RunningServer, stop: int) -> None:
        """Returns when all bytes up to `stop` are stored."""
        wait_until(lambda: self._tries(server, stop), f"{stop} bytes are stored", PATIENCE_S)

    def _tries(self, server: RunningServer, stop: int) -> bool:
        try:
            self._client = self._client or self._connected(server)
            self._client.send_until_stored(stop)
        except LOST as exc:
            self._lose(exc)
        else:
            self.acknowledged_bytes = self._client.stored_bytes
        return self._client is not None

    def _lose(self, error: Exception) -> None:
        assert not isinstance(error, UploadRefused) or error.retryable, error
        if self._client:
            self.acknowledged_bytes = max(self.acknowledged_bytes, self._client.stored_bytes)
        self.move()

    def _connected(self, server: RunningServer) -> ClientV2:
        client = ClientV2(server.url, self._ticket_id, StreamBytes(FOLDER.stream), timeout_s=PATIENCE_S)
        client.connect().request()
        assert client.resumed_at[-1] >= self.acknowledged_bytes, "an acknowledged byte is lost"
        client.agree()
        return client

    def send_ahead(self) -> None:
        """Sends some more, which nobody acknowledges at the moment."""
        assert self._client
        for _ in range(4):
            if self._client.sent_bytes < len(FOLDER.stream):
                self._client.send_chunk()

    def move(self) -> None:
        """Leaves: the next bytes go to another server."""
        if self._client:
            self._client.drop()
        self._client = None

    def complete(self, server: RunningServer, app: ScriptedApp) -> None:
        """Completes the folder, and returns when the app has been told."""

        def is_told() -> bool:
            if self._tries(server, len(FOLDER.stream)) and self._client:
                try:
                    self._complete(self._client, app)
                except LOST as exc:
                    self._lose(exc)
            return bool(app.deliveries)

        wait_until(is_told, "the app is told", PATIENCE_S)

    def _complete(self, client: ClientV2, app: ScriptedApp) -> None:
        if not client.conf["Arrived"]:
            client.complete()
        while not app.deliveries:
            wait_until(lambda: app.deliveries or client.ws.has_input, "it goes on", PATIENCE_S)
            if client.ws.has_input:
                client.receive_next()


def test_a_folder_continues_after_kills_of_what_all_servers_share(
    cluster: Cluster, redis: RedisServer, s3: S3Server, app: ScriptedApp, part: str
) -> None:
    killed = redis if part == "Redis" else s3
    ticket_id = cluster.new_ticket(app, destType="folder")
    sender, stops = Sender(ticket_id), STOPS if IS_LONG else QUICK_STOPS
    for number, stop in enumerate(stops):
        sender.send_to(cluster.servers[number // 2 % 2], stop)
        sender.send_ahead()
        killed.kill()
        if number % 2:
            sender.move()
        killed.start()
    sender.complete(cluster.servers[0], app)
    delivery = app.wait_for(1)[0]
    assert loaded(s3, delivery, FOLDER) == FOLDER.files
    taken(cluster, s3, app, ticket_id)
    assert len(app.about(ticket_id)) == 1, "taken once"
    tally("fault", f"kill -9 of {part} in the middle of a folder into S3", len(stops),
          "identical objects, taken once, no acknowledged byte lost")  # fmt: skip
