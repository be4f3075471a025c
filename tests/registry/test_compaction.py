"""A long log becomes a shorter one in small steps, and whatever is appended meanwhile is in it."""

from __future__ import annotations

import errno
import logging
import os
import shutil
from pathlib import Path

import pytest
from msgspec.structs import replace

from incoming.core.errors import StorageFailed
from incoming.core.ticket import Ticket
from incoming.registry import append_log as log_module
from incoming.registry.append_log import COMPACT_AFTER_BYTES
from incoming.registry.compaction import FEW_BYTES, RECORDS_A_STEP
from incoming.registry.entries import ticket_entry, tombstone
from incoming.registry.journal import Journal, read

TICKETS = [
    Ticket(f"2b1c5a06-3c5d-4a57-9f43-{number:012x}", "http://app.example.org/finished")
    for number in range(1000)
]
NEW = replace(TICKETS[0], id="9d4f2f3e-52d1-4f5e-8f0a-6f6c5f2b7e22")


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "journal"


@pytest.fixture
def journal(directory: Path, monkeypatch: pytest.MonkeyPatch) -> Journal:
    """A journal with a long log, of which the last line of each ticket counts."""
    monkeypatch.setattr(log_module, "COMPACT_AFTER_BYTES", COMPACT_AFTER_BYTES // 64)
    journal = Journal(directory, fsync=False)
    journal.load()
    journal.append([ticket_entry(ticket) for ticket in TICKETS])
    while not journal.needs_compaction:
        journal.append([ticket_entry(ticket) for ticket in TICKETS])
    return journal


def after_a_kill(directory: Path) -> list[Ticket]:
    """Returns what the next process finds when this one is killed now, and that nothing is wrong with it."""
    copy = directory.with_name("copy")
    shutil.copytree(directory, copy)
    found = Journal(copy, fsync=False).load()
    assert not (copy / "damaged").exists()
    assert not (copy / "log.new").exists()
    shutil.rmtree(copy)
    return found


def test_each_step_is_small_and_their_number_grows_with_the_tickets(journal: Journal) -> None:
    steps = 1
    while journal.compact():
        steps += 1
    assert steps > 2 * len(TICKETS) / RECORDS_A_STEP
    assert not journal.needs_compaction
    assert not journal.compact(), "there is nothing to be done any more"


def test_killed_after_any_step_nothing_that_was_appended_is_lost(journal: Journal, directory: Path) -> None:
    expected = {ticket.id: ticket for ticket in TICKETS}
    going_on, number = True, 0
    while going_on:
        going_on = journal.compact()
        changed = replace(TICKETS[number], asks=number + 1)
        journal.append([ticket_entry(changed), tombstone(TICKETS[-1 - number].id)])
        expected[changed.id] = changed
        del expected[TICKETS[-1 - number].id]
        number += 1
        assert after_a_kill(directory) == sorted(expected.values(), key=lambda ticket: ticket.id)
    assert read(directory) == sorted(expected.values(), key=lambda ticket: ticket.id)


def test_what_is_appended_while_few_lines_are_left_is_copied_by_the_last_step(
    journal: Journal, directory: Path
) -> None:
    many = [ticket_entry(replace(NEW, reason="x" * 1000))] * (2 * FEW_BYTES // 1000)
    while journal.compact():
        journal.append(many)
    journal.append([ticket_entry(NEW)])
    assert read(directory) == [*TICKETS, NEW]


def test_one_that_appends_faster_than_the_steps_copy_does_not_keep_them_for_ever(
    journal: Journal, directory: Path
) -> None:
    many = [ticket_entry(NEW)] * (RECORDS_A_STEP * 2)
    steps = 1
    while journal.compact():
        journal.append(many)
        steps += 1
        assert steps < 1000
    assert read(directory) == [*TICKETS, NEW]


@pytest.mark.parametrize("after_steps", [1, 3, 6, 9])
def test_after_a_failed_append_the_steps_are_given_up_and_a_new_log_is_written_at_once(
    journal: Journal, directory: Path, after_steps: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(after_steps):
        assert journal.compact()
    with monkeypatch.context() as failing:

        def pwrite(*_: object) -> int:
            raise OSError(errno.EIO, "Input/output error")

        failing.setattr(os, "pwrite", pwrite)
        with pytest.raises(StorageFailed):
            journal.append([ticket_entry(NEW)])
    journal.append([ticket_entry(NEW)])
    assert [file.name for file in directory.iterdir()] == ["log"]
    assert not journal.compact()
    assert read(directory) == [*TICKETS, NEW]
    journal.append([tombstone(NEW.id)])
    assert read(directory) == TICKETS


@pytest.mark.parametrize("after_steps", [0, 1, 6, 9])
def test_a_disk_that_fails_while_a_log_is_rewritten_costs_nothing(
    journal: Journal, directory: Path, after_steps: int, monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    for _ in range(after_steps):
        assert journal.compact()
    with monkeypatch.context() as failing:

        def fdatasync(_: int) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        failing.setattr(os, "fdatasync", fdatasync)
        while journal.compact():
            pass
    assert [file.name for file in directory.iterdir()] == ["log"]
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert not journal.needs_compaction, "it is tried again when the log has grown"
    journal.append([ticket_entry(NEW)])
    assert read(directory) == [*TICKETS, NEW]


@pytest.mark.parametrize("after_steps", [0, 2, 6])
def test_a_log_that_is_damaged_meanwhile_is_not_replaced(
    journal: Journal, directory: Path, after_steps: int, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(after_steps):
        journal.compact()
    log = directory / "log"
    journal.append([ticket_entry(NEW), ticket_entry(NEW)])
    spoilt = bytearray(log.read_bytes())
    spoilt[spoilt.rindex(NEW.id.encode())] ^= 1
    with log.open("r+b") as file:
        file.write(spoilt)
    inode = log.stat().st_ino
    while journal.compact():
        pass
    assert log.stat().st_ino == inode
    assert "damaged while the server ran" in caplog.text


def test_a_process_that_ends_in_the_middle_leaves_the_long_log_and_nothing_else(
    journal: Journal, directory: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(6):
        assert journal.compact()
    journal.close(1.0)
    assert not journal.compact()
    assert sorted(file.name for file in directory.iterdir()) == ["clock", "log"]
    assert Journal(directory, fsync=False).load() == TICKETS
    assert not caplog.records
