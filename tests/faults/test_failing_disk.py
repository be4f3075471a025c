"""A disk that fails at any call, with any word: said in so many words, costs nothing, and passes.

As in `test_killed_at_each_point` there is a run for each call that an upload leads to, here with each error,
or a sample of them (INCOMING_TEST_DISK_ERRORS, 10 unless set); the call fails. The server lives on, clients
come back, and every upload reaches its app. What a filesystem really does is in `test_broken_storage`.
"""

from __future__ import annotations

import os
import random
from collections import Counter
from pathlib import Path
from typing import Final

import pytest

from tests.faults.test_killed_at_each_point import a_server, assert_nothing_left_over, points_of
from tests.faults.test_power_cut import Recording, survives
from tests.support.app import ScriptedApp
from tests.support.client_v1 import ClientV1
from tests.support.data import FileBytes
from tests.support.errands import KINDS, SETTINGS, Backend, Errand, Large, Moved, Taken
from tests.support.folder_errand import WholeFolder
from tests.support.forked import ForkedServer, Launcher
from tests.support.powercut import read_trace
from tests.support.server import new_upload
from tests.support.tally import tally
from tests.support.waiting import wait_until

FAILURES: Final = int(os.environ.get("INCOMING_TEST_DISK_ERRORS", "10"))
SEED: Final = int(os.environ.get("INCOMING_TEST_SEED", random.randrange(1 << 32)))
ERRORS: Final = ("EIO", "ENOSPC", "EDQUOT", "EROFS", "EMFILE")
NO_DISK: Final = ("ack", "post")
Failure = tuple[str, int, str, int]
"""The point, its nth call, the error, and how many calls in a row fail with it."""


def comes_through(
    kind: type[Errand], failure: Failure, launcher: Launcher, app: ScriptedApp, directory: Path
) -> None:
    """An upload of this kind reaches its end though the disk fails."""
    point, nth, error, times = failure
    directory.mkdir()
    with a_server(launcher, directory) as server:
        backend = Backend(app)
        errand = kind(server, backend, nth)
        errand.spare = times
        plan: dict[str, object] = {"point": point, "nth": nth, "error": error, "times": times}
        if not server.start_with(plan):
            assert "does not start" in server.log_text()  # it was told why
            server.bury()
            server.start_with({})
        errand.go_on()
        assert not server.has_died
        assert_nothing_left_over(server, backend)


def test_uploads_of_each_kind_survive_a_failure_of_each_call(
    launcher: Launcher, app: ScriptedApp, tmp_path: Path
) -> None:
    print(f"INCOMING_TEST_SEED={SEED}")
    chance = random.Random(SEED)
    cases = [
        (kind, (point, nth, error, chance.randrange(1, 4)))
        for kind in (*KINDS, WholeFolder)
        for point, nth, when in points_of(kind, launcher, app, tmp_path / kind.__name__)
        if when == "before" and point not in NO_DISK
        for error in ERRORS
    ]
    failures: Counter[str] = Counter()
    for number, (kind, failure) in enumerate(chance.sample(cases, min(FAILURES, len(cases)))):
        try:
            comes_through(kind, failure, launcher, app, tmp_path / f"failure-{number}")
        except BaseException as exc:
            exc.add_note(f"{kind.__name__}, {failure}, in failure-{number}")
            raise
        failures[failure[0]] += 1
    held = "the client got a code and a sentence, the upload resumed, no acknowledged byte was lost"
    for name, count in failures.items():
        tally("fault", f"A disk that fails at `{name}`: {', '.join(ERRORS)}", count, held)


@pytest.mark.parametrize(
    ("kind", "point"),
    [(Taken, "data_sync"), (Moved, "data_sync"), (Large, "data_sync"), (Large, "sync_file_range")],
)
def test_bytes_that_the_disk_has_refused_once_are_written_again_before_they_count_as_kept(
    kind: type[Errand], point: str, launcher: Launcher, app: ScriptedApp, tmp_path: Path
) -> None:
    """When the app is called after a sync that has failed, a power cut takes nothing of its file."""
    server = ForkedServer(launcher, tmp_path / "storage", **SETTINGS)
    errand = kind(server, Backend(app), 5)
    plan: dict[str, object] = {"point": point, "nth": 1, "error": "EIO"}
    try:
        assert server.start_with(plan | {"trace": str(tmp_path / "trace")})
        errand.go_on()
    finally:
        server.bury()
    lines = read_trace(tmp_path / "trace")
    assert any(line["op"] == "sync_failed" for line in lines)
    cut = sum(line["at_s"] < errand.arrivals[0].received_at_s for line in lines)
    survives(Recording(errand, server.storage_dir, lines), cut, 1, app, tmp_path / "cut")
    tally("fault", f"A failed {point}, and a power cut after the next one", 1, "no byte was missing")


def test_a_whole_upload_is_handed_over_though_its_client_has_left_and_its_sync_failed_once(
    launcher: Launcher, app: ScriptedApp, tmp_path: Path
) -> None:
    often = 2.0  # so that it sweeps twice a second
    with ForkedServer(launcher, tmp_path / "storage", result_retention_s=often) as server:
        server.bury()
        assert server.start_with({"point": "data_sync", "nth": 1, "error": "EIO"})
        client = ClientV1(server.url, new_upload(server, app.url), FileBytes(300_000))
        client.open().send_until_acked()
        assert client.receive_close().code == 1013
        app.wait_for(1)
        assert app.deliveries[0].sha256 == client.data.sha256
        wait_until(lambda: not server.stored_file(client.ticket_id).exists(), "it is removed")
    tally("fault", "the last sync fails once, the client has left", 1, "completed by the next sweep")
