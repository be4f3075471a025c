"""A server is killed while it deletes what an ended upload has left in S3: another process deletes the rest.

The next start of a server does that, or a second server, which shares a Redis with the first one. The second
way takes half a minute for each kill, since the first one has to be known to be dead. INCOMING_TEST_SCALE
runs it, and all cases.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Final

import pytest
import requests

from incoming.core.redis_keys import ticket_key
from tests.support.app import WAIT, ScriptedApp
from tests.support.client_v2 import ClientV2
from tests.support.data import MIB, FileBytes
from tests.support.fake_s3 import FakeS3, Refusal
from tests.support.folder_data import FolderData, StreamBytes
from tests.support.forked import ForkedServer, Launcher
from tests.support.redis_server import RedisServer
from tests.support.server import cancel_upload, finish_upload, new_upload
from tests.support.tally import tally
from tests.support.waiting import wait_until

IS_LONG: Final = "INCOMING_TEST_SCALE" in os.environ
FOLDER: Final = FolderData([*((f"{number}", 100) for number in range(5)), ("large", 6 * MIB)])
LENGTHS: Final = {"small": 1000, "parts": 6 * MIB}
"""Of a file, in bytes."""
CASES: Final = [f"{kind} {end}" for kind in (*LENGTHS, "folder") for end in ("finished", "cancelled")]
QUICK_CASES: Final = ("small finished", "folder cancelled")
MAX_CALLS: Final = 20
LIMIT_S: Final = 90.0
CREDENTIALS: Final = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "secret"}


class Server(ForkedServer):
    """A server that stores uploads in S3."""

    def _environment(self) -> dict[str, str]:
        return super()._environment() | CREDENTIALS


@pytest.fixture
def fake() -> Iterator[FakeS3]:
    """The store."""
    with FakeS3() as server:
        yield server


@pytest.fixture
def app() -> Iterator[ScriptedApp]:
    """An app that says when it is done with a file."""
    with ScriptedApp(WAIT) as app:
        app.hash_files = False
        yield app


def new_server(launcher: Launcher, directory: Path, fake: FakeS3, **settings: object) -> Server:
    """Returns a server, which does not run yet. It sweeps every two seconds."""
    place = {"storage": "s3://uploads/in", "s3_endpoint": fake.place.endpoint_url, "s3_region": "us-east-1"}
    return Server(launcher, directory, **place, s3_part_mib=5, handover_wait_timeout_s=8, **settings)


class DyingServer:
    """Kills a server when it makes its nth call to the store from now on; that call does nothing.

    With an `operation`, only calls of it count. Without one, a call may be for what was before.
    """

    def __init__(self, server: ForkedServer, fake: FakeS3, nth: int, operation: str = "") -> None:
        self._server, self._left, self._operation = server, nth, operation
        fake.on_call = self._called

    def _called(self, operation: str) -> None:
        is_meant = operation == self._operation if self._operation else operation != "head_bucket"
        self._left -= is_meant  # it looks at the bucket all the time
        if not self._left:
            self._server.shoot()
            raise Refusal(503, "SlowDown")


@contextlib.contextmanager
def frozen_at_its_next(server: ForkedServer, fake: FakeS3, operation: str) -> Iterator[None]:
    """Within it a server stands still from its next call of this operation on, before it hears the answer."""

    def stop(called: str) -> None:
        if called == operation:
            fake.on_call = lambda _: None
            os.killpg(server.pid, signal.SIGSTOP)

    fake.on_call = stop
    try:
        yield
    finally:
        fake.on_call = lambda _: None
        os.killpg(server.pid, signal.SIGCONT)


def is_frozen(server: ForkedServer) -> bool:
    """Returns whether a server stands still."""
    return Path(f"/proc/{server.pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


def left(fake: FakeS3, ticket_id: str) -> list[str]:
    """Returns the keys of all that the store has of an upload."""
    keys = [*list(fake.objects), *(upload.key for upload in list(fake.uploads.values()))]
    return [key for key in keys if ticket_id in key]


def is_gone(fake: FakeS3, ticket_id: str) -> bool:
    """Returns whether the store has nothing of an upload."""
    return not left(fake, ticket_id)


def has_died_or_deleted(server: ForkedServer, fake: FakeS3, ticket_id: str) -> bool:
    """Returns whether the server is dead, or the store has nothing of an upload."""
    return server.has_died or is_gone(fake, ticket_id)


def begun(server: ForkedServer, app: ScriptedApp, kind: str, end: str, **asked: str) -> str:
    """Uploads a file or a folder, or a part of it. Returns the ticket's id."""
    data: FileBytes | StreamBytes
    if kind == "folder":
        asked, data = {**asked, "destType": "folder"}, StreamBytes(FOLDER.stream)
    else:
        data = FileBytes(LENGTHS[kind], 1)
    ticket_id = new_upload(server, app.url, storage="s3", **asked)
    client = ClientV2(server.url, ticket_id, data).connect()
    client.request()
    client.agree()
    if end == "finished":
        told = len(app.deliveries)
        client.send_until_stored()
        client.complete()
        app.wait_for(told + 1)
    else:
        client.send_until_stored(data.length_bytes - 100)
    client.drop()
    return ticket_id


