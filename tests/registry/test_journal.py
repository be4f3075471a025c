"""The journal: what it keeps survives, what is damaged stops nobody else."""

from __future__ import annotations

import dataclasses
import errno
import logging
import os
import stat
from pathlib import Path

import pytest

from incoming.errors import StorageFailed, StorageFull
from incoming.lifecycle import State
from incoming.registry import journal as journal_module
from incoming.registry import log as log_module
from incoming.registry.entries import forgotten, written
from incoming.registry.journal import Journal, read
from incoming.registry.lines import numbered
from incoming.registry.log import BLOCK_BYTES, LONG_BYTES
from incoming.ticket import Ticket

ID = "2b1c5a06-3c5d-4a57-9f43-0d1f9a3f7c11"
OTHER_ID = "9d4f2f3e-52d1-4f5e-8f0a-6f6c5f2b7e22"
TICKET = Ticket(ID, "http://app.example.org/finished")
NEWER = dataclasses.replace(TICKET, name="holiday \N{GRINNING FACE}.mov", state=State.PAUSED)
OTHER = dataclasses.replace(TICKET, id=OTHER_ID)


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
    journal.append([written(ticket)])


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


# --- what it keeps -------------------------------------------------------------------------------


@pytest.mark.parametrize("fsync", [True, False])
def test_a_ticket_survives_the_process(directory: Path, fsync: bool) -> None:
    write(started(directory, fsync=fsync), TICKET)
    assert Journal(directory, fsync).load() == [TICKET]


def test_a_newer_entry_takes_the_place_of_the_older(journal: Journal, directory: Path) -> None:
    write(journal, TICKET)
    journal.append([written(NEWER), written(OTHER)])
    assert read(directory) == [NEWER, OTHER]
    assert journal.load() == [NEWER, OTHER]


def test_a_ticket_that_was_removed_is_gone_and_removing_it_again_is_fine(journal: Journal) -> None:
    write(journal, TICKET)
    journal.append([forgotten(ID)])
    journal.append([forgotten(ID)])
    assert journal.load() == []


def test_each_start_begins_a_log_with_what_counts(journal: Journal, directory: Path) -> None:
    for ticket in (TICKET, OTHER, NEWER):
        write(journal, ticket)
    journal.append([forgotten(OTHER_ID)])
    journal = started(directory)
    assert (directory / "log").read_bytes().strip() == numbered(0, written(NEWER)).strip()
    write(journal, OTHER)
    assert started(directory).load() == [NEWER, OTHER]


