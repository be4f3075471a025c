"""A session of version 1 (docs/reference/protocol.md). test_events has each event in each phase."""

from __future__ import annotations

import pytest

from incoming.core import errors, news
from incoming.core.news import CalledOff, Durable, HandedOver
from incoming.protocol import events, messages
from incoming.protocol.events import (
    Action,
    CancelAccepted,
    CancelUpload,
    ChunkReceived,
    Claimed,
    CloseConnection,
    Event,
    Failed,
    Phase,
    ReleaseTicket,
    Send,
    StartTimer,
    StoreChunk,
    Stored,
    TimedOut,
)
from incoming.protocol.flow_control import MANY_CHUNKS, Limits
from incoming.protocol.messages import MsgAck, MsgCancel, MsgError, MsgPause, MsgUploadReq
from incoming.protocol.rules import AGREEING_TIMEOUT_S, ANSWER_TIMEOUT_S
from incoming.protocol.v1 import SessionV1

CHUNK_BYTES = 2048
LENGTH_BYTES = 5000
REQUEST = MsgUploadReq("the id", LENGTH_BYTES, "a.bin")
LASTING = errors.HandoverFailed("The app did not accept the file: it said no.")
NORMAL = CloseConnection(1000)
CANCEL_ACK = Send(messages.MsgCancelAck(True))
ALL_DONE = Send(messages.MsgAllDone(True))


def refusal(error: errors.IncomingError) -> list[Action]:
    """What a client gets for an error that lasts: MsgError, and five seconds to answer it."""
    said = Send(MsgError(error.number, str(error)))
    return [ReleaseTicket(), said, StartTimer(Phase.REFUSED, 5.0)]


def after(*story: Event) -> SessionV1:
    session = SessionV1(Limits(CHUNK_BYTES, send_ahead=4))
    for event in (events.ConnectionOpened(), *story):
        session.handle(event)
    return session


def agreed(offset_bytes: int = 0, length_bytes: int = LENGTH_BYTES) -> SessionV1:
    return after(REQUEST, Claimed(offset_bytes, length_bytes), MsgAck(True))


def in_phase(phase: Phase) -> SessionV1:
    claim, app_cancels = (REQUEST, Claimed(0, LENGTH_BYTES)), CalledOff(errors.UploadCancelled())
    ways: dict[Phase, tuple[Event, ...]] = {
        Phase.OPENING: (),
        Phase.AGREEING: claim,
        Phase.RECEIVING: (*claim, MsgAck(True)),
        Phase.ARRIVED: (REQUEST, Claimed(LENGTH_BYTES, LENGTH_BYTES), MsgAck(True)),
        Phase.CANCELLING: (*claim, MsgAck(True), app_cancels),
        Phase.REFUSED: (Failed(errors.UnknownTicket()),),
        Phase.PAUSED: (*claim, MsgPause(True)),
        Phase.CLOSED: (news.Interrupted(errors.Stopping()),),
    }
    session = after(*ways[phase])
    assert session.phase is phase
    return session


# --- the way of every upload -----------------------------------------------------------------------


def test_a_new_connection_has_a_while_to_name_its_ticket() -> None:
    session = SessionV1(Limits(CHUNK_BYTES, send_ahead=4))
    assert session.handle(events.ConnectionOpened()) == [StartTimer(Phase.OPENING, 15.0)]


def test_a_request_claims_the_ticket() -> None:
    assert after().handle(REQUEST) == [events.ClaimTicket(REQUEST)]


def test_a_claimed_ticket_is_confirmed_with_where_to_resume_and_how_much_to_send() -> None:
    session = after(REQUEST)
    told, timer = session.handle(Claimed(1234, LENGTH_BYTES))
    assert told == Send(messages.MsgUploadConf(2, 1234, 4))
    assert timer == StartTimer(Phase.AGREEING, AGREEING_TIMEOUT_S)
    assert session.phase is Phase.AGREEING


