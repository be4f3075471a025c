"""The server on file systems of many kinds, and on mounts that refuse what NAS and FUSE refuse."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import requests

from incoming.storage.local.probe import NO_FOLDER_SYNC, NOT_THE_SAME
from tests.support.app import ScriptedApp
from tests.support.client_v1 import ClientV1
from tests.support.client_v2 import ClientV2
from tests.support.data import MIB, FileBytes
from tests.support.disks import KINDS, NotHere, mounted_disk
from tests.support.forked import ForkedServer, Launcher
from tests.support.fuse import mounted
from tests.support.server import RunningServer, cancel_upload, new_upload
from tests.support.tally import tally
from tests.support.waiting import wait_until

LENGTH_BYTES = 6 * MIB
SETTINGS = {"min_free_mib": 0, "reserve_ahead_mib": 1}
WINDOWS_SHARE = {"fsyncdir": "EINVAL", "chmod": "EPERM", "modes": "0777", "fallocate": "EOPNOTSUPP"}
OBJECT_STORE = {"fsyncdir": "EOPNOTSUPP", "lseek": "EINVAL", "statfs_size": "EIO", "fallocate": "EOPNOTSUPP"}
ServerOn = Callable[..., RunningServer]


@pytest.fixture
def server_on(launcher: Launcher, tmp_path: Path) -> Iterator[ServerOn]:
    """Makes a server whose storage is on a file system that refuses something."""
    with ExitStack() as stack:

        def make(**refused: str) -> RunningServer:
            if os.geteuid():
                pytest.skip("only root may mount a file system")
            try:
                place = stack.enter_context(mounted(tmp_path / "backing", tmp_path / "place", **refused))
            except (OSError, AssertionError) as exc:
                pytest.skip(f"no FUSE file system may be mounted here: {exc}")
            server = ForkedServer(launcher, place / "storage", **SETTINGS)
            server.log_file = tmp_path / "server.log"
            stack.callback(server.kill)
            return server

        yield make


def send_over_a_kill(server: RunningServer, app: ScriptedApp) -> None:
    """Two uploads, a kill in the middle, and an upload that is cancelled."""
    server.start()
    old = ClientV1(server.url, new_upload(server, app.url), FileBytes(LENGTH_BYTES, 1)).open()
    new = ClientV2(server.url, new_upload(server, app.url), FileBytes(LENGTH_BYTES, 2)).open()
    old.send_until_acked(LENGTH_BYTES // 2)
    new.send_until_stored(LENGTH_BYTES // 2)
    server.restart()
    for client in (old, new):
        client.upload()
        assert client.resumed_at[-1] >= LENGTH_BYTES // 2
        assert {d.sha256 for d in app.about(client.ticket_id)} == {client.data.sha256}
    assert cancel_upload(server, new_upload(server, app.url)).ok
    wait_until(lambda: not list((server.storage_dir / "data").iterdir()), "what has ended is removed")
    health = requests.get(f"{server.url}/incoming/healthz", timeout=60)
    assert (health.status_code, health.text) == (200, "ok")
    log = server.log_text()
    for words in ("Traceback", " ERROR ", "belong to no known ticket"):
        assert words not in log


@pytest.mark.parametrize("refused", [{}, {"fsyncdir": "EINVAL"}, WINDOWS_SHARE, OBJECT_STORE], ids=str)
def test_uploads_arrive_over_a_kill_where_nothing_necessary_is_missing(
    server_on: ServerOn, app: ScriptedApp, refused: dict[str, str]
) -> None:
    server = server_on(**refused)
    send_over_a_kill(server, app)
    log = server.log_text()
    starts, folders = 2, 2
    assert log.count(NO_FOLDER_SYNC) == (starts if "fsyncdir" in refused else 0)
    assert log.count("the mode should be") == (starts * folders if "modes" in refused else 0)
    tally("fault", "Storage that refuses to sync folders, to set modes or to reserve space", 2,
          "both uploads arrive, over a kill; the log says once what is weaker")  # fmt: skip


@pytest.mark.parametrize(
    ("refused", "words"),
    [
        ({"flock": "ENOLCK"}, "so nothing would keep a second server out: No locks available. Put it on"),
        ({"identity": "EIO"}, f"journal: {NOT_THE_SAME}. Put it on a local disk"),
        ({"rename": "EPERM"}, "journal: no file in it can take the place of another"),
        ({"fsync": "EINVAL"}, "Or set fsync = no"),
        ({"write": "EROFS"}, "Read-only file system. Mount it writable."),
    ],
    ids=str,
)
def test_the_server_does_not_start_where_something_necessary_is_missing(
    server_on: ServerOn, refused: dict[str, str], words: str
) -> None:
    server = server_on(**refused)
    with pytest.raises(AssertionError, match=r"does not start\. storage_dir: /"):
        server.start()
    assert words in server.log_text()
    assert "Traceback" not in server.log_text()
    tally("fault", "Storage on a file system that lacks something necessary", 1,
          "no start, and a sentence with the path and a remedy")  # fmt: skip


def test_a_server_that_needs_no_power_cut_safety_starts_where_nothing_can_be_synced(
    server_on: ServerOn, app: ScriptedApp
) -> None:
    server = server_on(fsync="EINVAL", fsyncdir="EINVAL")
    server.settings = {**SETTINGS, "fsync": "no"}
    server.start()
    client = ClientV1(server.url, new_upload(server, app.url), FileBytes(LENGTH_BYTES, 3)).open()
    client.upload()
    assert app.wait_for(1)[0].sha256 == client.data.sha256


# --- kinds of file systems --------------------------------------------------------------------------

MODES, NETWORK = "the mode should be", "this is a network file system"
WITHOUT_MODES = ("vfat", "exfat", "exfat (FUSE)", "ntfs3", "ntfs-3g (FUSE)")
WEAKER = {kind: {MODES} for kind in WITHOUT_MODES} | {"sshfs": {NETWORK}, "rclone": {MODES, NETWORK}}
"""What is weaker on a kind of file system, where anything is."""


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """Mounts a file system of a kind."""
    with ExitStack() as stack:

        def mount(kind: str) -> Path:
            if os.geteuid():
                pytest.skip("only root may mount a file system")
            try:
                return stack.enter_context(mounted_disk(kind, tmp_path / "disk"))
            except NotHere as exc:
                pytest.skip(f"no {kind} here: {exc}")

        yield mount


@pytest.fixture
def server_in(launcher: Launcher, tmp_path: Path) -> Iterator[Callable[[Path], RunningServer]]:
    """Makes a server with this storage directory."""
    with ExitStack() as stack:

        def make(storage_dir: Path) -> RunningServer:
            server = ForkedServer(launcher, storage_dir, **SETTINGS)
            server.log_file = tmp_path / "server.log"
            stack.callback(server.kill)
            return server

        yield make


def check_what_is_weaker(server: RunningServer, kind: str) -> None:
    """The log warns of what this kind of file system lacks, and of nothing else."""
    warned = [line for line in server.log_text().splitlines() if " WARNING " in line]
    expected = WEAKER.get(kind, set())
    assert {words for words in expected for line in warned if words in line} == expected
    assert [line for line in warned if not any(words in line for words in expected)] == []


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "rclone"])
def test_uploads_arrive_over_a_kill_on_many_kinds_of_file_systems(
    disk: Callable[[str], Path], server_in: Callable[[Path], RunningServer], app: ScriptedApp, kind: str
) -> None:
    server = server_in(disk(kind) / "storage")
    send_over_a_kill(server, app)
    check_what_is_weaker(server, kind)
    tally("fault", f"Uploads and a kill on {kind}", 2, "both uploads arrive; the log says what is weaker")


def test_an_object_store_that_is_mounted_as_a_folder_may_have_the_uploads_but_not_the_journal(
    disk: Callable[[str], Path], server_in: Callable[[Path], RunningServer], app: ScriptedApp, tmp_path: Path
) -> None:
    store = disk("rclone")
    with pytest.raises(AssertionError, match="does not start"):
        server_in(store / "storage").start()
    server = server_in(tmp_path / "storage")
    assert NOT_THE_SAME in server.log_text()
    (store / "data").mkdir()
    server.storage_dir.mkdir()
    (server.storage_dir / "data").symlink_to(store / "data")
    server.log_file = tmp_path / "second.log"
    send_over_a_kill(server, app)
    check_what_is_weaker(server, "rclone")
    tally("fault", "Uploads and a kill on rclone, journal elsewhere", 2, "both uploads arrive")