def test_a_log_that_has_become_long_is_begun_anew_while_the_server_runs(
    directory: Path,
) -> None:
    journal = started(directory, fsync=False)
    write(journal, TICKET)
    for _ in range(LONG_BYTES // BLOCK_BYTES + 10):
        write(journal, OTHER)
    assert (directory / "log").stat().st_size < LONG_BYTES
    assert read(directory) == [TICKET, OTHER]


def test_a_long_log_that_can_not_be_begun_anew_goes_on(
    directory: Path, caplog: pytest.LogCaptureFixture
) -> None:
    journal = started(directory, fsync=False)
    (directory / "log.new").symlink_to("/dev/full")  # the kernel's own full disk
    for _ in range(LONG_BYTES // BLOCK_BYTES + 10):
        write(journal, OTHER)
    write(journal, TICKET)
    assert read(directory) == [TICKET, OTHER]
    assert [record.levelname for record in caplog.records] == ["WARNING"], "and says so once"


def test_a_log_that_was_begun_anew_and_whose_name_is_not_synced_is_begun_once_more(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = started(directory, fsync=False)
    failures = iter([errno.EIO, errno.EIO])

    def sync_directory(_: Path) -> None:
        for number in failures:
            raise OSError(number, os.strerror(number))

    monkeypatch.setattr(log_module, "sync_directory", sync_directory)
    while not journal._log.is_long:
        write(journal, OTHER)
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


def test_a_kill_while_a_log_is_begun_anew_leaves_the_old_one(journal: Journal, directory: Path) -> None:
    write(journal, TICKET)
    (directory / "log.new").write_bytes(written(NEWER)[:50])
    assert started(directory).load() == [TICKET]
    assert [file.name for file in directory.iterdir()] == ["log"]


@pytest.mark.parametrize("kept_bytes", [0, 1, 60, 200, len(written(NEWER)) - 2])
def test_what_a_kill_or_a_power_cut_left_half_written_is_no_damage(
    journal: Journal, directory: Path, kept_bytes: int, caplog: pytest.LogCaptureFixture
) -> None:
    journal.append([written(TICKET), written(OTHER)])
    write(journal, NEWER)
    log = directory / "log"
    text = log.read_bytes()
    torn = text.rindex(written(NEWER))
    log.write_bytes(text[: torn + kept_bytes] + b" " * (len(text) - torn - kept_bytes))
    journal = started(directory)
    assert read(directory) == [TICKET, OTHER]
    assert not (directory / "damaged").exists()
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]
    write(journal, NEWER)
    assert read(directory) == [NEWER, OTHER]


def test_a_full_disk_leaves_the_old_entry_and_is_reported(journal: Journal, directory: Path) -> None:
    write(journal, TICKET)
    journal._log.close()  # as after a failure
    (directory / "log.new").symlink_to("/dev/full")
    with pytest.raises(StorageFull):
        write(journal, NEWER)
    assert read(directory) == [TICKET]
    (directory / "log.new").unlink()
    write(journal, NEWER)
    assert read(directory) == [NEWER]


def test_a_start_on_a_full_disk_knows_all_and_writes_when_there_is_room(
    journal: Journal, directory: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write(journal, TICKET)
    (directory / "log.new").symlink_to("/dev/full")
    journal = Journal(directory, fsync=True)
    assert journal.load() == [TICKET]
    assert "can't be written" in caplog.text
    (directory / "log.new").unlink()
    write(journal, OTHER)
    assert read(directory) == [TICKET, OTHER]


@pytest.mark.parametrize("had_failed", [False, True])
def test_a_journal_that_is_gone_is_reported_and_goes_on_when_it_is_back(
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
    text[text.rindex(written(ticket)) + 100] ^= 1
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
        journal.append([written(ticket), written(OTHER)])
        kept.append(spoil(directory, ticket))
        journal = started(directory)
    assert [(directory / "damaged" / f"log-{number}").read_bytes() for number in (1, 2)] == kept


def test_a_sound_line_of_what_is_no_ticket_is_damage_too(
    journal: Journal, directory: Path, caplog: pytest.LogCaptureFixture
) -> None:
    journal.append([ID.encode() + b' {"version": 2}', written(OTHER)])
    assert started(directory).load() == [OTHER]
    assert f"entry {ID[:8]} is damaged: it is not of version 1" in caplog.text
    assert ID not in caplog.text
    assert (directory / "damaged" / "log-1").exists()


def test_damage_that_can_not_be_set_aside_is_reported_too(
    journal: Journal, directory: Path, caplog: pytest.LogCaptureFixture
) -> None:
    journal.append([written(TICKET), written(OTHER)])
    spoil(directory, TICKET)
    (directory / "damaged").write_text("a file where the shelf should be")
    assert started(directory).load() == [OTHER]
    assert "set aside: nowhere" in caplog.text


def test_a_log_that_is_damaged_while_the_server_runs_is_not_begun_anew(
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


def test_what_the_disk_does_not_give_is_kept_and_the_others_go_on(
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
    assert "blocks that can't be read: 1" in caplog.text
    assert written(TICKET) in (directory / "damaged" / "log-1").read_bytes()


# --- the clock -----------------------------------------------------------------------------------


def test_the_clock_survives_and_is_no_ticket(journal: Journal, directory: Path) -> None:
    journal.write_clock(1234.5)
    assert Journal(directory, fsync=False).read_clock() == 1234.5
    assert journal.load() == []


@pytest.mark.parametrize(
    "content", [None, b"", b"[]", b"{}", b'{"ran_s": "long"}', b'{"ran_s": null}', b"\xff"]
)
def test_a_clock_that_is_lost_begins_at_zero(
    journal: Journal, directory: Path, content: bytes | None
) -> None:
    if content is not None:
        (directory / "clock").write_bytes(content)
    assert journal.read_clock() == 0.0


# --- the machine -----------------------------------------------------------------------------------


def test_a_journal_knows_whether_the_machine_has_run_on(journal: Journal, directory: Path) -> None:
    assert not journal.machine_has_run_on(), "nothing is known"
    journal.write_clock(1.0)
    assert Journal(directory, fsync=False).machine_has_run_on()
    (directory / "clock").write_text('{"ran_s": 1.0, "boot": "another"}')
    assert not journal.machine_has_run_on()
    assert journal.read_clock() == 1.0


@pytest.mark.parametrize("content", [b"", b"[]", b'{"ran_s": 7.0}', b'{"boot": null}', b"\xff"])
def test_a_clock_that_says_nothing_of_the_machine_is_no_proof(
    journal: Journal, directory: Path, content: bytes
) -> None:
    (directory / "clock").write_bytes(content)
    assert not journal.machine_has_run_on()


def test_a_system_that_does_not_tell_its_starts_apart_is_no_proof(
    journal: Journal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_module, "_BOOT_ID", tmp_path / "no such file")
    journal.write_clock(1.0)
    assert not journal.machine_has_run_on()
