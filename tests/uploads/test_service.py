"""The service: tickets, claims, chunks, takeovers. How uploads end is in test_uploads_end."""

from __future__ import annotations

import errno
import os
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

from incoming.core.errors import (
    BadParameter,
    IncomingError,
    LengthMismatch,
    Stopping,
    StorageFailed,
    TakenOver,
    UnknownTicket,
    UploadCancelled,
    UploadExpired,
    UploadTooLarge,
    WrongSecret,
    WrongState,
)
from incoming.core.lifecycle import State
from incoming.core.news import Interrupted
from incoming.core.ticket import Ticket
from incoming.uploads.claims import ClaimedUpload
from tests.support.uploads import Client, House, new_claim

CONTENT = b"0123456789"
LENGTH_BYTES = len(CONTENT)


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


def write(house: House, claim: ClaimedUpload, chunk: bytes) -> None:
    house.uploads.write(claim, memoryview(chunk))


# --- tickets -------------------------------------------------------------------------------------


def test_a_ticket_is_a_random_uuid_and_survives_at_once(house: House) -> None:
    ids = [house.new_ticket() for _ in range(20)]
    assert len(set(ids)) == 20
    assert {uuid.UUID(ticket_id).version for ticket_id in ids} == {4}
    assert all(str(uuid.UUID(ticket_id)) == ticket_id for ticket_id in ids)
    assert {ticket.id for ticket in house.journaled()} == set(ids)


def test_a_ticket_remembers_what_the_app_asked_for(house: House) -> None:
    house.runtime.advance(77)
    ticket = house.ticket(house.new_ticket(backendSecret="s3cret", removeFileWhenFinished="false"))
    assert (ticket.signal_finish_url, ticket.secret) == ("http://app.example.org/finished", "s3cret")
    assert (ticket.secret_required, ticket.remove_file_when_finished) == (True, False)
    assert (ticket.issued_at_s, ticket.changed_at_s) == (77.0, 77.0)


@pytest.mark.parametrize("host", ["app.example.org", "APP.example.org:8443"])
def test_only_allowed_hosts_may_be_called(tmp_path: Path, host: str) -> None:
    house = House(tmp_path, handover_hosts=("app.example.org",))
    house.new_ticket(signalFinishURL=f"http://{host}/finished")
    with pytest.raises(BadParameter, match="signalFinishURL"):
        house.new_ticket(signalFinishURL="http://other.example.org/finished")


def test_an_owner_who_can_not_be_given_the_file_is_refused_at_the_start(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(fd: int, uid: int, gid: int) -> None:  # root would be allowed to
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "fchown", refuse)
    with pytest.raises(BadParameter, match="fileOwnerUid"):
        house.new_ticket(fileOwnerUid="1")


# --- claims and chunks ---------------------------------------------------------------------------


def test_a_claim_begins_where_the_file_ends(house: House) -> None:
    ticket_id = house.new_ticket()
    first = house.claim(ticket_id, LENGTH_BYTES, "C:\\tmp\\holiday.mov")
    assert first.claim.offset_bytes == 0
    assert (house.ticket(ticket_id).name, house.ticket(ticket_id).length_bytes) == ("holiday.mov", 10)
    write(house, first.claim, CONTENT[:4])
    house.uploads.release(first.claim)
    assert house.state(ticket_id) is State.PAUSED
    assert house.claim(ticket_id, LENGTH_BYTES).claim.offset_bytes == 4


def test_a_resume_with_another_length_is_refused_and_disturbs_nobody(house: House) -> None:
    ticket_id = house.new_ticket()
    client = house.claim(ticket_id, LENGTH_BYTES)
    with pytest.raises(LengthMismatch):
        house.claim(ticket_id, LENGTH_BYTES + 1)
    house.runtime.settle()
    assert client.news == []
    write(house, client.claim, CONTENT)


def test_a_file_larger_than_allowed_is_refused(tmp_path: Path) -> None:
    house = House(tmp_path, max_upload_bytes=LENGTH_BYTES)
    ticket_id = house.new_ticket()
    with pytest.raises(UploadTooLarge):
        house.claim(ticket_id, LENGTH_BYTES + 1)
    assert house.state(ticket_id) is State.ISSUED
    assert house.claim(ticket_id, LENGTH_BYTES).claim.offset_bytes == 0


def test_an_unknown_ticket_can_not_be_claimed(house: House) -> None:
    with pytest.raises(UnknownTicket):
        house.claim(str(uuid.uuid4()), LENGTH_BYTES)
    assert house.uploads.claims.count() == 0


