"""Requests whose bytes go to a slow store: each answer tells what a kill keeps, and no more."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from incoming.core import errors
from incoming.core.lifecycle import State
from incoming.http_uploads.put import receive_whole
from incoming.http_uploads.transfer import FileDescription, Transfer
from incoming.http_uploads.transfers import Transfers
from incoming.protocol.request_checksum import RequestChecksums
from tests.http_uploads.test_transfers import (
    CUT,
    DATA,
    END,
    Check,
    FakeBody,
    Sending,
    as_body,
    complete_and_wait,
    send,
    send_all,
    transfers_of,
)
from tests.support.slow_house import SlowHouse
from tests.support.slow_storage import GIVES_UP_AFTER_S
from tests.support.uploads import TIMES

WHOLE = FileDescription(len(DATA))


@pytest.fixture
def house(tmp_path: Path) -> SlowHouse:
    return SlowHouse(tmp_path, http_hold_s=20.0, **TIMES)


@pytest.fixture
def transfers(house: SlowHouse) -> Transfers:
    return transfers_of(house)


def put(house: SlowHouse, transfers: Transfers, ticket_id: str, content: bytes, *more: object) -> Sending:
    """Sends a whole file from its beginning."""

    def receive(transfer: Transfer, body: Any) -> None:
        receive_whole(transfer, body, RequestChecksums())

    body = FakeBody(content, *more, length_bytes=len(content) if not more else len(DATA))
    return Sending(house, transfers, ticket_id, body, WHOLE, after=complete_and_wait, receive=receive)


def test_what_a_request_has_sent_is_durable_when_it_is_answered(
    house: SlowHouse, transfers: Transfers
) -> None:
    house.store.put_s = 0.1
    sending = send(house, transfers, ticket_id := house.new_ticket(), DATA[:1500], len(DATA))
    assert not sending.is_over
    house.runtime.advance(5)
    assert sending.is_over and sending.error is None
    assert house.stored(ticket_id) == DATA[:1500]


def test_a_request_is_told_only_of_bytes_that_a_kill_keeps(house: SlowHouse, transfers: Transfers) -> None:
    house.store.put_s = 0.1
    ticket_id = house.new_ticket()
    told: list[int] = []
    body = FakeBody(DATA[:1500], length_bytes=3000)

    def receive(transfer: Transfer, body: FakeBody) -> None:
        transfer.receive(as_body(body), None, told.append)

    sending = Sending(house, transfers, ticket_id, body, WHOLE, receive=receive)
    assert not any(told), "the store has none of them yet"
    house.runtime.advance(0.1)
    body.send(DATA[1500:3000])
    house.runtime.advance(5)
    assert sending.error is None
    assert told == sorted(told) and told[-1] <= 3000
    assert house.stored(ticket_id) == DATA[:3000]


def test_what_had_come_before_a_connection_broke_is_stored(house: SlowHouse, transfers: Transfers) -> None:
    ticket_id = house.new_ticket()
    body = FakeBody(DATA[:1500], CUT, length_bytes=3000)
    sending = Sending(house, transfers, ticket_id, body, WHOLE)
    assert isinstance(sending.error, errors.IncompleteBody)
    assert house.stored(ticket_id) == DATA[:1500]
    assert transfers.look(ticket_id).offset_bytes == 1500


def test_a_store_that_is_away_is_an_error_that_may_be_repeated(
    house: SlowHouse, transfers: Transfers
) -> None:
    ticket_id = house.new_ticket()
    house.store.is_away = True
    seen: list[int] = []

    def receive(transfer: Transfer, body: FakeBody) -> None:
        try:
            transfer.receive(as_body(body))
        finally:
            seen.append(transfer.offset_bytes)

    body = FakeBody(DATA[:1500])
    sending = Sending(house, transfers, ticket_id, body, WHOLE, receive=receive)
    house.runtime.advance(2 * GIVES_UP_AFTER_S + 10)
    assert isinstance(sending.error, errors.StorageFailed)
    house.store.is_away = False
    house.runtime.advance(5)
    again = send_all(house, transfers, ticket_id) if not house.stored(ticket_id) else None
    assert again is None or house.state(ticket_id) is State.FINISHED


@pytest.mark.parametrize("is_right", [True, False])
@pytest.mark.parametrize("content", [DATA[:500], DATA[:9000]])
def test_a_body_counts_once_its_checksum_agrees(
    house: SlowHouse, transfers: Transfers, is_right: bool, content: bytes
) -> None:
    ticket_id = house.new_ticket()
    send(house, transfers, ticket_id, DATA[:700], len(DATA))
    body = FakeBody(content, END)
    sending = Sending(house, transfers, ticket_id, body, WHOLE, Check(content if is_right else b"another"))
    assert (sending.error is None) is is_right
    stored = DATA[:700] + content if is_right else DATA[:700]
    assert house.stored(ticket_id) == stored
    assert transfers.look(ticket_id).offset_bytes == len(stored)


def test_no_kill_keeps_bytes_that_wait_for_their_checksum(house: SlowHouse, transfers: Transfers) -> None:
    ticket_id = house.new_ticket()
    body = FakeBody(DATA[:9000], length_bytes=len(DATA))
    Sending(house, transfers, ticket_id, body, WHOLE, Check(DATA))
    house.runtime.advance(10)
    assert house.stored(ticket_id) == b""
    after = house.after_a_kill()
    assert transfers_of(after).look(ticket_id).offset_bytes == 0
    send_all(after, transfers_of(after), ticket_id)
    assert after.state(ticket_id) is State.FINISHED


# --- a file that comes from its beginning once more ------------------------------------------------------


def test_a_beginning_that_is_stored_is_compared_by_its_checksum(
    house: SlowHouse, transfers: Transfers
) -> None:
    put(house, transfers, ticket_id := house.new_ticket(), DATA[:3000], CUT)
    assert house.stored(ticket_id) == DATA[:3000]
    again = put(house, transfers, ticket_id, DATA)
    assert again.error is None
    assert house.state(ticket_id) is State.FINISHED


@pytest.mark.parametrize("at", [0, 2999])
def test_another_beginning_is_refused(house: SlowHouse, transfers: Transfers, at: int) -> None:
    put(house, transfers, ticket_id := house.new_ticket(), DATA[:3000], CUT)
    other = DATA[:at] + bytes([DATA[at] ^ 1]) + DATA[at + 1 :]
    assert isinstance(put(house, transfers, ticket_id, other).error, errors.WrongFile)
    assert house.stored(ticket_id) == DATA[:3000]


def test_the_byte_that_was_withheld_may_come_again(house: SlowHouse, transfers: Transfers) -> None:
    ticket_id = house.new_ticket()
    send(house, transfers, ticket_id, DATA, len(DATA))

    def receive(transfer: Transfer, body: FakeBody) -> None:
        transfer.check_offset(len(DATA) - 1)
        transfer.receive(as_body(body))

    last = FakeBody(DATA[-1:])
    sending = Sending(house, transfers, ticket_id, last, WHOLE, after=complete_and_wait, receive=receive)
    assert sending.error is None
    assert house.state(ticket_id) is State.FINISHED