def test_a_large_file_is_asked_for_in_chunks_of_twice_the_size_and_half_as_many_ahead() -> None:
    session = after(REQUEST)
    length_bytes = MANY_CHUNKS * CHUNK_BYTES
    assert session.handle(Claimed(0, length_bytes))[0] == Send(messages.MsgUploadConf(4, 0, 2))
    session.handle(MsgAck(True))
    assert session.handle(ChunkReceived(2 * CHUNK_BYTES)) == [StoreChunk(2 * CHUNK_BYTES)]
    assert session.handle(ChunkReceived(2 * CHUNK_BYTES + 1)) == refusal(
        errors.BadChunk("The chunk is larger than the server allows.")
    )


def test_after_the_agreement_the_server_waits_for_chunks() -> None:
    session = in_phase(Phase.AGREEING)
    assert session.handle(MsgAck(True)) == []
    assert session.phase is Phase.RECEIVING


def test_a_chunk_is_acknowledged_only_after_it_is_stored() -> None:
    session = agreed()
    assert session.handle(ChunkReceived(2048)) == [StoreChunk(2048)]
    assert session.handle(Stored(2048)) == [Send(messages.MsgChunkAck(2048))]
    assert session.offset_bytes == 2048


def test_a_chunk_is_acknowledged_once_all_of_it_is_durable_and_in_its_turn() -> None:
    session = agreed()
    assert session.handle(Stored(1000, acknowledged_bytes=512)) == []
    assert session.handle(ChunkReceived(0)) == [], "also an empty one waits for its turn"
    assert session.handle(Stored(1100, acknowledged_bytes=2048)) == acks(1000, 0)
    assert session.handle(Durable(2099)) == []
    assert session.handle(Durable(2100)) == acks(1100)
    assert session.handle(Durable(2100)) == []
    assert session.handle(Stored(2000, acknowledged_bytes=4096)) == []
    assert session.handle(Stored(900, acknowledged_bytes=5000)) == [
        *acks(2000, 900),
        events.CompleteUpload(),
    ]


def acks(*sizes_bytes: int) -> list[events.Action]:
    return [Send(messages.MsgChunkAck(size_bytes)) for size_bytes in sizes_bytes]


def test_the_last_chunk_is_acknowledged_and_then_the_file_is_handed_over() -> None:
    session = agreed(offset_bytes=4096)
    assert session.handle(ChunkReceived(904)) == [StoreChunk(904)]
    assert session.handle(Stored(904)) == [Send(messages.MsgChunkAck(904)), events.CompleteUpload()]
    assert session.phase is Phase.ARRIVED
    assert session.handle(HandedOver()) == [ALL_DONE, NORMAL]


def test_an_empty_file_is_complete_when_its_client_agrees() -> None:
    session = after(REQUEST, Claimed(0, 0))
    assert session.handle(MsgAck(True)) == [events.CompleteUpload()]


def test_an_upload_whose_last_acknowledgement_was_lost_is_complete_when_its_client_agrees() -> None:
    session = after(REQUEST, Claimed(LENGTH_BYTES, LENGTH_BYTES))
    assert session.handle(MsgAck(True)) == [events.CompleteUpload()]
    assert session.phase is Phase.ARRIVED


def test_an_empty_chunk_is_acknowledged_and_stores_nothing() -> None:
    assert agreed().handle(ChunkReceived(0)) == [Send(messages.MsgChunkAck(0))]


@pytest.mark.parametrize(("offset_bytes", "size_bytes"), [(0, 1), (0, 2048), (4096, 904)])
def test_a_chunk_may_be_smaller_than_agreed(offset_bytes: int, size_bytes: int) -> None:
    assert agreed(offset_bytes).handle(ChunkReceived(size_bytes)) == [StoreChunk(size_bytes)]


@pytest.mark.parametrize(
    ("offset_bytes", "size_bytes", "why"),
    [
        (0, 2049, "The chunk is larger than the server allows."),
        (4096, 905, "The chunk has bytes beyond the end of the file."),
        (LENGTH_BYTES, 1, "The chunk has bytes beyond the end of the file."),
    ],
)
def test_a_chunk_that_is_too_large_or_too_much_ends_the_upload(
    offset_bytes: int, size_bytes: int, why: str
) -> None:
    assert agreed(offset_bytes).handle(ChunkReceived(size_bytes)) == refusal(errors.BadChunk(why))


