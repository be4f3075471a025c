"""A session of version 2 from the request to the last chunk, as docs/reference/protocol.md describes it.

The end is in test_v2_end, each event in each phase in test_events_v2.
"""

from __future__ import annotations

import pytest

from incoming.core import errors
from incoming.core.news import Durable, Interrupted
from incoming.protocol import events, messages
from incoming.protocol.events import (
    Action,
    ChunkReceived,
    Claimed,
    CloseConnection,
    ContentVerified,
    Event,
    Failed,
    MakeDurable,
    Phase,
    ReleaseTicket,
    Send,
    StartTimer,
    StoreChunk,
    Stored,
    TimedOut,
)
from incoming.protocol.flow_control import Limits
from incoming.protocol.messages import MsgAgree, MsgComplete, MsgErrorV2, MsgStored, MsgUploadReq
from incoming.protocol.rules import AGREEING_TIMEOUT_S
from incoming.protocol.v2 import MIN_VERIFY_BYTES_PER_S, SessionV2

LENGTH_BYTES, MAX_CHUNK_BYTES, MAX_WINDOW_BYTES = 5000, 2048, 8192
LIMITS = Limits(1024, 4, MAX_CHUNK_BYTES, MAX_WINDOW_BYTES, silence_s=7.5, idle_silence_s=90.0)
MEANT = errors.ExpectedFile("a <b>.mov", LENGTH_BYTES, 99)
REQUEST = MsgUploadReq("the id", LENGTH_BYTES, "a.mov", 2, 99)
REFUSED = errors.HandoverFailed("The app did not take the file: it said no.")
NORMAL = CloseConnection(1000)
COMPLETE = MsgComplete(7, 0)


def stored_up_to(offset_bytes: int) -> Send:
    return Send(MsgStored(offset_bytes, MAX_CHUNK_BYTES, MAX_WINDOW_BYTES))


def after(*story: Event) -> SessionV2:
    session = SessionV2(LIMITS)
    for event in story:
        session.handle(event)
    return session


def receiving(offset_bytes: int = 0) -> SessionV2:
    return after(REQUEST, Claimed(offset_bytes, LENGTH_BYTES), MsgAgree(()))


def in_phase(phase: Phase) -> SessionV2:
    whole = (REQUEST, Claimed(LENGTH_BYTES, LENGTH_BYTES), MsgAgree(()), COMPLETE)
    ways: dict[Phase, tuple[Event, ...]] = {
        Phase.OPENING: (REQUEST,),
        Phase.AGREEING: (REQUEST, Claimed(10, LENGTH_BYTES, compare=((0, 10),))),
        Phase.RECEIVING: (REQUEST, Claimed(0, LENGTH_BYTES), MsgAgree(())),
        Phase.COMPLETING: whole,
        Phase.ARRIVED: (*whole, events.Completed()),
        Phase.CLOSED: (Interrupted(errors.Stopping()),),
    }
    session = after(*ways[phase])
    assert session.phase is phase
    return session


def refusal(error: errors.IncomingError, code: int = 1000) -> list[Action]:
    meant = error.expected_file or errors.ExpectedFile("", 0, 0)
    told = MsgErrorV2(
        *(error.number, error.code, str(error), error.retryable),
        *(meant.length_bytes or 0, meant.last_modified_ms, meant.name),
    )
    return [ReleaseTicket(), Send(told), CloseConnection(code, str(error) if error.retryable else "")]


# --- the beginning -----------------------------------------------------------------------------------


def test_a_request_claims_the_ticket() -> None:
    assert after().handle(REQUEST) == [events.ClaimTicket(REQUEST)]


@pytest.mark.parametrize("arrived", [False, True])
def test_a_claimed_ticket_is_confirmed_with_all_that_its_client_has_to_know(arrived: bool) -> None:
    session = after(REQUEST)
    claim = Claimed(1234, LENGTH_BYTES, arrived, compare=((0, 100), (1134, 1234)), expected_file=MEANT)
    assert session.handle(claim) == [
        Send(
            messages.MsgUploadConfV2(
                *(2, 1234, MAX_CHUNK_BYTES, 8192, 7.5, ((0, 100), (1134, 1234)), arrived, 99, "a <b>.mov"),
                idle_silence_s=90.0,
            )
        ),
        StartTimer(Phase.AGREEING, AGREEING_TIMEOUT_S + 200 / MIN_VERIFY_BYTES_PER_S),
    ]
    assert session.phase is Phase.AGREEING


