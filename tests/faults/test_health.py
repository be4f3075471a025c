"""Health: what a ticket needs is missing in `journal/` or `data/`, each on a file system of its own."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import pytest
import requests

from incoming.uploads.overview import TROUBLES
from tests.support.app import ScriptedApp
from tests.support.client_v1 import ClientV1
from tests.support.data import MIB, FileBytes
from tests.support.forked import ForkedServer, Launcher
from tests.support.server import RunningServer, call_backend, new_upload
from tests.support.waiting import wait_until

NOTICED_WITHIN_S: Final = 60.0
SETTINGS: Final = {"min_free_mib": 0, "reserve_ahead_mib": 0, "chunk_size_kib": 64, "send_ahead": 1}
LOOKS_OFTEN: Final[dict[str, object]] = {"look_every_s": 0.3}
Undo = Callable[[], None]


def run(*command: str) -> None:
    """Runs a command that only root may; skips the test where it is refused."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"{' '.join(command)} is not permitted here: {done.stderr.strip()}")


@pytest.fixture
def storage(tmp_path: Path) -> Iterator[Path]:
    """A storage directory whose two folders are file systems of their own."""
    if os.geteuid():
        pytest.skip("only root may mount a file system")
    directory = tmp_path / "storage"
    for name in ("journal", "data"):
        (directory / name).mkdir(parents=True)
        (tmp_path / f"{name}-disk").mkdir()
        run("mount", "-t", "tmpfs", "-o", "size=8m,nr_inodes=100", "tmpfs", str(tmp_path / f"{name}-disk"))
        run("mount", "--bind", str(tmp_path / f"{name}-disk"), str(directory / name))
    yield directory
    for name in ("journal", "data"):
        subprocess.run(["umount", "-l", str(directory / name)], check=False, capture_output=True)
        subprocess.run(["umount", "-l", str(tmp_path / f"{name}-disk")], check=False, capture_output=True)


@pytest.fixture
def server(storage: Path, launcher: Launcher) -> Iterator[RunningServer]:
    """A server there, without an upload."""
    running = ForkedServer(launcher, storage, **SETTINGS)
    running.plan = LOOKS_OFTEN
    with running:
        yield running


def health(server: RunningServer) -> str:
    """Returns what a load balancer hears."""
    answer = requests.get(f"{server.url}/incoming/healthz", timeout=60)
    assert (answer.status_code == 200) is (answer.text == "ok")
    assert answer.text in ("ok", *TROUBLES)
    return answer.text


def wait_for_health(server: RunningServer, word: str) -> None:
    """Waits until it is so."""
    wait_until(lambda: health(server) == word, f"its health is {word}", NOTICED_WITHIN_S)


def fill(place: Path) -> Undo:
    """Leaves no byte of a file system; returns what makes room again."""
    filler = place / "filler"
    with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while file.write(bytes(4096)):
            pass
    return filler.unlink


def take_inodes(place: Path) -> Undo:
    """Leaves room and no name for a file."""
    fillers = []
    with contextlib.suppress(OSError):
        for number in range(1000):
            filler = place / f"filler-{number}"
            filler.touch()
            fillers.append(filler)

    def undo() -> None:
        for filler in fillers:
            filler.unlink()

    return undo


def make_read_only(place: Path) -> Undo:
    """Nothing in it can be changed any more."""
    run("mount", "-o", "remount,bind,ro", str(place))
    return lambda: run("mount", "-o", "remount,bind,rw", str(place))


def unmount(place: Path) -> Undo:
    """What is below the mount is an empty folder that can be written."""
    run("umount", "-l", str(place))
    return lambda: run("mount", "--bind", str(place.parent.parent / f"{place.name}-disk"), str(place))


def use_up_the_spare_room(server: RunningServer) -> None:
    """Asks for tickets until the journal takes no more."""
    for _ in range(1000):
        if call_backend(server, "new_upload", signalFinishURL="http://127.0.0.1:9/").status_code != 200:
            return
    raise AssertionError("the journal takes all tickets")


