"""Journals that servers of earlier versions have left are read as they stand.

`samples/` has one of each format, made by running that version: five tickets, then `kill -9` or SIGTERM. The
file `expected` says what became of each ticket. Logs are packed, since most of a log is blank room.
"""

from __future__ import annotations

import gzip
import json
import shutil
from pathlib import Path
from typing import Final

import pytest

from incoming.core.lifecycle import State
from incoming.registry.entries import ticket_entry
from incoming.registry.journal import Journal, read

SAMPLES: Final = Path(__file__).with_name("samples")
NAMES: Final = sorted(path.name for path in SAMPLES.iterdir())


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "journal"


def unpack(name: str, directory: Path) -> dict[str, str]:
    """Puts the journal into `directory`. Returns the state that is expected of each ticket."""
    shutil.copytree(SAMPLES / name, directory)
    expected: dict[str, str] = json.loads((directory / "expected").read_text())["tickets"]
    (directory / "expected").unlink()
    packed = directory / "log.gz"
    if packed.exists():
        (directory / "log").write_bytes(gzip.decompress(packed.read_bytes()))
        packed.unlink()
    return expected


def test_there_is_a_sample_of_each_format() -> None:
    assert NAMES == ["files-1", "files-2", "files-3", "log-1", "log-2"]


@pytest.mark.parametrize("name", NAMES)
def test_each_ticket_is_as_the_earlier_version_left_it(
    name: str, directory: Path, caplog: pytest.LogCaptureFixture
) -> None:
    expected = unpack(name, directory)
    journal = Journal(directory, fsync=True)
    ran_s = journal.read_clock()
    tickets = {ticket.id: ticket for ticket in journal.load()}
    assert {ticket_id: ticket.state for ticket_id, ticket in tickets.items()} == {
        ticket_id: State(state) for ticket_id, state in expected.items()
    }
    by_state = {ticket.state: ticket for ticket in tickets.values()}
    assert by_state[State.ISSUED].secret == "s3cret ü"
    assert by_state[State.PAUSED].name == "holiday \N{GRINNING FACE}.mov"
    assert by_state[State.PAUSED].length_bytes == 2_000_000
    assert by_state[State.HANDING_OVER].file_owner_uid == 0
    assert by_state[State.CANCELLED].reason == "cancelled by the app"
    assert journal.read_clock() == ran_s
    assert not caplog.records, "nothing is wrong with it"
    assert not (directory / "damaged").exists()


@pytest.mark.parametrize("name", NAMES)
def test_a_journal_of_each_older_format_can_be_written_to(name: str, directory: Path) -> None:
    unpack(name, directory)
    journal = Journal(directory, fsync=False)
    tickets = journal.load()
    journal.append([ticket_entry(tickets[0])])
    journal.close(100.0)
    assert sorted(file.name for file in directory.iterdir()) == ["clock", "log"]
    assert read(directory) == Journal(directory, fsync=False).load() == tickets