def test_a_client_that_sends_no_checksums_is_closed() -> None:
    session = in_phase(Phase.AGREEING)
    assert session.handle(TimedOut(Phase.OPENING)) == []
    assert session.handle(TimedOut(Phase.AGREEING)) == [events.CloseConnection(1008, "no answer")]


def test_a_client_that_has_to_read_a_large_file_has_the_time_to() -> None:
    session = after(REQUEST)
    _, timer = session.handle(Claimed(90 << 30, 100 << 30, compare=((0, 90 << 30),)))
    assert timer == StartTimer(Phase.AGREEING, AGREEING_TIMEOUT_S + (90 << 30) / MIN_VERIFY_BYTES_PER_S)


def test_a_ticket_with_a_limit_gets_no_more_on_its_way_than_passes_in_time() -> None:
    limits = Limits(1024, 4, max_chunk_bytes=1 << 22, max_window_bytes=1 << 26, silence_s=10.0)
    for max_bytes_per_s in (1, 1000, 100_000, 10_000_000):
        slower = limits.for_rate(max_bytes_per_s)
        assert slower.max_window_bytes <= max(max_bytes_per_s * limits.silence_s / 2, 8192)
        assert 4096 <= slower.max_chunk_bytes <= slower.max_window_bytes / 2
    assert limits.for_rate(0) == limits.for_rate(10**12) == limits


def test_a_limit_of_the_ticket_is_told_with_the_claim_and_holds() -> None:
    limits = Limits(1024, 4)
    session = SessionV2(limits)
    session.handle(REQUEST)
    told, _ = session.handle(Claimed(0, LENGTH_BYTES, max_bytes_per_s=1))
    assert isinstance(told, Send) and isinstance(told.message, messages.MsgUploadConfV2)
    assert told.message.max_window_bytes == limits.for_rate(1).max_window_bytes < limits.max_window_bytes
    assert told.message.max_chunk_bytes == limits.for_rate(1).max_chunk_bytes < LENGTH_BYTES
    session.handle(MsgAgree(()))
    too_large = ChunkReceived(told.message.max_chunk_bytes + 1)
    assert session.handle(too_large) == refusal(errors.BadChunk(errors.CHUNK_TOO_LARGE))


def test_each_acknowledgement_tells_how_large_chunks_may_be_among_those_that_are_arriving() -> None:
    limits = Limits(1024, 4)
    session = SessionV2(limits)
    session.handle(REQUEST)
    told, _ = session.handle(Claimed(0, 1 << 30))
    assert isinstance(told, Send) and isinstance(told.message, messages.MsgUploadConfV2)
    assert told.message.max_chunk_bytes == 1 << 19, "all who are connected may begin to send"
    session.handle(MsgAgree(()))
    sizes = [(1, 4096), (32, 4096), (64, 2048), (1000, 512)]
    for number, (chunks_in_flight, chunk_kib) in enumerate(sizes, 1):
        expected = MsgStored(number, chunk_kib * 1024, limits.max_window_bytes)
        assert session.handle(Stored(1, chunks_in_flight)) == [Send(expected)]
    not_heard_yet = ChunkReceived(4096 * 1024, 4)
    assert session.handle(not_heard_yet) == [events.StoreChunk(4096 * 1024)]


def test_each_acknowledgement_tells_what_may_be_on_its_way_while_others_wait() -> None:
    limits = Limits(1024, 4)
    session = SessionV2(limits)
    session.handle(REQUEST)
    session.handle(Claimed(0, 1 << 30))
    session.handle(MsgAgree(()))
    for number, is_busy in enumerate([False, True, False], 1):
        allowed = limits.send_limits(2, is_busy)
        told = [Send(MsgStored(number, allowed.chunk_bytes, allowed.window_bytes))]
        assert session.handle(Stored(1, 2, is_busy)) == told
        assert session.handle(ChunkReceived(1, 0)) == told, "a chunk that comes once more"


