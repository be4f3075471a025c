"""What the local storage asks of the operating system: what survives a power cut, and what has not."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from incoming.core.errors import StorageFailed
from incoming.storage.local import posix
from incoming.storage.local.posix import STEP_BYTES, FileSync
from incoming.storage.local.storage import LocalStorage
from tests.storage.local.conftest import TICKET_ID
from tests.support.fakes import FakeRuntime

CONTENT = bytes(range(256)) * 64
HOLE_AT = 8192
MIB = 1 << 20


def stored(storage: LocalStorage, runtime: FakeRuntime, content: bytes) -> Path:
    """Returns a file with this content."""
    writer = storage.open(TICKET_ID, len(content))
    writer.write(memoryview(content))
    writer.close()
    runtime.settle()
    return Path(storage.location(TICKET_ID))


def discarded_bytes(storage: LocalStorage) -> int:
    """Returns how many bytes of the upload the recovery after a power cut discards."""
    assert storage.recovery
    return storage.recovery.discard_lost(TICKET_ID)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is synced and written, in this order; folders by their names."""
    calls: list[str] = []
    real_pwrite = os.pwrite

    def pwrite(fd: int, data: bytes, position: int) -> int:
        calls.append(f"pwrite at {position}")
        return real_pwrite(fd, data, position)

    monkeypatch.setattr(os, "pwrite", pwrite)
    monkeypatch.setattr(os, "fdatasync", lambda fd: calls.append("fdatasync"))
    monkeypatch.setattr(os, "fsync", lambda fd: calls.append(str(Path(f"/proc/self/fd/{fd}").readlink())))
    return calls


def test_a_file_is_synced_with_its_name_and_that_of_its_folder(
    storage: LocalStorage, runtime: FakeRuntime, asked: list[str]
) -> None:
    writer = storage.open(TICKET_ID, 7)
    writer.finish()
    folder = Path(storage.location(TICKET_ID)).parent
    assert asked == ["fdatasync", str(folder), str(folder.parent)]


