"""The service: how an upload ends, by its arrival or by a cancellation; and races between the two."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import pytest
from crc32c import crc32c

from incoming.core.errors import (
    HandoverFailed,
    IncomingError,
    LengthMismatch,
    StorageFailed,
    UploadCancelled,
    WrongState,
)
from incoming.core.lifecycle import State
from incoming.core.news import CalledOff, HandedOver, Interrupted
from incoming.handover.answers import Answer, Refused, WillFinish
from incoming.uploads.claims import ClaimedUpload
from tests.support.fakes import FakeApp
from tests.support.uploads import House

CONTENT = b"0123456789"
HANDED_OVER = HandedOver(crc32c(CONTENT))
LENGTH_BYTES = len(CONTENT)


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


def write(house: House, claim: ClaimedUpload, chunk: bytes) -> None:
    house.uploads.write(claim, memoryview(chunk))


# --- the arrival ---------------------------------------------------------------------------------


def test_a_whole_file_is_handed_over_and_its_client_hears_of_it(house: House) -> None:
    ticket_id = house.new_ticket()
    client = house.arrive(ticket_id, CONTENT)
    assert house.state(ticket_id) is State.FINISHED
    assert client.news == [HANDED_OVER]
    assert [form["id"] for form in house.app.forms] == [ticket_id]


def test_the_file_is_synced_and_journaled_before_the_app_is_called(tmp_path: Path) -> None:
    house = House(tmp_path, fsync=True)
    seen: list[tuple[list[str], list[State]]] = []

    def look(form: dict[str, str]) -> Answer:
        seen.append((list(house.runtime.pool_calls), [ticket.state for ticket in house.journaled()]))
        return WillFinish()

    house.app.answers = [look]
    house.arrive(house.new_ticket(), CONTENT)
    [(calls, states)] = seen
    assert calls.index("_sync") < len(calls) - 1 - calls[::-1].index("append")
    assert states == [State.HANDING_OVER]


def test_without_fsync_nothing_is_synced(house: House) -> None:
    house.arrive(house.new_ticket(), CONTENT)
    assert "_sync" not in house.runtime.pool_calls


def test_a_file_without_bytes_is_a_file(tmp_path: Path) -> None:
    there: list[bool] = []

    def look(form: dict[str, str]) -> Answer:
        there.append(Path(form["filename"]).is_file())
        return WillFinish()

    house = House(tmp_path, FakeApp(look))
    house.arrive(house.new_ticket(), b"")
    assert there == [True]


def test_the_file_belongs_to_its_owner_before_the_app_is_called(tmp_path: Path) -> None:
    house = House(tmp_path, FakeApp(WillFinish()))
    ticket_id = house.new_ticket(fileOwnerUid=str(os.geteuid()))
    house.arrive(ticket_id, CONTENT)
    calls = house.runtime.pool_calls
    assert calls.index("give") < len(calls) - 1 - calls[::-1].index("append")


def test_a_completion_that_fails_can_be_repeated_by_the_next_connection(house: House) -> None:
    ticket_id = house.new_ticket()
    client = house.claim(ticket_id, LENGTH_BYTES)
    write(house, client.claim, CONTENT)
    with house.journal_broken(), pytest.raises(StorageFailed):
        house.uploads.complete(client.claim)
    assert house.app.forms == []
    house.uploads.release(client.claim)
    again = house.claim(ticket_id, LENGTH_BYTES)
    assert again.claim.offset_bytes == LENGTH_BYTES
    house.uploads.complete(again.claim)
    house.runtime.settle()
    assert house.state(ticket_id) is State.FINISHED


def test_a_client_that_comes_back_after_the_arrival_watches(tmp_path: Path) -> None:
    house = House(tmp_path, FakeApp(WillFinish()))
    ticket_id = house.new_ticket()
    first = house.arrive(ticket_id, CONTENT)
    watcher = house.claim(ticket_id, LENGTH_BYTES)
    assert (watcher.claim.offset_bytes, watcher.claim.ticket.state) == (LENGTH_BYTES, State.WAITING)
    with pytest.raises(StorageFailed):
        write(house, watcher.claim, b"more")
    house.uploads.finish(ticket_id, "")
    house.runtime.settle()
    assert watcher.news == [HANDED_OVER]
    assert [type(news) for news in first.news] == [Interrupted]


def test_a_client_that_comes_back_after_the_end_hears_it_again(house: House) -> None:
    ticket_id = house.new_ticket()
    house.arrive(ticket_id, CONTENT)
    assert house.claim(ticket_id, LENGTH_BYTES).claim.ticket.state is State.FINISHED
    with pytest.raises(LengthMismatch):
        house.claim(ticket_id, 3)


def test_a_client_that_comes_back_after_a_refusal_hears_why(tmp_path: Path) -> None:
    house = House(tmp_path, FakeApp(Refused("the app answered with status 404")))
    ticket_id = house.new_ticket()
    house.arrive(ticket_id, CONTENT)
    with pytest.raises(HandoverFailed, match="status 404"):
        house.claim(ticket_id, LENGTH_BYTES)


def test_a_client_that_comes_back_just_when_the_app_refuses_hears_why(house: House) -> None:
    being_written = contextlib.ExitStack()
    heard: list[IncomingError] = []

    def refuse(_: dict[str, str]) -> Answer:
        being_written.enter_context(house.runtime.held("append"))
        return Refused("no")

    def come_back() -> None:
        with pytest.raises(IncomingError) as told:
            house.claim(ticket_id, LENGTH_BYTES)
        heard.append(told.value)

    house.app.answers = [refuse]
    ticket_id = house.new_ticket()
    house.arrive(ticket_id, CONTENT)
    house.runtime.spawn(come_back)
    house.runtime.settle()
    assert (heard, house.state(ticket_id)) == ([], State.HANDING_OVER), "the refusal is being journaled"
    being_written.close()
    assert [type(error) for error in heard] == [HandoverFailed]


# --- cancelling ----------------------------------------------------------------------------------


def test_a_user_cancels_and_the_file_is_gone_and_the_app_knows(house: House) -> None:
    ticket_id = house.new_ticket()
    client = house.claim(ticket_id, LENGTH_BYTES)
    write(house, client.claim, CONTENT[:4])
    house.uploads.cancel_by_client(client.claim, "changed my mind")
    house.runtime.settle()
    assert client.news == [], "it knows"
    assert not house.file(ticket_id).parent.exists()
    [form] = house.app.forms
    assert (form["cancelled"], form["cancelReason"]) == ("yes", "changed my mind")
    with pytest.raises(UploadCancelled):
        write(house, client.claim, CONTENT[4:])
    with pytest.raises(UploadCancelled):
        house.claim(ticket_id, LENGTH_BYTES)


def test_an_app_cancels_and_the_client_is_told_and_the_app_is_not(house: House) -> None:
    ticket_id = house.new_ticket()
    client = house.claim(ticket_id, LENGTH_BYTES)
    house.uploads.cancel_by_app(ticket_id, "")
    house.runtime.settle()
    assert [type(news) for news in client.news] == [CalledOff]
    with pytest.raises(UploadCancelled):
        write(house, client.claim, CONTENT)
    house.uploads.release(client.claim)
    house.uploads.cancel_by_app(ticket_id, "")  # its answer was lost
    assert house.app.forms == []
    assert not house.file(ticket_id).parent.exists()
    assert house.uploads.claims.count() == 0


def test_a_cancellation_that_can_not_be_journaled_has_not_happened(house: House) -> None:
    ticket_id = house.new_ticket()
    client = house.claim(ticket_id, LENGTH_BYTES)
    with house.journal_broken(), pytest.raises(StorageFailed):
        house.uploads.cancel_by_app(ticket_id, "")
    write(house, client.claim, CONTENT)
    assert house.file(ticket_id).read_bytes() == CONTENT


def test_it_is_too_late_to_cancel_once_the_file_has_arrived(tmp_path: Path) -> None:
    house = House(tmp_path, FakeApp(WillFinish()))
    ticket_id = house.new_ticket()
    client = house.arrive(ticket_id, CONTENT)
    with pytest.raises(WrongState):
        house.uploads.cancel_by_client(client.claim, "late")
    with pytest.raises(WrongState):
        house.uploads.cancel_by_app(ticket_id, "")
    assert house.file(ticket_id).read_bytes() == CONTENT


@pytest.mark.parametrize("cancel_first", [True, False])
def test_of_a_cancellation_and_a_completion_the_first_counts(tmp_path: Path, cancel_first: bool) -> None:
    house = House(tmp_path, FakeApp(WillFinish()))
    ticket_id = house.new_ticket()
    client = house.claim(ticket_id, LENGTH_BYTES)
    write(house, client.claim, CONTENT)
    results: dict[str, type[Exception] | None] = {}

    def complete() -> None:
        try:
            house.uploads.complete(client.claim)
            results["complete"] = None
        except IncomingError as exc:
            results["complete"] = type(exc)

    def cancel() -> None:
        try:
            house.uploads.cancel_by_app(ticket_id, "")
            results["cancel"] = None
        except WrongState:
            results["cancel"] = WrongState

    for action in (cancel, complete) if cancel_first else (complete, cancel):
        house.runtime.spawn(action)
    house.runtime.settle()
    if cancel_first:
        assert results == {"cancel": None, "complete": UploadCancelled}
        assert house.app.forms == []
    else:
        assert results == {"complete": None, "cancel": WrongState}
        assert house.state(ticket_id) is State.WAITING