def test_a_client_is_told_what_is_taken_while_the_storage_is_at_work_on_it() -> None:
    session = after(REQUEST, Claimed(0, LENGTH_BYTES, stores_later=True), MsgAgree(()))

    def told(offset_bytes: int, taken_bytes: int = 0) -> list[Action]:
        return [Send(MsgStored(offset_bytes, MAX_CHUNK_BYTES, MAX_WINDOW_BYTES, taken_bytes))]

    assert session.handle(Stored(1000, acknowledged_bytes=0)) == told(0, 1000)
    assert session.handle(Stored(1000, acknowledged_bytes=500)) == told(500, 2000)
    assert session.handle(Durable(1500)) == told(1500, 2000)
    assert session.handle(Durable(1500)) == []
    assert session.handle(ChunkReceived(1000, 0)) == told(1500, 2000), "a chunk that comes once more"
    assert session.handle(Durable(2000)) == told(2000)
    assert session.handle(Stored(1000)) == told(3000)


def test_a_storage_that_stores_at_once_costs_no_message_for_what_it_takes() -> None:
    session = receiving()
    assert session.handle(Stored(1000, acknowledged_bytes=0)) == []
    assert session.handle(Durable(1000)) == [stored_up_to(1000)]


def test_a_limit_of_the_ticket_holds_for_what_acknowledgements_tell() -> None:
    limits = Limits(1024, 4)
    session = SessionV2(limits)
    session.handle(REQUEST)
    session.handle(Claimed(0, LENGTH_BYTES, max_bytes_per_s=1))
    session.handle(MsgAgree(()))
    slow = limits.for_rate(1)
    assert session.handle(Stored(1)) == [Send(MsgStored(1, slow.max_chunk_bytes, slow.max_window_bytes))]


def test_chunks_may_come_once_there_is_nothing_to_compare() -> None:
    session = after(REQUEST, Claimed(0, LENGTH_BYTES))
    assert session.handle(MsgAgree(())) == []
    assert session.phase is Phase.RECEIVING


def test_chunks_may_come_once_the_file_is_the_same() -> None:
    session = after(REQUEST, Claimed(10, LENGTH_BYTES, compare=((0, 5), (5, 10))))
    assert session.handle(MsgAgree((1, 2))) == [events.VerifyContent((1, 2))]
    assert session.handle(ContentVerified()) == []
    assert session.phase is Phase.RECEIVING


@pytest.mark.parametrize("crcs", [(), (1,), (1, 2, 3)])
def test_msg_agree_has_one_checksum_for_each_range(crcs: tuple[int, ...]) -> None:
    session = after(REQUEST, Claimed(10, LENGTH_BYTES, compare=((0, 5), (5, 10))))
    wrong = errors.BadMessage("MsgAgree.Crc32c must have one checksum for each range.")
    assert session.handle(MsgAgree(crcs)) == refusal(wrong)


def test_another_file_is_an_error_that_names_the_right_one() -> None:
    session = after(REQUEST, Claimed(10, LENGTH_BYTES, compare=((0, 10),)), MsgAgree((1,)))
    release, told, close = session.handle(Failed(errors.WrongFile(MEANT)))
    assert isinstance(told, Send) and isinstance(told.message, MsgErrorV2)
    assert (told.message.code, told.message.retryable) == ("wrong_file", False)
    assert (told.message.file_name, told.message.file_length_bytes) == ("a <b>.mov", LENGTH_BYTES)
    assert told.message.file_last_modified_ms == 99
    assert (release, close) == (ReleaseTicket(), NORMAL)


# --- chunks --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("offset_bytes", "size_bytes"), [(0, 1), (0, 2048), (4096, 904), (4999, 1)])
def test_a_chunk_is_acknowledged_by_the_new_offset_once_it_is_stored(
    offset_bytes: int, size_bytes: int
) -> None:
    session = receiving(offset_bytes)
    assert session.handle(ChunkReceived(size_bytes, offset_bytes)) == [StoreChunk(size_bytes)]
    assert session.handle(Stored(size_bytes)) == [stored_up_to(offset_bytes + size_bytes)]
    assert session.offset_bytes == offset_bytes + size_bytes


def test_only_what_is_durable_is_acknowledged_and_a_duplicate_too() -> None:
    session = receiving()
    assert session.handle(Stored(1000, acknowledged_bytes=0)) == []
    assert session.handle(ChunkReceived(500, 0)) == [stored_up_to(0)], "a duplicate"
    assert session.handle(ChunkReceived(100, 1000)) == [StoreChunk(100)], "what comes next does not wait"
    assert session.handle(Stored(100, acknowledged_bytes=1024)) == [stored_up_to(1024)]
    assert session.handle(Durable(1024)) == []
    assert session.handle(Durable(1100)) == [stored_up_to(1100)]
    assert session.handle(Durable(1200)) == [], "what is durable is known before it is known to be stored"
    assert session.handle(Stored(100, acknowledged_bytes=1200)) == [stored_up_to(1200)]