def test_what_the_disk_has_refused_once_is_rewritten(
    storage: LocalStorage, runtime: FakeRuntime, asked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    content = os.urandom(MIB + 5)
    file = stored(storage, runtime, content)
    writer = storage.open(TICKET_ID, len(content))

    def fail(_: int) -> None:
        raise OSError(errno.EIO, "it fails")

    with monkeypatch.context() as broken:
        broken.setattr(os, "fdatasync", fail)
        with pytest.raises(StorageFailed):
            writer.finish()
    writer.close()
    asked.clear()
    again = storage.open(TICKET_ID, len(content))
    again.finish()
    assert asked[:3] == ["pwrite at 0", f"pwrite at {MIB}", "fdatasync"]
    assert file.read_bytes() == content
    asked.clear()
    storage.open(TICKET_ID, len(content)).finish()
    assert asked[0] == "fdatasync", "once is enough"


def test_a_file_that_is_gone_is_not_rewritten(
    storage: LocalStorage, runtime: FakeRuntime, asked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = stored(storage, runtime, CONTENT)
    syncs = FileSync(file.parent.parent)
    with file.open("r+b") as opened:
        with monkeypatch.context() as broken:
            broken.setattr(os, "fdatasync", lambda _: os.close(-1))
            with pytest.raises(OSError):
                syncs.sync(file, opened.fileno())
        syncs.forget(file)
        asked.clear()
        syncs.sync(file, opened.fileno())
    assert asked[0] == "fdatasync"


def test_a_file_is_cut_off_where_the_disk_has_lost_bytes(storage: LocalStorage, runtime: FakeRuntime) -> None:
    file = stored(storage, runtime, CONTENT)
    with file.open("r+b") as damaged:
        damaged.truncate(HOLE_AT)
        damaged.seek(HOLE_AT + 4096)
        damaged.write(b"later bytes")
        length_bytes = damaged.tell()
    assert discarded_bytes(storage) == length_bytes - HOLE_AT
    assert file.read_bytes() == CONTENT[:HOLE_AT]


@pytest.mark.parametrize("content", [b"", b"x", CONTENT, bytes(3 * 4096)])
def test_a_whole_file_stays_as_it_is(storage: LocalStorage, runtime: FakeRuntime, content: bytes) -> None:
    file = stored(storage, runtime, content)
    assert discarded_bytes(storage) == 0
    assert file.read_bytes() == content


def test_where_there_is_no_file_nothing_is_lost(storage: LocalStorage) -> None:
    assert discarded_bytes(storage) == 0


def test_a_planted_link_is_not_cut_off(storage: LocalStorage, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    with victim.open("wb") as file:
        file.truncate(100_000)
    place = Path(storage.location(TICKET_ID))
    place.parent.mkdir()
    place.symlink_to(victim)
    with pytest.raises(StorageFailed):
        discarded_bytes(storage)
    assert victim.stat().st_size == 100_000


QUICK = ["write 0 to 1", "wait 0 to 1", "write 1 to 3", "write 3 to 6", "wait 1 to 3", "wait 3 to 6", "empty"]
SLOW = [call for at in range(6) for call in (f"write {at} to {at + 1}", f"wait {at} to {at + 1}", "empty")]


@pytest.mark.parametrize(
    ("pace", "expected"),
    [
        ({"TURN_S": 60, "FLUSH_S": 60}, QUICK),
        ({"TURN_S": 60, "FLUSH_S": -1}, SLOW),
        ({"TURN_S": 0, "FLUSH_S": -1}, SLOW),
    ],
    ids=["a quick disk", "a slow disk", "a slow disk, and others want their turn"],
)
def test_a_large_file_is_written_out_in_steps_and_the_disk_keeps_no_more_than_a_slow_one_writes_at_a_time(
    storage: LocalStorage,
    asked: list[str],
    monkeypatch: pytest.MonkeyPatch,
    pace: dict[str, float],
    expected: list[str],
) -> None:
    """A quick one gets larger steps, and the next one before it is done with one."""
    monkeypatch.setattr("incoming.storage.local.writer.BEHIND_BYTES", 7 * STEP_BYTES)
    writer = storage.open(TICKET_ID, 6 * STEP_BYTES)
    for _ in range(3):
        writer.write(memoryview(bytes(2 * STEP_BYTES)))
    asked.clear()
    real = posix.sync_file_range

    def sync_file_range(fd: int, start: int, size_bytes: int, flags: int) -> int:
        what = {2: "write", 4: "wait"}[flags]
        asked.append(f"{what} {start / STEP_BYTES:g} to {(start + size_bytes) / STEP_BYTES:g}")
        return real(fd, start, size_bytes, flags)

    monkeypatch.setattr(posix, "sync_file_range", sync_file_range)
    for name, value in pace.items():
        monkeypatch.setattr(posix, name, value)
    writer.finish()
    end = len(expected) + 1
    assert asked[:end] == [step.replace("empty", "fdatasync") for step in expected] + ["fdatasync"]


def test_what_the_disk_has_refused_in_a_step_is_rewritten_too(
    storage: LocalStorage, runtime: FakeRuntime, asked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The step has heard of it, so the fdatasync behind it would not."""
    writer = storage.open(TICKET_ID, 2 * MIB)
    writer.write(memoryview(bytes(2 * MIB)))
    with monkeypatch.context() as broken:
        broken.setattr(posix, "sync_file_range", lambda *_: errno.EIO)
        with pytest.raises(StorageFailed):
            writer.finish()
    assert asked[-2:] == ["pwrite at 0", f"pwrite at {MIB}"], "at once, since a kill forgets the error"
    asked.clear()
    writer.finish()
    assert asked[:3] == ["pwrite at 0", f"pwrite at {MIB}", "fdatasync"]


@pytest.mark.parametrize("error", [errno.ENOSYS, errno.EINVAL, errno.EPERM])
def test_where_steps_are_not_to_be_had_a_file_is_synced_all_at_once(
    storage: LocalStorage, asked: list[str], monkeypatch: pytest.MonkeyPatch, error: int
) -> None:
    writer = storage.open(TICKET_ID, 2 * MIB)
    writer.write(memoryview(bytes(2 * MIB)))
    monkeypatch.setattr(posix, "sync_file_range", lambda *_: error)
    asked.clear()
    writer.finish()
    assert asked[0] == "fdatasync"


def test_to_write_out_what_no_file_is_open_for_is_an_error() -> None:
    assert posix.sync_file_range(-1, 0, 1, 2) == errno.EBADF
