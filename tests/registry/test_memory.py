"""The dict of tickets: one change at a time, in the journal before anybody sees it."""

from __future__ import annotations

from pathlib import Path

import gevent
import pytest
from msgspec.structs import replace

from incoming.core.errors import StorageFailed, UnknownTicket
from incoming.core.lifecycle import Cancel, Claim, Complete, Expire, Post, Release, State
from incoming.core.ticket import IllegalTransition, Ticket
from incoming.registry import append_log as log_module
from incoming.registry.append_log import BLOCK_BYTES
from incoming.uploads.housekeeping import sweep
from tests.support.fakes import FakeRuntime
from tests.support.uploads import TIMES, House

ID = "2b1c5a06-3c5d-4a57-9f43-0d1f9a3f7c11"
TICKET = Ticket(ID, "http://app.example.org/finished")
CLAIM = Claim(100, "holiday.mov")


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


def test_a_ticket_that_was_added_is_there_and_survives(house: House) -> None:
    house.context.registry.add(TICKET)
    assert house.ticket(ID) == TICKET
    assert house.journaled() == [TICKET]
    assert house.restarted().ticket(ID) == TICKET


def test_a_ticket_that_can_not_be_journaled_does_not_exist(house: House) -> None:
    with house.journal_broken(), pytest.raises(StorageFailed):
        house.context.registry.add(TICKET)
    with pytest.raises(UnknownTicket):
        house.ticket(ID)


def test_an_unknown_ticket_raises_unknown_ticket(house: House) -> None:
    with pytest.raises(UnknownTicket):
        house.context.registry.get(ID)
    with pytest.raises(UnknownTicket):
        house.context.registry.change(ID, CLAIM)


def test_a_change_is_applied_at_the_time_of_the_service(house: House) -> None:
    house.context.registry.add(TICKET)
    house.runtime.advance(50)
    changed = house.context.registry.change(ID, CLAIM)
    assert changed == house.ticket(ID)
    assert (changed.state, changed.changed_at_s) == (State.UPLOADING, 50.0)


def test_a_change_is_in_the_journal_before_anybody_sees_it(house: House) -> None:
    house.context.registry.add(TICKET)
    with house.runtime.held("append"):
        house.runtime.spawn(house.context.registry.change, ID, CLAIM)
        house.runtime.settle()
        assert house.state(ID) is State.ISSUED
    assert house.state(ID) is State.UPLOADING
    assert [t.state for t in house.journaled()] == [State.UPLOADING]


def test_a_change_that_can_not_be_journaled_has_not_happened(house: House) -> None:
    house.context.registry.add(TICKET)
    with house.journal_broken(), pytest.raises(StorageFailed):
        house.context.registry.change(ID, CLAIM)
    assert house.ticket(ID) == TICKET
    assert house.context.registry.change(ID, CLAIM).state is State.UPLOADING


def test_what_has_happened_is_counted_and_what_has_not_is_not(house: House) -> None:
    house.context.registry.add(TICKET)
    house.context.registry.change(ID, CLAIM)
    with house.journal_broken(), pytest.raises(StorageFailed):
        house.context.registry.change(ID, Cancel("no more"))
    counters = house.context.counters
    assert (counters.issued, counters.claims, counters.ended) == (1, {"first": 1}, {})


def test_a_change_that_is_not_allowed_changes_nothing(house: House) -> None:
    house.context.registry.add(TICKET)
    with pytest.raises(IllegalTransition):
        house.context.registry.change(ID, Complete())
    assert not house.context.counters.ended
    assert house.ticket(ID) == TICKET
    assert house.journaled() == [TICKET]


def test_what_dies_with_the_process_is_not_journaled(house: House) -> None:
    house.context.registry.add(TICKET)
    house.context.registry.change(ID, CLAIM)
    writes = house.runtime.pool_calls.count("append")
    house.context.registry.change(ID, CLAIM)  # a takeover
    assert house.context.registry.change(ID, CLAIM).epoch == 3
    house.context.registry.change(ID, Complete())
    assert house.context.registry.change(ID, Post()).deliveries == 1
    assert house.runtime.pool_calls.count("append") == writes + 1, "only the completion"


def test_two_changes_of_one_ticket_come_one_after_the_other(house: House) -> None:
    house.context.registry.add(TICKET)
    outcomes: list[str] = []

    def change(event: Cancel | Expire) -> None:
        try:
            house.context.registry.change(ID, event)
            outcomes.append("changed")
        except IllegalTransition:
            outcomes.append("too late")

    with house.runtime.held("append"):
        house.runtime.spawn(change, Cancel("by the user"))
        house.runtime.spawn(change, Expire("idle"))
        house.runtime.settle()
        assert outcomes == []
    assert outcomes == ["changed", "too late"]
    assert house.state(ID) is State.CANCELLED


def test_a_ticket_does_not_wait_for_the_change_of_another(house: House) -> None:
    other = replace(TICKET, id=ID[:-1] + "2")
    house.context.registry.add(TICKET)
    house.context.registry.add(other)
    house.context.registry.change(other.id, CLAIM)
    with house.runtime.held("append"):
        house.runtime.spawn(house.context.registry.change, ID, CLAIM)
        house.runtime.settle()
        with gevent.Timeout(5):
            assert house.context.registry.change(other.id, CLAIM).epoch == 2