def test_a_claim_that_began_earlier_does_not_take_the_upload_from_a_newer_one(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    ticket_id = house.new_ticket()
    newer: list[ClaimedUpload] = []
    check = house.uploads.power_cut_check
    run = check.run

    def run_slowly(ticket: Ticket) -> None:
        monkeypatch.setattr(check, "run", run)
        assert house.uploads.claims.has_pending_claim(ticket_id)
        newer.append(house.claim(ticket_id, 5).claim)

    monkeypatch.setattr(check, "run", run_slowly)
    with pytest.raises(TakenOver):
        house.claim(ticket_id, 5)
    house.uploads.write(newer[0], memoryview(b"bytes"))
    house.uploads.complete(newer[0])
    assert not house.uploads.claims.has_pending_claim(ticket_id)


def test_a_new_connection_takes_over_at_the_last_byte_of_the_old_one(house: House) -> None:
    ticket_id = house.new_ticket()
    old = house.claim(ticket_id, LENGTH_BYTES)
    write(house, old.claim, CONTENT[:4])
    new = house.claim(ticket_id, LENGTH_BYTES)
    assert new.claim.offset_bytes == 4
    house.runtime.settle()
    assert [type(news) for news in old.news] == [Interrupted]
    with pytest.raises(TakenOver):
        write(house, old.claim, b"late")
    write(house, new.claim, CONTENT[4:])
    assert house.file(ticket_id).read_bytes() == CONTENT


def test_nothing_that_the_old_connection_does_touches_the_ticket(house: House) -> None:
    ticket_id = house.new_ticket()
    old, new = house.claim(ticket_id, LENGTH_BYTES), house.claim(ticket_id, LENGTH_BYTES)
    with pytest.raises(TakenOver):
        house.uploads.cancel_by_client(old.claim, "changed my mind")
    with pytest.raises(TakenOver):
        house.uploads.complete(old.claim)
    house.uploads.release(old.claim)
    assert house.state(ticket_id) is State.UPLOADING
    write(house, new.claim, CONTENT)


def test_a_takeover_waits_for_the_write_that_is_under_way(tmp_path: Path) -> None:
    house = House(tmp_path)
    ticket_id = house.new_ticket()
    chunk = os.urandom(1 << 20)
    old = house.claim(ticket_id, 2 * len(chunk))
    offsets: list[int] = []
    house.runtime.spawn(write, house, old.claim, chunk)
    house.runtime.spawn(lambda: offsets.append(house.claim(ticket_id, 2 * len(chunk)).claim.offset_bytes))
    house.runtime.settle()
    assert offsets == [len(chunk)], "all of the chunk or nothing"
    assert house.file(ticket_id).read_bytes() == chunk


def test_a_cancellation_that_waits_behind_a_takeover_changes_nothing(house: House) -> None:
    ticket_id = house.new_ticket()
    chunk = bytes(1 << 20)
    old = house.claim(ticket_id, 2 * len(chunk))
    refused: list[IncomingError] = []

    def cancel() -> None:
        try:
            house.uploads.cancel_by_client(old.claim, "late")
        except IncomingError as exc:
            refused.append(exc)

    house.runtime.spawn(write, house, old.claim, chunk)  # the others wait until it is done
    house.runtime.spawn(house.claim, ticket_id, 2 * len(chunk))
    house.runtime.spawn(cancel)
    house.runtime.settle()
    assert [type(exc) for exc in refused] == [TakenOver]
    assert house.state(ticket_id) is State.UPLOADING


def test_a_claim_that_waits_behind_a_cancellation_hears_of_it(house: House) -> None:
    ticket_id = house.new_ticket()
    refused: list[IncomingError] = []

    def claim() -> None:
        try:
            house.claim(ticket_id, LENGTH_BYTES)
        except IncomingError as exc:
            refused.append(exc)

    with house.runtime.held("append"):
        house.runtime.spawn(house.uploads.cancel_by_app, ticket_id, "")
        house.runtime.spawn(claim)
        house.runtime.settle()
        assert refused == []
    assert [type(exc) for exc in refused] == [UploadCancelled]


def test_a_claim_that_can_not_be_journaled_leaves_everything_as_it_was(house: House) -> None:
    ticket_id = house.new_ticket()
    with house.journal_broken(), pytest.raises(StorageFailed):
        house.claim(ticket_id, LENGTH_BYTES)
    assert house.state(ticket_id) is State.ISSUED
    assert house.uploads.claims.count() == 0, "and no file stays open"


def test_a_failed_takeover_leaves_the_ticket_with_the_connection_that_has_it(house: House) -> None:
    ticket_id = house.new_ticket()
    client = house.claim(ticket_id, LENGTH_BYTES)
    house.uploads.stop()
    with pytest.raises(Stopping):
        house.claim(ticket_id, LENGTH_BYTES)
    write(house, client.claim, CONTENT)


def test_a_release_needs_no_journal_since_a_restart_would_make_it_too(house: House) -> None:
    ticket_id = house.new_ticket()
    client = house.claim(ticket_id, LENGTH_BYTES)
    write(house, client.claim, CONTENT[:4])
    with house.journal_broken():
        house.uploads.release(client.claim)
    assert house.state(ticket_id) is State.PAUSED
    after = house.restarted()
    assert after.state(ticket_id) is State.PAUSED
    assert after.claim(ticket_id, LENGTH_BYTES).claim.offset_bytes == 4


def test_who_has_let_go_can_not_write_any_more(house: House) -> None:
    ticket_id = house.new_ticket()
    client = house.claim(ticket_id, LENGTH_BYTES)
    house.uploads.release(client.claim)
    house.uploads.release(client.claim)
    with pytest.raises(TakenOver):
        write(house, client.claim, CONTENT)
    assert house.uploads.claims.count() == 0


def test_releasing_a_forgotten_ticket_is_not_an_error(house: House) -> None:
    ticket_id = house.new_ticket()
    client = house.claim(ticket_id, LENGTH_BYTES)
    house.context.registry.forget(ticket_id)
    house.uploads.release(client.claim)
    assert house.uploads.claims.count() == 0


def test_a_file_that_grew_behind_our_back_is_not_continued(house: House) -> None:
    ticket_id = house.new_ticket()
    house.uploads.release(house.claim(ticket_id, LENGTH_BYTES).claim)
    house.file(ticket_id).write_bytes(bytes(LENGTH_BYTES + 1))
    with pytest.raises(StorageFailed):
        house.claim(ticket_id, LENGTH_BYTES)


# --- secrets, expiry, stopping -------------------------------------------------------------------


@pytest.mark.parametrize("call", ["finish", "cancel_by_app", "retry"])
def test_the_secret_guards_what_the_app_asks_for(house: House, call: str) -> None:
    ticket_id = house.new_ticket(backendSecret="s3cret")
    for secret in ("", "wrong"):
        with pytest.raises(WrongSecret):
            getattr(house.uploads, call)(ticket_id, secret)
    with pytest.raises(UnknownTicket):
        getattr(house.uploads, call)(str(uuid.uuid4()), "s3cret")


def test_nothing_can_be_finished_before_it_has_arrived(house: House) -> None:
    ticket_id = house.new_ticket()
    for call in (house.uploads.finish, house.uploads.retry):
        with pytest.raises(WrongState):
            call(ticket_id, "")


def test_an_expired_ticket_tells_its_client_and_its_app(house: House) -> None:
    ticket_id = house.new_ticket()
    house.uploads.expire(house.ticket(ticket_id), "idle for too long")
    house.runtime.settle()
    with pytest.raises(UploadExpired):
        house.claim(ticket_id, LENGTH_BYTES)
    assert house.app.forms[0]["cancelReason"] == "idle for too long"


def test_a_stopping_service_disconnects_clients_and_calls_no_app(house: House) -> None:
    ticket_id = house.new_ticket()
    client = house.claim(ticket_id, LENGTH_BYTES)
    write(house, client.claim, CONTENT)
    house.uploads.stop()
    house.uploads.complete(client.claim)
    house.runtime.settle()
    assert [type(news.error) for news in client.news if isinstance(news, Interrupted)] == [Stopping]
    assert house.app.forms == []
    with pytest.raises(Stopping):
        house.new_ticket()


CALLS: Final[dict[str, Callable[[House, ClaimedUpload], object]]] = {
    "write": lambda house, claim: write(house, claim, CONTENT[4:]),
    "flush": lambda house, claim: house.uploads.flush(claim),
    "complete": lambda house, claim: house.uploads.complete(claim),
}


@pytest.mark.parametrize("call", CALLS)
def test_a_client_of_many_requests_hears_that_the_service_stops_whatever_it_asks_for_next(
    house: House, call: str
) -> None:
    ticket_id, client = house.new_ticket(), Client()
    client.claim = house.uploads.claim(ticket_id, new_claim(LENGTH_BYTES), client.listener, lease_s=30.0)
    write(house, client.claim, CONTENT[:4])
    house.uploads.stop()
    house.runtime.settle()
    assert house.state(ticket_id) is State.PAUSED, "the stop has released it"
    with pytest.raises(Stopping):
        CALLS[call](house, client.claim)
