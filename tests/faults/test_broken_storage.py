"""Storage that goes: read-only, shut down, removed; no descriptors; a clock that jumps. Nothing is lost.

The filesystems are real, and so is what they say: an ext4 in a file that its kernel shuts down as it does
after an error, a tmpfs that is remounted. Only root may mount them; others skip these tests.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import pytest
import requests

from tests.support.app import ScriptedApp
from tests.support.client_v1 import ClientV1
from tests.support.client_v2 import ClientV2, UploadRefused
from tests.support.data import MIB, FileBytes
from tests.support.errands import KINDS, SETTINGS, Backend
from tests.support.forked import ForkedServer, Launcher
from tests.support.server import RunningServer, call_backend, new_upload
from tests.support.tally import tally
from tests.support.waiting import wait_until
from tests.support.websocket import ConnectionClosed, HandshakeRefused

TRY_AGAIN_LATER: Final = 1013
LENGTH_BYTES: Final = 6 * MIB
HALF_BYTES: Final = 3 * MIB
QUICK: Final = {"min_free_mib": 0, "reserve_ahead_mib": 1, "chunk_size_kib": 256, "send_ahead": 1,
                "handover_retry_first_s": 0.05, "handover_retry_max_s": 0.2}  # fmt: skip


def run(*command: str) -> None:
    """Runs a command that only root may; skips the test where it is refused."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"{command[0]} is not permitted here: {done.stderr.strip()}")


class Ext4:
    """A small disk in a file."""

    def __init__(self, image: Path, place: Path) -> None:
        self.image, self.place = image, place
        place.mkdir()
        with image.open("wb") as file:
            file.truncate(48 * MIB)
        run("mkfs.ext4", "-q", "-F", str(image))

    def mount(self) -> None:
        """Makes it accessible."""
        run("mount", "-o", "loop", str(self.image), str(self.place))

    def unmount(self) -> None:
        """Lets go of it."""
        subprocess.run(["umount", "-l", str(self.place)], check=False, capture_output=True)

    def fail(self) -> None:
        """Its kernel stops writing to it, as after an error (errors=remount-ro)."""
        run("mount", "-o", "remount,abort", str(self.place))


@pytest.fixture
def ext4(tmp_path: Path) -> Iterator[Ext4]:
    """A disk that can fail."""
    if os.geteuid():
        pytest.skip("only root may mount a filesystem")
    disk = Ext4(tmp_path / "disk.img", tmp_path / "disk")
    disk.mount()
    yield disk
    disk.unmount()


@pytest.fixture
def tmpfs(tmp_path: Path) -> Iterator[Path]:
    """A place of its own that can be made read-only."""
    place = tmp_path / "memory"
    place.mkdir()
    if os.geteuid():
        pytest.skip("only root may mount a filesystem")
    run("mount", "-t", "tmpfs", "-o", "size=48m", "tmpfs", str(place))
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def server_on(storage_dir: Path, launcher: Launcher, log_dir: Path) -> ForkedServer:
    """Returns a server whose log is elsewhere than on the disk that fails."""
    server = ForkedServer(launcher, storage_dir, **QUICK)
    server.log_file = log_dir / "server.log"
    return server


def both_clients(server: RunningServer, app: ScriptedApp) -> tuple[ClientV1, ClientV2]:
    """Returns a client of each version, half of whose file is stored, connected."""
    old = ClientV1(server.url, new_upload(server, app.url), FileBytes(LENGTH_BYTES, 1)).open()
    new = ClientV2(server.url, new_upload(server, app.url), FileBytes(LENGTH_BYTES, 2)).open()
    old.send_until_acked(HALF_BYTES)
    new.send_until_stored(HALF_BYTES)
    return old, new


def assert_told_to_come_back(old: ClientV1, new: ClientV2) -> None:
    """Both go on sending, and are told that the disk fails, in the words of their version."""
    with pytest.raises(ConnectionClosed) as closed:
        old.send_until_acked()
        old.receive_result()
    assert (closed.value.code, closed.value.reason != "") == (TRY_AGAIN_LATER, True)
    with pytest.raises(UploadRefused) as refused:
        new.finish()
    assert refused.value.code in ("storage_failed", "storage_full")
    assert refused.value.retryable


def assert_backend_is_told(server: RunningServer, app: ScriptedApp) -> None:
    """So are a backend that wants a ticket, the load balancer, and whoever reads the log."""
    answer = call_backend(server, "new_upload", signalFinishURL=app.url)
    assert answer.status_code in (500, 507)
    assert "server" in answer.text
    health = f"{server.url}/incoming/healthz"
    wait_until(lambda: requests.get(health, timeout=60).text == "storage", "its health says so")
    assert "the storage can't be written" in server.log_text()
    assert "Traceback" not in server.log_text()


def assert_all_arrive(app: ScriptedApp, *clients: ClientV1 | ClientV2) -> None:
    """Each file is uploaded to its end, and is what it was."""
    for client in clients:
        client.upload()
        assert {d.sha256 for d in app.about(client.ticket_id)} == {client.data.sha256}


