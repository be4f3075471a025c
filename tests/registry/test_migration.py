"""Journals of one file a ticket, as they were before: taken up once, and nothing of them is lost."""

from __future__ import annotations

import logging
import os
import stat
from pathlib import Path

import pytest
from msgspec.structs import replace

from incoming.core.ticket import Ticket
from incoming.registry.entries import encode, ticket_entry
from incoming.registry.journal import Journal, read
from tests.support.fakes import largest_file

ID = "2b1c5a06-3c5d-4a57-9f43-0d1f9a3f7c11"
OTHER_ID = "9d4f2f3e-52d1-4f5e-8f0a-6f6c5f2b7e22"
TICKET = Ticket(ID, "http://app.example.org/finished", name="holiday \N{GRINNING FACE}.mov", asks=2)
OTHER = Ticket(OTHER_ID, "http://app.example.org/finished")


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    directory = tmp_path / "journal"
    directory.mkdir()
    for ticket in (TICKET, OTHER):
        (directory / f"{ticket.id}.json").write_bytes(encode(ticket))
    return directory


def load(directory: Path) -> list[Ticket]:
    return Journal(directory, fsync=True).load()


def test_they_are_taken_up_and_are_gone_then(directory: Path) -> None:
    (directory / f"{ID}.json.tmp").write_bytes(b"cut off by a kill")
    assert load(directory) == [TICKET, OTHER]
    assert [file.name for file in directory.iterdir()] == ["log"]
    assert load(directory) == read(directory) == [TICKET, OTHER]


def test_after_a_kill_before_they_were_removed_what_is_newer_counts(directory: Path) -> None:
    old = (directory / f"{ID}.json").read_bytes()
    journal = Journal(directory, fsync=False)
    journal.load()
    newer = replace(TICKET, asks=3)
    journal.append([ticket_entry(newer)])
    (directory / f"{ID}.json").write_bytes(old)
    assert load(directory) == [newer, OTHER]


def test_they_stay_where_the_log_can_not_be_written(
    directory: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with largest_file(4096):
        assert load(directory) == [TICKET, OTHER]
    assert "can't be written" in caplog.text
    assert len(list(directory.glob("*.json"))) == 2
    assert load(directory) == [TICKET, OTHER]
    assert not list(directory.glob("*.json"))


def test_a_damaged_one_is_set_aside_reported_and_stops_nobody(
    directory: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (directory / f"{ID}.json").write_bytes(b"rubbish")
    (directory / f"{ID[:-1]}2.json").mkdir()
    with caplog.at_level(logging.ERROR):
        assert load(directory) == [OTHER]
    assert (directory / "damaged" / f"{ID}.json").read_bytes() == b"rubbish"
    assert stat.S_IMODE((directory / "damaged").stat().st_mode) == 0o700
    assert ID[:8] in caplog.text
    assert ID not in caplog.text.replace(str(directory), "")
    caplog.clear()
    assert load(directory) == [OTHER]
    assert not caplog.records, "it is reported once"


def test_a_damaged_one_that_can_not_be_set_aside_is_reported_too(
    directory: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (directory / f"{ID}.json").write_bytes(b"rubbish")
    (directory / "damaged").write_text("a file where the shelf should be")
    assert load(directory) == [OTHER]
    assert "could not be set aside" in caplog.text


def test_one_that_the_disk_does_not_give_stays_where_it_is(
    directory: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with monkeypatch.context() as failing:
        failing.setattr(Path, "read_bytes", lambda _: os.read(-1, 1))
        assert load(directory) == []
    assert "The next start tries again" in caplog.text
    assert load(directory) == [TICKET, OTHER]