def test_a_forgotten_ticket_is_gone_from_the_journal_too(house: House) -> None:
    house.context.registry.add(TICKET)
    house.context.registry.forget(ID)
    house.context.registry.forget(ID)
    with pytest.raises(UnknownTicket):
        house.ticket(ID)
    assert house.journaled() == []


def test_the_tickets_of_the_moment_are_listed_whatever_happens_meanwhile(house: House) -> None:
    house.context.registry.add(TICKET)
    listed = house.context.registry.tickets()
    house.context.registry.forget(ID)
    assert list(listed) == [TICKET]
    assert list(house.context.registry.tickets()) == []


def test_who_uploaded_when_the_process_died_has_paused(house: House) -> None:
    house.context.registry.add(TICKET)
    house.context.registry.change(ID, CLAIM)
    house.runtime.advance(1000)
    after = house.restarted().ticket(ID)
    assert (after.state, after.length_bytes, after.name) == (State.PAUSED, 100, "holiday.mov")
    assert after.changed_at_s == 1000.0, "the time to come back begins with the restart"


def test_a_release_survives(house: House) -> None:
    house.context.registry.add(TICKET)
    house.context.registry.change(ID, CLAIM)
    house.context.registry.change(ID, Release())
    assert house.restarted().state(ID) is State.PAUSED


def test_what_a_restart_has_found_is_journaled_once(house: House) -> None:
    house.context.registry.add(TICKET)
    house.context.registry.change(ID, CLAIM)
    house.runtime.advance(1000)
    after = house.restarted()
    after.context.registry.persist_recovered()
    after.context.registry.persist_recovered()
    assert [(t.state, t.changed_at_s) for t in after.journaled()] == [(State.PAUSED, 1000.0)]
    assert after.runtime.pool_calls.count("append") == 1


def test_what_a_restart_has_found_is_kept_once_the_disk_lets_us(house: House) -> None:
    house.context.registry.add(TICKET)
    house.context.registry.change(ID, CLAIM)
    after = house.restarted()
    with after.journal_broken(), pytest.raises(StorageFailed):
        after.context.registry.persist_recovered()
    after.context.registry.persist_recovered()
    assert [t.state for t in after.journaled()] == [State.PAUSED]


def test_a_release_is_journaled_and_need_not_be_kept_again(house: House) -> None:
    house.context.registry.add(TICKET)
    house.context.registry.persist_recovered()
    assert house.runtime.pool_calls.count("append") == 1


def test_the_unfinished_tickets_of_an_app_are_counted_over_a_restart_too(house: House) -> None:
    registry = house.context.registry
    ids = [house.new_ticket(signalFinishURL=f"http://app.example.org:80{n}/finished") for n in (80, 80, 81)]
    assert [registry.unfinished(f"app.example.org:80{n}") for n in (80, 81, 82)] == [2, 1, 0]
    house.arrive(ids[0])
    assert registry.unfinished("app.example.org:8080") == 1
    registry = house.restarted().context.registry
    assert registry.unfinished("app.example.org:8080") == 1
    registry.change(ids[1], Cancel("no more"))
    registry.forget(ids[1])
    registry.forget(ids[2])
    assert [registry.unfinished(f"app.example.org:80{n}") for n in (80, 81)] == [0, 0]


@pytest.mark.parametrize(
    "clock", [None, b"", b"rubbish", b'{"ran_s": 0.5, "boot": ""}', b'{"ran_s": NaN}'], ids=str
)
def test_the_time_of_the_newest_ticket_bounds_a_clock_that_is_lost_or_behind(
    house: House, tmp_path: Path, clock: bytes | None
) -> None:
    house.runtime.advance(500)
    idle = house.new_ticket()
    house.runtime.advance(500)
    house.new_ticket()
    file = tmp_path / "journal" / "clock"
    house.context.clock.now_s()
    if clock is None:
        file.unlink(missing_ok=True)
    else:
        file.write_bytes(clock)
    after = House(tmp_path, house.app, FakeRuntime(5.0), **TIMES)
    assert after.context.clock.now_s() == 1000.0
    sweep(after.uploads)
    assert after.state(idle) is State.EXPIRED, "what was idle for too long before still is"


def test_tickets_are_made_while_a_long_journal_is_made_shorter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_module, "COMPACT_AFTER_BYTES", 100 * BLOCK_BYTES)
    house = House(tmp_path)
    log = tmp_path / "journal" / "log"
    inode = log.stat().st_ino
    with house.runtime.held("shorten"):
        ids = {house.new_ticket() for _ in range(300)}
        assert house.journal.needs_compaction
        assert log.stat().st_ino == inode
    while house.journal.needs_compaction:
        ids.add(house.new_ticket())
        house.runtime.advance(1)
    assert log.stat().st_ino != inode
    assert {ticket.id for ticket in house.journaled()} == ids
    assert {ticket.id for ticket in house.restarted().context.registry.tickets()} == ids


def test_a_clock_that_is_ahead_of_all_tickets_is_believed(house: House) -> None:
    house.new_ticket()
    house.runtime.advance(500)
    assert house.restarted().context.clock.now_s() == 500.0