def test_uploads_resume_when_a_read_only_disk_is_writable_again(
    tmp_path: Path, tmpfs: Path, launcher: Launcher, app: ScriptedApp
) -> None:
    """None can be remounted while files on it are open; one whose kernel does it by itself is below."""
    storage = tmpfs / "storage"
    with server_on(storage, launcher, tmp_path) as server:
        old, new = both_clients(server, app)
        server.kill()
        run("mount", "-o", "remount,ro", str(tmpfs))
        with pytest.raises(AssertionError, match="does not start"):
            server.start()
        assert "Read-only file system" in server.log_text()
        assert "Traceback" not in server.log_text()
        run("mount", "-o", "remount,rw", str(tmpfs))
        server.start()
        assert_all_arrive(app, old, new)
        assert old.resumed_at[-1] >= HALF_BYTES
    tally(
        "fault", "Start on a read-only filesystem", 1, "it says so and does not start; uploads resume later"
    )


def test_uploads_resume_after_the_kernel_has_shut_down_their_disk(
    tmp_path: Path, ext4: Ext4, launcher: Launcher, app: ScriptedApp
) -> None:
    with server_on(ext4.place / "storage", launcher, tmp_path) as server:
        old, new = both_clients(server, app)
        ext4.fail()
        assert_told_to_come_back(old, new)
        assert_backend_is_told(server, app)
        server.kill()
        ext4.unmount()
        ext4.mount()
        (server.storage_dir / "journal" / "clock").unlink(missing_ok=True)
        old.acked_bytes = new.stored_bytes = 0  # what was not synced went with the disk, as in a power cut
        server.start()
        assert_all_arrive(app, old, new)
    tally("fault", "Filesystem shut down by the kernel while two uploads run (EROFS, EIO)", 1,
          "clients, apps and the log learn of it; both uploads arrive after a new mount")  # fmt: skip


def test_a_storage_that_is_removed_and_comes_back_costs_nothing(
    tmp_path: Path, launcher: Launcher, app: ScriptedApp
) -> None:
    with ForkedServer(launcher, tmp_path / "storage", **QUICK) as server:
        go_away_and_come_back(server, tmp_path / "aside", app)
    tally("fault", "Storage directory moved away while the server runs", 1,
          "clients, apps and the log learn of it; uploads resume when it is back")  # fmt: skip


def go_away_and_come_back(server: RunningServer, aside: Path, app: ScriptedApp) -> None:
    """The directory is moved away while two uploads run, and comes back."""
    old, new = both_clients(server, app)
    server.storage_dir.rename(aside)
    for client in (old, new):
        client.drop()
        released = re.compile(f"{client.ticket_id[:8]}: connection closed")
        wait_until(lambda released=released: released.search(server.log_text()), "it is let go")  # type: ignore[misc]
    with pytest.raises((ConnectionClosed, HandshakeRefused)):
        old.open()
    with pytest.raises(UploadRefused) as refused:
        new.open()
    assert refused.value.retryable
    assert_backend_is_told(server, app)
    shutil.rmtree(server.storage_dir, ignore_errors=True)
    aside.rename(server.storage_dir)
    assert_all_arrive(app, old, new)
    assert old.resumed_at[-1] >= HALF_BYTES


def test_a_server_without_descriptors_loses_nothing_and_recovers(
    tmp_path: Path, launcher: Launcher, app: ScriptedApp
) -> None:
    server = ForkedServer(launcher, tmp_path / "storage", **SETTINGS)
    try:
        assert server.start_with({"open_files": 40})
        first = ClientV1(server.url, new_upload(server, app.url), FileBytes(LENGTH_BYTES, 1)).open()
        first.send_until_acked(HALF_BYTES)
        tickets = [new_upload(server, app.url) for _ in range(30)]
        others = [ClientV1(server.url, ticket, FileBytes(9999, 2), timeout_s=1) for ticket in tickets]
        refused = sum(not opens(other) for other in others)
        assert refused >= 3, "the descriptors are enough"
        for other in others:
            other.drop()
        others = [ClientV1(server.url, ticket, FileBytes(9999, 2)) for ticket in tickets]
        first.drop()
        wait_until(lambda: call_works(server, app), "it takes calls again")
        assert_all_arrive(app, first, *others)
        assert first.resumed_at[-1] >= HALF_BYTES
        assert "Traceback" not in server.log_text()
        assert re.search("descriptors|Too many open files", server.log_text()), "the log has it"
    finally:
        server.bury()
    happened = "clients that were refused came back, and no byte was lost"
    tally("fault", "No descriptors left (RLIMIT_NOFILE)", refused, happened)


def opens(client: ClientV1) -> bool:
    """Returns whether a client gets as far as its first chunk."""
    try:
        client.open()
    except (ConnectionClosed, HandshakeRefused, OSError):
        return False
    return True


def call_works(server: RunningServer, app: ScriptedApp) -> bool:
    """Returns whether the backend gets a ticket."""
    try:
        return call_backend(server, "new_upload", signalFinishURL=app.url).status_code == 200
    except requests.RequestException:
        return False


@pytest.mark.parametrize("kind", KINDS)
def test_a_wall_clock_that_jumps_by_years_changes_nothing(
    kind: Callable[..., object], launcher: Launcher, app: ScriptedApp, tmp_path: Path
) -> None:
    server = ForkedServer(launcher, tmp_path / "storage", **SETTINGS)
    backend = Backend(app)
    try:
        server.start_with({"wild_clock": True})
        errand = kind(server, backend, 1)
        errand.go_on()  # type: ignore[attr-defined]
        assert not backend.complaints
        months = set(re.findall(r"^(\d{4}-\d\d)-\d\d ", server.log_text(), re.MULTILINE))
        assert len(months) > 1, "the clock did not jump"
    finally:
        server.bury()
    tally("fault", "Wall clock that jumps by up to a year at each look", 1, "nothing was affected")
