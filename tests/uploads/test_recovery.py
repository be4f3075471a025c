"""What the next process does when one was killed: everything goes on where it stopped."""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
from pathlib import Path

import pytest
from crc32c import crc32c
from msgspec.structs import replace

from incoming.core.lifecycle import State
from incoming.core.ticket import DEST_TYPES
from incoming.handover.answers import Done, NoAnswer, Refused, WillFinish
from incoming.registry.entries import ticket_entry
from incoming.storage.local.directory import UploadDirectory
from incoming.uploads.housekeeping import RETRY_AFTER_S, recover, sweep
from tests.support.fakes import FakeAnswer, FakeApp
from tests.support.uploads import TIMES, House, new_claim

CONTENT = b"0123456789"
LENGTH_BYTES = len(CONTENT)
DOWN = NoAnswer("the app could not be reached")
EACH_KIND = pytest.mark.parametrize("dest_type", DEST_TYPES)


def house_with(directory: Path, *answers: FakeAnswer) -> House:
    return House(directory, FakeApp(*answers), **TIMES)


def test_an_outage_expires_no_ticket(tmp_path: Path) -> None:
    house = house_with(tmp_path)
    ticket_id = house.paused(LENGTH_BYTES, CONTENT[:4])
    house.pass_time(90)
    house = house.after_a_kill()  # its clock went on by nothing while it was down, and begins elsewhere
    house.pass_time(9)
    assert house.state(ticket_id) is State.PAUSED
    house.pass_time(2)
    assert house.state(ticket_id) is State.EXPIRED


def test_an_upload_resumes_where_its_file_ends(tmp_path: Path) -> None:
    before = house_with(tmp_path)
    ticket_id = before.new_ticket()
    before.uploads.write(before.claim(ticket_id, LENGTH_BYTES).claim, memoryview(CONTENT[:4]))
    house = before.after_a_kill()
    client = house.claim(ticket_id, LENGTH_BYTES)
    assert client.claim.offset_bytes == 4
    house.uploads.write(client.claim, memoryview(CONTENT[4:]))
    house.uploads.complete(client.claim)
    assert house.file(ticket_id).read_bytes() == CONTENT


def test_an_upload_killed_after_its_last_byte_is_handed_over(tmp_path: Path) -> None:
    before = house_with(tmp_path, WillFinish())
    ticket_id = before.new_ticket()
    before.uploads.write(before.claim(ticket_id, LENGTH_BYTES).claim, memoryview(CONTENT))
    house = before.after_a_kill()
    assert house.state(ticket_id) is State.WAITING
    assert [form["id"] for form in house.app.forms] == [ticket_id]


@pytest.mark.parametrize("length_bytes", [0, LENGTH_BYTES])
def test_an_upload_whose_client_has_not_agreed_yet_waits_for_it(tmp_path: Path, length_bytes: int) -> None:
    before = house_with(tmp_path)
    ticket_id = before.new_ticket()
    before.claim(ticket_id, length_bytes)
    house = before.after_a_kill()
    assert house.state(ticket_id) is State.PAUSED
    assert house.claim(ticket_id, length_bytes).claim.offset_bytes == 0


@EACH_KIND
def test_a_handover_resumes_after_a_restart(tmp_path: Path, dest_type: str) -> None:
    before = house_with(tmp_path, DOWN)
    ticket_id = before.new_ticket(destType=dest_type)
    before.arrive(ticket_id)
    before.app.answers = [Done()]
    house = before.after_a_kill()
    assert house.state(ticket_id) is State.FINISHED


@EACH_KIND
def test_a_waiting_ticket_can_be_finished_after_a_kill(tmp_path: Path, dest_type: str) -> None:
    before = house_with(tmp_path, WillFinish())
    ticket_id = before.new_ticket(destType=dest_type)
    before.arrive(ticket_id)
    house = before.after_a_kill()
    assert len(house.app.forms) == 1, "it is not asked again before its time"
    house.uploads.finish(ticket_id, "")
    assert not house.file(ticket_id).exists()