def end_it(server: ForkedServer, ticket_id: str, end: str) -> None:
    """Its app has the file, or cancels the upload; the server may die meanwhile."""
    with contextlib.suppress(requests.RequestException):
        (finish_upload if end == "finished" else cancel_upload)(server, ticket_id)


def kill_at_each_call(
    servers: Sequence[Server], fake: FakeS3, app: ScriptedApp, case: str, redis: RedisServer | None = None
) -> int:
    """Kills the first server at calls of a deletion. Returns how often it was killed."""
    kills, (kind, end), step = 0, case.split(), 1 if IS_LONG and not redis else 3
    first, nth = servers[0], 1
    while nth < MAX_CALLS:
        ticket_id = begun(first, app, kind, end)
        assert left(fake, ticket_id)
        DyingServer(first, fake, nth)
        end_it(first, ticket_id, end)
        wait_until(partial(has_died_or_deleted, first, fake, ticket_id), "it dies, or deletes", LIMIT_S)
        was_killed = first.has_died
        fake.on_call = lambda _: None
        if was_killed:
            first.bury()
            has_ended = state_of(first, ticket_id, redis) == end
            if not (has_ended and redis):
                first.start()
            if not has_ended:  # a call came in between that was for something else
                end_it(first, ticket_id, end)
        wait_until(partial(is_gone, fake, ticket_id), "nothing is left", LIMIT_S)
        if not was_killed:
            return kills
        if not first.runs:
            first.start()
        if has_ended:
            kills, nth = kills + 1, nth + step
    pytest.fail("it makes more calls than expected")


def state_of(server: ForkedServer, ticket_id: str, redis: RedisServer | None) -> str:
    """Returns the state of an upload, also while no server runs."""
    return redis.client().hget(ticket_key(ticket_id), "state") if redis else server.journaled_state(ticket_id)


@pytest.mark.parametrize("case", CASES if IS_LONG else QUICK_CASES)
def test_what_a_killed_server_had_not_deleted_is_deleted_at_its_next_start(
    launcher: Launcher, fake: FakeS3, app: ScriptedApp, tmp_path: Path, case: str
) -> None:
    server = new_server(launcher, tmp_path / "storage", fake)
    with server:
        kills = kill_at_each_call([server], fake, app, case)
        assert "Traceback" not in server.log_text()
    assert kills
    tally("fault", "kill -9 between the end of an upload and the deletion of its objects in S3", kills,
          "the next start deleted them")  # fmt: skip


@pytest.mark.skipif(not IS_LONG, reason="half a minute for each kill: make faults-scale")
@pytest.mark.parametrize("case", CASES)
def test_what_a_killed_server_had_not_deleted_is_deleted_by_another_one(
    launcher: Launcher, fake: FakeS3, app: ScriptedApp, tmp_path: Path, case: str
) -> None:
    with RedisServer(tmp_path / "redis") as redis:
        shared = {"registry": redis.url}
        names = ("first", "second")
        servers = [new_server(launcher, tmp_path / name, fake, **shared, instance=name) for name in names]
        with servers[0], servers[1]:
            kills = kill_at_each_call(servers, fake, app, case, redis)
            for server in servers:
                assert "Traceback" not in server.log_text()
    assert kills
    tally("fault", "kill -9 between the end of an upload and the deletion of its objects in S3", kills,
          "another server deleted them")  # fmt: skip


