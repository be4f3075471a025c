"""Connections whose bytes go to a slow store: it says what may be acknowledged, and nobody waits for ever."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from incoming.core.lifecycle import State
from incoming.core.units import MIB
from incoming.handover.answers import WillFinish
from incoming.protocol.flow_control import BUSY_WINDOW_BYTES, limits_of
from incoming.settings.table import Settings
from incoming.websocket.session_driver import PROGRESS_PONG_INTERVAL_S
from tests.support.fakes import FakeApp
from tests.support.slow_house import SlowHouse
from tests.support.slow_storage import GIVES_UP_AFTER_S, STANDSTILL_S
from tests.websocket.page import CHUNK_BYTES, CONTENT, LENGTH_BYTES, Page
from tests.websocket.page2 import Page2
from tests.websocket.peer import BINARY, FIN

PUT_S = 0.05


@pytest.fixture
def house(tmp_path: Path) -> SlowHouse:
    house = SlowHouse(tmp_path, FakeApp(WillFinish()))
    house.store.put_s = PUT_S
    house.store.piece_bytes, house.store.in_flight_bytes = 2048, 2048
    return house


@pytest.fixture
def ticket_id(house: SlowHouse) -> str:
    return house.new_ticket()


@pytest.fixture
def page(house: SlowHouse) -> Iterator[Page]:
    page = Page(house)
    yield page
    page.socket.close()
    house.runtime.advance(2 * GIVES_UP_AFTER_S)
    page.running.get(timeout=60)


@pytest.fixture
def page2(house: SlowHouse) -> Iterator[Page2]:
    page = Page2(house)
    yield page
    page.socket.close()
    house.runtime.advance(2 * GIVES_UP_AFTER_S)
    page.running.get(timeout=60)


def send(page: Page, start: int) -> None:
    page.send(FIN | BINARY, CONTENT[start : start + CHUNK_BYTES])
    page.house.runtime.settle()


def test_a_client_of_version_1_with_a_small_window_gets_on(
    house: SlowHouse, page: Page, ticket_id: str
) -> None:
    """It sends a chunk, and waits for its acknowledgement: a piece would never be full."""
    page.open(ticket_id)
    for start in range(0, LENGTH_BYTES, CHUNK_BYTES):
        send(page, start)
        house.runtime.advance(STANDSTILL_S + PUT_S)
        size_bytes = len(CONTENT[start : start + CHUNK_BYTES])
        assert page.expect("MsgChunkAck") == {"ChunkSize": size_bytes}
        assert len(house.stored(ticket_id)) == start + size_bytes
    house.uploads.finish(ticket_id, "")
    assert page.expect("MsgAllDone") == {"Success": True}


def test_a_client_of_version_2_hears_of_each_piece_and_then_of_the_rest(
    house: SlowHouse, page2: Page2, ticket_id: str
) -> None:
    page2.begin(ticket_id)
    page2.chunk(0, 1000)
    page2.chunk(1000, 2100)
    house.runtime.settle()
    page2.stored(0, 1000)
    page2.stored(0, 2100)
    house.runtime.advance(PUT_S)
    page2.stored(2048, 2100)
    house.runtime.advance(2 * STANDSTILL_S + PUT_S)
    page2.stored(2100)
    page2.chunk(2100, LENGTH_BYTES)
    house.runtime.settle()
    house.runtime.advance(PUT_S)
    page2.stored(2100, LENGTH_BYTES)
    page2.stored(LENGTH_BYTES)


def test_a_client_of_version_2_is_kept_waiting_with_pongs_while_the_store_is_away(
    house: SlowHouse, page2: Page2, ticket_id: str
) -> None:
    house.store.is_away = True
    page2.begin(ticket_id)
    page2.chunk(0, 2048)
    page2.chunk(2048, 2100)
    house.runtime.settle()
    for number in range(3):
        house.runtime.advance(PROGRESS_PONG_INTERVAL_S)
        if not number:
            page2.stored(0, 2048)
        page2.expect("MsgPong")
    house.store.is_away = False
    house.runtime.advance(5)
    while (message := page2.receive()).payload.find(b"MsgPong") > 0:
        pass
    assert b"MsgStored" in message.payload
    assert house.stored(ticket_id) == CONTENT[:2100]


@pytest.mark.parametrize("version", [1, 2])
def test_a_client_is_told_to_come_again_when_the_store_has_been_away_for_too_long(
    house: SlowHouse, ticket_id: str, version: int
) -> None:
    house.store.is_away = True
    page = Page(house) if version == 1 else Page2(house)
    if isinstance(page, Page2):
        page.begin(ticket_id)
        page.chunk(0, 100)
        house.runtime.settle()
        page.stored(0, 100)
    else:
        page.open(ticket_id)
        send(page, 0)
    house.runtime.settle()
    house.runtime.advance(STANDSTILL_S + GIVES_UP_AFTER_S + 5)
    house.store.is_away, house.store.put_s = False, 0.0
    house.runtime.advance(5)
    if version == 2:
        assert page.expect("MsgError")["Retryable"] is True
    page.expect_close(1013)
    house.runtime.settle()
    assert house.state(ticket_id) is State.PAUSED


def test_a_takeover_does_not_wait_for_a_connection_that_waits_for_room(
    house: SlowHouse, page2: Page2, ticket_id: str
) -> None:
    house.store.is_away = True
    page2.begin(ticket_id)
    page2.chunk(0, 2048)
    page2.chunk(2048, 2100)
    house.runtime.settle()
    newer = Page2(house)
    assert newer.begin(ticket_id) == 0
    house.store.is_away = False
    house.runtime.advance(2)
    newer.chunk(0, LENGTH_BYTES)
    house.runtime.settle()
    house.runtime.advance(1)
    assert house.stored(ticket_id) == CONTENT
    newer.socket.close()
    house.runtime.advance(1)
    newer.running.get(timeout=60)


def test_windows_are_as_large_as_the_storage_needs() -> None:
    min_bytes = 40 * MIB
    limits = limits_of(Settings(max_window_mib=1, send_ahead=4, chunk_size_kib=64)).for_storage(min_bytes)
    assert limits.initial_send_limits().window_bytes == min_bytes
    assert limits.send_limits(1, is_busy=True).window_bytes == min_bytes
    assert limits.send_ahead * limits.chunk_size_bytes == min_bytes
    doubled = limits.for_length(1 << 40)
    assert doubled.send_ahead * doubled.chunk_size_bytes == min_bytes
    slow = limits.for_rate(100_000)
    assert slow.send_limits(1, is_busy=True).window_bytes < min_bytes, "its bytes come slowly"
    local = limits_of(Settings())
    assert local.send_limits(1, is_busy=True).window_bytes == BUSY_WINDOW_BYTES
