"""What happens by itself while time passes: tickets expire, lapse and are forgotten (DESIGN 2)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from incoming.errors import UnknownTicket, UploadExpired
from incoming.handover.schedule import Done, NoAnswer, Refused, WillFinish
from incoming.housekeeping import (
    LONGEST_SWEEP_INTERVAL_S,
    TICKETS_AT_A_TIME,
    sweep,
    sweep_interval_s,
)
from incoming.lifecycle import State
from incoming.settings import Settings
from tests.support.fakes import FakeAnswer, FakeApp
from tests.support.house import TIMES, House

CONTENT = b"0123456789"
LENGTH_BYTES = len(CONTENT)
DOWN = NoAnswer("the app could not be reached")


def house_with(directory: Path, *answers: FakeAnswer) -> House:
    return House(directory, FakeApp(*answers), **TIMES)


def test_a_ticket_that_nobody_uses_expires_and_the_app_is_told(tmp_path: Path) -> None:
    house = house_with(tmp_path)
    ticket_id = house.new_ticket()
    house.pass_time(100)
    assert house.state(ticket_id) is State.ISSUED
    house.pass_time(1)
    assert house.state(ticket_id) is State.EXPIRED
    assert [form["cancelled"] for form in house.app.forms] == ["yes"]


def test_a_paused_upload_expires_and_its_file_is_gone(tmp_path: Path) -> None:
    house = house_with(tmp_path)
    ticket_id = house.paused(LENGTH_BYTES, CONTENT[:4])
    house.pass_time(101)
    with pytest.raises(UploadExpired):
        house.claim(ticket_id, LENGTH_BYTES)
    assert not house.file(ticket_id).parent.exists()


def test_an_upload_that_somebody_holds_does_not_expire(tmp_path: Path) -> None:
    house = house_with(tmp_path)
    ticket_id = house.new_ticket()
    house.claim(ticket_id, LENGTH_BYTES)
    house.pass_time(10_000)
    assert house.state(ticket_id) is State.UPLOADING


def test_the_idle_time_begins_with_the_pause(tmp_path: Path) -> None:
    house = house_with(tmp_path)
    ticket_id = house.new_ticket()
    house.pass_time(90)
    client = house.claim(ticket_id, LENGTH_BYTES)
    house.pass_time(90)
    house.uploads.release(client.claim)
    house.pass_time(90)
    assert house.state(ticket_id) is State.PAUSED


def test_an_app_that_said_wait_is_asked_again_and_then_it_has_failed(tmp_path: Path) -> None:
    house = house_with(tmp_path, WillFinish())
    ticket_id = house.new_ticket()
    house.arrive(ticket_id)
    house.pass_time(51)
    assert house.state(ticket_id) is State.WAITING
    assert len(house.app.forms) == 2
    house.pass_time(51)
    assert house.state(ticket_id) is State.FAILED
    assert len(house.app.forms) == 2
    assert house.file(ticket_id).exists()


def test_an_app_that_said_wait_and_moved_the_file_has_it(tmp_path: Path) -> None:
    house = house_with(tmp_path, WillFinish())
    ticket_id = house.new_ticket(removeFileWhenFinished="false")
    house.arrive(ticket_id)
    house.file(ticket_id).rename(tmp_path / "moved")
    house.pass_time(51)
    assert house.state(ticket_id) is State.FINISHED
    assert len(house.app.forms) == 1


def test_a_failed_file_is_kept_for_its_time_and_then_expires(tmp_path: Path) -> None:
    house = house_with(tmp_path, Refused("no"), Done())
    ticket_id = house.new_ticket()
    house.arrive(ticket_id)
    house.pass_time(199)
    assert house.file(ticket_id).exists()
    house.pass_time(2)
    assert house.state(ticket_id) is State.EXPIRED
    assert not house.file(ticket_id).parent.exists()
    assert house.app.forms[-1]["cancelled"] == "yes"


def test_a_result_is_kept_for_its_time_and_then_forgotten(tmp_path: Path) -> None:
    house = house_with(tmp_path)
    finished, cancelled = house.new_ticket(), house.new_ticket()
    house.arrive(finished)
    house.uploads.cancel_by_app(cancelled, "")
    house.pass_time(29)
    assert (house.state(finished), house.state(cancelled)) == (State.FINISHED, State.CANCELLED)
    house.pass_time(2)
    for ticket_id in (finished, cancelled):
        with pytest.raises(UnknownTicket):
            house.ticket(ticket_id)
    assert house.journaled() == []


def test_a_cancellation_is_not_forgotten_before_the_app_knows(tmp_path: Path) -> None:
    house = house_with(tmp_path, DOWN)
    ticket_id = house.new_ticket()
    house.uploads.expire(house.ticket(ticket_id), "idle")
    house.pass_time(45)
    assert house.state(ticket_id) is State.EXPIRED
    house.app.answers = [Done()]
    house.pass_time(20)
    with pytest.raises(UnknownTicket):
        house.ticket(ticket_id)


def test_one_ticket_that_makes_trouble_does_not_keep_the_others(tmp_path: Path) -> None:
    house = house_with(tmp_path)
    first, second = house.new_ticket(), house.paused(LENGTH_BYTES, CONTENT[:4])
    with house.journal_broken():
        house.pass_time(101)
    assert house.state(first) is State.ISSUED, "an end that can't be journaled waits for the next sweep"
    house.pass_time(0)
    assert {house.state(first), house.state(second)} == {State.EXPIRED}


def not_removed(house: House) -> str:
    """Has an upload expire whose file the disk keeps, for root too; returns its id."""
    ticket_id = house.paused(LENGTH_BYTES, CONTENT[:4])
    house.file(ticket_id).unlink()
    house.file(ticket_id).mkdir()
    house.pass_time(101)
    assert house.state(ticket_id) is State.EXPIRED
    return ticket_id


def lets_go(house: House, ticket_id: str) -> None:
    """The disk works again."""
    house.file(ticket_id).rmdir()
    house.file(ticket_id).write_bytes(CONTENT)


def test_a_file_that_could_not_be_removed_is_removed_by_the_first_sweep_that_can(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    house = house_with(tmp_path)
    ticket_id = not_removed(house)
    for _ in range(3):
        house.pass_time(1)
    assert caplog.text.count("not removed yet") == 1
    lets_go(house, ticket_id)
    house.pass_time(1)
    assert not house.file(ticket_id).parent.exists()
    assert house.state(ticket_id) is State.EXPIRED, "the result is kept as long as ever"
    with caplog.at_level("INFO"):
        house.pass_time(1)
    assert "removed after all" not in caplog.text


def test_a_ticket_whose_file_could_not_be_removed_is_not_forgotten_before_it_is(tmp_path: Path) -> None:
    house = house_with(tmp_path)
    ticket_id = not_removed(house)
    house.pass_time(31)
    assert house.state(ticket_id) is State.EXPIRED
    lets_go(house, ticket_id)
    house.pass_time(1)
    assert not house.file(ticket_id).parent.exists()
    with pytest.raises(UnknownTicket):
        house.ticket(ticket_id)


def test_sweeping_lets_others_run(tmp_path: Path) -> None:
    house = house_with(tmp_path)
    for _ in range(TICKETS_AT_A_TIME):
        house.new_ticket()
    ran: list[bool] = []
    house.runtime.spawn(ran.append, True)
    sweep(house.parts, house.uploads)
    assert ran


def test_every_timeout_is_noticed_soon_enough() -> None:
    assert sweep_interval_s(Settings()) == LONGEST_SWEEP_INTERVAL_S
    for name in ("idle_timeout_s", "handover_wait_timeout_s", "result_retention_s", "failed_retention_s"):
        short: dict[str, Any] = {name: 2.0}
        assert sweep_interval_s(Settings(**short)) == 0.5
