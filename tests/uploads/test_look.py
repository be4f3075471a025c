"""A look at an upload: what it tells in each state, and that it changes nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from incoming.core.errors import UnknownTicket
from incoming.core.lifecycle import State
from incoming.core.progress import Progress
from incoming.handover.answers import NoAnswer, Refused, WillFinish
from tests.support.fakes import FakeApp
from tests.support.uploads import House

CONTENT = b"0123456789"


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


def progress(state: State, offset_bytes: int, reason: str = "") -> Progress:
    return Progress(state, offset_bytes, len(CONTENT), "holiday.mov", 0, reason)


def test_a_ticket_that_was_not_used_yet_has_nothing(house: House) -> None:
    assert house.uploads.look(house.new_ticket()) == Progress(State.ISSUED, 0, None, "", 0, "")


def test_an_unknown_upload_is_an_error(house: House) -> None:
    with pytest.raises(UnknownTicket):
        house.uploads.look("2b1c5a06-3c5d-4a57-9f43-0d1f9a3f7c11")


def test_an_upload_in_progress_has_the_offset_of_its_open_file(house: House) -> None:
    ticket_id = house.new_ticket()
    client = house.claim(ticket_id, len(CONTENT))
    for stored_bytes in (3, 6):
        house.uploads.write(client.claim, memoryview(CONTENT[:3]))
        assert house.uploads.look(ticket_id) == progress(State.UPLOADING, stored_bytes)


def test_a_paused_upload_has_the_length_of_its_file(house: House) -> None:
    ticket_id = house.paused(len(CONTENT), CONTENT[:4])
    assert house.uploads.look(ticket_id) == progress(State.PAUSED, 4)
    assert house.after_a_kill().uploads.look(ticket_id) == progress(State.PAUSED, 4)


@pytest.mark.parametrize(
    ("answer", "state", "reason"),
    [
        (WillFinish(), State.WAITING, ""),
        (NoAnswer("it is down"), State.HANDING_OVER, ""),
        (Refused("no room"), State.FAILED, "no room"),
    ],
    ids=str,
)
def test_an_upload_that_has_arrived_has_all_its_bytes(
    tmp_path: Path, answer: WillFinish | NoAnswer | Refused, state: State, reason: str
) -> None:
    house = House(tmp_path, FakeApp(answer))
    ticket_id = house.new_ticket()
    house.arrive(ticket_id, CONTENT)
    assert house.uploads.look(ticket_id) == progress(state, len(CONTENT), reason)


def test_a_cancelled_upload_has_nothing_and_says_why(house: House) -> None:
    ticket_id = house.paused(len(CONTENT), CONTENT[:4])
    house.uploads.cancel_by_app(ticket_id, "")
    assert house.uploads.look(ticket_id) == progress(State.CANCELLED, 0, "cancelled by the app")


def test_a_look_claims_nothing_and_writes_nothing(house: House) -> None:
    ticket_id = house.new_ticket()
    client = house.claim(ticket_id, len(CONTENT))
    house.uploads.write(client.claim, memoryview(CONTENT[:3]))
    before, writes = house.ticket(ticket_id), house.runtime.pool_calls.count("append")
    house.uploads.look(ticket_id)
    assert house.ticket(ticket_id) == before
    assert house.runtime.pool_calls.count("append") == writes
    house.uploads.write(client.claim, memoryview(CONTENT[3:]))
    house.uploads.complete(client.claim)
    assert client.news == []


def test_a_look_leaves_no_file_and_no_memory_behind(house: House) -> None:
    ticket_id = house.new_ticket()
    house.uploads.look(ticket_id)
    assert not house.file(ticket_id).exists()
    assert house.uploads.claims.count() == 0


def test_a_look_does_not_wait_for_the_writer(house: House) -> None:
    ticket_id = house.new_ticket()
    client = house.claim(ticket_id, len(CONTENT))
    house.uploads.write(client.claim, memoryview(CONTENT[:3]))
    seen: list[Progress] = []
    with house.uploads.claims.lock(ticket_id):
        house.runtime.spawn(lambda: seen.append(house.uploads.look(ticket_id)))
        house.runtime.settle()
        assert seen == [progress(State.UPLOADING, 3)]


def test_after_a_power_cut_bytes_that_were_lost_are_not_counted(tmp_path: Path) -> None:
    house = House(tmp_path)
    ticket_id = house.paused(len(CONTENT), CONTENT[:6])
    house.file(ticket_id).write_bytes(CONTENT[:3] + bytes(3))
    after = house.after_a_power_cut()
    stored = house.file(ticket_id).read_bytes()
    assert after.uploads.look(ticket_id) == progress(State.PAUSED, 0), "no checkpoint agrees"
    assert house.file(ticket_id).read_bytes() == stored
    assert after.claim(ticket_id, len(CONTENT)).claim.offset_bytes == 0


def test_after_a_power_cut_bytes_that_agree_are_counted(tmp_path: Path) -> None:
    house = House(tmp_path)
    ticket_id = house.paused(len(CONTENT), CONTENT[:6])
    after = house.after_a_power_cut()
    assert after.uploads.look(ticket_id) == progress(State.PAUSED, 6)
    assert after.claim(ticket_id, len(CONTENT)).claim.offset_bytes == 6