# --- a client that comes back after the arrival ----------------------------------------------------


def test_a_client_that_comes_back_during_the_handover_waits_for_the_result() -> None:
    session = after(REQUEST, Claimed(LENGTH_BYTES, LENGTH_BYTES, arrived=True))
    assert session.handle(MsgAck(True)) == []
    assert session.handle(HandedOver()) == [ALL_DONE, NORMAL]


def test_a_client_that_comes_back_after_the_finish_hears_it_again() -> None:
    session = after(REQUEST, Claimed(LENGTH_BYTES, LENGTH_BYTES, arrived=True, finished=HandedOver()))
    assert session.handle(MsgAck(True)) == [ALL_DONE, NORMAL]


WATCHING = Claimed(LENGTH_BYTES, LENGTH_BYTES, arrived=True)


@pytest.mark.parametrize("news", [[HandedOver(), WATCHING], [WATCHING, HandedOver()]])
def test_a_finish_before_the_agreement_is_told_after_it(news: list[Event]) -> None:
    session = after(REQUEST)
    assert ALL_DONE not in [action for event in news for action in session.handle(event)]
    assert session.handle(MsgAck(True)) == [ALL_DONE, NORMAL]


# --- pausing and cancelling ------------------------------------------------------------------------


@pytest.mark.parametrize("phase", [Phase.AGREEING, Phase.RECEIVING])
def test_a_pausing_client_lets_go_of_the_ticket_and_is_not_talked_to_any_more(phase: Phase) -> None:
    session = in_phase(phase)
    assert session.handle(MsgPause(True)) == [ReleaseTicket(), StartTimer(Phase.PAUSED, ANSWER_TIMEOUT_S)]
    assert session.handle(ChunkReceived(10)) == []


def test_a_client_that_pauses_and_does_not_close_is_closed() -> None:
    session = in_phase(Phase.PAUSED)
    assert session.handle(TimedOut(Phase.PAUSED)) == [CloseConnection(1000)]


def test_a_client_that_never_agrees_is_closed() -> None:
    session = in_phase(Phase.AGREEING)
    assert session.handle(TimedOut(Phase.AGREEING)) == [CloseConnection(1008, "no answer")]


def test_a_pause_message_with_false_changes_nothing() -> None:
    session = agreed()
    assert session.handle(MsgPause(False)) == []
    assert session.phase is Phase.RECEIVING


@pytest.mark.parametrize("phase", [Phase.AGREEING, Phase.RECEIVING])
def test_a_cancellation_is_acknowledged_once_it_counts_and_then_the_connection_closes(phase: Phase) -> None:
    session = in_phase(phase)
    assert session.handle(MsgCancel("no more")) == [CancelUpload("no more")]
    assert session.handle(CancelAccepted()) == [CANCEL_ACK, NORMAL]


@pytest.mark.parametrize("phase", [Phase.AGREEING, Phase.RECEIVING])
def test_a_cancellation_after_the_handover_began_gets_the_result_instead(phase: Phase) -> None:
    session = in_phase(phase)
    session.handle(MsgCancel("no more"))
    assert session.handle(events.CancelTooLate()) == []
    assert session.handle(HandedOver()) == [ALL_DONE, NORMAL]


def test_a_cancellation_of_a_finished_upload_gets_the_result_at_once() -> None:
    finished = Claimed(LENGTH_BYTES, LENGTH_BYTES, arrived=True, finished=HandedOver())
    session = after(REQUEST, finished, MsgCancel("no"))
    assert session.handle(events.CancelTooLate()) == [ALL_DONE, NORMAL]


def test_an_error_in_the_page_cancels_the_upload_and_is_not_acknowledged() -> None:
    session = agreed()
    assert session.handle(MsgError(7, "disk gone")) == [CancelUpload("error in the page: disk gone")]
    assert session.handle(CancelAccepted()) == [NORMAL]


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (MsgCancel(""), "cancelled by the user"),
        (MsgCancel("x" * 2000), "x" * 1000),
        (MsgError(7, ""), "error in the page: error 7"),
        (MsgError(7, "x" * 2000), "error in the page: " + "x" * 1000),
    ],
)
def test_a_reason_is_never_empty_and_never_long(message: MsgCancel | MsgError, reason: str) -> None:
    assert agreed().handle(message) == [CancelUpload(reason)]


