"""The journal: what it keeps survives, what is damaged stops nobody else."""

from __future__ import annotations

import dataclasses
import json
import logging
import os
import shutil
import stat
from pathlib import Path
from typing import Any

import pytest

from incoming.errors import StorageFailed, StorageFull
from incoming.lifecycle import State
from incoming.registry import journal as journal_module
from incoming.registry.journal import DamagedEntry, Journal, decode, encode
from incoming.ticket import Ticket

ID = "2b1c5a06-3c5d-4a57-9f43-0d1f9a3f7c11"
OTHER_ID = "9d4f2f3e-52d1-4f5e-8f0a-6f6c5f2b7e22"
TICKET = Ticket(ID, "http://app.example.org/finished")
FULL_TICKET = Ticket(
    id=ID,
    signal_finish_url="https://app.example.org/finished?x=1&y=ü",
    secret="s3cret \N{SNOWMAN}",
    secret_required=True,
    remove_file_when_finished=False,
    file_owner_uid=1000,
    issued_at_s=12.5,
    changed_at_s=99.25,
    state=State.WAITING,
    length_bytes=1 << 40,
    name="holiday \N{GRINNING FACE}.mov",
    reason="a reason",
    asks=2,
    app_told=True,
    last_modified_ms=1_700_000_000_123,
    needs_proof=True,
    wants_sha256=True,
    crc32c=0,
    sha256="e3b0c442",
    metadata='{"album": "ü"}',
    max_bytes_per_s=1000,
)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "storage" / "journal"


@pytest.fixture
def journal(directory: Path) -> Journal:
    return Journal(directory, fsync=True)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def raw(**fields: Any) -> bytes:
    """The text of an entry with these fields of its ticket."""
    basics = {"id": ID, "signal_finish_url": "http://app.example.org/finished"}
    return json.dumps({"version": 1, "ticket": {**basics, **fields}}).encode()


# --- what it keeps -------------------------------------------------------------------------------


@pytest.mark.parametrize("ticket", [TICKET, FULL_TICKET], ids=["new", "full"])
@pytest.mark.parametrize("fsync", [True, False])
def test_a_ticket_survives_the_process(directory: Path, ticket: Ticket, fsync: bool) -> None:
    Journal(directory, fsync).write(ticket)
    assert list(Journal(directory, fsync).load()) == [ticket]


@pytest.mark.parametrize("state", State)
def test_every_state_survives(journal: Journal, state: State) -> None:
    ticket = dataclasses.replace(FULL_TICKET, state=state)
    journal.write(ticket)
    assert list(journal.load()) == [ticket]


def test_claims_and_calls_die_with_the_process(journal: Journal) -> None:
    journal.write(dataclasses.replace(FULL_TICKET, epoch=7, deliveries=3))
    assert list(journal.load()) == [FULL_TICKET]


def test_a_newer_entry_takes_the_place_of_the_older(journal: Journal) -> None:
    journal.write(TICKET)
    journal.write(FULL_TICKET)
    assert list(journal.load()) == [FULL_TICKET]


def test_a_ticket_that_was_removed_is_gone_and_removing_it_again_is_fine(journal: Journal) -> None:
    journal.write(TICKET)
    journal.remove(ID)
    journal.remove(ID)
    assert list(journal.load()) == []


def test_nobody_else_can_read_the_secrets(journal: Journal, directory: Path) -> None:
    before = os.umask(0)
    try:
        journal.write(FULL_TICKET)
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


def test_a_kill_before_the_rename_leaves_the_old_entry(journal: Journal, directory: Path) -> None:
    journal.write(TICKET)
    (directory / f"{ID}.json.tmp").write_bytes(encode(FULL_TICKET)[:50])
    (directory / f"{OTHER_ID}.json.tmp").write_bytes(b"")
    assert list(Journal(directory, fsync=False).load()) == [TICKET]
    assert [file.name for file in directory.iterdir()] == [f"{ID}.json"]


def test_a_full_disk_leaves_the_old_entry_and_is_reported(journal: Journal, directory: Path) -> None:
    journal.write(TICKET)
    (directory / f"{ID}.json.tmp").symlink_to("/dev/full")  # the kernel's own full disk
    with pytest.raises(StorageFull):
        journal.write(FULL_TICKET)
    assert list(journal.load()) == [TICKET]


def test_a_disk_that_fails_is_reported(journal: Journal, directory: Path) -> None:
    shutil.rmtree(directory)
    with pytest.raises(StorageFailed) as failed:
        journal.write(TICKET)
    assert isinstance(failed.value.__cause__, FileNotFoundError)


# --- damaged entries -------------------------------------------------------------------------------


DAMAGED = {
    "empty": b"",
    "cut off": encode(FULL_TICKET)[:-40],
    "zeros, as after a power cut": bytes(300),
    "not text": b"\xff\xfe\x00",
    "deeply nested": b"[" * 100_000,
    "a list": b"[]",
    "no version": b'{"ticket": {}}',
    "of a later version": encode(TICKET).replace(b'"version": 1', b'"version": 2'),
    "no ticket": b'{"version": 1}',
    "a ticket that is text": b'{"version": 1, "ticket": "x"}',
    "no URL": json.dumps({"version": 1, "ticket": {"id": ID}}).encode(),
    "no id": b'{"version": 1, "ticket": {"signal_finish_url": "http://x"}}',
    "another id": raw(id=OTHER_ID),
    "an unknown state": raw(state="flying"),
    "a state that is a list": raw(state=[]),
    "a length that is text": raw(length_bytes="5"),
    "a length that is a boolean": raw(length_bytes=True),
    "a flag that is a number": raw(secret_required=1),
    "a time that is text": raw(changed_at_s="now"),
    "a name that is null": raw(name=None),
    "a checksum that is text": raw(crc32c="00000000"),
    "a checksum that is a boolean": raw(crc32c=False),
    "metadata that are no text": raw(metadata={"a": 1}),
    "a proof that is a number": raw(needs_proof=1),
    "a limit that is null": raw(max_bytes_per_s=None),
}
TOO_MUCH_FOR_TIMES = {
    "a time beyond all floats": raw(changed_at_s=10**400),
    "a time that is no number": raw(changed_at_s=float("nan")),
    "a time without end": raw(changed_at_s=float("inf")),
}


