"""A full disk is said at the start of an upload, and nobody can reserve the disk away."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from incoming.core.errors import StorageFull
from incoming.core.lifecycle import State
from incoming.core.units import MIB
from incoming.handover.answers import WillFinish
from incoming.uploads.admission import UNUSED_AFTER_S
from incoming.uploads.housekeeping import recover
from tests.support.fakes import FakeApp
from tests.support.uploads import House, free_space, new_claim

CONTENT = b"0123456789"
LENGTH_BYTES = len(CONTENT)
OnDisk = Callable[[int], House]


@pytest.fixture
def house_on_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> OnDisk:
    """Makes a house on a disk of so many bytes, of which it has used what its files take up."""

    def make(size_bytes: int) -> House:
        def statvfs(_: object) -> SimpleNamespace:
            used_bytes = sum(file.stat().st_blocks * 512 for file in (tmp_path / "data").rglob("*"))
            return SimpleNamespace(f_blocks=size_bytes, f_bavail=size_bytes - used_bytes, f_frsize=1)

        monkeypatch.setattr(os, "statvfs", statvfs)
        return House(tmp_path, reservation_idle_s=60.0, reserve_ahead_mib=64)

    return make


def test_a_full_disk_is_said_at_the_start(house_on_disk: OnDisk) -> None:
    house = house_on_disk(1000 * MIB)
    ticket_id = house.new_ticket()
    with pytest.raises(StorageFull):
        house.claim(ticket_id, 2000 * MIB)
    assert house.state(ticket_id) is State.ISSUED
    assert house.uploads.claims.count() == 0


def test_what_others_have_announced_counts_until_they_end_or_stay_away(house_on_disk: OnDisk) -> None:
    house = house_on_disk(1000 * MIB)
    first, second = house.new_ticket(), house.new_ticket()
    client = house.claim(first, 600 * MIB)
    with pytest.raises(StorageFull):
        house.claim(second, 600 * MIB)
    house.uploads.release(client.claim)
    with pytest.raises(StorageFull):
        house.claim(second, 600 * MIB)
    assert house.claim(first, 600 * MIB), "it does not stand in its own way"
    house.uploads.cancel_by_app(first, "")
    assert house.claim(second, 600 * MIB)


def test_a_reservation_without_data_expires(house_on_disk: OnDisk) -> None:
    house = house_on_disk(1000 * MIB)
    house.uploads.release(house.claim(house.new_ticket(), 600 * MIB).claim)
    house.runtime.advance(61)
    assert house.claim(house.new_ticket(), 600 * MIB)


def test_what_is_on_the_disk_already_does_not_count_twice(house_on_disk: OnDisk) -> None:
    house = house_on_disk(100 * MIB)
    client = house.claim(house.new_ticket(), 80 * MIB)
    house.uploads.write(client.claim, memoryview(CONTENT))
    house.runtime.settle()  # 64 of them are reserved on the disk now
    assert house.claim(house.new_ticket(), 15 * MIB)
    with pytest.raises(StorageFull):
        house.claim(house.new_ticket(), 15 * MIB)


def test_what_may_never_be_used_up_is_not_room(tmp_path: Path, house_on_disk: OnDisk) -> None:
    house_on_disk(100 * MIB)
    house = House(tmp_path, min_free_mib=90)
    with pytest.raises(StorageFull):
        house.claim(house.new_ticket(), 11 * MIB)
    assert house.claim(house.new_ticket(), 9 * MIB)


def test_paused_uploads_count_after_a_restart_too(house_on_disk: OnDisk) -> None:
    before = house_on_disk(1000 * MIB)
    before.claim(before.new_ticket(), 600 * MIB)
    house = before.after_a_kill()
    with pytest.raises(StorageFull):
        house.claim(house.new_ticket(), 600 * MIB)


def test_a_file_that_is_all_here_is_handed_over_on_a_full_disk_too(tmp_path: Path) -> None:
    before = House(tmp_path, FakeApp(WillFinish()))
    ticket_id = before.new_ticket()
    before.uploads.write(before.claim(ticket_id, LENGTH_BYTES).claim, memoryview(CONTENT))
    before.journal.write_clock(before.context.clock.now_s())
    house = House(tmp_path, FakeApp(WillFinish()), min_free_mib=1 << 40)
    recover(house.uploads)
    house.runtime.settle()
    assert house.state(ticket_id) is State.WAITING


def test_who_takes_an_upload_over_keeps_room_for_it_again(house_on_disk: OnDisk) -> None:
    house = house_on_disk(1000 * MIB)
    first = house.new_ticket()
    client = house.claim(first, 600 * MIB)
    house.uploads.write(client.claim, memoryview(CONTENT))
    house.runtime.advance(61)  # silent for so long that others may have its room
    house.claim(first, 600 * MIB)
    with pytest.raises(StorageFull):
        house.claim(house.new_ticket(), 600 * MIB)


def test_a_pause_keeps_room_for_all_that_is_still_to_come(tmp_path: Path) -> None:
    """What was reserved ahead of the writer is given back to the disk, and could be promised to others."""
    house = House(tmp_path, reserve_ahead_mib=1)
    house.paused(3 * MIB, b"x" * 4096)
    assert house.uploads.admission.reserved_bytes() == 3 * MIB - 4096


# --- what a kill leaves ------------------------------------------------------------------------------


def uploading(house: House, length_bytes: int, stored_bytes: int = LENGTH_BYTES) -> str:
    """Has an upload of this length begin. Returns its id."""
    ticket_id = house.new_ticket()
    client = house.claim(ticket_id, length_bytes)
    house.uploads.write(client.claim, memoryview(bytes(stored_bytes)))
    house.runtime.settle()
    return ticket_id


@pytest.mark.parametrize("lengths_mib", [(100, 80, 15), (130, 65, 1), (190,), (40, 40, 40, 40, 30)])
def test_all_uploads_that_were_let_in_may_resume_after_a_kill(
    house_on_disk: OnDisk, lengths_mib: tuple[int, ...]
) -> None:
    before = house_on_disk(200 * MIB)
    lengths = {uploading(before, mib * MIB): mib * MIB for mib in lengths_mib}
    house = before.after_a_kill()
    assert house.uploads.admission.reserved_bytes() == sum(lengths.values()) - LENGTH_BYTES * len(lengths)
    for ticket_id, length_bytes in lengths.items():
        assert house.claim(ticket_id, length_bytes).claim.offset_bytes == LENGTH_BYTES


def test_all_of_them_may_resume_though_the_disk_takes_nothing_back(
    house_on_disk: OnDisk, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = house_on_disk(200 * MIB)
    tickets = [uploading(before, 95 * MIB) for _ in range(2)]
    monkeypatch.setattr(os, "ftruncate", lambda *_: None)
    house = before.after_a_kill()
    clients = [house.claim(ticket_id, 95 * MIB) for ticket_id in tickets]
    for client in clients:
        house.uploads.release(client.claim)
    for ticket_id in tickets:
        assert house.claim(ticket_id, 95 * MIB).claim.offset_bytes == LENGTH_BYTES


def test_what_a_killed_process_had_reserved_is_room_for_others_once_nobody_resumes(
    house_on_disk: OnDisk,
) -> None:
    before = house_on_disk(200 * MIB)
    for _ in range(2):
        uploading(before, 95 * MIB)
    house = before.after_a_kill()
    with pytest.raises(StorageFull):
        house.claim(house.new_ticket(), 150 * MIB)
    house.runtime.advance(61)
    assert house.claim(house.new_ticket(), 190 * MIB)


def test_what_is_reserved_counts_once_before_more_is_sent(house_on_disk: OnDisk) -> None:
    house = house_on_disk(200 * MIB)
    uploading(house, 100 * MIB)  # 64 of them are reserved by now, and it says nothing more
    assert house.uploads.admission.reserved_bytes() < 40 * MIB
    assert house.claim(house.new_ticket(), 95 * MIB)


# --- uploads without a byte --------------------------------------------------------------------------


def test_an_upload_that_sends_nothing_takes_no_space_on_the_disk(house_on_disk: OnDisk) -> None:
    house = house_on_disk(200 * MIB)
    before = free_space(house).free_bytes()
    ticket_id = house.new_ticket()
    house.claim(ticket_id, 190 * MIB)
    house.runtime.settle()
    house.runtime.advance(UNUSED_AFTER_S)
    assert before - free_space(house).free_bytes() < MIB


@pytest.mark.parametrize("connected", [True, False])
def test_an_upload_that_sends_nothing_yields_when_another_one_needs_the_room(
    house_on_disk: OnDisk, caplog: pytest.LogCaptureFixture, connected: bool
) -> None:
    caplog.set_level("INFO")
    house = house_on_disk(200 * MIB)
    greedy = house.new_ticket()
    client = house.claim(greedy, 190 * MIB)
    if not connected:
        house.uploads.release(client.claim)
    other = house.new_ticket()
    with pytest.raises(StorageFull):
        house.claim(other, 100 * MIB)
    house.runtime.advance(UNUSED_AFTER_S)
    assert house.claim(other, 100 * MIB)
    assert f"{greedy[:8]}: idle since its start" in caplog.text


def test_only_as_many_reservations_are_displaced_as_needed(house_on_disk: OnDisk) -> None:
    house = house_on_disk(200 * MIB)
    first, second = (house.claim(house.new_ticket(), 60 * MIB) for _ in range(2))
    house.runtime.advance(UNUSED_AFTER_S)
    with pytest.raises(StorageFull):
        house.claim(house.new_ticket(), 300 * MIB)
    assert house.uploads.admission.reserved_bytes() == 120 * MIB
    house.claim(house.new_ticket(), 100 * MIB)
    assert house.uploads.admission.reserved_bytes() == 160 * MIB
    house.uploads.write(second.claim, memoryview(CONTENT))
    with pytest.raises(StorageFull):
        house.uploads.write(first.claim, memoryview(CONTENT))


def test_repeated_claims_do_not_block_others(house_on_disk: OnDisk) -> None:
    house = house_on_disk(200 * MIB)
    greedy, other = house.new_ticket(), house.new_ticket()
    for _ in range(6):
        house.uploads.release(house.claim(greedy, 190 * MIB).claim)
        house.runtime.advance(UNUSED_AFTER_S / 6)
    client = house.claim(other, 100 * MIB)
    with pytest.raises(StorageFull):
        house.claim(greedy, 190 * MIB)
    house.uploads.write(client.claim, memoryview(CONTENT))


def test_an_upload_with_bytes_keeps_its_place(house_on_disk: OnDisk) -> None:
    house = house_on_disk(200 * MIB)
    begun = house.paused(150 * MIB, CONTENT)
    house.runtime.advance(UNUSED_AFTER_S * 2)
    with pytest.raises(StorageFull):
        house.claim(house.new_ticket(), 100 * MIB)
    assert house.claim(begun, 150 * MIB)


def test_an_upload_whose_first_chunk_is_on_its_way_keeps_its_place(house_on_disk: OnDisk) -> None:
    house = house_on_disk(200 * MIB)
    slow, other = house.new_ticket(), house.new_ticket()
    claimed = new_claim(150 * MIB, "a.mov")
    claim = house.uploads.claim(slow, claimed, lambda _: None)
    claim.is_sending = lambda: True
    house.runtime.advance(UNUSED_AFTER_S * 2)
    with pytest.raises(StorageFull):
        house.claim(other, 100 * MIB)
    house.uploads.write(claim, memoryview(CONTENT))


def test_a_displaced_upload_waits_and_then_resumes(house_on_disk: OnDisk) -> None:
    house = house_on_disk(200 * MIB)
    late, other = house.new_ticket(), house.new_ticket()
    client = house.claim(late, 150 * MIB)
    house.runtime.advance(UNUSED_AFTER_S)
    house.claim(other, 100 * MIB)
    with pytest.raises(StorageFull) as refused:
        house.uploads.write(client.claim, memoryview(CONTENT))
    assert refused.value.retryable
    with pytest.raises(StorageFull):
        house.claim(late, 150 * MIB)  # another connection does not get round it
    assert house.file(late).stat().st_size == 0
    house.uploads.cancel_by_app(other, "")
    house.uploads.write(client.claim, memoryview(CONTENT))
    with pytest.raises(StorageFull):
        house.claim(house.new_ticket(), 100 * MIB)


def test_an_upload_that_has_yielded_keeps_no_room_by_leaving(house_on_disk: OnDisk) -> None:
    house = house_on_disk(200 * MIB)
    client = house.claim(house.new_ticket(), 150 * MIB)
    house.runtime.advance(UNUSED_AFTER_S)
    house.claim(house.new_ticket(), 100 * MIB)
    house.uploads.release(client.claim)
    assert house.uploads.admission.reserved_bytes() == 100 * MIB


def test_an_upload_without_a_byte_yields_after_a_restart_too(house_on_disk: OnDisk) -> None:
    before = house_on_disk(200 * MIB)
    before.claim(before.new_ticket(), 190 * MIB)
    house = before.after_a_kill()
    house.runtime.advance(UNUSED_AFTER_S)
    assert house.claim(house.new_ticket(), 100 * MIB)
