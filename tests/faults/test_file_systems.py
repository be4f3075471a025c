"""The server on file systems that are not a local disk: real mounts that refuse what NAS and FUSE refuse."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from incoming.storage.local.probe import NO_FOLDER_SYNC
from tests.support.app import ScriptedApp
from tests.support.client_v1 import ClientV1
from tests.support.client_v2 import ClientV2
from tests.support.data import MIB, FileBytes
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


@pytest.mark.parametrize("refused", [{}, {"fsyncdir": "EINVAL"}, WINDOWS_SHARE, OBJECT_STORE], ids=str)
def test_uploads_arrive_over_a_kill_where_nothing_necessary_is_missing(
    server_on: ServerOn, app: ScriptedApp, refused: dict[str, str]
) -> None:
    server = server_on(**refused)
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
    log = server.log_text()
    starts, folders = 2, 2
    assert log.count(NO_FOLDER_SYNC) == (starts if "fsyncdir" in refused else 0)
    assert log.count("the mode should be") == (starts * folders if "modes" in refused else 0)
    assert "Traceback" not in log
    assert " ERROR " not in log
    tally("fault", "Storage that refuses to sync folders, to set modes or to reserve space", 2,
          "both uploads arrive, over a kill; the log says once what is weaker")  # fmt: skip


@pytest.mark.parametrize(
    ("refused", "words"),
    [
        ({"flock": "ENOLCK"}, "so nothing would keep a second server out: No locks available. Put it on"),
        ({"rename": "EPERM"}, "journal: no file in it can take the place of another"),
        ({"fsync": "EINVAL"}, "Or say fsync = no"),
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
