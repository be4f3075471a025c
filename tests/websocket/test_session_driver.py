"""The session driver: what a client sends in version 1, and what becomes of the upload."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from incoming.core.lifecycle import State
from incoming.handover.answers import WillFinish
from incoming.protocol.rules import ANSWER_TIMEOUT_S, OPENING_TIMEOUT_S
from tests.support.fakes import largest_file
from tests.support.logs import LogCapture
from tests.support.uploads import House
from tests.websocket.page import CHUNK_BYTES, CONTENT, LENGTH_BYTES, Page
from tests.websocket.peer import BINARY, CLOSE, FIN, TEXT


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


@pytest.fixture
def new_page(house: House) -> Iterator[Callable[[], Page]]:
    pages: list[Page] = []

    def connect() -> Page:
        pages.append(Page(house))
        return pages[-1]

    yield connect
    for page in pages:
        page.socket.close()
        page.running.get(timeout=60)


@pytest.fixture
def page(new_page: Callable[[], Page]) -> Page:
    return new_page()


@pytest.fixture
def ticket_id(house: House) -> str:
    return house.new_ticket()


# --- from the first byte to the last -----------------------------------------------------------------


def test_a_file_goes_from_the_page_to_the_app(house: House, page: Page, ticket_id: str) -> None:
    house.app.answers = [WillFinish()]
    assert page.request(ticket_id) == {"ChunkSizeKB": 1, "FilePos": 0, "SendAhead": 4}
    page.send_message("MsgAck", Ack=True)
    for start in range(0, LENGTH_BYTES, CHUNK_BYTES):
        page.send_chunk(start)
    house.runtime.settle()
    assert house.file(ticket_id).read_bytes() == CONTENT
    assert house.context.counters.connections == 1
    assert house.context.counters.received_bytes == house.context.counters.stored_bytes == LENGTH_BYTES
    house.uploads.finish(ticket_id, "")
    assert page.expect("MsgAllDone") == {"Success": True}
    page.expect_close(1000)


def test_a_lost_connection_pauses_and_the_next_one_resumes(
    house: House, new_page: Callable[[], Page], ticket_id: str
) -> None:
    first = new_page()
    first.open(ticket_id)
    first.send_chunk(0)
    first.socket.close()
    first.running.get(timeout=60)
    assert house.state(ticket_id) is State.PAUSED
    assert new_page().open(ticket_id) == CHUNK_BYTES


def test_a_chunk_that_was_cut_off_is_not_stored(house: House, page: Page, ticket_id: str) -> None:
    page.open(ticket_id)
    page.socket.sendall(bytes([FIN | BINARY, 0x80 | 100]) + b"mask" + bytes(99))
    page.socket.close()
    page.running.get(timeout=60)
    assert house.context.storages.default.size(ticket_id) == 0


def test_a_pause_releases_the_ticket_before_the_close(house: House, page: Page, ticket_id: str) -> None:
    page.open(ticket_id)
    page.send_message("MsgPause", Pause=True)
    house.runtime.settle()
    assert house.state(ticket_id) is State.PAUSED
    page.send(FIN | CLOSE, b"\x03\xe8")
    assert page.receive().code == 1000


def test_a_cancellation_is_acknowledged(house: House, page: Page, ticket_id: str) -> None:
    page.open(ticket_id)
    page.send_message("MsgCancel", Reason="changed my mind")
    assert page.expect("MsgCancelAck") == {"Ack": True}
    page.expect_close(1000)
    assert house.state(ticket_id) is State.CANCELLED
    assert house.app.forms[0]["cancelReason"] == "changed my mind"


def test_a_late_cancellation_gets_the_result(
    tmp_path: Path, house: House, new_page: Callable[[], Page], ticket_id: str
) -> None:
    house.app.answers = [WillFinish()]
    first = new_page()
    first.open(ticket_id)
    for start in range(0, LENGTH_BYTES, CHUNK_BYTES):
        first.send_chunk(start)
    watcher = new_page()
    watcher.request(ticket_id)
    watcher.send_message("MsgCancel", Reason="late")
    house.runtime.settle()
    house.uploads.finish(ticket_id, "")
    watcher.expect("MsgAllDone")
    watcher.expect_close(1000)


# --- what others do ------------------------------------------------------------------------------


def test_a_newer_connection_closes_the_older_one_without_a_message(
    new_page: Callable[[], Page], ticket_id: str
) -> None:
    old, new = new_page(), new_page()
    old.open(ticket_id)
    old.send_chunk(0)
    assert new.open(ticket_id) == CHUNK_BYTES
    old.expect_close(4001)
    new.send_chunk(CHUNK_BYTES)


def test_a_client_learns_of_the_apps_cancellation_and_its_answer_is_acknowledged(
    house: House, page: Page, ticket_id: str
) -> None:
    page.open(ticket_id)
    house.runtime.settle()
    house.uploads.cancel_by_app(ticket_id, "")
    assert page.expect("MsgCancel")["Reason"]
    page.send_message("MsgCancel", Reason="told by the server")
    assert page.expect("MsgCancelAck") == {"Ack": True}
    page.expect_close(1000)


def test_a_stopping_server_closes_every_connection(house: House, page: Page, ticket_id: str) -> None:
    page.open(ticket_id)
    house.uploads.stop()
    page.expect_close(1012)


def test_news_for_a_client_that_is_gone_are_not_an_error(house: House, page: Page, ticket_id: str) -> None:
    page.open(ticket_id)
    house.runtime.settle()
    page.socket.close()
    house.uploads.cancel_by_app(ticket_id, "")
    page.running.get(timeout=60)
    house.runtime.settle()


# --- what goes wrong -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "words"),
    [("no JSON", "JSON"), ('{"MsgType": "MsgDance", "MsgData": {}}', "MsgType"), ("[]", "MsgType")],
)
def test_a_malformed_message_is_answered_with_an_error(page: Page, text: str, words: str) -> None:
    page.send(FIN | TEXT, text.encode())
    assert words in page.expect("MsgError")["Msg"]
    page.send_message("MsgCancel", Reason="told by the server")
    page.expect("MsgCancelAck")
    page.expect_close(1000)


def test_a_chunk_that_is_too_large_is_answered_with_an_error(
    house: House, page: Page, ticket_id: str
) -> None:
    page.open(ticket_id)
    page.send(FIN | BINARY, bytes(CHUNK_BYTES + 1))
    assert page.expect("MsgError")["ErrorCode"] == 21
    house.runtime.settle()
    assert house.state(ticket_id) is State.PAUSED, "another client may still do better"


@pytest.mark.parametrize(("first_byte", "code"), [(FIN | 0x40 | BINARY, 1002), (FIN | TEXT, 1007)])
def test_a_broken_frame_ends_the_connection_and_not_the_upload(
    house: House, page: Page, ticket_id: str, first_byte: int, code: int
) -> None:
    page.open(ticket_id)
    page.send(first_byte, b"\xff")
    assert page.receive().code == code
    page.socket.close()
    page.running.get(timeout=60)
    assert house.state(ticket_id) is State.PAUSED


def test_a_full_disk_closes_without_a_message(house: House, page: Page, ticket_id: str) -> None:
    page.open(ticket_id)
    with largest_file(0):
        page.send(FIN | BINARY, CONTENT[:CHUNK_BYTES])
        page.expect_close(1013)


def test_a_defect_is_logged_and_not_shown_to_the_client(
    house: House,
    page: Page,
    ticket_id: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError("secret details")

    page.open(ticket_id)
    monkeypatch.setattr(type(house.uploads), "write", fail)
    page.send(FIN | BINARY, CONTENT[:CHUNK_BYTES])
    close = page.receive()
    assert close.code == 1013
    assert b"secret" not in close.payload
    assert "secret details" in caplog.text


# --- time ----------------------------------------------------------------------------------------


def test_a_client_that_never_sends_a_request_is_disconnected(house: House, page: Page) -> None:
    house.runtime.settle()
    house.runtime.advance(OPENING_TIMEOUT_S)
    page.expect_close(1008)


def test_a_client_that_does_not_answer_an_error_is_disconnected(house: House, page: Page) -> None:
    page.send_message("MsgAck", Ack=True)
    page.expect("MsgError")
    house.runtime.advance(ANSWER_TIMEOUT_S - 0.1)
    assert not page.running.ready()
    house.runtime.advance(0.1)
    page.expect_close(1008)


def test_the_timer_of_an_earlier_phase_is_stopped(house: House, page: Page, ticket_id: str) -> None:
    house.runtime.settle()
    assert house.runtime.is_waited_for(page.driver._on_timeout)
    page.open(ticket_id)
    house.runtime.settle()
    assert not house.runtime.is_waited_for(page.driver._on_timeout), (
        "a stopped timer takes neither memory nor time"
    )
    house.runtime.advance(OPENING_TIMEOUT_S + ANSWER_TIMEOUT_S)
    page.send_chunk(0)


def test_an_ended_connection_leaves_no_timer(house: House, page: Page) -> None:
    house.runtime.settle()
    page.socket.close()
    page.running.get(timeout=60)
    house.runtime.advance(OPENING_TIMEOUT_S)


def test_a_connection_that_lost_the_ticket_does_not_release_it(
    house: House, new_page: Callable[[], Page], ticket_id: str
) -> None:
    old, new = new_page(), new_page()
    old.open(ticket_id)
    new.open(ticket_id)
    old.socket.close()
    old.running.get(timeout=60)
    assert house.state(ticket_id) is State.UPLOADING
    new.send_chunk(0)


# --- refusals ------------------------------------------------------------------------------------------


def refusals(log: LogCapture) -> list[str]:
    return [line for line in log.lines if " refused " in line]


def test_a_claim_of_an_unknown_ticket_is_logged_and_counted(house: House, page: Page) -> None:
    with LogCapture() as log:
        page.send_message("MsgUploadReq", Id="no-such-ticket", LengthBytes=1, Name="a")
        page.expect("MsgError")
    [line] = refusals(log)
    assert line.startswith("INFO upload no-such-: claim refused (unknown_ticket): No upload has this id")
    assert house.context.counters.refusals == {("claim", "unknown_ticket"): 1}


def test_a_claim_for_a_file_that_is_too_large_is_logged_and_counted(house: House, page: Page) -> None:
    ticket_id = house.new_ticket(maxBytes="10")
    with LogCapture() as log:
        page.send_message("MsgUploadReq", Id=ticket_id, LengthBytes=11, Name="a")
        page.expect("MsgError")
    assert refusals(log) == [
        f"INFO upload {ticket_id[:8]}: claim refused (upload_too_large): "
        "The file is too large: it has 11 bytes, the limit is 10 bytes."
    ]
    assert house.context.counters.refusals == {("claim", "upload_too_large"): 1}


def test_a_message_that_the_session_refuses_is_logged_and_counted(
    house: House, page: Page, ticket_id: str
) -> None:
    page.open(ticket_id)
    with LogCapture() as log:
        page.send_message("MsgNonsense")
        page.expect("MsgError")
    [line] = refusals(log)
    assert line.startswith(f"INFO upload {ticket_id[:8]}: claim refused (bad_message): ")
    assert house.context.counters.refusals == {("claim", "bad_message"): 1}


def test_an_upload_that_ends_well_refuses_nothing(house: House, page: Page, ticket_id: str) -> None:
    with LogCapture() as log:
        page.open(ticket_id)
        page.send_message("MsgCancel", Reason="changed my mind")
        page.expect("MsgCancelAck")
    assert (refusals(log), house.context.counters.refusals) == ([], {})