def test_a_cancellation_is_still_told_and_its_file_removed(tmp_path: Path) -> None:
    before = house_with(tmp_path, DOWN)
    ticket_id = before.paused(LENGTH_BYTES, CONTENT[:4])
    before.uploads.expire(before.ticket(ticket_id), "idle")
    before.file(ticket_id).parent.mkdir()
    before.file(ticket_id).write_bytes(CONTENT)  # killed before the file was removed
    before.app.answers = [Done()]
    house = before.after_a_kill()
    assert house.ticket(ticket_id).app_told
    assert not house.file(ticket_id).parent.exists()


@pytest.mark.parametrize("remove", ["true", "false"])
def test_a_finished_file_is_removed_when_it_is_ours_to_remove(tmp_path: Path, remove: str) -> None:
    before = house_with(tmp_path)
    ticket_id = before.new_ticket(removeFileWhenFinished=remove)
    before.arrive(ticket_id)
    before.file(ticket_id).parent.mkdir(exist_ok=True)
    before.file(ticket_id).write_bytes(CONTENT)  # killed before the file was removed
    house = before.after_a_kill()
    assert house.file(ticket_id).exists() == (remove == "false")
    assert house.claim(ticket_id, 7).claim.ticket.state is State.FINISHED


@EACH_KIND
def test_a_failed_handover_waits_for_the_app_to_ask(tmp_path: Path, dest_type: str) -> None:
    before = house_with(tmp_path, Refused("no"))
    ticket_id = before.new_ticket(destType=dest_type)
    before.arrive(ticket_id)
    house = before.after_a_kill()
    assert house.state(ticket_id) is State.FAILED
    assert len(house.app.forms) == 1


@pytest.fixture
def unreadable(tmp_path: Path) -> tuple[House, str, str]:
    """A house with two uploads that have all their bytes; the file of the first can't be opened."""
    house = house_with(tmp_path, WillFinish())
    first, second = house.new_ticket(), house.new_ticket()
    for ticket_id in (first, second):
        house.uploads.write(house.claim(ticket_id, LENGTH_BYTES).claim, memoryview(CONTENT))
    house.file(first).rename(tmp_path / "aside")
    house.file(first).symlink_to("x" * LENGTH_BYTES)  # of the right length, but links are not followed
    return house, first, second


def test_one_ticket_that_can_not_be_taken_up_does_not_keep_the_others(
    unreadable: tuple[House, str, str], caplog: pytest.LogCaptureFixture
) -> None:
    before, first, second = unreadable
    house = before.after_a_kill()
    assert (house.state(first), house.state(second)) == (State.PAUSED, State.WAITING)
    assert f"{first[:8]}: could not be completed" in caplog.text


def test_a_ticket_that_could_not_be_taken_up_is_tried_again(
    tmp_path: Path, unreadable: tuple[House, str, str]
) -> None:
    before, first, _ = unreadable
    house = before.after_a_kill()
    (tmp_path / "aside").replace(house.file(first))
    house.pass_time(RETRY_AFTER_S)
    assert house.state(first) is State.WAITING


def test_a_client_that_comes_first_completes_its_upload_itself(
    tmp_path: Path, unreadable: tuple[House, str, str]
) -> None:
    before, first, _ = unreadable
    house = before.after_a_kill()
    (tmp_path / "aside").replace(house.file(first))
    with house.runtime.held("_open"):
        house.runtime.spawn(house.claim, first, LENGTH_BYTES)
        house.runtime.advance(RETRY_AFTER_S)
        house.runtime.spawn(sweep, house.uploads)  # finds it paused, and waits for its turn
        house.runtime.settle()
    assert house.state(first) is State.UPLOADING
    assert [form["id"] for form in house.app.forms].count(first) == 0


def test_a_ticket_that_is_gone_meanwhile_is_not_tried_again(unreadable: tuple[House, str, str]) -> None:
    before, first, _ = unreadable
    house = before.after_a_kill()
    house.context.registry.forget(first)
    house.pass_time(RETRY_AFTER_S)


def test_a_ticket_whose_file_can_not_even_be_looked_at_does_not_keep_the_others(tmp_path: Path) -> None:
    before = house_with(tmp_path, WillFinish())
    tickets = [before.new_ticket() for _ in range(4)]
    for ticket_id in tickets:
        before.uploads.write(before.claim(ticket_id, LENGTH_BYTES).claim, memoryview(CONTENT))
    for ticket_id in tickets[1:3]:
        folder = before.file(ticket_id).parent
        folder.rename(tmp_path / ticket_id)
        folder.symlink_to(folder)  # a disk that refuses, for root too
    house = before.after_a_kill()
    states = [house.state(ticket_id) for ticket_id in tickets]
    assert states == [State.WAITING, State.PAUSED, State.PAUSED, State.WAITING]


