"""One client's connection in version 2: chunks with headers, and what becomes of the upload."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import gevent
import pytest
from crc32c import crc32c

from incoming.core.lifecycle import State
from incoming.handover.answers import FailureKind, WillFinish, no_answer
from incoming.protocol.chunks import HEADER_BYTES
from incoming.protocol.flow_control import BUSY_WINDOW_BYTES
from incoming.runtime.fair_scheduler import CONTENTION_WINDOW, TIME_SLICE_S, yield_if_due, yield_to_queue
from tests.support.uploads import House
from tests.websocket.page import BUFFER_BYTES, CONTENT, LENGTH_BYTES
from tests.websocket.page2 import Page2
from tests.websocket.peer import BINARY, FIN, TEXT

CRC = crc32c(CONTENT)
HALF = LENGTH_BYTES // 2


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


@pytest.fixture
def new_page(house: House) -> Iterator[Callable[[], Page2]]:
    pages: list[Page2] = []

    def connect() -> Page2:
        pages.append(Page2(house))
        return pages[-1]

    yield connect
    for page in pages:
        page.end()


@pytest.fixture
def page(new_page: Callable[[], Page2]) -> Page2:
    return new_page()


@pytest.fixture
def ticket_id(house: House) -> str:
    return house.new_ticket()


# --- from the first byte to the last -----------------------------------------------------------------


def test_a_file_goes_from_the_page_to_the_app(house: House, page: Page2, ticket_id: str) -> None:
    house.app.answers = [WillFinish()]
    conf = page.request2(ticket_id)
    assert (conf["Version"], conf["Offset"], conf["Compare"], conf["Arrived"]) == (2, 0, [], False)
    page.send_message("MsgAgree", Crc32c=[])
    page.chunk(0, HALF)
    page.stored(HALF)
    page.chunk(HALF, LENGTH_BYTES)
    page.stored(LENGTH_BYTES)
    page.send_message("MsgComplete", Crc32c=CRC, Round=0)
    assert page.expect("MsgNews")["News"] == "handing_over"
    assert house.file(ticket_id).read_bytes() == CONTENT, "without the headers"
    assert house.app.forms[0]["crc32c"] == f"{CRC:08x}"
    house.uploads.finish(ticket_id, "")
    assert page.expect("MsgAllDone") == {"Success": True, "Crc32c": CRC}
    page.expect_close(1000)


def work_side_by_side(workers: int) -> None:
    """So many have work for longer than anybody remembers, and take turns."""

    def work() -> None:
        for _ in range(CONTENTION_WINDOW):
            time.sleep(TIME_SLICE_S)  # of the thread: nobody else works meanwhile
            yield_if_due()
            yield_to_queue()

    gevent.joinall([gevent.spawn(work) for _ in range(workers)], timeout=60, raise_error=True)


def test_a_client_gets_a_smaller_window_during_contention(page: Page2, ticket_id: str) -> None:
    page.begin(ticket_id)
    told = []
    for end, workers in enumerate((1, 2, 1), 1):
        work_side_by_side(workers)
        page.chunk(end - 1, end)
        told.append(page.expect("MsgStored")["MaxWindowBytes"])
    assert told == [page.limits.max_window_bytes, BUSY_WINDOW_BYTES, page.limits.max_window_bytes]


def test_a_client_that_reconnects_proves_its_file_and_resumes(
    house: House, new_page: Callable[[], Page2], ticket_id: str
) -> None:
    first = new_page()
    assert first.begin(ticket_id) == 0
    first.chunk(0, HALF)
    first.stored(HALF)
    first.end()
    second = new_page()
    conf = second.request2(ticket_id)
    assert (conf["Offset"], conf["Compare"]) == (HALF, [[0, HALF]])
    assert (conf["FileName"], conf["FileLastModifiedMs"]) == ("a <b>.mov", 99)
    second.send_message("MsgAgree", Crc32c=[crc32c(CONTENT[:HALF])])
    second.chunk(HALF, LENGTH_BYTES)
    second.stored(LENGTH_BYTES)


def test_a_client_that_reconnects_after_the_end_gets_the_result(
    house: House, new_page: Callable[[], Page2], ticket_id: str
) -> None:
    house.arrive(ticket_id, CONTENT)
    late = new_page()
    assert late.request2(ticket_id)["Arrived"] is True
    late.send_message("MsgAgree", Crc32c=[])
    assert late.expect("MsgAllDone") == {"Success": True, "Crc32c": CRC}
    late.expect_close(1000)


def test_a_client_learns_that_its_app_does_not_answer(house: House, page: Page2, ticket_id: str) -> None:
    house.app.answers = [no_answer(FailureKind.UNKNOWN_NAME, "secret.example.org: Name or service not known")]
    page.begin(ticket_id)
    page.chunk(0, LENGTH_BYTES)
    page.stored(LENGTH_BYTES)
    page.send_message("MsgComplete", Crc32c=CRC, Round=0)
    assert page.expect("MsgNews")["News"] == "handing_over"
    assert page.expect("MsgNews") == {
        "News": "waiting_for_app",
        "RetryAfterS": 0.0,
        "Why": "the app could not be reached: its host name is unknown",
    }


# --- what goes wrong -----------------------------------------------------------------------------------


def test_a_damaged_chunk_is_not_stored_and_is_sent_again(house: House, page: Page2, ticket_id: str) -> None:
    page.begin(ticket_id)
    page.chunk(0, HALF)
    page.chunk(HALF, 2 * HALF - 1, flip=1)
    page.chunk(2 * HALF - 1, LENGTH_BYTES)  # is on its way already, and dropped
    page.stored(HALF)
    assert page.expect("MsgResend") == {"Offset": HALF, "Round": 1}
    assert house.file(ticket_id).read_bytes() == CONTENT[:HALF]
    page.chunk(HALF, LENGTH_BYTES, number=1)
    page.stored(LENGTH_BYTES)
    assert house.file(ticket_id).read_bytes() == CONTENT
    counters = house.context.counters
    assert (counters.damaged_chunks, counters.stored_bytes) == (1, LENGTH_BYTES)
    assert counters.received_bytes == LENGTH_BYTES + (LENGTH_BYTES - HALF), "all of it, and once more"


@pytest.mark.parametrize("size_bytes", [0, 1, 15, 16])
def test_a_message_without_a_byte_of_the_file_counts_as_damaged(
    page: Page2, ticket_id: str, size_bytes: int
) -> None:
    page.begin(ticket_id)
    page.send(FIN | BINARY, bytes(size_bytes))
    assert page.expect("MsgResend") == {"Offset": 0, "Round": 1}


@pytest.mark.parametrize("message_bytes", [BUFFER_BYTES + 1, 2 * BUFFER_BYTES])
def test_a_chunk_that_is_too_large_is_an_error_though_it_does_not_fit_into_the_buffer(
    house: House, page: Page2, ticket_id: str, message_bytes: int
) -> None:
    page.request2(ticket_id, 100_000)
    page.send_message("MsgAgree", Crc32c=[])
    page.send(FIN | BINARY, bytes(message_bytes))
    error = page.expect("MsgError")
    assert (error["Code"], error["Retryable"]) == ("bad_chunk", False)
    page.expect_close(1000)
    assert house.state(ticket_id) is State.PAUSED


def test_a_ticket_with_a_limit_takes_smaller_chunks(house: House, page: Page2) -> None:
    conf = page.request2(house.new_ticket(maxBytesPerS="1"), 100_000)
    assert conf["MaxChunkBytes"] == 4096
    page.send_message("MsgAgree", Crc32c=[])
    page.send(FIN | BINARY, bytes(HEADER_BYTES + 4097))
    assert page.expect("MsgError")["Code"] == "bad_chunk"


def test_another_file_is_refused_with_the_name_of_the_right_one(
    house: House, new_page: Callable[[], Page2], ticket_id: str
) -> None:
    first, second = new_page(), new_page()
    first.begin(ticket_id)
    first.chunk(0, HALF)
    first.stored(HALF)
    second.request2(ticket_id)
    second.send_message("MsgAgree", Crc32c=[7])
    error = second.expect("MsgError")
    assert (error["Code"], error["FileName"], error["FileLengthBytes"]) == (
        "wrong_file",
        "a <b>.mov",
        LENGTH_BYTES,
    )
    second.expect_close(1000)
    assert house.file(ticket_id).read_bytes() == CONTENT[:HALF]


def test_an_older_connection_learns_of_a_newer_one(new_page: Callable[[], Page2], ticket_id: str) -> None:
    old, new = new_page(), new_page()
    old.begin(ticket_id)
    new.begin(ticket_id)
    error = old.expect("MsgError")
    assert (error["Code"], error["Retryable"]) == ("taken_over", True)
    old.expect_close(4001)
    new.chunk(0, 1)
    new.stored(1)


def test_a_stopping_server_sends_the_reason(house: House, page: Page2, ticket_id: str) -> None:
    page.begin(ticket_id)
    house.runtime.settle()
    house.uploads.stop()
    assert page.expect("MsgNews")["News"] == "stopping"
    page.expect_close(1012)


def test_invalid_text_ends_the_connection_and_not_the_upload(
    house: House, page: Page2, ticket_id: str
) -> None:
    page.begin(ticket_id)
    page.send(FIN | TEXT, b"no JSON")
    assert page.expect("MsgError")["Retryable"] is True
    page.expect_close(1013)
    assert house.state(ticket_id) is State.PAUSED
