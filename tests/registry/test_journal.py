"""The journal: what it keeps survives, what is damaged stops nobody else."""

from __future__ import annotations

import errno
import logging
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec.structs import replace

from incoming.core.errors import StorageFailed, StorageFull
from incoming.core.lifecycle import State
from incoming.core.ticket import Ticket
from incoming.registry import append_log as log_module
from incoming.registry import clock as clock_module
from incoming.registry import journal as journal_module
from incoming.registry.append_log import COMPACT_AFTER_BYTES
from incoming.registry.entries import ticket_entry, tombstone
from incoming.registry.journal import Journal, read
from incoming.registry.records import encode_record
from tests.support.fakes import largest_file

ID = "2b1c5a06-3c5d-4a57-9f43-0d1f9a3f7c11"
OTHER_ID = "9d4f2f3e-52d1-4f5e-8f0a-6f6c5f2b7e22"
TICKET = Ticket(ID, "http://app.example.org/finished")
NEWER = replace(TICKET, name="holiday \N{GRINNING FACE}.mov", state=State.PAUSED)
OTHER = replace(TICKET, id=OTHER_ID)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "storage" / "journal"


@pytest.fixture
def journal(directory: Path) -> Journal:
    return started(directory)


def started(directory: Path, *, fsync: bool = True) -> Journal:
    journal = Journal(directory, fsync)
    journal.load()
    return journal


def write(journal: Journal, ticket: Ticket) -> None:
    journal.append([ticket_entry(ticket)])


def grow(journal: Journal) -> None:
    """Writes until the log is long."""
    while not journal.needs_compaction:
        journal.append([ticket_entry(OTHER)] * 1000)


def shorten(journal: Journal) -> int:
    """Returns after how many steps the journal has tried to make its log shorter."""
    steps = 1
    while journal.compact():
        steps += 1
    return steps


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


# --- what it keeps -------------------------------------------------------------------------------


@pytest.mark.parametrize("fsync", [True, False])
def test_a_ticket_survives_the_process(directory: Path, fsync: bool) -> None:
    write(started(directory, fsync=fsync), TICKET)
    assert Journal(directory, fsync).load() == [TICKET]


def test_a_newer_entry_takes_the_place_of_the_older(journal: Journal, directory: Path) -> None:
    write(journal, TICKET)
    journal.append([ticket_entry(NEWER), ticket_entry(OTHER)])
    assert read(directory) == [NEWER, OTHER]
    assert journal.load() == [NEWER, OTHER]


def test_a_ticket_that_was_removed_is_gone_and_removing_it_again_is_fine(journal: Journal) -> None:
    write(journal, TICKET)
    journal.append([tombstone(ID)])
    journal.append([tombstone(ID)])
    assert journal.load() == []


def test_each_start_begins_a_log_with_what_counts(journal: Journal, directory: Path) -> None:
    for ticket in (TICKET, OTHER, NEWER):
        write(journal, ticket)
    journal.append([tombstone(OTHER_ID)])
    journal = started(directory)
    assert (directory / "log").read_bytes().strip() == encode_record(0, ticket_entry(NEWER)).strip()
    write(journal, OTHER)
    assert started(directory).load() == [NEWER, OTHER]


def test_a_log_that_has_become_long_is_rewritten_while_the_server_runs(
    directory: Path,
) -> None:
    journal = started(directory, fsync=False)
    write(journal, TICKET)
    grow(journal)
    assert shorten(journal)
    assert (directory / "log").stat().st_size < COMPACT_AFTER_BYTES
    assert read(directory) == [TICKET, OTHER]


def test_a_long_log_that_can_not_be_rewritten_continues(
    directory: Path, caplog: pytest.LogCaptureFixture
) -> None:
    journal = started(directory, fsync=False)
    grow(journal)
    (directory / "log.new").symlink_to("/dev/full")  # the kernel's own full disk
    shorten(journal)
    assert [file.name for file in directory.iterdir()] == ["log"], "nothing is left that fills the disk"
    write(journal, TICKET)
    assert read(directory) == [TICKET, OTHER]
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert not journal.needs_compaction, "it is tried again when the log has grown by as much again"