# --- the app cancels, or the ticket expires --------------------------------------------------------

CALLED_OFF = [errors.UploadCancelled(), errors.UploadExpired()]


@pytest.mark.parametrize("error", CALLED_OFF, ids=lambda error: error.code)
@pytest.mark.parametrize("event", [CalledOff, Failed])  # the news, or a chunk that came upon the fact
def test_a_sending_client_is_told_of_the_end_as_a_cancellation(
    event: type[CalledOff | Failed], error: errors.UploadCancelled | errors.UploadExpired
) -> None:
    session = agreed()
    said = Send(MsgCancel(str(error)))
    assert session.handle(event(error)) == [ReleaseTicket(), said, StartTimer(Phase.CANCELLING, 5.0)]
    assert session.handle(ChunkReceived(10)) == []
    assert session.handle(MsgCancel("yes")) == [CANCEL_ACK, NORMAL]


def test_a_client_that_does_not_answer_the_cancellation_gets_an_error_and_then_a_close() -> None:
    session = in_phase(Phase.CANCELLING)
    assert session.handle(TimedOut(Phase.CANCELLING)) == refusal(errors.UploadCancelled())
    assert session.handle(TimedOut(Phase.REFUSED)) == [CloseConnection(1008, "no answer")]


@pytest.mark.parametrize("phase", [Phase.AGREEING, Phase.ARRIVED])
def test_a_client_that_does_not_send_is_told_of_the_end_as_an_error(phase: Phase) -> None:
    error = errors.UploadExpired()
    assert in_phase(phase).handle(CalledOff(error)) == refusal(error)


def test_the_clients_cancellation_may_cross_the_apps() -> None:
    session = agreed()
    session.handle(MsgCancel("no more"))
    session.handle(CalledOff(errors.UploadCancelled()))
    assert session.handle(CancelAccepted()) == [CANCEL_ACK, NORMAL]


def test_a_cancellation_that_finds_the_upload_cancelled_is_acknowledged() -> None:
    session = agreed()
    session.handle(MsgCancel("no more"))
    assert session.handle(Failed(errors.UploadCancelled())) == [CANCEL_ACK, NORMAL]


# --- errors that last: MsgError, and the client's answer to it -------------------------------------


@pytest.mark.parametrize(
    "error",
    [
        errors.UnknownTicket(),
        errors.LengthMismatch(errors.ExpectedFile("a.mov", 1, 0), 2),
        errors.UploadTooLarge(2, 1),
        *CALLED_OFF,
        LASTING,
    ],
)
def test_a_claim_that_cannot_succeed_gets_an_error(error: errors.IncomingError) -> None:
    assert after(REQUEST).handle(Failed(error)) == refusal(error)


def test_the_answer_to_an_error_is_acknowledged_and_changes_nothing_about_the_ticket() -> None:
    session = in_phase(Phase.REFUSED)
    assert session.handle(MsgCancel("so be it")) == [CANCEL_ACK, NORMAL]


def test_a_client_that_never_answers_an_error_is_closed() -> None:
    assert in_phase(Phase.REFUSED).handle(TimedOut(Phase.REFUSED)) == [CloseConnection(1008, "no answer")]


def test_a_failed_handover_is_an_error_with_its_words() -> None:
    assert in_phase(Phase.ARRIVED).handle(news.NotHandedOver(LASTING)) == refusal(LASTING)


def test_an_ack_that_is_not_true_is_an_error() -> None:
    expected = refusal(errors.BadMessage("MsgAck.Ack must be true."))
    assert in_phase(Phase.AGREEING).handle(MsgAck(False)) == expected


def test_a_message_that_has_no_place_is_named_in_the_error() -> None:
    assert agreed().handle(REQUEST) == refusal(errors.BadMessage("MsgUploadReq is not expected now."))
