"""Parts in a directory: which files there are, what a kill and a power cut leave, what is copied."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from incoming.core.checkpoints import Checkpoint
from incoming.core.checksum import checksum
from incoming.core.errors import StorageFailed, StorageFull
from incoming.core.parts import Part
from incoming.storage.local.parts import assembly
from incoming.storage.local.parts import files as part_files
from incoming.storage.local.parts import writer as part_writer
from incoming.storage.local.parts.offsets import SLOT_BYTES, record_at
from incoming.storage.local.parts.storage import LocalPartStorage
from incoming.storage.local.parts.writer import CHECKPOINT_INTERVAL_S
from incoming.storage.local.reading import read_checksum
from incoming.storage.local.storage import DiskFacts, LocalStorage
from tests.storage.contract import CONTENT, write
from tests.storage.local.conftest import RESERVE_BYTES, TICKET_ID
from tests.storage.parts_contract import FIRST, MEASURED, PARTS, SECOND, THIRD, always, of_part, store, whole
from tests.support.fakes import FakeRuntime, largest_file
from tests.support.parts import Killed, killed_at

MIB = 1 << 20
FORWARD, BACKWARD = list(PARTS), list(reversed(PARTS))


class Machine:
    """A directory on a machine. Each `storage` is that of a new process."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.runtime = FakeRuntime()
        self.boot_id = "the first"
        self.syncs = True

    def storage(self) -> LocalStorage:
        """Returns the storage of a new process."""
        cuts = DiskFacts(boot_id=self.boot_id, syncs=self.syncs)
        return LocalStorage(self.directory, RESERVE_BYTES, self.runtime, cuts)

    def parts(self) -> LocalPartStorage:
        """Returns the parts of a new process."""
        return self.storage().parts

    def parts_after_a_power_cut(self) -> LocalPartStorage:
        """Returns the parts of the first process after the machine has started again."""
        self.boot_id += " and another"
        return self.parts()

    @property
    def folder(self) -> Path:
        """The folder of the upload."""
        return self.directory / TICKET_ID

    def names(self) -> set[str]:
        """Returns which files the upload has: the parts of their names that differ."""
        return {file.name.removeprefix(TICKET_ID) for file in self.folder.iterdir()}

    def file(self, suffix: str = "") -> Path:
        """Returns one of them."""
        return self.folder / f"{TICKET_ID}{suffix}"


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    found = Machine(tmp_path / "data")
    yield found
    found.runtime.settle()


# --- files ---------------------------------------------------------------------------------------------


def test_a_folder_has_the_parts_then_the_file_then_nothing(machine: Machine) -> None:
    storage = machine.storage()
    store(storage.parts, [FIRST, SECOND, MEASURED])
    assert machine.names() == {".parts", ".offsets", ".part-4"}
    assert {file.stat().st_mode & 0o7777 for file in machine.folder.iterdir()} == {0o660}
    storage.parts.delete(TICKET_ID, MEASURED)
    storage.parts.assemble(TICKET_ID, [FIRST, SECOND], always)
    assert machine.names() == {"", ".offsets"}
    storage.parts.clean_up(TICKET_ID)
    assert machine.names() == {""}
    storage.delete(TICKET_ID)
    assert not machine.folder.exists()


@pytest.mark.parametrize("is_taken", [True, False])
def test_what_is_left_of_parts_does_not_keep_the_folder_of_a_file_that_its_app_has_taken(
    machine: Machine, is_taken: bool
) -> None:
    storage = machine.storage()
    store(storage.parts, PARTS)
    storage.parts.assemble(TICKET_ID, BACKWARD, always)
    if is_taken:
        machine.file().unlink()
    storage.clean_up(TICKET_ID)
    assert machine.folder.exists() is not is_taken
    assert is_taken or machine.names() == {""}


def test_a_deletion_keeps_what_others_have_put_into_the_folder(machine: Machine) -> None:
    storage = machine.storage()
    store(storage.parts, [FIRST, MEASURED])
    for name in ("notes", f"{TICKET_ID}.parts.bak", f"x{TICKET_ID}.parts", f"{TICKET_ID}.part-x"):
        (machine.folder / name).touch()
    storage.delete(TICKET_ID)
    assert sorted(file.name.replace(TICKET_ID, "ID") for file in machine.folder.iterdir()) == [
        "ID.part-x", "ID.parts.bak", "notes", "xID.parts",
    ]  # fmt: skip