# --- reading back what version 1 has completed -----------------------------------------------------


@pytest.fixture
def whole(tmp_path: Path) -> tuple[House, str]:
    """A house after a kill, with an upload of version 1 that has all its bytes; nothing was taken up yet."""
    before = house_with(tmp_path, WillFinish())
    ticket_id = before.new_ticket(digest="sha256")
    before.uploads.write(before.claim(ticket_id, LENGTH_BYTES).claim, memoryview(CONTENT))
    return before.restarted(), ticket_id


def test_a_file_that_is_handed_over_after_a_kill_has_its_digests(whole: tuple[House, str]) -> None:
    house, ticket_id = whole
    recover(house.uploads)
    house.runtime.settle()
    ticket = house.ticket(ticket_id)
    assert ticket.state is State.WAITING
    assert (ticket.crc32c, ticket.sha256) == (crc32c(CONTENT), hashlib.sha256(CONTENT).hexdigest())


def test_while_a_file_is_read_back_nobody_is_kept_waiting(whole: tuple[House, str]) -> None:
    house, ticket_id = whole
    other = house.new_ticket()
    with house.runtime.held("_read"):
        recover(house.uploads)  # returns: the server can begin
        house.runtime.settle()
        assert house.claim(ticket_id, LENGTH_BYTES).claim.offset_bytes == LENGTH_BYTES
        assert house.claim(other, 1).claim.offset_bytes == 0
    assert house.state(ticket_id) is State.UPLOADING, "its client is here, and completes it"


def test_an_upload_that_is_cancelled_while_it_is_read_back_is_not_handed_over(
    whole: tuple[House, str], caplog: pytest.LogCaptureFixture
) -> None:
    house, ticket_id = whole
    with house.runtime.held("_read"):
        recover(house.uploads)
        house.runtime.settle()
        house.uploads.cancel_by_app(ticket_id, "")
    assert house.state(ticket_id) is State.CANCELLED
    assert house.app.forms == []
    assert "defect" not in caplog.text


def test_an_upload_of_version_2_waits_for_the_word_of_its_client(tmp_path: Path) -> None:
    before = house_with(tmp_path, WillFinish())
    ticket_id = before.new_ticket()
    claimed = new_claim(LENGTH_BYTES, "a", 99, proves=True)
    before.uploads.write(before.uploads.claim(ticket_id, claimed, lambda _: None), memoryview(CONTENT))
    house = before.after_a_kill()
    assert (house.state(ticket_id), house.app.forms) == (State.PAUSED, [])
    claim = house.uploads.claim(ticket_id, claimed, lambda _: None)
    assert (claim.offset_bytes, claim.compare) == (LENGTH_BYTES, ((0, LENGTH_BYTES),))
    house.uploads.complete(claim, crc32c(CONTENT))
    house.runtime.settle()
    assert house.state(ticket_id) is State.WAITING


def test_a_completion_that_fails_leaves_no_file_open(tmp_path: Path) -> None:
    before = house_with(tmp_path, WillFinish())
    ticket_id = before.new_ticket()
    before.uploads.write(before.claim(ticket_id, LENGTH_BYTES).claim, memoryview(CONTENT))
    house = before.restarted()
    with house.journal_broken():
        recover(house.uploads)
    assert house.state(ticket_id) is State.PAUSED
    assert house.uploads.claims.count() == 0