@pytest.mark.parametrize(
    "case",
    [
        ("data", fill, "storage_full", 200),
        ("data", take_inodes, "storage_full", 200),
        ("data", make_read_only, "storage", 200),
        ("data", unmount, "storage", 200),
        ("journal", fill, "journal_full", 507),
        ("journal", unmount, "journal", 500),
    ],
    ids=lambda case: f"{case[0]} {case[1].__name__}",
)
def test_the_log_says_what_fails_and_when_it_works_again(
    server: RunningServer, app: ScriptedApp, case: tuple[str, Callable[[Path], Undo], str, int]
) -> None:
    """The case: where, what happens there, what the health is then, and what `new_upload` answers."""
    folder, spoil, word, status = case
    wait_for_health(server, "ok")
    undo = spoil(server.storage_dir / folder)
    if word == "journal_full":
        use_up_the_spare_room(server)
    wait_for_health(server, word)
    assert call_backend(server, "new_upload", signalFinishURL=app.url).status_code == status
    what = word.removesuffix("_full")
    assert server.log_text().count(f"ERROR   the {what} can't be written: ") == 1
    undo()
    wait_for_health(server, "ok")  # before anybody has asked for a ticket
    client = ClientV1(server.url, new_upload(server, app.url), FileBytes(MIB, 1))
    client.upload()
    assert app.wait_for(1)[0].sha256 == client.data.sha256
    assert f"the {what} can be written again" in server.log_text()
    assert "Traceback" not in server.log_text()


def test_a_full_journal_is_well_while_it_still_takes_tickets(server: RunningServer, app: ScriptedApp) -> None:
    fill(server.storage_dir / "journal")
    make_room = fill(server.storage_dir / "data")  # the next look sees this, and the one after it the room
    wait_for_health(server, "storage_full")
    make_room()
    wait_for_health(server, "ok")
    metrics = requests.get(f"{server.url}/incoming/metrics", timeout=60).text
    assert "incoming_journal_writable 1" in metrics
    assert call_backend(server, "new_upload", signalFinishURL=app.url).status_code == 200


def test_a_disk_with_no_more_than_what_is_kept_free_is_full_unless_an_upload_ends_in_it(
    storage: Path, launcher: Launcher, app: ScriptedApp
) -> None:
    server = ForkedServer(launcher, storage, **{**SETTINGS, "min_free_mib": 7})
    server.plan = LOOKS_OFTEN
    with server:
        wait_for_health(server, "ok")
        client = ClientV1(server.url, new_upload(server, app.url), FileBytes(MIB - 64 * 1024, 1)).open()
        client.send_until_acked(MIB // 2)
        filler = storage / "data" / "filler"
        filler.write_bytes(bytes(MIB))
        metrics = f"{server.url}/incoming/metrics"
        wait_until(lambda: free_bytes(requests.get(metrics, timeout=60).text) <= 7 * MIB, "it is noticed")
        assert health(server) == "ok"
        client.send_until_acked()
        client.receive_result()
        wait_for_health(server, "storage_full")
        assert "min_free_mib" in server.log_text()
        filler.unlink()
        wait_for_health(server, "ok")


def free_bytes(metrics: str) -> float:
    """Returns what the server knows of the room."""
    [line] = [line for line in metrics.splitlines() if line.startswith("incoming_storage_free_bytes ")]
    return float(line.split()[1])


@pytest.mark.parametrize("come_back", [True, False], ids=["mounted again", "restarted"])
def test_an_upload_does_not_start_again_on_the_disk_below_where_its_own_was_unmounted(
    server: RunningServer, app: ScriptedApp, come_back: bool
) -> None:
    client = ClientV1(server.url, new_upload(server, app.url), FileBytes(2 * MIB, 1)).open()
    client.send_until_acked(MIB)
    client.drop()
    wait_until(lambda: "connection closed" in server.log_text(), "it is let go")
    mount_again = unmount(server.storage_dir / "data")
    client.connect()
    client.send_message("MsgUploadReq", Id=client.ticket_id, LengthBytes=2 * MIB, Name=client.name)
    assert client.receive_close().code == 1013
    assert list((server.storage_dir / "data").iterdir()) == []
    mount_again()
    if not come_back:
        server.restart()
    client.upload()
    assert client.resumed_at[-1] >= MIB
    assert app.wait_for(1)[0].sha256 == client.data.sha256