@pytest.mark.parametrize("stores_later", [True, False])
def test_the_last_bytes_are_made_durable_and_the_client_hears_first_that_they_are_taken(
    stores_later: bool,
) -> None:
    session = after(REQUEST, Claimed(0, LENGTH_BYTES, stores_later=stores_later), MsgAgree(()))
    session.handle(Stored(LENGTH_BYTES - 10, acknowledged_bytes=10))
    taken = Send(MsgStored(10, MAX_CHUNK_BYTES, MAX_WINDOW_BYTES, LENGTH_BYTES))
    expected = [*([taken] if stores_later else []), MakeDurable()]
    assert session.handle(Stored(10, acknowledged_bytes=10)) == expected
    assert session.handle(Durable(LENGTH_BYTES)) == [stored_up_to(LENGTH_BYTES)]


def test_what_a_resend_acknowledges_is_durable_first() -> None:
    session = receiving()
    session.handle(Stored(1000, acknowledged_bytes=512))
    assert session.handle(ChunkReceived(10, 1000, 0, intact=False)) == [MakeDurable()]
    assert session.handle(Durable(1000)) == [Send(messages.MsgResend(1000, 1))]
    assert session.handle(Durable(1000)) == [], "said once, however often the storage says so"
    assert session.handle(ChunkReceived(10, 1000, 1)) == [StoreChunk(10)]


@pytest.mark.parametrize("intact", [True, False])
@pytest.mark.parametrize("number", [0, 1])
def test_a_chunk_larger_than_agreed_is_an_error_whatever_else_it_is(intact: bool, number: int) -> None:
    chunk = ChunkReceived(MAX_CHUNK_BYTES + 1, 0, number, intact)
    assert receiving().handle(chunk) == refusal(errors.BadChunk(errors.CHUNK_TOO_LARGE))


@pytest.mark.parametrize(("offset_bytes", "size_bytes"), [(4096, 905), (LENGTH_BYTES, 1)])
def test_a_sound_chunk_beyond_the_end_is_an_error(offset_bytes: int, size_bytes: int) -> None:
    chunk = ChunkReceived(size_bytes, offset_bytes)
    too_much = errors.BadChunk("There are more bytes than the file has.")
    assert receiving(offset_bytes).handle(chunk) == refusal(too_much)


@pytest.mark.parametrize("offset_bytes", [0, 999])
def test_a_chunk_that_is_stored_already_is_acknowledged_again(offset_bytes: int) -> None:
    session = receiving(1000)
    assert session.handle(ChunkReceived(2000, offset_bytes)) == [stored_up_to(1000)]


DAMAGED = {
    "its checksum": ChunkReceived(100, 1000, 0, intact=False),
    "its place, ahead": ChunkReceived(100, 1001),
    "everything": ChunkReceived(0, 0, 0, intact=False),
    "its checksum, at the very end": ChunkReceived(2000, 4999, 0, intact=False),
    "its place, behind, and its checksum": ChunkReceived(10, 0, 0, intact=False),
}


