"""What a client receives during slow work, and how the rate limit of its ticket is kept."""

from __future__ import annotations

from pathlib import Path

import pytest
from crc32c import crc32c

from incoming.core.lifecycle import State
from incoming.core.rate_limit import CREDIT_S
from incoming.handover.answers import Done, WillFinish
from incoming.websocket.session_driver import PROGRESS_PONG_INTERVAL_S
from tests.support.fakes import FakeApp
from tests.support.uploads import House, new_claim
from tests.websocket.page import CHUNK_BYTES, CONTENT, LENGTH_BYTES
from tests.websocket.page2 import Page2
from tests.websocket.peer import BINARY, FIN

CRC = crc32c(CONTENT)
HALF = LENGTH_BYTES // 2


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


# --- what takes long -----------------------------------------------------------------------------------


@pytest.mark.parametrize("stored_bytes", [HALF, LENGTH_BYTES])
def test_a_client_gets_pongs_while_the_server_reads_the_file(house: House, stored_bytes: int) -> None:
    house.app.answers = [WillFinish()]
    ticket_id, claimed = house.new_ticket(), new_claim(LENGTH_BYTES, "a <b>.mov", 99, proves=True)
    claim = house.uploads.claim(ticket_id, claimed, lambda _: None)
    house.uploads.write(claim, memoryview(CONTENT[:stored_bytes]))
    house = house.restarted()
    page = Page2(house)
    with house.runtime.held("_read"):
        page.begin(ticket_id)
        house.runtime.settle()
        for _ in range(2):
            house.runtime.advance(PROGRESS_PONG_INTERVAL_S)
            assert page.expect("MsgPong") == {}
    house.runtime.advance(10 * PROGRESS_PONG_INTERVAL_S)
    if stored_bytes < LENGTH_BYTES:
        page.chunk(stored_bytes, LENGTH_BYTES)
        page.stored(LENGTH_BYTES)
    page.send_message("MsgComplete", Crc32c=CRC, Round=0)
    assert page.expect("MsgNews")["News"] == "handing_over", "and no MsgPong before it"
    page.end()


def test_a_client_gets_pongs_while_the_server_syncs(tmp_path: Path) -> None:
    house = House(tmp_path, FakeApp(WillFinish()), fsync=True)
    page = Page2(house)
    page.begin(house.new_ticket())
    page.chunk(0, LENGTH_BYTES)
    page.stored(LENGTH_BYTES)
    with house.runtime.held("_sync"):
        page.send_message("MsgComplete", Crc32c=CRC, Round=0)
        house.runtime.settle()
        house.runtime.advance(PROGRESS_PONG_INTERVAL_S)
        assert page.expect("MsgPong") == {}
    assert page.expect("MsgNews")["News"] == "handing_over"
    page.end()


def test_a_client_of_version_1_gets_no_pongs(house: House) -> None:
    house.app.answers = [Done()]
    ticket_id = house.paused(LENGTH_BYTES, CONTENT)
    house = house.restarted()
    page = Page2(house)
    with house.runtime.held("_read"):
        page.open(ticket_id)
        house.runtime.settle()
        house.runtime.advance(10 * PROGRESS_PONG_INTERVAL_S)
    page.expect("MsgAllDone")
    page.end()


def test_a_client_that_disconnects_while_the_server_reads_the_file_is_not_a_defect(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    ticket_id, claimed = house.new_ticket(), new_claim(LENGTH_BYTES, "a <b>.mov", 99, proves=True)
    claim = house.uploads.claim(ticket_id, claimed, lambda _: None)
    house.uploads.write(claim, memoryview(CONTENT[:HALF]))
    house = house.restarted()
    page = Page2(house)
    with house.runtime.held("_read"):
        page.begin(ticket_id)
        house.runtime.settle()
        page.socket.close()
        house.runtime.advance(10 * PROGRESS_PONG_INTERVAL_S)
    page.running.get(timeout=60)
    assert house.state(ticket_id) is State.PAUSED
    assert "defect" not in caplog.text


# --- what is limited -----------------------------------------------------------------------------------


def test_a_rate_limit_delays_the_next_chunk_and_not_the_acknowledgement(
    house: House,
) -> None:
    page, ticket_id = Page2(house), house.new_ticket(maxBytesPerS="1000")
    page.begin(ticket_id)
    page.chunk(0, 1000)
    page.stored(1000)
    page.chunk(1000, 2000)
    house.runtime.settle()
    house.runtime.advance(1 - CREDIT_S - 0.01)
    assert house.context.storages.default.size(ticket_id) == 1000
    house.runtime.advance(0.02)
    assert house.context.storages.default.size(ticket_id) == 2000
    page.stored(2000)
    house.runtime.advance(10)
    for _ in range(2):
        page.send_message("MsgPing")
        assert page.expect("MsgPong") == {}, "only chunks make it rest"
    page.end()


def test_a_rate_limit_holds_in_version_1_too(house: House) -> None:
    page, ticket_id = Page2(house), house.new_ticket(maxBytesPerS=str(CHUNK_BYTES))
    page.open(ticket_id)
    page.send_chunk(0)
    page.send(FIN | BINARY, CONTENT[CHUNK_BYTES : 2 * CHUNK_BYTES])
    house.runtime.settle()
    house.runtime.advance(1 - CREDIT_S - 0.01)
    assert house.context.storages.default.size(ticket_id) == CHUNK_BYTES
    house.runtime.advance(0.02)
    assert house.context.storages.default.size(ticket_id) == 2 * CHUNK_BYTES
    house.runtime.advance(10)
    page.end()
