"""A full disk is said at the start of an upload, and nobody can reserve the disk away (DESIGN 4)."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from incoming.admission import MIB
from incoming.errors import StorageFull
from incoming.handover.schedule import WillFinish
from incoming.housekeeping import recover
from incoming.lifecycle import State
from tests.support.fakes import FakeApp
from tests.support.house import House

CONTENT = b"0123456789"
LENGTH_BYTES = len(CONTENT)
OnDisk = Callable[[int], House]


@pytest.fixture
def house_on_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> OnDisk:
    """Makes a house on a disk of so many bytes, of which it has used what its files take up."""

    def make(size_bytes: int) -> House:
        def statvfs(_: object) -> SimpleNamespace:
            used_bytes = sum(file.stat().st_blocks * 512 for file in (tmp_path / "data").rglob("*"))
            return SimpleNamespace(f_bavail=size_bytes - used_bytes, f_frsize=1)

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


def test_an_announcement_that_nobody_makes_true_falls_out(house_on_disk: OnDisk) -> None:
    house = house_on_disk(1000 * MIB)
    house.uploads.release(house.claim(house.new_ticket(), 600 * MIB).claim)
    house.runtime.advance(61)
    assert house.claim(house.new_ticket(), 600 * MIB)


def test_what_is_on_the_disk_already_does_not_count_twice(house_on_disk: OnDisk) -> None:
    house = house_on_disk(100 * MIB)
    client = house.claim(house.new_ticket(), 80 * MIB)
    house.runtime.settle()  # 64 of them are reserved on the disk now
    house.uploads.write(client.claim, memoryview(CONTENT))
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
    before.journal.write_clock(before.parts.clock.now_s())
    house = House(tmp_path, FakeApp(WillFinish()), min_free_mib=1 << 40)
    recover(house.parts, house.uploads)
    house.runtime.settle()
    assert house.state(ticket_id) is State.WAITING


def test_who_takes_an_upload_over_keeps_room_for_it_again(house_on_disk: OnDisk) -> None:
    house = house_on_disk(1000 * MIB)
    first = house.new_ticket()
    house.claim(first, 600 * MIB)
    house.runtime.advance(61)  # silent for so long that others may have its room
    house.claim(first, 600 * MIB)
    with pytest.raises(StorageFull):
        house.claim(house.new_ticket(), 600 * MIB)


def test_a_pause_keeps_room_for_all_that_is_still_to_come(tmp_path: Path) -> None:
    """What was reserved ahead of the writer is given back to the disk, and could be promised to others."""
    house = House(tmp_path, reserve_ahead_mib=1)
    house.paused(3 * MIB, b"x" * 4096)
    assert house.uploads.admission.reserved_bytes() == 3 * MIB - 4096
