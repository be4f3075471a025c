"""What stays of an unfinished upload after a power cut: all bytes that are right, zeros or not."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Final

import pytest
from crc32c import crc32c

from incoming.core.errors import BytesLost, StorageFailed, WrongFile
from incoming.core.lifecycle import State
from incoming.core.resume_check import MAX_RANGES, SAMPLE_BYTES
from incoming.handover.answers import WillFinish
from incoming.registry.append_log import AppendLog
from incoming.uploads.claims import ClaimedUpload
from incoming.uploads.housekeeping import (
    CHECKPOINT_INTERVAL_S,
    keep_checkpoints,
    recover,
    require_power_cut_checks,
)
from tests.support.data import FileBytes
from tests.support.fakes import FakeApp
from tests.support.uploads import TIMES, House, new_claim

KIB: Final = 1024
PAGE: Final = 4096
CHUNK: Final = 64 * KIB
LENGTH: Final = 16 * CHUNK
RANDOM: Final = FileBytes(LENGTH, 1).read(0, LENGTH)


def zeros_at(start: int, end: int) -> bytes:
    return RANDOM[:start] + bytes(end - start) + RANDOM[end:]


CONTENTS: Final = {
    "zeros at the start": zeros_at(0, 5 * CHUNK),
    "zeros in the middle": zeros_at(5 * CHUNK + 77, 9 * CHUNK + 5),
    "zeros at the end": zeros_at(11 * CHUNK, LENGTH),
    "zeros here and there": bytes(CHUNK)
    .join(RANDOM[at : at + CHUNK] for at in range(0, LENGTH // 2, CHUNK))
    .ljust(LENGTH, b"\0"),
    "nothing but zeros": bytes(LENGTH),
}
STORED: Final = 14 * CHUNK
CHECKPOINT: Final = 10 * CHUNK
"""Where the last checkpoint is, unless the client has left."""
every_version = pytest.mark.parametrize("version", [1, 2])
every_content = pytest.mark.parametrize("content", CONTENTS.values(), ids=CONTENTS)


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path, FakeApp(WillFinish()), **TIMES)


def claimed(house: House, ticket_id: str, version: int, time_ms: int = 99) -> ClaimedUpload:
    claimed = new_claim(LENGTH, "a", time_ms, proves=version > 1)
    return house.uploads.claim(ticket_id, claimed, lambda _: None)


def store(house: House, claim: ClaimedUpload, content: bytes, start: int, end: int) -> None:
    for at in range(start, end, CHUNK):
        chunk = content[at : min(at + CHUNK, end)]
        known_crc = crc32c(chunk) if claim.ticket.needs_proof else None
        house.uploads.write(claim, memoryview(chunk), known_crc)


def checkpoint(house: House) -> None:
    house.uploads.keep_checkpoints()
    house.runtime.settle()


def begun(house: House, content: bytes, version: int, leaves: bool = False) -> str:
    """Returns the id of an upload that STORED bytes were acknowledged of, with two checkpoints."""
    ticket_id = house.new_ticket()
    claim = claimed(house, ticket_id, version)
    store(house, claim, content, 0, 6 * CHUNK)
    checkpoint(house)
    store(house, claim, content, 6 * CHUNK, CHECKPOINT)
    checkpoint(house)
    store(house, claim, content, CHECKPOINT, STORED)
    if leaves:
        house.uploads.release(claim)
    return ticket_id


def make_sparse(file: Path) -> None:
    """What `cp --sparse=always` makes of it: zeros become holes."""
    content = file.read_bytes()
    file.unlink()
    with file.open("wb") as sparse:
        for at in range(0, len(content), PAGE):
            page = content[at : at + PAGE]
            if page.strip(b"\0"):
                sparse.seek(at)
                sparse.write(page)
        sparse.truncate(len(content))
    if bytes(PAGE) in content:
        with file.open("rb") as sparse:
            assert os.lseek(sparse.fileno(), 0, os.SEEK_HOLE) < len(content), "this file system has holes"


def lose(file: Path, start: int, end: int) -> None:
    """A power cut has taken these bytes; the length stays."""
    with file.open("r+b") as damaged:
        damaged.seek(start)
        damaged.write(bytes(end - start))
    make_sparse(file)


def prove(house: House, claim: ClaimedUpload, content: bytes) -> None:
    """The client tells the checksums that it was asked for."""
    house.uploads.check_same(claim, tuple(crc32c(content[a:b]) for a, b in claim.compare))


def goes_on(house: House, ticket_id: str, content: bytes, version: int) -> int:
    """Returns where the upload goes on after at most two connections, and brings it to its end."""
    claim = claimed(house, ticket_id, version)
    try:
        prove(house, claim, content)
    except BytesLost:
        house.uploads.release(claim)
        claim = claimed(house, ticket_id, version)
        prove(house, claim, content)
    at = claim.offset_bytes
    store(house, claim, content, at, LENGTH)
    house.uploads.complete(claim, crc32c(content))
    house.runtime.settle()
    assert house.state(ticket_id) is State.WAITING
    assert house.file(ticket_id).read_bytes() == content
    return at


# --- zeros that are right ----------------------------------------------------------------------------------


@every_version
@every_content
def test_zeros_that_are_holes_are_right_as_far_as_checkpoints_reach(
    house: House, content: bytes, version: int
) -> None:
    ticket_id = begun(house, content, version)
    make_sparse(house.file(ticket_id))
    after = house.after_a_power_cut()
    assert goes_on(after, ticket_id, content, version) == (STORED if version == 2 else CHECKPOINT)


@every_version
@every_content
def test_nothing_is_sent_again_of_an_upload_whose_client_had_left(
    house: House, content: bytes, version: int
) -> None:
    ticket_id = begun(house, content, version, leaves=True)
    make_sparse(house.file(ticket_id))
    assert goes_on(house.after_a_power_cut(), ticket_id, content, version) == STORED


@every_version
def test_a_killed_process_loses_nothing_and_proves_nothing(house: House, version: int) -> None:
    ticket_id = begun(house, RANDOM, version)
    make_sparse(house.file(ticket_id))
    after = house.after_a_kill()
    assert not after.uploads.power_cut_check.is_required(ticket_id)
    assert goes_on(after, ticket_id, RANDOM, version) == STORED


def test_a_client_of_version_2_is_asked_for_what_no_checkpoint_covers(house: House) -> None:
    ticket_id = begun(house, RANDOM, 2)
    claim = claimed(house.after_a_power_cut(), ticket_id, 2)
    asked = [part for part in claim.compare if part[0] >= CHECKPOINT]
    assert (asked[0][0], asked[-1][1]) == (CHECKPOINT, STORED)
    assert all(before[1] == after[0] for before, after in pairwise(asked)), "without gaps"
    assert any(part[0] < CHECKPOINT for part in claim.compare), "and whether it has the same file at all"


def test_what_a_client_has_proved_is_in_the_journal(house: House) -> None:
    ticket_id = begun(house, RANDOM, 2)
    after = house.after_a_power_cut()
    prove(after, claimed(after, ticket_id, 2), RANDOM)
    ticket = after.journaled()[0]
    assert ticket.boot_id == after.boot_id
    assert ticket.checkpoints[-1] == (STORED, crc32c(RANDOM[:STORED]))
    assert goes_on(after.after_a_power_cut(), ticket_id, RANDOM, 1) == STORED


def test_a_file_that_was_touched_is_compared_as_a_whole(house: House) -> None:
    ticket_id = begun(house, RANDOM, 2)
    after = house.after_a_power_cut()
    claim = claimed(after, ticket_id, 2, time_ms=100)
    assert claim.compare[0] == (0, CHECKPOINT)
    prove(after, claim, RANDOM)
    assert not after.uploads.power_cut_check.is_required(ticket_id)


# --- bytes that are lost ---------------------------------------------------------------------------------

LOST: Final = {
    "before the first checkpoint": (2 * CHUNK, 2 * CHUNK + PAGE, 0, 0),
    "the first page": (0, PAGE, 0, 0),
    "between two checkpoints": (7 * CHUNK, 8 * CHUNK, 6 * CHUNK, 7 * CHUNK),
    "in front of the last checkpoint": (CHECKPOINT - PAGE, CHECKPOINT, 6 * CHUNK, CHECKPOINT - CHUNK),
    "behind the last checkpoint": (12 * CHUNK, 13 * CHUNK, CHECKPOINT, 12 * CHUNK),
    "the last page": (STORED - PAGE, STORED, CHECKPOINT, STORED - CHUNK),
    "within a page": (12 * CHUNK + 100, 12 * CHUNK + 200, CHECKPOINT, 12 * CHUNK),
    "everything": (0, STORED, 0, 0),
}


@every_version
@pytest.mark.parametrize("lost", LOST.values(), ids=LOST)
def test_lost_bytes_are_sent_again_and_no_others_that_are_known_to_be_right(
    house: House, version: int, lost: tuple[int, int, int, int]
) -> None:
    start, end, cut, proved = lost
    ticket_id = begun(house, RANDOM, version)
    lose(house.file(ticket_id), start, end)
    at = goes_on(house.after_a_power_cut(), ticket_id, RANDOM, version)
    assert at <= start, "no lost byte is taken for one that is stored"
    if version == 1:
        assert at == cut
    else:
        assert proved <= at
        assert start - at < max(CHUNK, SAMPLE_BYTES) or at == proved


@every_version
def test_a_file_that_is_shorter_than_its_checkpoints_continues_at_the_last_that_it_reaches(
    house: House, version: int
) -> None:
    ticket_id = begun(house, RANDOM, version, leaves=True)
    os.truncate(house.file(ticket_id), 7 * CHUNK)
    expected = 6 * CHUNK if version == 1 else 7 * CHUNK
    assert goes_on(house.after_a_power_cut(), ticket_id, RANDOM, version) == expected


@every_version
def test_an_upload_whose_file_is_gone_starts_again(house: House, version: int) -> None:
    ticket_id = begun(house, RANDOM, version)
    house.file(ticket_id).unlink()
    assert goes_on(house.after_a_power_cut(), ticket_id, RANDOM, version) == 0


def test_what_is_cut_off_is_reported(house: House, caplog: pytest.LogCaptureFixture) -> None:
    ticket_id = begun(house, RANDOM, 1)
    claimed(house.after_a_power_cut(), ticket_id, 1)
    assert f"a power cut destroyed {STORED - CHECKPOINT} bytes" in caplog.text


def test_another_file_does_not_cost_what_is_stored(house: House) -> None:
    ticket_id = begun(house, RANDOM, 2)
    after = house.after_a_power_cut()
    claim = claimed(after, ticket_id, 2)
    with pytest.raises(WrongFile):
        prove(after, claim, FileBytes(LENGTH, 2).read(0, LENGTH))
    after.uploads.release(claim)
    assert goes_on(after, ticket_id, RANDOM, 2) == STORED


def test_bytes_that_were_rewritten_are_what_the_next_power_cut_is_held_to(house: House) -> None:
    ticket_id = begun(house, RANDOM, 1)
    lose(house.file(ticket_id), 2 * CHUNK, 12 * CHUNK)
    after = house.after_a_power_cut()
    claim = claimed(after, ticket_id, 1)
    other = FileBytes(LENGTH, 2).read(0, LENGTH)  # so that what the old checkpoints say is wrong now
    store(after, claim, other, 0, 9 * CHUNK)
    checkpoint(after)
    third = after.after_a_power_cut()
    assert claimed(third, ticket_id, 1).offset_bytes == 9 * CHUNK


def test_a_file_that_was_thrown_away_is_not_held_to_its_old_checkpoints(house: House) -> None:
    ticket_id = begun(house, RANDOM, 2)
    claim = claimed(house, ticket_id, 2)
    house.uploads._integrity.suspect(ticket_id)
    claim.compare = ((0, STORED),)
    with pytest.raises(WrongFile):
        house.uploads.check_same(claim, (1,))
    house.uploads.release(claim)
    other = FileBytes(LENGTH, 2).read(0, LENGTH)
    claim = claimed(house, ticket_id, 2)
    store(house, claim, other, 0, 12 * CHUNK)
    assert house.journaled()[0].checkpoints == ()
    house.uploads.release(claim)
    assert goes_on(house.after_a_power_cut(), ticket_id, other, 2) == 12 * CHUNK


def test_room_is_kept_for_what_is_to_be_sent_again_and_for_no_more(house: House) -> None:
    ticket_id = begun(house, RANDOM, 1)
    after = house.after_a_power_cut()
    recover(after.uploads)
    claimed(after, ticket_id, 1)
    after.runtime.settle()
    assert after.uploads.admission.reserved_bytes() <= LENGTH - CHECKPOINT
    other_id = after.new_ticket()
    claimed(after, other_id, 1)
    assert after.uploads.admission.reserved_bytes() >= LENGTH, "a new one is to come as a whole"


# --- doubt lasts until it is over -----------------------------------------------------------------------


@every_version
def test_a_client_that_leaves_before_it_has_proved_anything_leaves_the_doubt(
    house: House, version: int
) -> None:
    ticket_id = begun(house, RANDOM, version)
    lose(house.file(ticket_id), 11 * CHUNK, 12 * CHUNK)
    after = house.after_a_power_cut()
    claim = claimed(after, ticket_id, 2)
    checkpoint(after)
    after.uploads.release(claim)
    assert after.journaled()[0].checkpoints[-1].end_bytes == CHECKPOINT
    assert claimed(after, ticket_id, 1).offset_bytes == CHECKPOINT


def test_a_kill_after_a_power_cut_leaves_the_doubt(house: House) -> None:
    ticket_id = begun(house, RANDOM, 2)
    first = house.after_a_power_cut()
    first.uploads.release(claimed(first, ticket_id, 2))
    second = first.restarted()
    require_power_cut_checks(second.uploads, machine_has_run_on=True)
    assert second.uploads.power_cut_check.is_required(ticket_id)


def test_a_client_of_version_1_that_takes_over_from_one_that_was_asked_sends_the_rest_again(
    house: House,
) -> None:
    ticket_id = begun(house, RANDOM, 2)
    after = house.after_a_power_cut()
    asked = claimed(after, ticket_id, 2)
    taking_over = claimed(after, ticket_id, 1)
    assert (asked.offset_bytes, taking_over.offset_bytes) == (STORED, CHECKPOINT)
    assert goes_on(after, ticket_id, RANDOM, 1) == CHECKPOINT


def test_an_upload_of_version_1_that_has_all_bytes_is_handed_over_only_if_all_are_right(house: House) -> None:
    ticket_id = begun(house, RANDOM, 1)
    claim = claimed(house, ticket_id, 1)
    store(house, claim, RANDOM, STORED, LENGTH)
    after = house.after_a_power_cut()
    recover(after.uploads)
    after.runtime.settle()
    assert (after.state(ticket_id), after.app.forms) == (State.PAUSED, [])
    assert goes_on(after, ticket_id, RANDOM, 1) == CHECKPOINT


@every_content
def test_an_upload_of_version_1_whose_last_bytes_have_a_checkpoint_is_handed_over(
    house: House, content: bytes
) -> None:
    ticket_id = house.new_ticket()
    claim = claimed(house, ticket_id, 1)
    store(house, claim, content, 0, LENGTH)
    house.uploads.release(claim)
    make_sparse(house.file(ticket_id))
    after = house.after_a_power_cut()
    recover(after.uploads)
    after.runtime.settle()
    assert after.state(ticket_id) is State.WAITING
    assert after.ticket(ticket_id).crc32c == crc32c(content)


def test_a_file_that_can_not_be_read_is_left_as_it_is(house: House, tmp_path: Path) -> None:
    ticket_id = begun(house, RANDOM, 1)
    file = house.file(ticket_id)
    file.rename(tmp_path / "aside")
    file.symlink_to(tmp_path / "aside")
    after = house.after_a_power_cut()
    with pytest.raises(StorageFailed):
        claimed(after, ticket_id, 1)
    (tmp_path / "aside").replace(file)
    assert goes_on(after, ticket_id, RANDOM, 1) == CHECKPOINT


def test_two_claims_during_a_check_cause_one_read(house: House) -> None:
    ticket_id = begun(house, RANDOM, 1)
    after = house.after_a_power_cut()
    offsets: list[int] = []
    with after.runtime.held("_read"):
        for _ in range(2):
            after.runtime.spawn(lambda: offsets.append(claimed(after, ticket_id, 1).offset_bytes))
        after.runtime.settle()
        assert not offsets
        assert after.runtime.pool_calls.count("_read") == 1
        after.uploads.cancel_by_app(after.new_ticket(), "")  # nobody else waits
    assert offsets == [CHECKPOINT, CHECKPOINT]


def test_an_upload_can_be_cancelled_while_its_file_is_read(house: House) -> None:
    ticket_id = begun(house, RANDOM, 1)
    after = house.after_a_power_cut()
    with after.runtime.held("_read"):
        claim = gevent_claim(after, ticket_id)
        after.runtime.settle()
        after.uploads.cancel_by_app(ticket_id, "")
    assert after.state(ticket_id) is State.CANCELLED
    assert claim in (["UploadCancelled"], ["StorageFailed"])


def gevent_claim(house: House, ticket_id: str) -> list[str]:
    """Returns a list that gets the name of what a claim raises."""
    raised: list[str] = []

    def try_it() -> None:
        try:
            claimed(house, ticket_id, 1)
        except Exception as exc:
            raised.append(type(exc).__name__)

    house.runtime.spawn(try_it)
    return raised


def test_what_is_held_when_the_process_ends_is_released_with_a_checkpoint(house: House) -> None:
    ids = [begun(house, RANDOM, version) for version in (1, 2, 1)]
    house.uploads.release_all()
    house.runtime.settle()
    assert house.uploads.claims.count() == 0
    assert {ticket.state for ticket in house.journaled()} == {State.PAUSED}
    assert {ticket.checkpoints[-1].end_bytes for ticket in house.journaled()} == {STORED}
    assert all(goes_on(house.after_a_power_cut(), ticket_id, RANDOM, 1) == STORED for ticket_id in ids[:1])


# --- checkpoints as they are made ----------------------------------------------------------------------


def lines(house: House) -> int:
    return sum(1 for _ in AppendLog(house.directory / "journal" / "log", fsync=False).payloads())


def test_a_checkpoint_is_journaled_at_most_once_in_some_seconds_and_not_for_a_chunk(house: House) -> None:
    claim = claimed(house, house.new_ticket(), 2)
    house.runtime.spawn(keep_checkpoints, house.uploads)
    before = lines(house)
    for number in range(10):
        store(house, claim, RANDOM, number * CHUNK, (number + 1) * CHUNK)
        house.runtime.advance(CHECKPOINT_INTERVAL_S / 5)
    assert lines(house) - before == 2
    house.runtime.advance(10 * CHECKPOINT_INTERVAL_S)
    assert lines(house) - before == 2, "nothing has moved"
    assert house.journaled()[0].checkpoints[-1] == (10 * CHUNK, crc32c(RANDOM[: 10 * CHUNK]))


def test_checkpoints_of_many_uploads_are_written_together(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(20):
        store(house, claimed(house, house.new_ticket(), 1), RANDOM, 0, CHUNK)
    groups: list[int] = []
    append = AppendLog.append

    def counted(log: AppendLog, texts: Sequence[bytes]) -> None:
        groups.append(len(texts))
        append(log, texts)

    monkeypatch.setattr(AppendLog, "append", counted)
    house.runtime.yield_if_due = lambda first=False: None  # type: ignore[method-assign]
    checkpoint(house)
    assert sum(groups) == 20
    assert len(groups) <= 2


def test_no_upload_waits_for_a_checkpoint(house: House) -> None:
    claim = claimed(house, house.new_ticket(), 1)
    store(house, claim, RANDOM, 0, CHUNK)
    with house.runtime.held("append"):
        house.uploads.keep_checkpoints()
        house.runtime.settle()
        store(house, claim, RANDOM, CHUNK, 2 * CHUNK)
    assert house.journaled()[0].checkpoints[-1].end_bytes == CHUNK


def test_a_journal_without_room_to_spare_has_no_checkpoints(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    claim = claimed(house, house.new_ticket(), 1)
    store(house, claim, RANDOM, 0, CHUNK)
    with monkeypatch.context() as full:
        full.setattr(AppendLog, "has_spare_space", False)
        checkpoint(house)
        assert house.journaled()[0].checkpoints == ()
    checkpoint(house)
    assert len(house.journaled()[0].checkpoints) == 1


def test_a_release_that_can_not_be_journaled_still_pauses_the_upload(house: House) -> None:
    ticket_id = house.new_ticket()
    claim = claimed(house, ticket_id, 1)
    store(house, claim, RANDOM, 0, CHUNK)
    with house.journal_broken():
        house.uploads.release(claim)
    assert house.state(ticket_id) is State.PAUSED


def test_checkpoints_continue_after_a_kill(house: House) -> None:
    ticket_id = begun(house, RANDOM, 1)
    after = house.restarted()
    claim = claimed(after, ticket_id, 1)
    store(after, claim, RANDOM, STORED, STORED + CHUNK)
    checkpoint(after)  # what is behind the last one may still be read back: then the next time
    checkpoint(after)
    end = STORED + CHUNK
    assert after.journaled()[0].checkpoints[-1] == (end, crc32c(RANDOM[:end]))


@pytest.mark.parametrize("sha256", [True, False])
@every_version
def test_a_checkpoint_is_what_was_acknowledged_however_digests_get_along(
    house: House, version: int, sha256: bool
) -> None:
    ticket_id = house.new_ticket(**({"digest": "sha256"} if sha256 else {}))
    claim = claimed(house, ticket_id, version)
    store(house, claim, RANDOM, 0, 3 * CHUNK - 5)
    checkpoint(house)
    assert house.journaled()[0].checkpoints == ((3 * CHUNK - 5, crc32c(RANDOM[: 3 * CHUNK - 5])),)


def test_an_upload_that_has_ended_keeps_no_checkpoints(house: House) -> None:
    arrived, cancelled, expired = (begun(house, RANDOM, 1) for _ in range(3))
    goes_on(house, arrived, RANDOM, 1)
    house.uploads.cancel_by_app(cancelled, "")
    house.uploads.release(claimed(house, expired, 1))
    house.uploads.expire(house.ticket(expired), "idle")
    assert [ticket.checkpoints for ticket in house.journaled()] == [(), (), ()]


def test_a_journal_with_checkpoints_can_be_read_by_an_older_version(house: House) -> None:
    """It takes the fields that it knows of a ticket's last line, and leaves the others alone."""
    begun(house, RANDOM, 1)
    *_, text = AppendLog(house.directory / "journal" / "log", fsync=False).payloads()
    entry = json.loads(text.partition(b" ")[2])
    assert (entry["version"], entry["ticket"]["state"]) == (1, "uploading")
    assert isinstance(entry["ticket"]["checkpoints"], list)


def test_there_are_few_ranges_to_compare_however_much_is_in_doubt(house: House) -> None:
    ticket_id = begun(house, RANDOM, 2)
    lose(house.file(ticket_id), 0, PAGE)
    claim = claimed(house.after_a_power_cut(), ticket_id, 2)
    assert len(claim.compare) <= MAX_RANGES
