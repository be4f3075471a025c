"""A storage that keeps larger pieces than chunks: clients get acknowledgements of what survives a kill."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from incoming.core.errors import StorageFailed
from incoming.core.lifecycle import State
from incoming.handover.answers import WillFinish
from tests.support.fakes import FakeApp
from tests.support.piece_house import PieceHouse
from tests.support.piece_storage import DURABLE_AFTER_S, PieceWriter
from tests.websocket.page import CHUNK_BYTES, CONTENT, LENGTH_BYTES, Page
from tests.websocket.page2 import Page2
from tests.websocket.peer import BINARY, FIN

PIECE_BYTES = 2048


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PieceHouse:
    monkeypatch.setattr(PieceHouse, "piece_bytes", PIECE_BYTES)
    return PieceHouse(tmp_path, FakeApp(WillFinish()))


@pytest.fixture
def ticket_id(house: PieceHouse) -> str:
    return house.new_ticket()


@pytest.fixture
def page(house: PieceHouse) -> Iterator[Page]:
    page = Page(house)
    yield page
    page.socket.close()
    page.running.get(timeout=60)


@pytest.fixture
def page2(house: PieceHouse) -> Iterator[Page2]:
    page = Page2(house)
    yield page
    page.end()


def send(page: Page, start: int) -> None:
    page.send(FIN | BINARY, CONTENT[start : start + CHUNK_BYTES])
    page.house.runtime.settle()


def survives(house: PieceHouse, ticket_id: str) -> int:
    """Returns how many bytes the next process would have after a kill."""
    return house.context.storages.default.size(ticket_id) or 0


def test_a_client_of_version_1_gets_each_acknowledgement_when_its_chunk_is_durable(
    house: PieceHouse, page: Page, ticket_id: str
) -> None:
    page.open(ticket_id)
    send(page, 0)
    assert survives(house, ticket_id) == 0
    send(page, CHUNK_BYTES)  # the piece is whole
    assert page.expect("MsgChunkAck") == page.expect("MsgChunkAck") == {"ChunkSize": CHUNK_BYTES}
    send(page, 2 * CHUNK_BYTES)  # the file is whole
    assert page.expect("MsgChunkAck") == {"ChunkSize": LENGTH_BYTES - 2 * CHUNK_BYTES}
    house.uploads.finish(ticket_id, "")
    assert page.expect("MsgAllDone") == {"Success": True}


def test_a_client_that_waits_for_its_acknowledgement_gets_it_in_a_moment(
    house: PieceHouse, page: Page, ticket_id: str
) -> None:
    page.open(ticket_id)
    send(page, 0)
    house.runtime.advance(DURABLE_AFTER_S)
    assert page.expect("MsgChunkAck") == {"ChunkSize": CHUNK_BYTES}
    assert survives(house, ticket_id) == CHUNK_BYTES
    send(page, CHUNK_BYTES)
    assert page.expect("MsgChunkAck") == {"ChunkSize": CHUNK_BYTES}


def test_a_client_of_version_2_gets_durable_offsets(house: PieceHouse, page2: Page2, ticket_id: str) -> None:
    page2.begin(ticket_id)
    page2.chunk(0, PIECE_BYTES - 1)
    page2.chunk(PIECE_BYTES - 1, PIECE_BYTES + 10)
    page2.stored(PIECE_BYTES)
    house.runtime.advance(DURABLE_AFTER_S)
    page2.stored(PIECE_BYTES + 10)
    assert survives(house, ticket_id) == PIECE_BYTES + 10
    page2.chunk(PIECE_BYTES + 10, LENGTH_BYTES)
    page2.stored(LENGTH_BYTES)


def test_a_damaged_chunk_is_asked_for_again_once_all_before_it_is_durable(
    house: PieceHouse, page2: Page2, ticket_id: str
) -> None:
    page2.begin(ticket_id)
    page2.chunk(0, 100)
    page2.chunk(100, 200, flip=1)
    assert page2.expect("MsgResend") == {"Offset": 100, "Round": 1}
    assert survives(house, ticket_id) == 100


def test_a_storage_that_fails_then_is_an_error_that_the_client_hears(
    house: PieceHouse, page: Page, ticket_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: PieceWriter) -> None:
        raise StorageFailed

    monkeypatch.setattr(PieceWriter, "flush", fail)
    page.open(ticket_id)
    send(page, 0)
    house.runtime.advance(DURABLE_AFTER_S)
    page.expect_close(1013)


@pytest.mark.parametrize("waits_s", [0, DURABLE_AFTER_S])
def test_a_connection_that_ends_before_leaves_all_that_it_sent(
    house: PieceHouse, page: Page, ticket_id: str, waits_s: float
) -> None:
    page.open(ticket_id)
    send(page, 0)
    page.socket.close()
    page.running.get(timeout=60)
    house.runtime.advance(waits_s)
    assert house.state(ticket_id) is State.PAUSED
    assert survives(house, ticket_id) == CHUNK_BYTES, "a closed file has all of it"
