"""A file that its ticket gives to another user: who reaches it is tried by real processes of real users."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from incoming.core.errors import StorageFailed, StorageFull
from incoming.storage.local.storage import LocalStorage
from tests.storage.local.conftest import Mount, needs_root
from tests.support.app import WAIT, ScriptedApp
from tests.support.client_v1 import ClientV1
from tests.support.data import FileBytes
from tests.support.fakes import FakeRuntime
from tests.support.forked import ForkedServer, Launcher
from tests.support.server import ROOT, finish_upload, new_upload
from tests.support.waiting import wait_until

OWNER, STRANGER = 40001, 40002
"""Users without a name, as in containers."""
MINE = "2b1c5a06-3c5d-4a57-9f43-0d1f9a3f7c11"
OTHERS = "7f0d2c55-90a4-4d1b-8a3b-55bb2b2cb1aa"
BOX = "box"
"""A folder that all users may write, on the same file system."""

pytestmark = needs_root


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder that any user can get to; those of pytest are for one user."""
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        folder = Path(name)
        folder.chmod(0o755)
        (folder / BOX).mkdir()
        (folder / BOX).chmod(0o777)
        yield folder


@pytest.fixture
def storage(place: Path, runtime: FakeRuntime) -> LocalStorage:
    """The storage of a server, with one file for OWNER and one for the server's group only."""
    (place / "storage").mkdir()
    (place / "storage").chmod(0o2770)
    made = LocalStorage(place / "storage" / "data", 0, runtime)
    for ticket_id in (MINE, OTHERS):
        writer = made.open(ticket_id, 7)
        writer.write(memoryview(b"content"))
        writer.close()
    assert made.ownership.can_give_to(OWNER)
    made.ownership.give_to(MINE, OWNER)
    return made