def test_a_rewritten_log_whose_name_is_not_synced_is_rewritten_once_more(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = started(directory, fsync=False)
    failures = iter([errno.EIO, errno.EIO])

    def sync_directory(_: Path) -> None:
        for number in failures:
            raise OSError(number, os.strerror(number))

    grow(journal)
    monkeypatch.setattr(log_module, "sync_directory", sync_directory)
    shorten(journal)
    with pytest.raises(StorageFailed):
        write(journal, TICKET)
    assert read(directory) == [OTHER]
    write(journal, TICKET)
    assert read(directory) == [TICKET, OTHER]


def test_nobody_else_can_read_the_secrets(directory: Path) -> None:
    before = os.umask(0)
    try:
        journal = started(directory)
        write(journal, TICKET)
        journal.write_clock(1.0)
    finally:
        os.umask(before)
    assert mode(directory) == 0o700
    assert {mode(file) for file in directory.iterdir()} == {0o600}


def test_a_directory_that_others_could_read_is_closed(directory: Path) -> None:
    directory.mkdir(parents=True, mode=0o755)
    Journal(directory, fsync=False)
    assert mode(directory) == 0o700


# --- kills and full disks --------------------------------------------------------------------------


def test_a_kill_while_a_log_is_rewritten_leaves_the_old_one(journal: Journal, directory: Path) -> None:
    write(journal, TICKET)
    (directory / "log.new").write_bytes(ticket_entry(NEWER)[:50])
    assert started(directory).load() == [TICKET]
    assert [file.name for file in directory.iterdir()] == ["log"]


def test_what_a_killed_process_left_of_a_new_log_is_removed_even_if_nothing_can_be_written(
    journal: Journal, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(journal, TICKET)
    journal.close(1.0)
    (directory / "log.new").write_bytes(ticket_entry(NEWER)[:50])

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(clock_module.ClockFile, "write", full)
    assert started(directory).load() == [TICKET]
    assert {file.name for file in directory.iterdir()} == {"log", "clock"}


@pytest.mark.parametrize("kept_bytes", [0, 1, 60, 200, len(ticket_entry(NEWER)) - 2])
def test_a_line_that_a_kill_or_a_power_cut_left_half_written_does_not_count_and_is_reported(
    journal: Journal, directory: Path, kept_bytes: int, caplog: pytest.LogCaptureFixture
) -> None:
    journal.append([ticket_entry(TICKET), ticket_entry(OTHER)])
    log = directory / "log"
    before = log.read_bytes()
    write(journal, NEWER)
    text = log.read_bytes()
    torn = text.rindex(ticket_entry(NEWER)) + kept_bytes
    log.write_bytes(text[:torn] + before[torn:])
    journal = started(directory)
    assert read(directory) == [TICKET, OTHER]
    warnings = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert [text.split(".")[0] for text in warnings] == ["the last line of the journal is incomplete"]
    assert (directory / "damaged" / "log-1").exists(), "somebody can look whether it was half written"
    write(journal, NEWER)
    assert read(directory) == [NEWER, OTHER]


def test_a_full_disk_leaves_the_old_entry_and_is_reported(journal: Journal, directory: Path) -> None:
    write(journal, TICKET)
    journal._log.close()  # as after a failure
    (directory / "log.new").symlink_to("/dev/full")
    with pytest.raises(StorageFull):
        write(journal, NEWER)
    assert read(directory) == [TICKET]
    write(journal, NEWER)
    assert read(directory) == [NEWER]


def test_a_start_on_a_full_disk_knows_all_and_writes_when_there_is_room(
    journal: Journal, directory: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write(journal, TICKET)
    journal = Journal(directory, fsync=True)
    with largest_file(100):
        assert journal.load() == [TICKET]
    assert "can't be written" in caplog.text
    write(journal, OTHER)
    assert read(directory) == [TICKET, OTHER]


@pytest.mark.parametrize("had_failed", [False, True])
def test_a_journal_that_is_gone_is_reported_and_continues_when_it_is_back(
    journal: Journal, directory: Path, tmp_path: Path, had_failed: bool
) -> None:
    write(journal, TICKET)
    if had_failed:
        journal._log.close()
    directory.rename(tmp_path / "aside")
    with pytest.raises(StorageFailed) as failed:
        write(journal, NEWER)
    assert isinstance(failed.value.__cause__, FileNotFoundError)
    directory.mkdir()
    with pytest.raises(StorageFailed):
        write(journal, NEWER)
    assert not list(directory.iterdir()), "no empty journal takes its place"
    directory.rmdir()
    (tmp_path / "aside").rename(directory)
    assert read(directory) == [TICKET]
    write(journal, OTHER)
    assert read(directory) == [TICKET, OTHER]


def test_nothing_is_written_to_a_journal_that_another_has_taken_the_place_of(
    journal: Journal, directory: Path
) -> None:
    write(journal, TICKET)
    log = directory / "log"
    log.rename(directory / "before")
    log.write_bytes(before := (directory / "before").read_bytes())
    with pytest.raises(StorageFailed):
        write(journal, NEWER)
    assert log.read_bytes() == (directory / "before").read_bytes() == before


# --- damage ----------------------------------------------------------------------------------------


def spoil(directory: Path, ticket: Ticket) -> bytes:
    """Changes a bit of the last entry for a ticket; returns what is there then."""
    log = directory / "log"
    text = bytearray(log.read_bytes())
    text[text.rindex(ticket_entry(ticket)) + 100] ^= 1
    log.write_bytes(text)
    return bytes(text)


def test_a_damaged_entry_is_reported_and_stops_nobody_and_the_one_before_it_counts(
    journal: Journal, directory: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for ticket in (TICKET, NEWER, OTHER):
        write(journal, ticket)
    spoilt = spoil(directory, NEWER)
    assert started(directory).load() == [TICKET, OTHER]
    assert (directory / "damaged" / "log-1").read_bytes() == spoilt
    assert mode(directory / "damaged") == 0o700
    assert "damaged" in caplog.text
    assert ID not in caplog.text, "a whole id is a secret"
    caplog.clear()
    assert started(directory).load() == [TICKET, OTHER]
    assert not caplog.records, "it is reported once"


def test_logs_that_are_set_aside_do_not_replace_each_other(journal: Journal, directory: Path) -> None:
    kept = []
    for ticket in (TICKET, NEWER):
        journal.append([ticket_entry(ticket), ticket_entry(OTHER)])
        kept.append(spoil(directory, ticket))
        journal = started(directory)
    assert [(directory / "damaged" / f"log-{number}").read_bytes() for number in (1, 2)] == kept


def test_a_valid_line_that_is_not_a_ticket_counts_as_damage(
    journal: Journal, directory: Path, caplog: pytest.LogCaptureFixture
) -> None:
    journal.append([ID.encode() + b' {"version": 2}', ticket_entry(OTHER)])
    assert started(directory).load() == [OTHER]
    assert f"entry {ID[:8]} is damaged: it is not of version 1" in caplog.text
    assert ID not in caplog.text
    assert (directory / "damaged" / "log-1").exists()


def test_damage_that_can_not_be_set_aside_is_reported_too(
    journal: Journal, directory: Path, caplog: pytest.LogCaptureFixture
) -> None:
    journal.append([ticket_entry(TICKET), ticket_entry(OTHER)])
    spoil(directory, TICKET)
    (directory / "damaged").write_text("a file where the shelf should be")
    assert started(directory).load() == [OTHER]
    assert "set aside: nowhere" in caplog.text


def test_a_log_that_is_damaged_while_the_server_runs_is_not_rewritten(
    journal: Journal, directory: Path
) -> None:
    for ticket in (TICKET, NEWER, OTHER):
        write(journal, ticket)
    spoil(directory, NEWER)
    journal._log.close()  # as after a failure
    with pytest.raises(StorageFailed):
        write(journal, OTHER)
    assert not (directory / "damaged").exists()
    write(started(directory), OTHER)
    assert (directory / "damaged" / "log-1").exists(), "the next start tells"
    assert read(directory) == [TICKET, OTHER]


def test_what_the_disk_does_not_give_is_kept_and_the_others_continue(
    journal: Journal, directory: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for ticket in (TICKET, OTHER, OTHER):
        write(journal, ticket)
    real_read = os.pread

    def pread(fd: int, size_bytes: int, position: int) -> bytes:
        if position == 0:
            raise OSError(errno.EIO, "Input/output error")
        return real_read(fd, size_bytes, position)

    with monkeypatch.context() as failing:
        failing.setattr(os, "pread", pread)
        assert Journal(directory, fsync=True).load() == [OTHER]
    assert "1 blocks can't be read" in caplog.text
    assert ticket_entry(TICKET) in (directory / "damaged" / "log-1").read_bytes()


# --- the clock -----------------------------------------------------------------------------------


def test_the_clock_survives_and_is_not_a_ticket(journal: Journal, directory: Path) -> None:
    journal.write_clock(1234.5)
    assert Journal(directory, fsync=False).read_clock() == 1234.5
    assert journal.load() == []


@pytest.mark.parametrize(
    "content", [None, b"", b"[]", b"{}", b'{"ran_s": "long"}', b'{"ran_s": null}', b"\xff"]
)
def test_a_clock_that_is_lost_begins_at_zero_and_one_that_is_damaged_is_reported(
    journal: Journal, directory: Path, content: bytes | None, caplog: pytest.LogCaptureFixture
) -> None:
    if content is not None:
        (directory / "clock").write_bytes(content)
    assert journal.read_clock() == 0.0
    caplog.clear()
    journal.load()
    assert ("can't be read from" in caplog.text) is (content is not None)


# --- the machine -----------------------------------------------------------------------------------


def test_a_journal_knows_whether_the_is_same_boot(journal: Journal, directory: Path) -> None:
    assert not journal.is_same_boot(), "nothing is known"
    journal.write_clock(1.0)
    assert Journal(directory, fsync=False).is_same_boot()
    (directory / "clock").write_text('{"ran_s": 1.0, "boot": "another"}')
    assert not journal.is_same_boot()
    assert journal.read_clock() == 1.0


@pytest.mark.parametrize("content", [b"", b"[]", b'{"ran_s": 7.0}', b'{"boot": null}', b"\xff"])
def test_a_clock_that_says_nothing_of_the_machine_proves_nothing(
    journal: Journal, directory: Path, content: bytes
) -> None:
    (directory / "clock").write_bytes(content)
    assert not journal.is_same_boot()


def test_a_system_that_does_not_tell_its_starts_apart_proves_nothing(
    journal: Journal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clock_module, "BOOT_ID", tmp_path / "no such file")
    journal.write_clock(1.0)
    assert not journal.is_same_boot()


# --- the end of a log ------------------------------------------------------------------------------


def stopped(directory: Path, *tickets: Ticket) -> bytes:
    """Returns the log that a process leaves that has ended by itself."""
    journal = started(directory)
    for ticket in tickets:
        write(journal, ticket)
    journal.close(1.0)
    return (directory / "log").read_bytes()


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Returns how each of the warnings and errors begins."""
    return [
        record.getMessage().split(":")[0].split(",")[0].split(".")[0]
        for record in caplog.records
        if record.levelno >= logging.WARNING
    ]


CUT_OFF = "the end of the journal's log is missing"
TORN = "the last line of the journal is incomplete"
NOT_AS_LEFT = "the journal has changed since the last process stopped"
DAMAGED = "the journal is damaged"


def test_a_process_that_stops_or_is_killed_leaves_a_log_that_is_whole(
    directory: Path, caplog: pytest.LogCaptureFixture
) -> None:
    stopped(directory, TICKET, OTHER)
    killed = started(directory)
    write(killed, NEWER)
    assert started(directory).load() == [NEWER, OTHER]
    assert said(caplog) == []
    assert not (directory / "damaged").exists()


def test_nothing_is_written_after_the_mark_of_a_clean_end(journal: Journal, directory: Path) -> None:
    write(journal, TICKET)
    journal.close(1.0)
    with pytest.raises(StorageFailed):
        write(journal, NEWER)
    with pytest.raises(StorageFailed):
        journal.write_clock(2.0)
    assert read(directory) == [TICKET]
    assert journal.read_clock() == 1.0


@pytest.mark.parametrize("stops", [True, False])
def test_a_log_that_is_truncated_anywhere_is_reported_and_kept(
    directory: Path, stops: bool, caplog: pytest.LogCaptureFixture
) -> None:
    whole = stopped(directory, TICKET, OTHER)
    if not stops:
        write(started(directory), NEWER)
        whole = (directory / "log").read_bytes()
    clock = (directory / "clock").read_bytes()
    text_bytes = len(whole.rstrip(b" \n"))
    for cut_at in (0, 1, *range(50, text_bytes, 250), text_bytes - 1, text_bytes):
        caplog.clear()
        (directory / "log").write_bytes(whole[:cut_at])
        (directory / "clock").write_bytes(clock)
        assert set(started(directory).load()) <= {TICKET, OTHER, NEWER}
        assert said(caplog) == [CUT_OFF], cut_at
        kept = max((directory / "damaged").iterdir(), key=lambda path: int(path.name.split("-")[1]))
        assert kept.read_bytes() == whole[:cut_at]


@pytest.mark.parametrize("position", [0, 5, 12, 60, -3, -1], ids=str)
def test_damage_in_the_last_line_is_reported(
    directory: Path, position: int, caplog: pytest.LogCaptureFixture
) -> None:
    write(started(directory), OTHER)
    write(started(directory), NEWER)
    log = directory / "log"
    text = bytearray(log.read_bytes())
    line_at, line_end = text.rindex(b"\n", 0, text.index(ticket_entry(NEWER))) + 1, text.rindex(b"}}\n") + 2
    text[line_at + position if position >= 0 else line_end + position] ^= 1
    log.write_bytes(text)
    assert started(directory).load() == [OTHER]
    assert said(caplog) == [TORN]
    assert (directory / "damaged" / "log-1").read_bytes() == text


@pytest.mark.parametrize("line", [ticket_entry(NEWER), b"stopped -"])
def test_after_a_clean_stop_any_loss_at_the_end_is_certain(
    directory: Path, line: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    whole = stopped(directory, TICKET, NEWER)
    at = whole.index(line)
    start = whole.rindex(b"\n", 0, at) + 1
    end = whole.index(b"\n", at)
    (directory / "log").write_bytes(whole[:start] + b" " * (end - start) + whole[end:])
    assert started(directory).load() == [TICKET if line == ticket_entry(NEWER) else NEWER]
    assert said(caplog) == [DAMAGED if line == ticket_entry(NEWER) else NOT_AS_LEFT]


def test_an_older_copy_of_a_log_is_reported(directory: Path, caplog: pytest.LogCaptureFixture) -> None:
    journal = started(directory)
    write(journal, TICKET)
    older = (directory / "log").read_bytes()
    write(journal, NEWER)
    journal.close(1.0)
    (directory / "log").write_bytes(older)
    assert started(directory).load() == [TICKET]
    assert said(caplog) == [NOT_AS_LEFT]


def test_a_log_that_is_gone_is_reported_once(directory: Path, caplog: pytest.LogCaptureFixture) -> None:
    stopped(directory, TICKET)
    (directory / "log").unlink()
    assert started(directory).load() == []
    assert said(caplog) == ["the journal has no log"]
    caplog.clear()
    assert started(directory).load() == []
    assert said(caplog) == []


def test_a_new_journal_has_nothing_to_report(directory: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert started(directory).load() == []
    assert said(caplog) == []


def test_a_kill_right_after_a_start_is_not_a_loss(directory: Path, caplog: pytest.LogCaptureFixture) -> None:
    stopped(directory, TICKET)
    started(directory)
    assert started(directory).load() == [TICKET]
    assert said(caplog) == []


def test_a_start_keeps_what_is_known_of_the_machine(directory: Path) -> None:
    stopped(directory)
    clock = directory / "clock"
    kept = clock_module.ClockState(7.0, "another start", stopped=True)
    clock_module.ClockFile(clock).write(kept, sync=False)
    journal = started(directory)
    assert not journal.is_same_boot(), "the machine was off, and a start must not hide that"
    assert journal.read_clock() == 7.0


@pytest.mark.parametrize("what", ["a ticket", "the clock", "the end"])
def test_nothing_is_written_once_the_storage_is_another_process_s(directory: Path, what: str) -> None:
    lost: list[StorageFailed] = []

    def check_owner() -> None:
        if lost:
            raise lost[0]

    journal = Journal(directory, fsync=False, check_owner=check_owner)
    journal.load()
    write(journal, TICKET)
    before = {file.name: file.read_bytes() for file in directory.iterdir()}
    lost.append(StorageFailed())
    with pytest.raises(StorageFailed):
        {
            "a ticket": lambda: write(journal, NEWER),
            "the clock": lambda: journal.write_clock(9.0),
            "the end": lambda: journal.close(9.0),
        }[what]()
    assert {file.name: file.read_bytes() for file in directory.iterdir()} == before


# --- whether a ticket could be kept ------------------------------------------------------------------


def refusing(error: int) -> Callable[..., None]:
    """Returns a call of the disk that fails."""

    def call(*_: object) -> None:
        raise OSError(error, os.strerror(error))

    return call


def test_a_journal_that_can_be_written_passes_the_check_and_keeps_nothing_of_it(
    journal: Journal, directory: Path
) -> None:
    before = {file.name: file.stat().st_size for file in directory.iterdir()}
    journal.check()
    assert {file.name: file.stat().st_size for file in directory.iterdir()} == before


@pytest.mark.parametrize("error", [errno.EROFS, errno.EIO, errno.EACCES])
def test_a_disk_that_takes_nothing_does_not_pass_the_check(
    journal: Journal, monkeypatch: pytest.MonkeyPatch, error: int
) -> None:
    monkeypatch.setattr(journal_module, "try_to_write", refusing(error))
    with pytest.raises(StorageFailed):
        journal.check()


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_a_full_disk_passes_the_check_while_the_log_has_room_for_a_line(
    journal: Journal, monkeypatch: pytest.MonkeyPatch, error: int
) -> None:
    monkeypatch.setattr(journal_module, "try_to_write", refusing(error))
    monkeypatch.setattr(log_module, "_write_blank", refusing(error))
    for _ in range(60):
        journal.check()
        write(journal, TICKET)
    with pytest.raises(StorageFull):
        while True:
            write(journal, TICKET)
    with pytest.raises(StorageFull):
        journal.check()


def test_a_log_that_is_not_in_its_place_does_not_pass_the_check(journal: Journal, directory: Path) -> None:
    directory.rename(directory.with_name("away"))
    with pytest.raises(StorageFailed):
        journal.check()
    directory.mkdir()
    with pytest.raises(StorageFailed):
        journal.check()
    assert list(directory.iterdir()) == []


def test_after_a_failure_the_check_rewrites_the_log(
    journal: Journal, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(journal, TICKET)
    with monkeypatch.context() as failing:
        failing.setattr(os, "fdatasync", refusing(errno.EIO))
        with pytest.raises(StorageFailed):
            write(journal, OTHER)
        with pytest.raises(StorageFailed):
            journal.check()
    journal.check()
    journal.append([])
    assert Journal(directory, fsync=True).load() == [TICKET]