@pytest.mark.parametrize("content", DAMAGED.values(), ids=list(DAMAGED))
def test_a_damaged_entry_says_what_is_wrong_with_it(content: bytes) -> None:
    with pytest.raises(DamagedEntry) as damaged:
        decode(content, ID)
    assert 0 < len(str(damaged.value)) <= 200


@pytest.mark.parametrize("content", TOO_MUCH_FOR_TIMES.values(), ids=list(TOO_MUCH_FOR_TIMES))
def test_a_time_that_is_none_is_damage(content: bytes) -> None:
    with pytest.raises(DamagedEntry):
        decode(content, ID)


@pytest.mark.parametrize("name", ["", "x", "../../etc/passwd", ID.upper(), ID + "0"])
def test_an_entry_whose_name_is_no_ticket_id_is_damaged(name: str) -> None:
    with pytest.raises(DamagedEntry):
        decode(raw(id=name), name)


@pytest.mark.parametrize(("written", "read"), [(7, 7.0), (7.5, 7.5)])
def test_a_time_may_be_a_whole_number(written: float, read: float) -> None:
    ticket = decode(raw(changed_at_s=written), ID)
    assert (ticket.changed_at_s, type(ticket.changed_at_s)) == (read, float)


@pytest.mark.parametrize("value", [None, 5])
def test_a_length_is_known_or_not(value: int | None) -> None:
    assert decode(raw(length_bytes=value), ID).length_bytes == value


def test_fields_of_a_later_server_are_ignored_and_missing_ones_have_their_defaults() -> None:
    assert decode(raw(colour="green"), ID) == TICKET


def test_an_entry_of_version_1_is_a_ticket_that_asks_for_nothing_of_version_2() -> None:
    entry = json.loads(encode(FULL_TICKET))
    later = ("last_modified_ms", "needs_proof", "wants_sha256", "crc32c", "sha256", "metadata")
    for name in (*later, "max_bytes_per_s"):
        del entry["ticket"][name]
    ticket = decode(json.dumps(entry).encode(), ID)
    assert (ticket.last_modified_ms, ticket.needs_proof, ticket.wants_sha256) == (0, False, False)
    assert (ticket.crc32c, ticket.sha256, ticket.metadata, ticket.max_bytes_per_s) == (None, "", "", 0)


@pytest.mark.parametrize("value", [None, 0, 2**32 - 1])
def test_a_checksum_is_known_or_not_and_may_be_zero(value: int | None) -> None:
    assert decode(raw(crc32c=value), ID).crc32c == value


def test_a_damaged_entry_is_set_aside_reported_and_stops_nobody(
    journal: Journal, directory: Path, caplog: pytest.LogCaptureFixture
) -> None:
    journal.write(dataclasses.replace(FULL_TICKET, id=OTHER_ID))
    (directory / f"{ID}.json").write_bytes(b"rubbish")
    (directory / f"{ID[:-1]}2.json").mkdir()
    with caplog.at_level(logging.ERROR):
        assert [ticket.id for ticket in journal.load()] == [OTHER_ID]
    assert (directory / "damaged" / f"{ID}.json").read_bytes() == b"rubbish"
    assert mode(directory / "damaged") == 0o700
    assert ID[:8] in caplog.text
    assert ID not in caplog.text.replace(str(directory), "")
    caplog.clear()
    assert [ticket.id for ticket in Journal(directory, fsync=False).load()] == [OTHER_ID]
    assert not caplog.records, "it is reported once"


def test_a_damaged_entry_that_can_not_be_set_aside_is_reported_too(
    journal: Journal, directory: Path, caplog: pytest.LogCaptureFixture
) -> None:
    journal.write(dataclasses.replace(FULL_TICKET, id=OTHER_ID))
    (directory / f"{ID}.json").write_bytes(b"rubbish")
    (directory / "damaged").write_text("a file where the shelf should be")
    assert [ticket.id for ticket in journal.load()] == [OTHER_ID]
    assert "could not be set aside" in caplog.text


# --- the clock -----------------------------------------------------------------------------------


def test_the_clock_survives_and_is_no_ticket(journal: Journal, directory: Path) -> None:
    journal.write_clock(1234.5)
    assert Journal(directory, fsync=False).read_clock() == 1234.5
    assert list(journal.load()) == []


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


def test_an_entry_that_the_disk_does_not_give_stays_where_it_is(
    journal: Journal, directory: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    journal.write(TICKET)
    with monkeypatch.context() as failing:
        failing.setattr(Path, "read_bytes", lambda _: os.read(-1, 1))
        assert list(journal.load()) == []
    assert "restart to try again" in caplog.text
    assert [ticket.id for ticket in journal.load()] == [TICKET.id]
