"""Transfers: takeover between requests, cut bodies, bodies with a checksum, and the byte that is withheld."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

import gevent
import gevent.event
import pytest

from incoming.core import errors
from incoming.core.lifecycle import State
from incoming.core.news import Interrupted
from incoming.core.progress import Progress
from incoming.core.ticket import Ticket
from incoming.handover.answers import Answer, Done, NoAnswer, Refused, WillFinish
from incoming.http_uploads.body import BodyBroken, BodyInterrupted, RequestBody
from incoming.http_uploads.transfer import LEASE_S, FileDescription, SessionPosition, Transfer
from incoming.http_uploads.transfers import PARKED_S, Transfers
from incoming.runtime.buffer_pool import BufferPool
from incoming.uploads.housekeeping import sweep
from tests.support.fakes import FakeApp
from tests.support.uploads import TIMES, Client, House, new_claim

BUFFER_BYTES = 4096
DATA = bytes(range(256)) * 40
NOTHING = FileDescription()
END = object()
CUT = object()


class FakeBody:
    """A body whose pieces the test sends: bytes, END, or CUT for a connection that breaks."""

    def __init__(self, *pieces: object, length_bytes: int | None = -1) -> None:
        """`length_bytes`: -1 for that of the pieces."""
        self._pieces = list(pieces)
        self._has_more = gevent.event.Event()
        self._is_interrupted = False
        self.received_bytes = 0
        self.at_end = False
        self.trailers: Mapping[str, str] = {}
        whole_bytes = sum(len(piece) for piece in pieces if isinstance(piece, bytes))
        self.length_bytes = whole_bytes if length_bytes == -1 else length_bytes

    def send(self, piece: object) -> None:
        self._pieces.append(piece)
        self._has_more.set()

    def interrupt(self) -> None:
        self._is_interrupted = True
        self._has_more.set()

    def read_into(self, buffer: memoryview) -> int:
        while not self.at_end:
            if self._is_interrupted:
                raise BodyInterrupted
            if self._pieces:
                break
            if self.length_bytes is not None and self.received_bytes >= self.length_bytes:
                self.at_end = True
                return 0
            self._has_more.clear()
            self._has_more.wait()
        if self.at_end:
            return 0
        piece = self._pieces.pop(0)
        if piece is CUT:
            raise BodyBroken(errors.IncompleteBody("the connection broke"))
        if piece is END:
            self.at_end = True
            return 0
        assert isinstance(piece, bytes)
        count = min(len(piece), len(buffer))
        buffer[:count] = piece[:count]
        if piece[count:]:
            self._pieces.insert(0, piece[count:])
        self.received_bytes += count
        self.at_end = self.received_bytes == self.length_bytes and not self._pieces
        return count


class Check:
    """Accepts a body with exactly these bytes."""

    is_fast = True

    def __init__(self, expected: bytes) -> None:
        self.expected, self.seen = expected, b""

    def update(self, data: memoryview) -> None:
        self.seen += bytes(data)

    def verify(self, trailers: Mapping[str, str]) -> None:
        if self.seen != self.expected:
            raise errors.ChecksumMismatch


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path, http_hold_s=20.0, **TIMES)


def transfers_of(house: House) -> Transfers:
    return Transfers(house.uploads, BufferPool(BUFFER_BYTES, 1 << 20))


@pytest.fixture
def transfers(house: House) -> Transfers:
    return transfers_of(house)


def as_body(body: FakeBody) -> RequestBody:
    return cast(RequestBody, body)


class Sending:
    """A request under way, in a greenlet of its own: what it has come to."""

    def __init__(  # noqa: PLR0913, PLR0917 - what a request may have
        self,
        house: House,
        transfers: Transfers,
        ticket_id: str,
        body: FakeBody,
        said: FileDescription = NOTHING,
        check: Check | None = None,
        *,
        after: Callable[[Transfer], Any] = lambda _: None,
        position: SessionPosition | None = None,
        receive: Callable[..., None] = Transfer.receive,
    ) -> None:
        self.body = body
        self.error: errors.IncomingError | None = None
        self.result: Any = None
        self.is_over = False

        def run() -> None:
            try:
                with transfers.claim(ticket_id, said, position=position) as transfer:
                    if position:
                        transfer.check_offset(position.offset_bytes)
                    receive(transfer, as_body(body), *([check] if check else []))
                    self.result = after(transfer)
            except errors.IncomingError as exc:
                self.error = exc
            self.is_over = True

        house.runtime.spawn(run)
        house.runtime.settle()


def send(
    house: House, transfers: Transfers, ticket_id: str, content: bytes, length_bytes: int | None
) -> Sending:
    return Sending(house, transfers, ticket_id, FakeBody(content), FileDescription(length_bytes))


def complete_and_wait(transfer: Transfer) -> Progress:
    transfer.complete()
    return transfer.wait_for_app()


def send_all(house: House, transfers: Transfers, ticket_id: str, content: bytes = DATA) -> Sending:
    body = FakeBody(content)
    return Sending(house, transfers, ticket_id, body, FileDescription(len(content)), after=complete_and_wait)


# --- receiving ---------------------------------------------------------------------------------------


def test_a_body_is_stored_and_its_upload_resumes_at_its_end(house: House, transfers: Transfers) -> None:
    ticket_id = house.new_ticket()
    assert send(house, transfers, ticket_id, DATA[:5000], len(DATA)).error is None
    assert house.file(ticket_id).read_bytes()[:5000] == DATA[:5000]
    assert transfers.progress_to_resume(ticket_id).offset_bytes == 5000
    assert send(house, transfers, ticket_id, DATA[5000:], None).error is None
    assert house.file(ticket_id).read_bytes() == DATA


def test_a_request_says_how_far_it_is_after_each_piece(house: House, transfers: Transfers) -> None:
    offsets: list[int] = []
    with transfers.claim(house.new_ticket(), FileDescription(len(DATA))) as transfer:
        transfer.receive(as_body(FakeBody(DATA)), on_stored=offsets.append)
    assert offsets == [*range(BUFFER_BYTES, len(DATA), BUFFER_BYTES), len(DATA)]


def test_what_had_arrived_before_a_connection_broke_is_stored(house: House, transfers: Transfers) -> None:
    ticket_id = house.new_ticket()
    body = FakeBody(DATA[:3000], CUT, length_bytes=len(DATA))
    sending = Sending(house, transfers, ticket_id, body, FileDescription(len(DATA)))
    assert isinstance(sending.error, errors.IncompleteBody)
    assert transfers.progress_to_resume(ticket_id).offset_bytes == 3000
    assert house.state(ticket_id) is State.UPLOADING


def test_a_body_that_is_longer_than_what_is_missing_is_refused_unread(
    house: House, transfers: Transfers
) -> None:
    ticket_id = house.new_ticket()
    body = FakeBody(DATA)
    sending = Sending(house, transfers, ticket_id, body, FileDescription(len(DATA) - 1))
    assert isinstance(sending.error, errors.TooManyBytes)
    assert body.received_bytes == 0


def test_of_a_body_without_a_length_no_byte_too_many_is_stored(house: House, transfers: Transfers) -> None:
    ticket_id = house.new_ticket()
    body = FakeBody(DATA, b"x", END, length_bytes=None)
    sending = Sending(house, transfers, ticket_id, body, FileDescription(len(DATA)))
    assert isinstance(sending.error, errors.TooManyBytes)
    assert transfers.look(ticket_id).offset_bytes == len(DATA)


def test_a_body_of_unknown_length_is_stored_and_its_length_may_follow(
    house: House, transfers: Transfers
) -> None:
    ticket_id = house.new_ticket()
    body = FakeBody(DATA, END, length_bytes=None)

    def finish(transfer: Transfer) -> Progress:
        transfer.set_length(len(DATA))
        return complete_and_wait(transfer)

    sending = Sending(house, transfers, ticket_id, body, after=finish)
    assert sending.error is None
    assert sending.result.state is State.FINISHED


@pytest.mark.parametrize("content", [b"", b"short", DATA])
def test_a_body_with_the_right_checksum_is_stored(house: House, transfers: Transfers, content: bytes) -> None:
    ticket_id = house.new_ticket()
    sending = Sending(
        house, transfers, ticket_id, FakeBody(content), FileDescription(len(content) + 1), Check(content)
    )
    assert sending.error is None
    assert transfers.look(ticket_id).offset_bytes == len(content)
    file = house.file(ticket_id)
    assert (file.read_bytes() if file.exists() else b"") == content  # nobody needs a file without a byte


@pytest.mark.parametrize("content", [b"short", DATA])
@pytest.mark.parametrize("end", [END, CUT], ids=["whole", "cut off"])
def test_of_a_body_with_a_wrong_checksum_or_without_an_end_nothing_is_stored(
    house: House, transfers: Transfers, content: bytes, end: object
) -> None:
    ticket_id = house.new_ticket()
    send(house, transfers, ticket_id, b"before", 20_000)
    body = FakeBody(content, end, length_bytes=None)
    sending = Sending(house, transfers, ticket_id, body, check=Check(content if end is CUT else b"other"))
    assert isinstance(sending.error, errors.IncompleteBody if end is CUT else errors.ChecksumMismatch)
    assert transfers.progress_to_resume(ticket_id).offset_bytes == len(b"before")
    assert send(house, transfers, ticket_id, b" and after", None).error is None
    assert house.file(ticket_id).read_bytes()[:16] == b"before and after"


def test_no_restart_takes_bytes_that_wait_for_their_checksum_for_stored_ones(
    house: House, transfers: Transfers
) -> None:
    ticket_id = house.new_ticket()
    send(house, transfers, ticket_id, b"before", 20_000)
    sending = Sending(
        house, transfers, ticket_id, FakeBody(DATA[:9000], length_bytes=len(DATA)), check=Check(DATA)
    )
    assert not sending.is_over
    assert house.file(ticket_id).stat().st_size > 6
    assert transfers.look(ticket_id).offset_bytes == 6
    restarted = house.after_a_kill()
    assert transfers_of(restarted).progress_to_resume(ticket_id).offset_bytes == 6


# --- takeover ----------------------------------------------------------------------------------------


def test_a_new_request_ends_a_running_one_and_resumes_behind_its_last_byte(
    house: House, transfers: Transfers
) -> None:
    ticket_id = house.new_ticket()
    running = Sending(house, transfers, ticket_id, FakeBody(DATA[:2000], length_bytes=len(DATA)),
                      FileDescription(len(DATA)))  # fmt: skip
    assert not running.is_over
    assert send(house, transfers, ticket_id, DATA[2000:], None).error is None
    assert isinstance(running.error, errors.TakenOver)
    assert house.file(ticket_id).read_bytes() == DATA


def test_the_offset_that_a_client_asks_for_is_still_right_when_it_resumes(
    house: House, transfers: Transfers
) -> None:
    ticket_id = house.new_ticket()
    body = FakeBody(DATA[:2000], length_bytes=len(DATA))
    running = Sending(house, transfers, ticket_id, body, FileDescription(len(DATA)))
    assert transfers.progress_to_resume(ticket_id).offset_bytes == 2000
    body.send(DATA[2000:3000])
    house.runtime.settle()
    assert isinstance(running.error, errors.TakenOver)
    assert transfers.look(ticket_id).offset_bytes == 2000


def test_a_look_disturbs_no_request(house: House, transfers: Transfers) -> None:
    ticket_id = house.new_ticket()
    body = FakeBody(DATA[:2000], length_bytes=len(DATA))
    running = Sending(house, transfers, ticket_id, body, FileDescription(len(DATA)))
    assert transfers.look(ticket_id).offset_bytes == 2000
    body.send(DATA[2000:])
    house.runtime.settle()
    assert running.is_over and running.error is None


def test_a_request_takes_over_from_a_websocket_and_a_websocket_from_a_request(
    house: House, transfers: Transfers
) -> None:
    ticket_id = house.new_ticket()
    client = house.claim(ticket_id, len(DATA))
    house.uploads.write(client.claim, memoryview(DATA[:1000]))
    running = Sending(house, transfers, ticket_id, FakeBody(DATA[1000:1500], length_bytes=9000))
    assert [type(news) for news in client.news] == [Interrupted]
    back = Client()
    back.claim = house.uploads.claim(ticket_id, new_claim(len(DATA)), back.listener)
    house.runtime.settle()
    assert isinstance(running.error, errors.TakenOver)
    assert back.claim.offset_bytes == 1500


def test_a_request_ends_when_the_app_cancels_and_when_the_server_stops(
    house: House, transfers: Transfers
) -> None:
    cancelled, stopped = house.new_ticket(), house.new_ticket()
    running = {
        ticket_id: Sending(
            house, transfers, ticket_id, FakeBody(DATA[:9], length_bytes=99), FileDescription(99)
        )
        for ticket_id in (cancelled, stopped)
    }
    house.uploads.cancel_by_app(cancelled, "")
    house.runtime.settle()
    assert isinstance(running[cancelled].error, errors.UploadCancelled)
    house.uploads.stop()
    house.runtime.settle()
    assert isinstance(running[stopped].error, errors.Stopping)
    assert house.state(stopped) is State.PAUSED


def test_the_next_request_of_a_session_hears_that_the_server_stops(
    house: House, transfers: Transfers
) -> None:
    ticket_id = house.new_ticket()
    with transfers.claim(ticket_id, FileDescription(len(DATA))) as transfer:
        session = transfer.session
    house.uploads.stop()
    house.runtime.settle()
    for position in (SessionPosition(session, 0), SessionPosition("another", 0)):
        with pytest.raises(errors.Stopping), transfers.claim(ticket_id, FileDescription(), position=position):
            pass


def test_an_upload_whose_client_does_not_come_back_pauses(house: House, transfers: Transfers) -> None:
    ticket_id = house.new_ticket()
    send(house, transfers, ticket_id, DATA[:100], len(DATA))
    house.runtime.advance(LEASE_S - 1)
    sweep(house.uploads)
    assert house.state(ticket_id) is State.UPLOADING
    house.runtime.advance(2)
    sweep(house.uploads)
    assert house.state(ticket_id) is State.PAUSED
    assert transfers.progress_to_resume(ticket_id).offset_bytes == 100


def test_after_a_kill_an_upload_resumes_at_what_was_stored(house: House, transfers: Transfers) -> None:
    ticket_id = house.new_ticket()
    send(house, transfers, ticket_id, DATA[:100], len(DATA))
    again = house.after_a_kill()
    assert transfers_of(again).progress_to_resume(ticket_id).offset_bytes == 100


# --- two requests of one session at a time -------------------------------------------------------------


def new_session(house: House, transfers: Transfers) -> tuple[str, str]:
    """Returns the ids of a ticket and of a session that has its upload."""
    ticket_id = house.new_ticket()
    with transfers.claim(ticket_id, FileDescription(9000)) as transfer:
        return ticket_id, transfer.session


def in_session(
    house: House, transfers: Transfers, ticket_id: str, body: FakeBody, position: SessionPosition
) -> Sending:
    return Sending(house, transfers, ticket_id, body, FileDescription(9000), position=position)


def test_a_request_waits_for_the_one_of_its_session_that_sends_the_bytes_before_it(
    house: House, transfers: Transfers
) -> None:
    ticket_id, session = new_session(house, transfers)
    first = FakeBody(DATA[:1000], length_bytes=3000)
    sending = in_session(house, transfers, ticket_id, first, SessionPosition(session, 0))
    second = in_session(
        house, transfers, ticket_id, FakeBody(DATA[3000:4000]), SessionPosition(session, 3000)
    )
    assert not sending.is_over and not second.is_over
    first.send(DATA[1000:3000])
    house.runtime.settle()
    assert (sending.error, second.error) == (None, None)
    assert transfers.look(ticket_id).offset_bytes == 4000
    assert house.file(ticket_id).read_bytes()[:4000] == DATA[:4000]


def test_a_request_waits_for_the_bytes_before_it_as_long_as_they_come_slowly(
    house: House, transfers: Transfers
) -> None:
    ticket_id, session = new_session(house, transfers)
    first = FakeBody(DATA[:1000], length_bytes=3000)
    sending = in_session(house, transfers, ticket_id, first, SessionPosition(session, 0))
    second = in_session(
        house, transfers, ticket_id, FakeBody(DATA[3000:4000]), SessionPosition(session, 3000)
    )
    house.runtime.advance(10 * PARKED_S)
    assert not sending.is_over and not second.is_over
    first.send(DATA[1000:3000])
    house.runtime.settle()
    assert (sending.error, second.error) == (None, None)
    assert transfers.look(ticket_id).offset_bytes == 4000


def test_two_requests_of_a_session_may_arrive_in_either_order(house: House, transfers: Transfers) -> None:
    ticket_id, session = new_session(house, transfers)
    second = in_session(
        house, transfers, ticket_id, FakeBody(DATA[1000:2000]), SessionPosition(session, 1000)
    )
    first = in_session(house, transfers, ticket_id, FakeBody(DATA[:1000]), SessionPosition(session, 0))
    assert (first.error, second.error) == (None, None)
    assert house.file(ticket_id).read_bytes()[:2000] == DATA[:2000]


@pytest.mark.parametrize("offset_bytes", [0, 1000, None])
def test_any_other_request_takes_over_at_once(
    house: House, transfers: Transfers, offset_bytes: int | None
) -> None:
    ticket_id, session = new_session(house, transfers)
    body = FakeBody(DATA[:1000], length_bytes=3000)
    running = in_session(house, transfers, ticket_id, body, SessionPosition(session, 0))
    position = None if offset_bytes is None else SessionPosition(session, offset_bytes)
    with transfers.claim(ticket_id, FileDescription(9000), position=position) as transfer:
        assert transfer.offset_bytes == 1000
    body.send(DATA[1000:3000])
    house.runtime.settle()
    assert isinstance(running.error, errors.TakenOver)
    assert transfers.look(ticket_id).offset_bytes == 1000


def test_a_session_takes_an_upload_back_from_no_newer_claim(house: House, transfers: Transfers) -> None:
    ticket_id, session = new_session(house, transfers)
    newer = house.claim(ticket_id, 9000)
    second = in_session(house, transfers, ticket_id, FakeBody(DATA[:10]), SessionPosition(session, 0))
    assert isinstance(second.error, errors.TakenOver)
    house.uploads.write(newer.claim, memoryview(DATA[:10]))


def test_a_session_ends_with_the_process_and_not_with_its_lease(house: House, transfers: Transfers) -> None:
    ticket_id, session = new_session(house, transfers)
    house.pass_time(LEASE_S + 1)
    assert house.state(ticket_id) is State.PAUSED
    assert (
        in_session(house, transfers, ticket_id, FakeBody(DATA[:10]), SessionPosition(session, 0)).error
        is None
    )
    again = house.after_a_kill()
    ended = in_session(
        again, transfers_of(again), ticket_id, FakeBody(DATA[:10]), SessionPosition(session, 10)
    )
    assert isinstance(ended.error, errors.SessionEnded)


def test_a_request_waits_for_lost_bytes_only_for_a_moment(house: House, transfers: Transfers) -> None:
    ticket_id, session = new_session(house, transfers)
    second = in_session(house, transfers, ticket_id, FakeBody(DATA[:10]), SessionPosition(session, 1000))
    house.runtime.advance(PARKED_S - 0.1)
    assert not second.is_over
    house.runtime.advance(0.2)
    assert isinstance(second.error, errors.OffsetMismatch)


# --- the end -----------------------------------------------------------------------------------------


def test_the_last_byte_is_withheld_until_the_app_has_the_file(tmp_path: Path) -> None:
    house = House(tmp_path, FakeApp(WillFinish()), http_hold_s=20.0, **TIMES)
    transfers, ticket_id = transfers_of(house), house.new_ticket()
    sending = send_all(house, transfers, ticket_id)
    assert not sending.is_over
    house.runtime.advance(21)
    assert sending.is_over and sending.error is None
    with transfers.claim(ticket_id, FileDescription()) as transfer:
        assert transfer.visible_offset_bytes == len(DATA) - 1
        transfer.check_offset(len(DATA) - 1)
        transfer.receive(as_body(FakeBody(DATA[-1:])))
        house.uploads.finish(ticket_id, "")
        assert transfer.wait_for_app().state is State.FINISHED
        assert transfer.visible_offset_bytes == len(DATA)


@pytest.mark.parametrize(
    ("state", "stored_bytes", "length_bytes", "visible_bytes"),
    [
        (State.UPLOADING, 9, 9, 8),
        (State.HANDING_OVER, 9, 9, 8),
        (State.WAITING, 9, 9, 8),
        (State.FINISHED, 9, 9, 9),
        (State.UPLOADING, 5, 9, 5),
        (State.UPLOADING, 5, None, 5),
        (State.HANDING_OVER, 0, 0, 0),
    ],
)
def test_a_client_that_takes_the_offset_for_success_learns_of_the_last_byte_at_the_end(
    transfers: Transfers, state: State, stored_bytes: int, length_bytes: int | None, visible_bytes: int
) -> None:
    progress = Progress(state, stored_bytes, length_bytes, "a", 0, "")
    assert transfers.visible_offset_bytes("a ticket", progress) == visible_bytes


def test_a_request_that_completes_a_file_hears_at_once_that_the_app_has_it(
    house: House, transfers: Transfers
) -> None:
    sending = send_all(house, transfers, house.new_ticket())
    assert sending.result.state is State.FINISHED


def test_a_request_that_waits_hears_the_refusal_of_the_app(tmp_path: Path) -> None:
    house = House(tmp_path, FakeApp(Refused("too blurred")), http_hold_s=20.0, **TIMES)
    sending = send_all(house, transfers_of(house), house.new_ticket())
    assert isinstance(sending.error, errors.HandoverFailed)
    assert "too blurred" in str(sending.error)


def test_an_upload_that_has_arrived_takes_its_withheld_byte_and_no_other(tmp_path: Path) -> None:
    house = House(tmp_path, FakeApp(WillFinish()), http_hold_s=1.0, **TIMES)
    transfers, ticket_id = transfers_of(house), house.new_ticket()
    send_all(house, transfers, ticket_id)
    house.runtime.advance(2)
    for body in (FakeBody(b"ab"), FakeBody(b"ab", END, length_bytes=None)):
        sending = Sending(house, transfers, ticket_id, body)
        assert isinstance(sending.error, errors.TooManyBytes)
    with pytest.raises(errors.OffsetMismatch), transfers.claim(ticket_id, FileDescription()) as transfer:
        transfer.check_offset(3)


def test_a_body_may_repeat_what_is_stored_and_continue(house: House, transfers: Transfers) -> None:
    ticket_id = house.new_ticket()
    with transfers.claim(ticket_id, FileDescription(len(DATA))) as transfer:
        transfer.receive(as_body(FakeBody(DATA[:5000])))
        transfer.repeat_from(1000)
        check = Check(DATA[1000:9000])
        transfer.receive(as_body(FakeBody(DATA[1000:9000])), check)
        assert transfer.offset_bytes == 9000
        transfer.repeat_from(0)
        transfer.receive(as_body(FakeBody(DATA)))
        transfer.complete()
    assert house.file(ticket_id).read_bytes() == DATA


def test_a_body_that_differs_from_what_is_stored_is_another_file(house: House, transfers: Transfers) -> None:
    ticket_id, other = house.new_ticket(), bytes([DATA[0] ^ 1]) + DATA[1:]
    with transfers.claim(ticket_id, FileDescription(len(DATA))) as transfer:
        transfer.receive(as_body(FakeBody(DATA[:5000])))
        transfer.repeat_from(0)
        with pytest.raises(errors.WrongFile):
            transfer.receive(as_body(FakeBody(other)))
        assert transfer.offset_bytes == 5000
        with pytest.raises(errors.OffsetMismatch):
            transfer.repeat_from(5001)
    assert house.file(ticket_id).read_bytes() == DATA[:5000]


def test_a_repeated_body_may_not_have_more_bytes_than_the_file(house: House, transfers: Transfers) -> None:
    ticket_id = house.new_ticket()
    with transfers.claim(ticket_id, FileDescription(len(DATA))) as transfer:
        transfer.receive(as_body(FakeBody(DATA[:5000])))
        for body in (FakeBody(DATA + b"x"), FakeBody(DATA, b"x", END, length_bytes=None)):
            transfer.repeat_from(0)
            with pytest.raises(errors.TooManyBytes):
                transfer.receive(as_body(body))


def test_what_the_app_has_taken_away_is_not_compared_again(tmp_path: Path) -> None:
    house = House(tmp_path, FakeApp(WillFinish()), http_hold_s=1.0, **TIMES)
    transfers, ticket_id = transfers_of(house), house.new_ticket()
    send_all(house, transfers, ticket_id)
    house.runtime.advance(2)
    house.file(ticket_id).unlink()
    with transfers.claim(ticket_id, FileDescription()) as transfer:
        transfer.repeat_from(len(DATA) - 100)
        transfer.receive(as_body(FakeBody(DATA[-100:])))


def test_an_empty_file_is_handed_over_too(house: House, transfers: Transfers) -> None:
    ticket_id = house.new_ticket()
    with transfers.claim(ticket_id, FileDescription(0, "empty")) as transfer:
        assert complete_and_wait(transfer).state is State.FINISHED
        assert transfer.visible_offset_bytes == 0


def test_a_file_is_not_complete_while_bytes_are_missing(house: House, transfers: Transfers) -> None:
    with (
        transfers.claim(house.new_ticket(), FileDescription(10)) as transfer,
        pytest.raises(errors.WrongState),
    ):
        transfer.complete()


# --- a file from the start once more ---------------------------------------------------------------


def send_again(house: House, transfers: Transfers, ticket_id: str, *pieces: object) -> Sending:
    """Sends a whole file, of which some is stored already, and waits for the app."""

    def store(transfer: Transfer) -> Progress:
        transfer.receive(as_body(body))
        return complete_and_wait(transfer)

    body = FakeBody(*pieces, length_bytes=len(DATA))
    return Sending(house, transfers, ticket_id, body, after=store, receive=Transfer.skip_stored)


@pytest.mark.parametrize("stored_bytes", [1, BUFFER_BYTES, BUFFER_BYTES + 1, len(DATA) - 1])
def test_a_file_from_the_start_is_compared_and_then_stored(
    house: House, transfers: Transfers, stored_bytes: int
) -> None:
    ticket_id = house.new_ticket()
    send(house, transfers, ticket_id, DATA[:stored_bytes], len(DATA))
    assert send_again(house, transfers, ticket_id, DATA).result.state is State.FINISHED


@pytest.mark.parametrize("position", [0, BUFFER_BYTES - 1, BUFFER_BYTES, 8999])
def test_a_file_that_differs_anywhere_in_what_is_stored_is_refused(
    house: House, transfers: Transfers, position: int
) -> None:
    ticket_id = house.new_ticket()
    send(house, transfers, ticket_id, DATA[:9000], len(DATA))
    other = bytearray(DATA)
    other[position] ^= 1
    assert isinstance(send_again(house, transfers, ticket_id, bytes(other)).error, errors.WrongFile)
    assert house.file(ticket_id).read_bytes()[:9000] == DATA[:9000]
    assert send_again(house, transfers, ticket_id, DATA).result.state is State.FINISHED


def test_a_comparison_that_is_cut_changes_nothing(house: House, transfers: Transfers) -> None:
    ticket_id = house.new_ticket()
    send(house, transfers, ticket_id, DATA[:9000], len(DATA))
    sending = send_again(house, transfers, ticket_id, DATA[:5000], CUT)
    assert isinstance(sending.error, errors.IncompleteBody)
    assert transfers.progress_to_resume(ticket_id).offset_bytes == 9000


def test_a_comparison_is_taken_over_at_once(house: House, transfers: Transfers) -> None:
    ticket_id = house.new_ticket()
    send(house, transfers, ticket_id, DATA[:9000], len(DATA))
    slow = send_again(house, transfers, ticket_id, DATA[:5000])
    assert not slow.is_over
    assert send_again(house, transfers, ticket_id, DATA).result.state is State.FINISHED
    assert isinstance(slow.error, errors.TakenOver)


def test_a_long_comparison_keeps_its_claim(house: House, transfers: Transfers) -> None:
    ticket_id = house.new_ticket()
    send(house, transfers, ticket_id, DATA[:9000], len(DATA))
    slow = send_again(house, transfers, ticket_id)
    body = slow.body
    for at in range(0, len(DATA), 1000):
        body.send(DATA[at : at + 1000])
        house.runtime.advance(LEASE_S * 0.9)
        sweep(house.uploads)
    assert (slow.error, slow.result.state) == (None, State.FINISHED)


@pytest.mark.parametrize("position", [0, len(DATA) - 1])
def test_a_file_that_the_app_has_is_compared_by_its_checksum(
    house: House, transfers: Transfers, position: int
) -> None:
    ticket_id = house.new_ticket()
    send_all(house, transfers, ticket_id)
    assert send_again(house, transfers, ticket_id, DATA).result.state is State.FINISHED
    other = bytearray(DATA)
    other[position] ^= 1
    assert isinstance(send_again(house, transfers, ticket_id, bytes(other)).error, errors.WrongFile)


# --- watching ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("answer", [Done(), Refused("no")])
def test_a_client_that_watches_hears_of_the_end_at_once(tmp_path: Path, answer: Answer) -> None:
    house = House(tmp_path, FakeApp(NoAnswer("down"), answer), **TIMES)
    transfers, ticket_id = transfers_of(house), house.new_ticket()
    house.arrive(ticket_id)
    seen: list[Progress] = []
    house.runtime.spawn(lambda: seen.append(transfers.watch(ticket_id, 25.0)))
    house.runtime.advance(1.5)
    assert [progress.state for progress in seen] == [State.FINISHED if answer == Done() else State.FAILED]


def test_a_client_that_watches_hears_once_of_each_reason_why_the_app_is_late(tmp_path: Path) -> None:
    app = FakeApp(NoAnswer("down"), NoAnswer("down"), NoAnswer("busy"), Done())
    house = House(tmp_path, app, **TIMES)
    transfers, ticket_id = transfers_of(house), house.new_ticket()
    house.arrive(ticket_id)
    seen: list[str] = []

    def watch() -> None:
        progress = transfers.watch(ticket_id, 25.0)
        seen.append(house.uploads.outbox.why_no_answer(ticket_id, progress.state) or progress.state.value)

    house.runtime.spawn(watch)
    house.runtime.advance(1.5)
    assert (len(app.forms), seen) == (2, [])
    house.runtime.advance(2)
    assert (len(app.forms), seen) == (3, ["busy"])
    house.runtime.spawn(watch)
    house.runtime.advance(10)
    assert seen == ["busy", "finished"]


@pytest.mark.parametrize(("to_tell", "state"), [(True, State.HANDING_OVER), (False, State.FINISHED)])
def test_a_client_that_asks_again_hears_of_the_first_failure_and_others_of_the_end(
    tmp_path: Path, to_tell: bool, state: State
) -> None:
    house = House(tmp_path, FakeApp(NoAnswer("down"), Done()), http_hold_s=20.0, **TIMES)

    def end(transfer: Transfer) -> Progress:
        transfer.complete()
        return transfer.wait_for_app(to_tell=to_tell)

    file = FileDescription(len(DATA))
    sending = Sending(house, transfers_of(house), house.new_ticket(), FakeBody(DATA), file, after=end)
    house.runtime.advance(5)
    assert sending.result.state is state


def test_a_client_that_watches_hears_of_a_cancellation_at_once(house: House, transfers: Transfers) -> None:
    ticket_id = house.new_ticket()
    send(house, transfers, ticket_id, DATA[:100], len(DATA))
    seen: list[Progress] = []
    house.runtime.spawn(lambda: seen.append(transfers.watch(ticket_id, 25.0)))
    house.runtime.settle()
    house.uploads.cancel_by_app(ticket_id, "")
    house.runtime.settle()
    assert [progress.state for progress in seen] == [State.CANCELLED]


def test_a_client_that_watches_gets_an_answer_when_its_time_is_over(
    house: House, transfers: Transfers
) -> None:
    ticket_id = house.new_ticket()
    seen: list[Progress] = []
    house.runtime.spawn(lambda: seen.append(transfers.watch(ticket_id, 25.0)))
    house.runtime.advance(24)
    assert not seen
    house.runtime.advance(2)
    assert [progress.state for progress in seen] == [State.ISSUED]


def test_a_client_may_cancel_until_the_handover_has_begun(house: House, transfers: Transfers) -> None:
    ticket_id = house.new_ticket()
    send(house, transfers, ticket_id, DATA[:100], len(DATA))
    with transfers.claim(ticket_id, FileDescription()) as transfer:
        transfer.cancel("enough")
    assert house.state(ticket_id) is State.CANCELLED
    arrived = house.new_ticket()
    house.arrive(arrived)
    with transfers.claim(arrived, FileDescription()) as transfer, pytest.raises(errors.WrongState):
        transfer.cancel("too late")


def test_a_cancellation_counts_though_the_first_part_of_the_upload_comes_at_the_same_moment(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    ticket_id, check_resumable = house.new_ticket(), house.uploads.check_resumable

    def check_and_begin(ticket: Ticket) -> None:
        check_resumable(ticket)
        house.uploads.parts.create(ticket_id, 10, "", "")

    monkeypatch.setattr(house.uploads, "check_resumable", check_and_begin)
    house.uploads.cancel_by_request(ticket_id, "enough")
    assert house.state(ticket_id) is State.CANCELLED


def test_of_two_cancellations_at_the_same_moment_the_later_one_hears_that_the_upload_was_cancelled(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    ticket_id, check_resumable = house.new_ticket(), house.uploads.check_resumable

    def check_and_cancel(ticket: Ticket) -> None:
        check_resumable(ticket)
        house.uploads.cancel_by_operator(ticket_id, "")

    monkeypatch.setattr(house.uploads, "check_resumable", check_and_cancel)
    with pytest.raises(errors.UploadCancelled):
        house.uploads.cancel_by_request(ticket_id, "enough")