@pytest.mark.parametrize("chunk", DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_chunk_is_asked_for_again_in_a_new_round(chunk: ChunkReceived) -> None:
    session = receiving(1000)
    assert session.handle(chunk) == [Send(messages.MsgResend(1000, 1))]
    assert session.handle(ChunkReceived(100, 1000, 1)) == [StoreChunk(100)]


@pytest.mark.parametrize("number", [0, 2, 2**32 - 1])
def test_chunks_of_another_round_are_dropped(number: int) -> None:
    session = receiving(1000)
    session.handle(DAMAGED["its checksum"])
    for chunk in (ChunkReceived(1, 1000, number), ChunkReceived(1, 1000, number, intact=False)):
        assert session.handle(chunk) == []
    assert session.offset_bytes == 1000


# --- damage again and again --------------------------------------------------------------------------


def test_eight_damaged_chunks_in_a_row_end_the_connection() -> None:
    session = receiving(1000)
    for number in range(7):
        damaged = ChunkReceived(100, 1000, number, intact=False)
        assert session.handle(damaged) == [Send(messages.MsgResend(1000, number + 1))]
    eighth = ChunkReceived(100, 1000, 7, intact=False)
    assert session.handle(eighth) == refusal(errors.Damaged(), 1013)


def test_only_damage_without_a_stored_chunk_between_counts() -> None:
    session = receiving()
    for number in range(20):
        damaged = ChunkReceived(1, number, number, intact=False)
        assert session.handle(damaged) == [Send(messages.MsgResend(number, number + 1))]
        assert session.handle(ChunkReceived(1, number, number + 1)) == [StoreChunk(1)]
        session.handle(Stored(1))


def test_neither_what_is_dropped_nor_what_is_stored_already_counts_as_damaged_or_as_stored() -> None:
    session = receiving(1000)
    for number in range(7):
        session.handle(ChunkReceived(100, 1000, number, intact=False))
        for _ in range(20):
            assert session.handle(ChunkReceived(100, 1000, number, intact=False)) == []
        assert session.handle(ChunkReceived(100, 0, number + 1)) == [stored_up_to(1000)]
    assert session.handle(ChunkReceived(100, 1000, 7, intact=False)) == refusal(errors.Damaged(), 1013)


# --- folders -----------------------------------------------------------------------------------------


def of_folder(offset_bytes: int = 0, stores_later: bool = False) -> SessionV2:
    claim = Claimed(offset_bytes, LENGTH_BYTES, dest_type="folder", stores_later=stores_later)
    return after(REQUEST, claim, MsgAgree(()))


def test_a_client_hears_that_the_ticket_is_for_a_folder_and_which_files_are_left_out() -> None:
    [confirmed, _] = after(REQUEST).handle(Claimed(10, LENGTH_BYTES, dest_type="folder", left_out=(3, 5)))
    assert isinstance(confirmed, Send) and isinstance(confirmed.message, messages.MsgUploadConfV2)
    assert (confirmed.message.dest_type, confirmed.message.left_out) == ("folder", (3, 5))


def test_a_file_that_is_left_out_is_acknowledged_up_to_its_end_and_chunks_continue_there() -> None:
    session = of_folder(100)
    assert session.handle(messages.MsgLeaveOut(3)) == [events.LeaveOut(3)]
    assert session.handle(events.LeftOut(900)) == [stored_up_to(900)]
    assert session.handle(ChunkReceived(50, 900, 0)) == [StoreChunk(50)]


def test_a_file_that_can_not_be_compared_any_more_is_left_out_before_the_client_agrees() -> None:
    session = after(REQUEST, Claimed(100, LENGTH_BYTES, compare=((0, 100),), dest_type="folder"))
    assert session.handle(messages.MsgLeaveOut(3)) == [events.LeaveOut(3)]
    assert session.handle(events.LeftOut(900)) == [stored_up_to(900)]
    assert session.handle(MsgAgree((7,))) == [events.VerifyContent((7,))]
    session.handle(events.ContentVerified())
    assert session.handle(ChunkReceived(50, 900, 0)) == [StoreChunk(50)]


def test_nothing_is_left_out_of_a_folder_that_has_arrived() -> None:
    session = after(REQUEST, Claimed(LENGTH_BYTES, LENGTH_BYTES, arrived=True, dest_type="folder"))
    refused = refusal(errors.BadMessage("MsgLeaveOut is not expected now."))
    assert session.handle(messages.MsgLeaveOut(3)) == refused


def test_a_folder_may_end_with_a_file_that_is_left_out() -> None:
    session = of_folder(100)
    session.handle(messages.MsgLeaveOut(3))
    session.handle(events.LeftOut(LENGTH_BYTES))
    assert session.handle(COMPLETE) == [events.CompleteUpload(7)]


def test_no_file_is_left_out_while_bytes_are_on_their_way_into_the_storage() -> None:
    session = of_folder(0, stores_later=True)
    session.handle(ChunkReceived(50, 0, 0))
    session.handle(Stored(50, acknowledged_bytes=0))
    told = "MsgLeaveOut is not expected while sent bytes are not stored."
    assert session.handle(messages.MsgLeaveOut(0)) == refusal(errors.BadMessage(told))


def test_nothing_of_a_file_ticket_is_left_out() -> None:
    refused = refusal(errors.BadMessage("MsgLeaveOut is only for folders."))
    assert receiving(100).handle(messages.MsgLeaveOut(0)) == refused
