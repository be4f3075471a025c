"""Who is let in: tickets as they were asked for, files as the ticket, the limits and the disk allow them."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from msgspec.structs import replace

from incoming.core.backend_requests import NewUpload
from incoming.core.errors import (
    BadParameter,
    HandoverFailed,
    IncomingError,
    LengthMismatch,
    StorageFailed,
    StorageFull,
    UploadCancelled,
    UploadExpired,
    UploadTooLarge,
)
from incoming.core.lifecycle import ARRIVED, RECEIVING, State
from incoming.core.ticket import Ticket
from incoming.core.units import MIB
from incoming.storage.local.writer import LocalWriter
from incoming.uploads.admission import Admission
from tests.support.uploads import House, free_space

URL = "http://app.example.org/finished"
LENGTH_BYTES = 10
NO_USER = 2**40


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path, max_upload_bytes=100)


@pytest.fixture
def admission(house: House) -> Admission:
    return Admission(house.context)


def ticket_in(state: State, length_bytes: int | None = LENGTH_BYTES) -> Ticket:
    return Ticket("id", URL, state=state, length_bytes=length_bytes, name="a.mov", last_modified_ms=5)


# --- tickets -------------------------------------------------------------------------------------


def test_a_ticket_has_all_that_was_asked_for(house: House, admission: Admission) -> None:
    house.runtime.advance(7)
    ticket = admission.new_ticket(
        NewUpload(URL, False, "s3cret", True, None, True, '{"a": 1}', 1000, 99, 98, "http://x")
    )
    assert ticket.issued_unix_s == pytest.approx(time.time(), abs=60)
    assert ticket == Ticket(
        id=ticket.id,
        issued_unix_s=ticket.issued_unix_s,
        signal_finish_url=URL,
        secret="s3cret",
        secret_required=True,
        remove_file_when_finished=False,
        issued_at_s=7.0,
        changed_at_s=7.0,
        wants_sha256=True,
        metadata='{"a": 1}',
        max_bytes_per_s=1000,
        max_bytes=99,
        length_bytes=98,
        return_url="http://x",
        storage="local",
    )


def test_what_this_server_does_not_do_is_refused_by_name(tmp_path: Path, admission: Admission) -> None:
    with pytest.raises(BadParameter, match="fileOwnerUid"):
        admission.new_ticket(NewUpload(URL, file_owner_uid=NO_USER))
    choosy = Admission(House(tmp_path, handover_hosts=("other.example.org",)).context)
    with pytest.raises(BadParameter, match="signalFinishURL"):
        choosy.new_ticket(NewUpload(URL))


@pytest.mark.parametrize(("max_bytes", "max_upload_bytes"), [(10, 0), (0, 10), (10, 99), (99, 10)])
def test_a_ticket_for_a_file_that_is_too_large_is_refused(
    tmp_path: Path, max_bytes: int, max_upload_bytes: int
) -> None:
    admission = Admission(House(tmp_path, max_upload_bytes=max_upload_bytes).context)
    assert admission.new_ticket(NewUpload(URL, max_bytes=max_bytes, length_bytes=10)).length_bytes == 10
    with pytest.raises(UploadTooLarge, match="it has 11 bytes, the limit is 10 bytes"):
        admission.new_ticket(NewUpload(URL, max_bytes=max_bytes, length_bytes=11))


# --- may this file come? ---------------------------------------------------------------------------


@pytest.mark.parametrize("state", sorted(RECEIVING | ARRIVED - {State.FAILED}))
def test_the_file_that_was_announced_may_come(admission: Admission, state: State) -> None:
    admission.check(ticket_in(state), LENGTH_BYTES)


@pytest.mark.parametrize("length_bytes", [0, 1, 100])
def test_a_ticket_without_a_file_takes_a_file_of_any_length(admission: Admission, length_bytes: int) -> None:
    admission.check(ticket_in(State.ISSUED, None), length_bytes)


@pytest.mark.parametrize(
    ("state", "error"),
    [
        (State.CANCELLED, UploadCancelled),
        (State.EXPIRED, UploadExpired),
        (State.FAILED, HandoverFailed),
    ],
)
@pytest.mark.parametrize("length_bytes", [LENGTH_BYTES, LENGTH_BYTES + 1, 101])
def test_how_an_upload_ended_matters_more_than_which_file_comes(
    admission: Admission, state: State, error: type[IncomingError], length_bytes: int
) -> None:
    with pytest.raises(error):
        admission.check(ticket_in(state), length_bytes)


@pytest.mark.parametrize("state", sorted(RECEIVING | ARRIVED - {State.FAILED}))
def test_a_file_of_another_length_is_refused_and_the_right_one_named(
    admission: Admission, state: State
) -> None:
    with pytest.raises(LengthMismatch) as refused:
        admission.check(ticket_in(state), LENGTH_BYTES + 1)
    assert refused.value.expected_file == ticket_in(state).expected_file


@pytest.mark.parametrize("state", sorted(RECEIVING))
def test_a_file_that_is_too_large_is_refused(admission: Admission, state: State) -> None:
    with pytest.raises(UploadTooLarge):
        admission.check(ticket_in(state, None), 101)


def test_a_file_that_has_arrived_is_never_too_large(admission: Admission) -> None:
    admission.check(ticket_in(State.FINISHED, 101), 101)


def test_without_a_limit_no_file_is_too_large(tmp_path: Path) -> None:
    Admission(House(tmp_path).context).check(ticket_in(State.ISSUED, None), 2**53 - 1)


# --- is there room? --------------------------------------------------------------------------------


def free_mib(house: House) -> int:
    return free_space(house).free_bytes() // MIB


def test_what_was_let_in_keeps_its_room_until_it_is_released(house: House, admission: Admission) -> None:
    most_of_it = free_mib(house) * MIB * 2 // 3
    first, second = house.ticket(house.new_ticket()), house.ticket(house.new_ticket())
    admission.open(first, most_of_it).close()
    with pytest.raises(StorageFull):
        admission.open(second, most_of_it)
    assert house.context.storages.default.size(second.id) is None, "who is not let in leaves nothing"
    admission.release(first.id)
    admission.open(second, most_of_it).close()


def test_what_is_on_the_disk_needs_no_room_any_more(house: House, admission: Admission) -> None:
    most_of_it = free_mib(house) * MIB * 2 // 3
    first = replace(house.ticket(house.new_ticket()), length_bytes=most_of_it)
    writer = admission.open(first, most_of_it)
    other = house.ticket(house.new_ticket())
    with pytest.raises(StorageFull):
        admission.open(other, most_of_it)
    assert isinstance(writer, LocalWriter)
    writer.accounted_bytes = most_of_it
    admission.reserve(first, writer)
    admission.open(other, most_of_it).close()


def test_a_file_that_has_grown_beyond_its_length_is_not_continued(
    house: House, admission: Admission, caplog: pytest.LogCaptureFixture
) -> None:
    ticket = house.ticket(house.paused(LENGTH_BYTES, b"0123456"))
    with pytest.raises(StorageFailed):
        admission.open(ticket, 6)
    assert "is longer than declared" in caplog.text
    assert ticket.id not in caplog.text
    assert admission.open(ticket, 7).durable_offset == 7


# --- how fast may it come? -------------------------------------------------------------------------


def test_every_connection_of_a_ticket_keeps_to_the_same_limit(house: House) -> None:
    slow, other = house.new_ticket(maxBytesPerS="1000"), house.new_ticket(maxBytesPerS="1000")
    first = house.claim(slow, LENGTH_BYTES).claim
    assert first.pace.delay_s(1000, house.runtime.now_s()) == pytest.approx(0.75)
    again = house.claim(slow, LENGTH_BYTES).claim
    assert again.pace.delay_s(1000, house.runtime.now_s()) == pytest.approx(1.75), "nothing begins anew"
    independent = house.claim(other, LENGTH_BYTES).claim
    assert independent.pace.delay_s(1000, house.runtime.now_s()) == pytest.approx(0.75)


def test_who_only_waits_for_the_result_has_no_limit_to_keep_to(house: House) -> None:
    ticket_id = house.new_ticket(maxBytesPerS="1")
    house.arrive(ticket_id, b"0123456789")
    watcher = house.claim(ticket_id, LENGTH_BYTES).claim
    assert watcher.pace.delay_s(1000, house.runtime.now_s()) == 0.0


def test_a_ticket_without_a_limit_never_waits(house: House) -> None:
    claim = house.claim(house.new_ticket(), LENGTH_BYTES).claim
    assert claim.pace.delay_s(1 << 40, house.runtime.now_s()) == 0.0