def test_a_file_that_its_app_keeps_stays_whatever_is_killed_when_it_has_finished(
    launcher: Launcher, fake: FakeS3, app: ScriptedApp, tmp_path: Path
) -> None:
    with new_server(launcher, tmp_path / "storage", fake, s3_destination_prefixes="inbox/") as server:
        asked = {"removeFileWhenFinished": "false", "destinationKey": "inbox/1"}
        called: list[str] = []
        fake.on_call = called.append
        ticket_id = begun(server, app, "parts", "finished", **asked)
        wait_until(lambda: "list" in called, "the complete upload looks for its own remainders")
        DyingServer(server, fake, 1, "list")  # the first call of the deletion
        end_it(server, ticket_id, "finished")
        wait_until(lambda: server.has_died, "it dies")
        fake.on_call = lambda _: None
        server.bury()
        calls = fake.calls["list"]
        server.start()
        wait_until(lambda: fake.calls["list"] > calls, "what is beside the object is looked for")
        assert len(fake.content("inbox/1")) == LENGTHS["parts"]
        assert not left(fake, ticket_id)


@pytest.mark.parametrize("end", ["finished", "cancelled"] if IS_LONG else ["finished"])
def test_what_a_frozen_server_stores_after_the_end_of_an_upload_is_deleted(
    launcher: Launcher, fake: FakeS3, app: ScriptedApp, tmp_path: Path, end: str
) -> None:
    """It stands still between its look for an object and the call that makes it, and wakes up too late."""
    data = FileBytes(LENGTHS["small"], 1)
    with RedisServer(tmp_path / "redis") as redis:
        names, shared = ("first", "second"), {"registry": redis.url}
        servers = [new_server(launcher, tmp_path / name, fake, **shared, instance=name) for name in names]
        with servers[0] as first, servers[1] as second:
            ticket_id = new_upload(first, app.url, storage="s3")
            client = ClientV2(first.url, ticket_id, data).connect()
            client.request()
            client.agree()
            client.send_until_stored()
            with frozen_at_its_next(first, fake, "head"):
                client.complete()
                wait_until(lambda: is_frozen(first), "it stands still")
                other = ClientV2(second.url, ticket_id, data).connect()
                other.request()
                other.agree()
                if end == "finished":
                    other.complete()
                    app.wait_for(1)
                end_it(second, ticket_id, end)
                wait_until(lambda: state_of(second, ticket_id, redis) == end, "it ends")
                wait_until(partial(is_gone, fake, ticket_id), "nothing is left", LIMIT_S)
            wait_until(lambda: left(fake, ticket_id), "it wakes up, and stores something")
            wait_until(partial(is_gone, fake, ticket_id), "nothing is left", LIMIT_S)
            client.drop()
            other.drop()
            for server in servers:
                assert "Traceback" not in server.log_text()
    tally("fault", "a server that stands still before it makes an object, and wakes up after the deletion", 1,
          "it deleted what it had stored")  # fmt: skip


def test_what_the_store_does_late_for_a_killed_server_is_deleted_when_the_ticket_is_forgotten(
    launcher: Launcher, fake: FakeS3, app: ScriptedApp, tmp_path: Path
) -> None:
    """The server has sent a remainder. The store takes it when another server has finished the upload."""
    data, came, may_store = FileBytes(LENGTHS["small"], 1), threading.Event(), threading.Event()

    def hold(operation: str) -> None:
        if operation == "put":
            fake.on_call = lambda _: None
            came.set()
            assert may_store.wait(LIMIT_S)

    with RedisServer(tmp_path / "redis") as redis:
        shared = {"registry": redis.url, "result_retention_s": 2}
        first, second = (
            new_server(launcher, tmp_path / name, fake, **shared) for name in ("first", "second")
        )
        with first, second:
            ticket_id = new_upload(first, app.url, storage="s3")
            client = ClientV2(first.url, ticket_id, data).connect()
            client.request()
            client.agree()
            fake.on_call = hold
            client.send_chunk(LENGTHS["small"] // 2)
            assert came.wait(LIMIT_S)
            first.kill()
            client.drop()
            other = ClientV2(second.url, ticket_id, data).open()
            other.send_until_stored()
            other.complete()
            app.wait_for(1)
            end_it(second, ticket_id, "finished")
            wait_until(partial(is_gone, fake, ticket_id), "nothing is left", LIMIT_S)
            may_store.set()
            wait_until(lambda: left(fake, ticket_id), "the store takes what the first server has sent")
            wait_until(partial(is_gone, fake, ticket_id), "nothing is left", LIMIT_S)
            other.drop()
    tally("fault", "a remainder that the store takes when its server is dead and the upload finished", 1,
          "deleted with the ticket")  # fmt: skip