def test_a_start_without_tickets_is_silent(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    house = house_with(tmp_path)
    recover(house.uploads)
    assert not caplog.records


def test_a_start_looks_for_no_file_of_an_upload_that_has_none_and_keeps_room_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A journal may have 200,000 tickets, and most of them nothing in data/: each look would take time."""
    before = house_with(tmp_path, Done())
    begun, ended = before.paused(LENGTH_BYTES, CONTENT[:4]), before.new_ticket()
    before.arrive(ended, CONTENT)
    before.uploads.write(before.claim(empty := before.new_ticket(), 1000).claim, memoryview(b"x"))
    shutil.rmtree(before.file(empty).parent)
    house = before.restarted()
    looked_at: list[str] = []
    look = UploadDirectory.status

    def status(directory: UploadDirectory, ticket_id: str) -> os.stat_result | None:
        looked_at.append(ticket_id)
        return look(directory, ticket_id)

    monkeypatch.setattr(UploadDirectory, "status", status)
    recover(house.uploads)
    house.runtime.settle()
    assert set(looked_at) == {begun}
    assert house.uploads.admission.reserved_bytes() == LENGTH_BYTES - 4 + 1000
    assert house.state(ended) is State.FINISHED


# --- after a power cut -----------------------------------------------------------------------------------


def as_an_older_version_wrote_it(house: House) -> None:
    """Has the journal say no more than one of version 0.3 would."""
    older = [replace(ticket, boot_id="", checkpoints=()) for ticket in house.journaled()]
    house.journal.append([ticket_entry(ticket) for ticket in older])


def test_an_upload_of_an_older_version_continues_where_the_disk_has_lost_its_bytes(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    before = house_with(tmp_path)
    ticket_id = before.paused(20_000, bytes(range(250)) * 40)
    with before.file(ticket_id).open("r+b") as file:
        file.truncate(4096)
        file.truncate(20_000)
    as_an_older_version_wrote_it(before)
    after = powered_up(before)
    assert after.state(ticket_id) is State.PAUSED, "it is not taken for complete"
    assert after.claim(ticket_id, 20_000).claim.offset_bytes == 4096
    assert "a power cut destroyed 15904 bytes" in caplog.text


def test_bytes_that_outlived_what_the_journal_says_of_them_are_not_taken_for_right(tmp_path: Path) -> None:
    """Without fsync an entry may be older than the file, and have no claim that the bytes belong to."""
    before = house_with(tmp_path)
    ticket_id = before.new_ticket()
    log = tmp_path / "journal" / "log"
    issued = log.read_bytes()
    before.uploads.write(before.claim(ticket_id, 20_000).claim, memoryview(bytes(20_000)))
    log.write_bytes(issued)
    with before.file(ticket_id).open("r+b") as file:
        file.truncate(4096)
        file.truncate(20_000)
    after = powered_up(before)
    assert after.uploads.look(ticket_id).offset_bytes == 0
    assert after.claim(ticket_id, 20_000).claim.offset_bytes == 0
    assert after.file(ticket_id).stat().st_size == 0


def test_a_file_that_can_not_be_looked_at_is_left_alone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    before = house_with(tmp_path)
    ticket_id, other_id = before.paused(10, CONTENT[:4]), before.paused(10, CONTENT[:4])
    before.file(ticket_id).unlink()
    before.file(ticket_id).symlink_to(before.file(other_id))
    as_an_older_version_wrote_it(before)
    before.after_a_power_cut()
    assert f"{ticket_id[:8]}: its file can't be checked" in caplog.text
    assert before.file(other_id).read_bytes() == CONTENT[:4]


def cut_while_the_app_was_down(directory: Path, fsync: bool = False, **request: str) -> tuple[House, str]:
    """Returns a house in which `CONTENT` or a folder has arrived, and the ticket's id; its app comes back."""
    house = House(directory, FakeApp(DOWN), **TIMES | {"fsync": fsync})
    ticket_id = house.new_ticket(**request)
    house.arrive(ticket_id, None if house.ticket(ticket_id).is_folder else CONTENT)
    house.app.forms.clear()
    house.app.answers = [Done()]
    return house, ticket_id


def powered_up(before: House) -> House:
    """Returns the first process after a power cut."""
    after = before.after_a_power_cut()
    recover(after.uploads)
    after.runtime.settle()
    return after


@pytest.mark.parametrize("left", [None, b"", CONTENT[:4], CONTENT[:4] + bytes(6)])
def test_a_file_that_was_not_synced_and_lost_bytes_is_not_handed_over(
    tmp_path: Path, left: bytes | None
) -> None:
    before, ticket_id = cut_while_the_app_was_down(tmp_path)
    before.file(ticket_id).unlink()
    if left is not None:
        before.file(ticket_id).write_bytes(left)
    after = powered_up(before)
    assert (after.state(ticket_id), after.app.forms) == (State.FAILED, [])
    assert after.ticket(ticket_id).reason == "a power cut destroyed some of its bytes"


def test_a_file_that_was_not_synced_and_is_whole_is_handed_over(tmp_path: Path) -> None:
    before, ticket_id = cut_while_the_app_was_down(tmp_path)
    assert powered_up(before).state(ticket_id) is State.FINISHED


@pytest.mark.parametrize("content", [CONTENT, b"9876543210"])
def test_an_app_that_says_it_has_the_file_while_that_is_read_once_more_is_believed(
    tmp_path: Path, content: bytes
) -> None:
    before, ticket_id = cut_while_the_app_was_down(tmp_path)
    before.file(ticket_id).write_bytes(content)
    after = before.after_a_power_cut()
    with after.runtime.held("_read"):
        recover(after.uploads)
        after.runtime.settle()
        after.uploads.finish(ticket_id, "")
    after.runtime.settle()
    assert (after.state(ticket_id), after.app.forms) == (State.FINISHED, [])


def test_a_file_that_was_synced_is_not_read_again(tmp_path: Path) -> None:
    before, ticket_id = cut_while_the_app_was_down(tmp_path, fsync=True)
    before.file(ticket_id).write_bytes(b"9876543210")
    assert powered_up(before).state(ticket_id) is State.FINISHED


@pytest.mark.parametrize(
    ("fsync", "answer", "state"),
    [
        (True, Refused("unknown id"), State.FINISHED),
        (False, Refused("unknown id"), State.FAILED),
        (False, Done(), State.FINISHED),
    ],
)
def test_a_file_that_is_gone_has_been_moved_by_its_app_unless_a_power_cut_may_have_taken_it(
    tmp_path: Path, fsync: bool, answer: FakeAnswer, state: State
) -> None:
    before, ticket_id = cut_while_the_app_was_down(tmp_path, fsync, removeFileWhenFinished="false")
    before.app.answers = [answer]
    before.file(ticket_id).unlink()
    assert powered_up(before).state(ticket_id) is state


@pytest.mark.parametrize(
    ("lost", "state"),
    [
        ([], State.FINISHED),
        ([""], State.FINISHED),
        (["", ".manifest"], State.FAILED),
        ([".head"], State.FAILED),
    ],
)
def test_a_folder_that_is_gone_may_be_with_its_app_only_if_its_list_is_there(
    tmp_path: Path, lost: list[str], state: State
) -> None:
    before, ticket_id = cut_while_the_app_was_down(
        tmp_path, removeFileWhenFinished="false", destType="folder"
    )
    place = before.file(ticket_id)
    for suffix in lost:
        place.with_name(f"{place.name}{suffix}").rename(tmp_path / f"taken{suffix}")
    assert powered_up(before).state(ticket_id) is state


@pytest.mark.parametrize(
    ("fsync", "removes", "state", "reason"),
    [
        (True, "false", State.FINISHED, ""),
        (False, "false", State.FAILED, "a power cut destroyed some of its bytes"),
        (True, "true", State.FAILED, "its files are gone"),
        (False, "true", State.FAILED, "a power cut destroyed some of its bytes"),
    ],
)
def test_a_folder_that_is_gone_with_its_list_ends_and_its_app_is_not_called(
    tmp_path: Path, fsync: bool, removes: str, state: State, reason: str
) -> None:
    before, ticket_id = cut_while_the_app_was_down(
        tmp_path, fsync, removeFileWhenFinished=removes, destType="folder"
    )
    before.file(ticket_id).parent.rename(tmp_path / "taken")
    after = powered_up(before)
    ticket = after.ticket(ticket_id)
    assert (ticket.state, ticket.reason, after.app.forms) == (state, reason, [])


def test_restarts_do_not_keep_an_abandoned_upload_alive(tmp_path: Path) -> None:
    house = house_with(tmp_path)
    ticket_id = house.new_ticket()
    house.claim(ticket_id, LENGTH_BYTES)
    for _ in range(3):
        house = house.after_a_kill()
        house.pass_time(40)
    assert house.state(ticket_id) is State.EXPIRED