def test_no_file_of_parts_is_opened_through_a_link(machine: Machine, tmp_path: Path) -> None:
    parts = machine.parts()
    store(parts, [FIRST])
    (tmp_path / "other").write_bytes(b"secret")
    for suffix in (".parts", ".offsets"):
        machine.file(suffix).rename(tmp_path / "aside")
        machine.file(suffix).symlink_to(tmp_path / "other")
        with pytest.raises(StorageFailed):
            parts.open(TICKET_ID, FIRST)
        (tmp_path / "aside").rename(machine.file(suffix))
    assert (tmp_path / "other").read_bytes() == b"secret"


# --- no copy -------------------------------------------------------------------------------------------


def test_parts_in_the_order_of_creation_are_the_file_without_a_copy(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = machine.parts()
    store(parts, PARTS)
    inode = machine.file(".parts").stat().st_ino
    monkeypatch.setattr(os, "pwrite", failing(errno.EIO))
    monkeypatch.setattr(os, "copy_file_range", failing(errno.EIO))
    assert parts.assemble(TICKET_ID, [FIRST, SECOND], always) == whole(CONTENT[:800])
    assert machine.file().stat().st_ino == inode
    assert machine.file().read_bytes() == CONTENT[:800], "without the part that is left out"


@pytest.mark.parametrize("error", [errno.ENOSYS, errno.EXDEV, errno.EOPNOTSUPP, errno.EINVAL])
def test_what_the_kernel_does_not_copy_is_copied_by_hand(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, error: int
) -> None:
    parts = machine.parts()
    store(parts, PARTS)
    monkeypatch.setattr(assembly, "COPY_BYTES", 64)
    monkeypatch.setattr(os, "copy_file_range", failing(error))
    assert parts.assemble(TICKET_ID, BACKWARD, always) == whole(b"".join(map(of_part, BACKWARD)))
    assert machine.file().read_bytes() == b"".join(map(of_part, BACKWARD))


def test_a_copy_continues_where_the_kernel_has_copied_less_and_others_may_run(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts, real = machine.parts(), os.copy_file_range
    store(parts, PARTS)
    monkeypatch.setattr(assembly, "STEP_BYTES", 100)
    monkeypatch.setattr(os, "copy_file_range", lambda s, t, n, *at: real(s, t, min(n, 30), *at))
    seen: list[int] = []

    def look() -> None:
        while not machine.file().exists():
            if machine.file(".assembly").exists():
                seen.append(machine.file(".assembly").stat().st_size)
            machine.runtime.sleep(0)

    machine.runtime.spawn(look)
    parts.assemble(TICKET_ID, BACKWARD, always)
    assert machine.file().read_bytes() == b"".join(map(of_part, BACKWARD))
    assert {100, 200, 400, 480} <= set(seen)


@pytest.mark.parametrize(("error", "expected"), [(errno.ENOSPC, StorageFull), (errno.EIO, StorageFailed)])
def test_a_copy_that_fails_leaves_the_parts_and_nothing_else(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, error: int, expected: type[Exception]
) -> None:
    parts = machine.parts()
    store(parts, PARTS)
    with monkeypatch.context() as broken:
        broken.setattr(os, "copy_file_range", failing(error))
        with pytest.raises(expected):
            parts.assemble(TICKET_ID, BACKWARD, always)
    assert machine.names() == {".parts", ".offsets"}
    with monkeypatch.context() as full:
        full.setattr(assembly, "fallocate", lambda *_: error)
        with pytest.raises(expected):
            parts.assemble(TICKET_ID, BACKWARD, always)
    assert machine.names() == {".parts", ".offsets"}
    assert parts.assemble(TICKET_ID, FORWARD, always) == whole(CONTENT)


def test_the_space_of_a_copy_is_reserved_before_it_is_told(machine: Machine) -> None:
    parts, told = machine.parts(), []
    store(parts, PARTS)

    def on_reserve(size_bytes: int) -> None:
        told.append((size_bytes, machine.file(".assembly").stat().st_blocks > 0))

    parts.assemble(TICKET_ID, BACKWARD, always, on_reserve)
    assert set(told) == {(len(CONTENT), True)}


# --- kills ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("order", [[0, 1, 2], [0, 1], [2, 0, 0]], ids=str)
def test_killed_anywhere_in_an_assembly_the_next_process_makes_the_same_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, order: list[int], when: str
) -> None:
    chosen = [PARTS[number] for number in order]
    expected = b"".join(map(of_part, chosen))
    number, is_over = 0, False
    while not is_over:
        number += 1
        machine = Machine(tmp_path / f"data-{number}")
        store(machine.parts(), PARTS)
        parts = machine.parts()
        with killed_at(monkeypatch, number, when):
            try:
                parts.assemble(TICKET_ID, chosen, always)
                parts.clean_up(TICKET_ID)
                is_over = True
            except Killed:
                pass
        after = machine.parts()
        if ".offsets" in machine.names():
            assert after.sizes(TICKET_ID, chosen) == tuple(part.length_bytes for part in chosen)
            assert after.assemble(TICKET_ID, chosen, always) == whole(expected)
            after.clean_up(TICKET_ID)
        assert machine.file().read_bytes() == expected, f"call {number}"
    assert number > 8, "it was killed at each call"


@pytest.mark.parametrize("when", ["before", "after"])
def test_killed_anywhere_in_a_write_no_durable_byte_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    number, is_over = 0, False
    while not is_over:
        number += 1
        machine = Machine(tmp_path / f"data-{number}")
        parts, acknowledged = machine.parts(), [0, 0]
        with killed_at(monkeypatch, number, when):
            try:
                writers = [parts.open(TICKET_ID, part) for part in (FIRST, SECOND)]
                for at in range(0, 300, 100):
                    for one, (writer, part) in enumerate(zip(writers, (FIRST, SECOND), strict=True)):
                        writer.write(memoryview(of_part(part)[at : at + 100]))
                        acknowledged[one] = writer.durable_offset
                writers[0].truncate(200)
                acknowledged[0] = 200
                for writer in writers:
                    writer.close()
                is_over = True
            except Killed:
                acknowledged[0] = min(acknowledged[0], 200)
        after = machine.parts()
        sizes = after.sizes(TICKET_ID, (FIRST, SECOND))
        assert all(size >= least for size, least in zip(sizes, acknowledged, strict=True)), f"call {number}"
        for part in (FIRST, SECOND):
            writer = after.open(TICKET_ID, part)
            write(writer, of_part(part)[writer.taken_bytes :])
            writer.close()
        assert after.assemble(TICKET_ID, [FIRST, SECOND], always) == whole(CONTENT[:800]), f"call {number}"
        assert machine.file().read_bytes() == CONTENT[:800], f"call {number}"
    assert number > 12, "it was killed at each call"


def test_the_offset_is_written_after_the_bytes(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    writer, order = machine.parts().open(TICKET_ID, SECOND), []
    real = os.pwrite

    def pwrite(fd: int, data: Any, position: int) -> int:
        order.append(position)
        return real(fd, data, position)

    monkeypatch.setattr(os, "pwrite", pwrite)
    writer.write(memoryview(of_part(SECOND)[:10]))
    writer.write(memoryview(of_part(SECOND)[10:20]))
    assert order == [500, record_at(2), 510, record_at(2)]
    writer.close()


@pytest.mark.parametrize("at_record", [True, False])
def test_a_write_that_fails_may_be_repeated(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, at_record: bool
) -> None:
    parts = machine.parts()
    writer, real = parts.open(TICKET_ID, SECOND), os.pwrite
    write(writer, of_part(SECOND)[:40])

    def pwrite(fd: int, data: Any, position: int) -> int:
        if (position < 500 + 20) == at_record:
            raise OSError(errno.ENOSPC, "full")
        return real(fd, data, position)

    with monkeypatch.context() as broken:
        broken.setattr(os, "pwrite", pwrite)
        with pytest.raises(StorageFull):
            writer.write(memoryview(b"?" * 60))
    assert (writer.taken_bytes, writer.durable_offset) == (40, 40)
    assert machine.parts().sizes(TICKET_ID, [SECOND]) == (40,)
    write(writer, of_part(SECOND)[40:])
    writer.close()
    assert parts.assemble(TICKET_ID, [SECOND], always) == whole(of_part(SECOND))


def test_a_part_beyond_the_largest_file_is_a_full_disk(machine: Machine) -> None:
    parts = machine.parts()
    with largest_file(1000), pytest.raises(StorageFull):
        parts.open(TICKET_ID, THIRD)
    store(parts, PARTS)
    assert parts.assemble(TICKET_ID, FORWARD, always) == whole(CONTENT)


# --- power cuts ----------------------------------------------------------------------------------------


def stored_in_steps(machine: Machine, ends: Sequence[int], part: Part = SECOND) -> None:
    """Writes a part up to each of these offsets; at each but the last a checkpoint is kept."""
    writer = machine.parts().open(TICKET_ID, part)
    for end in ends:
        writer.write(memoryview(of_part(part)[writer.taken_bytes : end]))
        if end != ends[-1]:
            machine.runtime.advance(CHECKPOINT_INTERVAL_S)
            writer.write(memoryview(b""))
            machine.runtime.settle()


def lose(machine: Machine, start: int, end: int) -> None:
    """Has a power cut take these bytes of the file of the parts."""
    with machine.file(".parts").open("r+b") as file:
        file.seek(start)
        file.write(bytes(end - start))


@pytest.mark.parametrize(
    ("lost", "right_bytes"),
    [((), 200), ((650, 700), 150), ((610, 611), 100), ((599, 600), 50), ((500, 501), 0), ((0, 500), 200)],
    ids=str,
)
def test_after_a_power_cut_the_last_checkpoint_counts_that_agrees(
    machine: Machine, lost: tuple[int, ...], right_bytes: int
) -> None:
    stored_in_steps(machine, [50, 100, 150, 200])
    if lost:
        lose(machine, *lost)
    parts = machine.parts_after_a_power_cut()
    assert parts.sizes(TICKET_ID, [SECOND]) == (right_bytes,)
    assert machine.parts().sizes(TICKET_ID, [SECOND]) == (right_bytes,), "it is known now"
    writer = parts.open(TICKET_ID, SECOND)
    assert writer.taken_bytes == right_bytes
    write(writer, of_part(SECOND)[right_bytes:])
    writer.close()
    assert parts.assemble(TICKET_ID, [SECOND], always) == whole(of_part(SECOND))


@pytest.mark.parametrize("what", ["truncated", "gone"])
def test_after_a_power_cut_a_file_may_be_short_or_gone(machine: Machine, what: str) -> None:
    stored_in_steps(machine, [50, 100, 150])
    if what == "gone":
        machine.file(".parts").unlink()
    else:
        os.truncate(machine.file(".parts"), 620)
    parts = machine.parts_after_a_power_cut()
    assert parts.open(TICKET_ID, SECOND).taken_bytes == (0 if what == "gone" else 100)


@pytest.mark.parametrize("at", [0, 9, 23])
def test_a_record_that_a_power_cut_has_torn_does_not_count(machine: Machine, at: int) -> None:
    stored_in_steps(machine, [50, 100, 150])
    with machine.file(".offsets").open("r+b") as file:
        file.seek(record_at(2) + at)
        file.write(b"\xa5")
    assert machine.parts_after_a_power_cut().sizes(TICKET_ID, [SECOND]) == (100,)


@pytest.mark.parametrize("how", ["empty", "gone", "garbage"])
def test_without_offsets_a_part_starts_again(machine: Machine, how: str) -> None:
    stored_in_steps(machine, [50, 100, 150])
    if how == "gone":
        machine.file(".offsets").unlink()
    else:
        machine.file(".offsets").write_bytes(b"" if how == "empty" else os.urandom(3 * SLOT_BYTES))
    parts = machine.parts_after_a_power_cut()
    assert parts.sizes(TICKET_ID, PARTS) == (0, 0, 0)
    store(parts, PARTS)
    assert parts.assemble(TICKET_ID, FORWARD, always) == whole(CONTENT)


def test_the_offsets_of_one_part_are_not_those_of_another(machine: Machine) -> None:
    stored_in_steps(machine, [50, 100])
    slots = machine.file(".offsets").read_bytes().ljust(3 * SLOT_BYTES, b"\0")
    copied = slots[: record_at(1)] + slots[record_at(2) :] + slots[record_at(2) :]
    machine.file(".offsets").write_bytes(copied)
    assert machine.parts().sizes(TICKET_ID, PARTS) == (0, 100, 0)


def test_a_kill_costs_no_reading_and_a_power_cut_is_found_out_once(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    store(machine.parts(), PARTS)
    reads: list[int] = []
    real = read_checksum

    def noted(*args: Any) -> int:
        reads.append(1)
        return real(*args)

    monkeypatch.setattr(part_files, "read_checksum", noted)
    machine.parts().open(TICKET_ID, FIRST).close()
    assert not reads
    parts = machine.parts_after_a_power_cut()
    assert parts.sizes(TICKET_ID, PARTS) == (500, 300, 480)
    assert len(reads) == 3
    assert machine.parts().sizes(TICKET_ID, PARTS) == (500, 300, 480)
    assert len(reads) == 3


def test_a_machine_that_does_not_tell_its_starts_has_its_parts_read_at_each_start_of_the_server(
    machine: Machine,
) -> None:
    machine.boot_id = ""
    stored_in_steps(machine, [50, 100, 150])
    assert machine.parts().sizes(TICKET_ID, [SECOND]) == (150,)
    lose(machine, 620, 630)
    assert machine.parts().sizes(TICKET_ID, [SECOND]) == (100,)


def test_late_news_of_a_power_cut_do_not_replace_a_newer_offset(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two threads look at the same part; while one of them reads, a writer moves on."""
    stored_in_steps(machine, [50, 100])
    parts = machine.parts_after_a_power_cut()
    real = read_checksum

    def slowly(*args: Any) -> int:
        monkeypatch.setattr(part_files, "read_checksum", real)
        write(parts.open(TICKET_ID, SECOND), of_part(SECOND)[100:])
        return real(*args)

    monkeypatch.setattr(part_files, "read_checksum", slowly)
    assert parts.sizes(TICKET_ID, [SECOND]) == (300,)
    assert machine.parts().sizes(TICKET_ID, [SECOND]) == (300,)


@pytest.mark.parametrize("syncs", [True, False])
def test_checkpoints_are_synced_with_their_names_if_anything_is(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, syncs: bool
) -> None:
    synced: list[str] = []
    for name in ("fsync", "fdatasync"):
        real = getattr(os, name)

        def sync(fd: int, real: Callable[[int], None] = real) -> None:
            synced.append(Path(f"/proc/self/fd/{fd}").readlink().name.replace(TICKET_ID, "ID"))
            real(fd)

        monkeypatch.setattr(os, name, sync)
    machine.syncs = syncs
    stored_in_steps(machine, [50, 100])
    assert synced == (["ID.offsets", "ID", "data"] if syncs else [])


def test_many_checkpoints_fit_into_a_slot(machine: Machine) -> None:
    stored_in_steps(machine, range(5, 300, 5))
    store(machine.parts(), [FIRST, THIRD])
    lose(machine, 500 + 287, 500 + 300)
    assert machine.parts_after_a_power_cut().sizes(TICKET_ID, PARTS) == (500, 285, 480)


@pytest.mark.parametrize("order", [FORWARD, BACKWARD], ids=["moved", "copied"])
def test_a_file_survives_a_power_cut_before_it_has_its_name(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, order: list[Part]
) -> None:
    parts, seen = machine.parts(), []
    store(parts, PARTS)
    for name in ("fsync", "fdatasync", "replace"):
        real = getattr(os, name)

        def noted(first: Any, *args: Any, name: str = name, real: Any = real, **kwargs: Any) -> None:
            place = Path(f"/proc/self/fd/{first}").readlink() if isinstance(first, int) else Path(first)
            seen.append(f"{name} {place.name.replace(TICKET_ID, 'ID')}")
            real(first, *args, **kwargs)

        monkeypatch.setattr(os, name, noted)
    parts.assemble(TICKET_ID, order, always)
    name = "ID.parts" if order is FORWARD else "ID.assembly"
    assert seen[-3:] == ["fdatasync ID.offsets", f"replace {name}", "fsync ID"]
    assert f"fdatasync {name}" in seen[:-3]


def test_an_assembly_that_a_power_cut_has_spoilt_is_taken_back_where_nothing_is_synced(
    machine: Machine,
) -> None:
    machine.syncs = False
    store(machine.parts(), PARTS)
    machine.parts().assemble(TICKET_ID, FORWARD, always)
    os.truncate(machine.file(), 600)
    parts = machine.parts_after_a_power_cut()
    assert parts.sizes(TICKET_ID, PARTS)[0] == 500
    with pytest.raises(StorageFailed):
        parts.assemble(TICKET_ID, FORWARD, always)
    for part in PARTS:
        writer = parts.open(TICKET_ID, part)
        write(writer, of_part(part)[writer.taken_bytes :])
        writer.close()
    assert parts.assemble(TICKET_ID, FORWARD, always) == whole(CONTENT)


def test_a_copy_that_a_power_cut_has_spoilt_is_made_again(machine: Machine) -> None:
    store(machine.parts(), PARTS)
    machine.parts().assemble(TICKET_ID, BACKWARD, always)
    with machine.file().open("r+b") as file:
        file.write(b"?")
    made = machine.parts().assemble(TICKET_ID, BACKWARD, always)
    assert made == whole(machine.file().read_bytes()) == whole(b"".join(map(of_part, BACKWARD)))


def test_bytes_that_exist_once_are_never_deleted_because_they_differ(machine: Machine) -> None:
    store(machine.parts(), PARTS)
    machine.parts().assemble(TICKET_ID, FORWARD, always)
    with machine.file().open("r+b") as file:
        file.write(b"?")
    with pytest.raises(StorageFailed):
        machine.parts().assemble(TICKET_ID, FORWARD, always)
    assert machine.file().read_bytes() == b"?" + CONTENT[1:]


# --- space ---------------------------------------------------------------------------------------------


METADATA_BYTES = 16 * 1024
"""What a file system may use for itself where a file is scattered on the disk, and the rest of a block."""


def used_bytes(machine: Machine) -> int:
    return machine.file(".parts").stat().st_blocks * 512


@pytest.mark.parametrize("number", [1, 2])
def test_what_is_reserved_for_a_part_and_not_used_is_freed_and_no_other_byte(
    machine: Machine, number: int
) -> None:
    large = [Part(one, (one - 1) * 4 * MIB, 4 * MIB) for one in (1, 2)]
    parts, content = machine.parts(), os.urandom(MIB + 100)
    writers = [parts.open(TICKET_ID, part) for part in large]
    for writer in writers:
        write(writer, content, MIB)
    machine.runtime.settle()
    assert used_bytes(machine) > 3 * MIB
    writers[number - 1].close()
    writers[2 - number].close()
    assert used_bytes(machine) < 2 * MIB + METADATA_BYTES
    for part in large:
        stored = machine.file(".parts").read_bytes()[part.start_bytes or 0 :][: len(content)]
        assert stored == content
    parts.delete(TICKET_ID, large[number - 1])
    assert used_bytes(machine) < MIB + METADATA_BYTES


def test_each_part_has_two_descriptors_until_it_is_closed(machine: Machine) -> None:
    parts, before = machine.parts(), len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    writers = [parts.open(TICKET_ID, part) for part in PARTS]
    assert len(os.listdir("/proc/self/fd")) == before + 6  # noqa: PTH208
    for writer, end in zip(writers, (writers[0].close, writers[1].abort, writers[2].finish), strict=True):
        end()
        writer.close()
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208


def test_a_sync_that_failed_is_repeated_with_the_bytes_of_this_part_only(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer, again = machine.parts().open(TICKET_ID, SECOND), []
    write(writer, of_part(SECOND))
    with monkeypatch.context() as broken:
        broken.setattr(os, "fdatasync", failing(errno.EIO))
        with pytest.raises(StorageFailed):
            writer.finish()
    real = os.pwrite

    def noted(fd: int, data: bytes, at: int) -> int:
        again.append((at, len(data)))
        return real(fd, data, at)

    monkeypatch.setattr(os, "pwrite", noted)
    monkeypatch.setattr(part_writer, "added", lambda *_: ())
    writer.finish()
    assert again[0] == (500, 300)


def failing(error: int) -> Callable[..., Any]:
    """Returns a call that fails."""

    def call(*_: Any, **__: Any) -> Any:
        raise OSError(error, os.strerror(error))

    return call


def test_the_checksum_of_a_shortened_part_is_that_of_its_bytes(machine: Machine) -> None:
    stored_in_steps(machine, [50, 100, 150])
    parts = machine.parts()
    writer = parts.open(TICKET_ID, SECOND)
    writer.truncate(120)
    writer.close()
    short = SECOND._replace(length_bytes=120)
    assert parts.assemble(TICKET_ID, [short], always) == Checkpoint(120, checksum(of_part(SECOND)[:120]))