def may(uid: int, code: str, *args: str, gid: int | None = None) -> bool:
    """Returns whether a user may do this, in a group of its own unless another one is given.

    `code` is Python, and has `a`, its arguments. It is root that starts it: others may not run this Python.
    """
    become = f"os.setgroups([]); os.setgid({uid if gid is None else gid}); os.setuid({uid})"
    done = subprocess.run(
        [sys.executable, "-ISc", f"import os, sys; a = sys.argv[1:]; {become}; {code}", *args],
        cwd="/", capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert not done.returncode or "PermissionError" in done.stderr, done.stderr
    return not done.returncode


READ = "assert open(a[0], 'rb').read() == b'content'"
LIST = "os.listdir(a[0])"
MOVE = "os.rename(a[0], a[1])"
MAKE = "open(a[0], 'xb')"
REMOVE = "os.unlink(a[0])"


def test_the_owner_reads_its_file_and_moves_it_away(storage: LocalStorage, place: Path) -> None:
    file = storage.location(MINE)
    assert may(OWNER, READ, file)
    assert may(OWNER, MOVE, file, str(place / BOX / "moved"))
    assert (place / BOX / "moved").stat().st_uid == OWNER
    assert storage.size(MINE) is None
    storage.pickup.clean_up(MINE)
    assert not Path(file).parent.exists()


@pytest.mark.parametrize("uid", [OWNER, STRANGER])
def test_nobody_lists_tickets_or_reaches_the_files_of_others(
    storage: LocalStorage, place: Path, uid: int
) -> None:
    data, others = place / "storage" / "data", Path(storage.location(OTHERS))
    for code, paths in (
        (LIST, [place / "storage"]), (LIST, [data]), (LIST, [others.parent]), (READ, [others]),
        (REMOVE, [others]), (MOVE, [others, place / BOX / "stolen"]), (MAKE, [data / "new"]),
        (MAKE, [others.parent / "new"]), (MOVE, [others.parent, data / "renamed"]),
        (MOVE, [Path(storage.location(MINE)).parent, place / BOX / "folder"]),
    ):  # fmt: skip
        assert not may(uid, code, *map(str, paths)), (code, paths)


def test_a_stranger_who_knows_the_path_does_not_reach_the_file(storage: LocalStorage, place: Path) -> None:
    file = storage.location(MINE)
    for code, args in ((READ, [file]), (REMOVE, [file]), (MOVE, [file, str(place / BOX / "stolen")])):
        assert not may(STRANGER, code, *args)


def test_the_group_way_still_works_for_a_file_that_was_given_away(storage: LocalStorage) -> None:
    """A server that is not root goes on by its group."""
    file = storage.location(MINE)
    group = Path(file).stat().st_gid
    assert may(STRANGER, f"{READ}; {REMOVE}", file, gid=group)


def test_before_it_is_given_away_the_owner_reaches_nothing(place: Path, runtime: FakeRuntime) -> None:
    storage = LocalStorage(place / "storage" / "data", 0, runtime)
    storage.open(MINE, 7).close()
    assert storage.ownership.can_give_to(OWNER)
    assert not may(OWNER, "open(a[0], 'rb')", storage.location(MINE))


def test_without_a_ticket_with_an_owner_other_users_may_not_pass_the_folder(
    place: Path, runtime: FakeRuntime
) -> None:
    LocalStorage(place / "storage" / "data", 0, runtime)
    assert stat.S_IMODE((place / "storage" / "data").stat().st_mode) == 0o2770


def test_the_owner_still_passes_after_a_restart_and_a_reset_of_the_mode_above(
    storage: LocalStorage, place: Path, runtime: FakeRuntime
) -> None:
    """systemd sets the mode of its StateDirectory at each start."""
    (place / "storage").chmod(0o2770)
    assert not may(OWNER, READ, storage.location(MINE))
    LocalStorage(place / "storage" / "data", 0, runtime)
    assert may(OWNER, READ, storage.location(MINE))


def test_a_file_of_a_ticket_of_an_older_server_can_be_reached_too(place: Path, runtime: FakeRuntime) -> None:
    storage = LocalStorage(place / "storage" / "data", 0, runtime)
    writer = storage.open(MINE, 7)
    writer.write(memoryview(b"content"))
    writer.close()
    storage.ownership.give_to(MINE, OWNER)  # without can_give_to in this process
    assert may(OWNER, READ, storage.location(MINE))


def test_only_the_servers_own_folder_above_is_opened(place: Path, runtime: FakeRuntime) -> None:
    """`data` may be a link to another disk, whose folders are not the server's to open."""
    (place / "storage").mkdir()
    (place / "disk").mkdir(mode=0o750)
    (place / "storage" / "data").symlink_to(place / "disk" / "uploads")
    (place / "disk" / "uploads").mkdir()
    assert LocalStorage(place / "storage" / "data", 0, runtime).ownership.can_give_to(OWNER)
    assert stat.S_IMODE((place / "disk").stat().st_mode) == 0o750


def test_a_folder_above_that_the_owner_can_not_enter_is_a_warning_with_a_remedy(
    place: Path, runtime: FakeRuntime, caplog: pytest.LogCaptureFixture
) -> None:
    (place / "closed").mkdir(mode=0o700)
    storage = LocalStorage(place / "closed" / "storage" / "data", 0, runtime)
    assert storage.ownership.can_give_to(OWNER)
    assert storage.ownership.can_give_to(OWNER)
    [record] = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert f"the user {OWNER} of fileOwnerUid can't enter {place}/closed" in record.getMessage()
    assert f"chmod o+x {place}/closed" in record.getMessage()


def test_an_acl_that_lets_the_owner_pass_causes_no_warning(
    place: Path, runtime: FakeRuntime, caplog: pytest.LogCaptureFixture
) -> None:
    closed = place / "closed"
    closed.mkdir(mode=0o700)
    entries = [(1, 7, -1), (2, 1, OWNER), (4, 0, -1), (16, 1, -1), (32, 0, -1)]  # see acl(5)
    acl = b"\2\0\0\0" + b"".join(
        tag.to_bytes(2, "little") + bits.to_bytes(2, "little") + (uid % 2**32).to_bytes(4, "little")
        for tag, bits, uid in entries
    )
    try:
        os.setxattr(closed, "system.posix_acl_access", acl)
    except OSError:
        pytest.skip("this file system has no ACLs")
    storage = LocalStorage(closed / "storage" / "data", 0, runtime)
    assert storage.ownership.can_give_to(OWNER)
    assert not [record for record in caplog.records if record.levelno == logging.WARNING]
    storage.open(MINE, 7).close()
    storage.ownership.give_to(MINE, OWNER)
    assert may(OWNER, "open(a[0], 'rb')", storage.location(MINE))


def test_an_app_takes_its_file_at_the_handover_from_a_server_in_a_closed_folder(
    launcher: Launcher, place: Path, app: ScriptedApp
) -> None:
    """systemd's StateDirectory, as deploy/incoming.service has it."""
    (place / "storage").mkdir()
    (place / "storage").chmod(0o2770)
    with ForkedServer(launcher, place / "storage", min_free_mib=0) as server:
        app.answers = [WAIT]
        ids = [new_upload(server, app.url, removeFileWhenFinished="false", **asked)
               for asked in ({"fileOwnerUid": str(OWNER)}, {})]  # fmt: skip
        for ticket_id in ids:
            ClientV1(server.url, ticket_id, FileBytes(1000, 1)).open().send_until_acked()
        delivered = {delivery.id: delivery.fields["filename"] for delivery in app.wait_for(2)}
        assert may(OWNER, MOVE, delivered[ids[0]], str(place / BOX / "mine"))
        assert not may(OWNER, MOVE, delivered[ids[1]], str(place / BOX / "others"))
        assert finish_upload(server, ids[0]).ok
        wait_until(lambda: not (server.storage_dir / "data" / ids[0]).exists(), "its folder is removed")


# --- what an owner may put in the place of its file ---------------------------------------------------


def link(file: Path, victim: Path) -> None:
    file.symlink_to(victim)


def hard_link(file: Path, victim: Path) -> None:
    file.hardlink_to(victim)


def fifo(file: Path, _: Path) -> None:
    os.mkfifo(file)


def folder(file: Path, _: Path) -> None:
    file.mkdir()


@pytest.mark.parametrize("plant", [link, hard_link, fifo, folder])
def test_what_an_owner_plants_harms_nobody_and_keeps_no_thread_waiting(
    storage: LocalStorage, place: Path, plant: Callable[[Path, Path], None]
) -> None:
    victim = place / BOX / "victim"
    victim.write_bytes(b"somebody else's")
    victim.chmod(0o600)
    before = victim.stat()
    file = Path(storage.location(MINE))
    file.unlink()
    plant(file, victim)
    with contextlib.suppress(StorageFailed):
        storage.ownership.give_to(MINE, OWNER)
    if plant is not hard_link:
        with pytest.raises(StorageFailed):
            storage.read(MINE, 0, 1, lambda _: None)
    with contextlib.suppress(StorageFailed):
        storage.delete(MINE)
    after = victim.stat()
    assert (after.st_uid, after.st_mode) == (before.st_uid, before.st_mode)
    assert victim.read_bytes() == b"somebody else's"


def test_a_file_with_another_name_is_not_given_away(storage: LocalStorage, place: Path) -> None:
    victim = place / BOX / "victim"
    victim.write_bytes(b"somebody else's")
    file = Path(storage.location(OTHERS))
    file.unlink()
    file.hardlink_to(victim)
    with pytest.raises(StorageFailed) as refused:
        storage.ownership.give_to(OTHERS, OWNER)
    assert "second name" in str(refused.value.__cause__)
    assert victim.stat().st_uid == os.geteuid()


# --- who can give away ----------------------------------------------------------------------------------

CAP_CHOWN_ONLY = """
import ctypes, os, struct, sys
from pathlib import Path
from incoming.storage.local.storage import LocalStorage
from tests.support.app import WAIT, ScriptedApp
from tests.support.client_v1 import ClientV1
from tests.support.data import FileBytes
from tests.support.fakes import FakeRuntime
uid, gid, groups, keeps, directory, owner = (int(a) if a.lstrip("-").isdigit() else a for a in sys.argv[1:])
libc = ctypes.CDLL(None)
libc.prctl(8, 1, 0, 0, 0)  # PR_SET_KEEPCAPS
os.setgroups([groups] if groups >= 0 else [])
os.setresgid(gid, gid, gid)
os.setresuid(uid, uid, uid)
caps = 1 if keeps else 0  # CAP_CHOWN is number 0
assert libc.capset(struct.pack("<II", 0x20080522, 0), struct.pack("<6I", caps, caps, 0, 0, 0, 0)) == 0
storage = LocalStorage(Path(directory), 0, FakeRuntime())
print(storage.ownership.can_give_to(owner))
if storage.ownership.can_give_to(owner):
    storage.open("ID", 7).close()
    storage.ownership.give_to("ID", owner)
    assert os.stat(storage.location("ID")).st_uid == owner
    storage.delete("ID")
assert os.listdir(directory) == [], os.listdir(directory)
"""
SERVER, GROUP = 40010, 40011


@pytest.mark.parametrize(
    ("in_group", "keeps", "expected"), [(True, True, "True"), (False, True, "False"), (True, False, "False")]
)
def test_a_server_that_is_not_root_gives_away_only_what_it_can_still_remove(
    place: Path, in_group: bool, keeps: bool, expected: str
) -> None:
    """It needs CAP_CHOWN, and has to be in the group of `data/`."""
    data = place / "data"
    data.mkdir()
    os.chown(data, SERVER, GROUP)
    data.chmod(0o2770)
    options = (SERVER, SERVER, GROUP if in_group else -1, int(keeps), data, OWNER)
    code = [sys.executable, "-c", CAP_CHOWN_ONLY, *map(str, options)]
    done = subprocess.run(code, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.stdout.strip(), done.stderr) == (expected, "")


def test_a_full_disk_is_not_taken_for_a_lack_of_rights(mount: Mount, runtime: FakeRuntime) -> None:
    disk = mount("tmpfs", "size=1m,nr_inodes=5")
    storage = LocalStorage(disk / "data", 0, runtime)
    for number in range(10):
        try:
            (disk / f"filler-{number}").touch()
        except OSError:
            break
    with pytest.raises(StorageFull):
        storage.ownership.can_give_to(OWNER)


def test_the_trial_leaves_nothing_and_is_made_once_a_user(storage: LocalStorage, place: Path) -> None:
    shutil.rmtree(place / "storage" / "data" / MINE)
    shutil.rmtree(place / "storage" / "data" / OTHERS)
    assert list((place / "storage" / "data").iterdir()) == []
    before = (place / "storage" / "data").stat().st_mtime_ns
    assert storage.ownership.can_give_to(OWNER)
    assert (place / "storage" / "data").stat().st_mtime_ns == before
