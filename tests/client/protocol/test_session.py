"""The client's session in version 2 (docs/reference/protocol.md): events in, actions out.

Any order of events against the server's own session is in test_session_with_the_server.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from crc32c import crc32c

from incoming.client.protocol import events
from incoming.client.protocol.events import (
    Actions,
    ChunkSent,
    CloseConnection,
    ConnectionClosed,
    ConnectionOpened,
    Ending,
    Event,
    File,
    FileChanged,
    FileUnreadable,
    Options,
    ReadAsZeros,
    ReadSegment,
    SegmentRead,
    SendChunk,
    SendMessage,
    Stage,
    Stop,
    Tick,
    Unreachable,
)
from incoming.client.protocol.server_messages import OtherVersion
from incoming.client.protocol.session import CANCEL_REASON, Session
from incoming.client.protocol.stored_prefix import Segment
from incoming.core.folder_manifest import Entry, FolderManifest, encode_head
from incoming.core.ticket import FOLDER
from incoming.protocol import messages
from incoming.protocol.messages import (
    MsgAgree,
    MsgAllDoneV2,
    MsgCancel,
    MsgCancelAck,
    MsgComplete,
    MsgErrorV2,
    MsgNews,
    MsgPing,
    MsgPong,
    MsgResend,
    MsgStored,
    MsgUploadConfV2,
    MsgUploadReq,
)

CONTENT = bytes(range(250)) * 400
LENGTH = len(CONTENT)
CRC = crc32c(CONTENT)
REQUEST = MsgUploadReq("the id", LENGTH, "a.mov", 2, 99)
HANDING_OVER, WAITING_FOR_APP = MsgNews("handing_over"), MsgNews("waiting_for_app")
SILENCE_S = 8.0


def conf(
    offset: int = 0, compare: tuple[tuple[int, int], ...] = (), *, arrived: bool = False
) -> MsgUploadConfV2:
    return MsgUploadConfV2(2, offset, 50_000, 100_000, SILENCE_S, compare, arrived, 99, "a.mov")


def error(number: int, code: str, *, retryable: bool = False, name: str = "") -> MsgErrorV2:
    return MsgErrorV2(number, code, "It went wrong.", retryable, LENGTH, 0, name)


class Talk:
    """A session, the clock, and what it said last."""

    def __init__(self, options: Options | None = None) -> None:
        self.now_s = 1000.0
        self.session = Session(
            "the id", File("a.mov", LENGTH, 99), options or Options(), lambda: 0.5, self.now_s
        )

    def after(self, *story: Event) -> Talk:
        for event in story:
            self.hear(event)
        return self

    def hear(self, event: Event, later_s: float = 0.0) -> Actions:
        self.now_s += later_s
        return self.session.handle(event, self.now_s)

    def works(self) -> Actions:
        """Does all work there is; returns the last actions that were not nothing."""
        last: Actions = []
        while work := self.session.work(self.now_s):
            segment = Segment(
                work.segment.start, work.segment.end, crc32c(CONTENT[work.segment.start : work.segment.end])
            )
            last = (
                self.hear(ChunkSent(segment) if isinstance(work, SendChunk) else SegmentRead(segment)) or last
            )
        return last

    @property
    def stage(self) -> Stage:
        return self.session.stage


def sending(offset: int = 0) -> Talk:
    return Talk().after(ConnectionOpened(), conf(offset))


def sent() -> Talk:
    """All chunks are stored, and it was said that they are all."""
    talk = sending()
    while talk.stage is Stage.SENDING:
        talk.works()
        talk.hear(MsgStored(talk.session.transfer.sent_bytes))
    assert talk.stage is Stage.COMPLETING
    return talk


def arrived() -> Talk:
    return sent().after(HANDING_OVER)


def in_stage(stage: Stage) -> Talk:
    done = MsgAllDoneV2(True, CRC)
    ways: dict[Stage, Callable[[], Talk]] = {
        Stage.CONNECTING: Talk,
        Stage.BACKING_OFF: lambda: Talk().after(Unreachable("Nobody listens.")),
        Stage.REQUESTING: lambda: Talk().after(ConnectionOpened()),
        Stage.PROVING: lambda: Talk().after(ConnectionOpened(), conf(1000, ((0, 1000),))),
        Stage.SENDING: sending,
        Stage.COMPLETING: sent,
        Stage.AWAITING_APP: arrived,
        Stage.CANCELLING: lambda: sending().after(Stop(cancel=True)),
        Stage.VERIFYING: lambda: Talk().after(ConnectionOpened(), conf(LENGTH, arrived=True), done),
    }
    talk = ways[stage]()
    assert talk.stage is stage
    return talk


# --- a whole upload ----------------------------------------------------------------------------------


def test_an_upload_from_its_beginning_to_its_end() -> None:
    talk = Talk()
    assert talk.hear(ConnectionOpened()) == [SendMessage(REQUEST)]
    assert talk.hear(conf()) == [SendMessage(MsgAgree(()))]
    assert talk.session.work(talk.now_s) == SendChunk(Segment(0, 16_384), 0)
    talk.works()
    assert 65_536 <= talk.session.transfer.sent_bytes < LENGTH, "the first window is full"
    said: Actions = []
    while talk.stage is Stage.SENDING:
        talk.hear(MsgStored(talk.session.transfer.sent_bytes), later_s=0.1)
        said = talk.works() or said
    assert said == [SendMessage(MsgComplete(CRC, 0))]
    talk.hear(MsgStored(LENGTH))
    assert talk.hear(HANDING_OVER) == []
    assert talk.stage is Stage.AWAITING_APP
    assert talk.hear(MsgAllDoneV2(True, CRC)) == [CloseConnection(), CloseConnection()]
    outcome = talk.session.outcome
    assert outcome
    assert (outcome.ending, outcome.crc32c, outcome.resumable) == (Ending.FINISHED, CRC, False)
    assert talk.session.resumed == 0


def test_the_ranges_that_the_server_asks_for_are_read_and_answered_in_order() -> None:
    talk = Talk().after(ConnectionOpened())
    assert talk.hear(conf(90_000, ((0, 10), (5, 5), (20_000, 90_000)))) == []
    parts = (CONTENT[:10], b"", CONTENT[20_000:90_000])
    work = talk.session.work(talk.now_s)
    assert work == ReadSegment(Segment(0, 10))
    talk.hear(SegmentRead(Segment(0, 10, crc32c(parts[0]))))
    said = talk.hear(SegmentRead(Segment(20_000, 90_000, crc32c(parts[2]))))
    assert said == [SendMessage(MsgAgree(tuple(crc32c(part) for part in parts)))]


def test_what_was_stored_before_is_read_for_the_checksum_of_the_whole() -> None:
    talk = sending(90_000)
    assert talk.session.resumed == 1
    assert talk.session.work(talk.now_s, room=False) == ReadSegment(Segment(0, 90_000)), "beside the sending"
    assert talk.session.work(talk.now_s) == SendChunk(Segment(90_000, LENGTH), 0)
    assert talk.works() == [SendMessage(MsgComplete(CRC, 0))]


def test_an_upload_that_has_arrived_already_is_only_waited_for() -> None:
    talk = Talk().after(ConnectionOpened())
    assert talk.hear(conf(LENGTH, arrived=True)) == [SendMessage(MsgAgree(()))]
    assert talk.stage is Stage.AWAITING_APP


def test_no_limit_of_the_user_is_passed() -> None:
    talk = Talk(Options(max_bytes_per_s=20_000)).after(ConnectionOpened(), conf())
    talk.works()
    began_s = talk.now_s
    while talk.session.transfer.sent_bytes < LENGTH:
        talk.hear(MsgStored(talk.session.transfer.sent_bytes), later_s=0.01)
        talk.works()
    assert talk.now_s - began_s == pytest.approx(LENGTH / 20_000, rel=0.15)


# --- damage ------------------------------------------------------------------------------------------


def test_a_damaged_chunk_is_sent_again_in_its_round() -> None:
    talk = sending()
    talk.works()
    talk.hear(MsgResend(16_384, 1))
    assert talk.session.work(talk.now_s) == SendChunk(Segment(16_384, 32_768), 1)


def test_complete_is_repeated_in_the_new_round() -> None:
    talk = sending(90_000)
    talk.works()
    assert talk.stage is Stage.COMPLETING
    assert talk.hear(MsgResend(95_000, 1)) == []
    assert talk.works() == [SendMessage(MsgComplete(CRC, 1))]


def test_complete_is_repeated_when_it_was_lost() -> None:
    talk = sent()
    talk.hear(MsgPong(), later_s=SILENCE_S - 1)
    assert talk.hear(Tick(), later_s=1) == [SendMessage(MsgComplete(CRC, 0))]


@pytest.mark.parametrize(
    "nonsense", [MsgStored(LENGTH), MsgResend(70_000, 1), MsgResend(0, 0), MsgCancelAck(True)]
)
def test_what_makes_no_sense_was_damaged_on_its_way_and_costs_the_connection_only(nonsense: Event) -> None:
    talk = sending()
    assert isinstance(talk.session.work(talk.now_s), SendChunk)
    assert talk.hear(nonsense) == [CloseConnection()]
    assert talk.stage is Stage.BACKING_OFF


@pytest.mark.parametrize("less", [MsgStored(20_000), MsgResend(20_000, 1)])
def test_an_offset_that_goes_back_closes_the_connection(less: Event) -> None:
    talk = sending()
    talk.works()
    talk.hear(MsgStored(30_000))
    assert talk.hear(less) == [CloseConnection()]


@pytest.mark.parametrize("event", [error(20, "bad_message"), error(21, "bad_chunk"), conf(LENGTH + 1)])
def test_what_can_hardly_be_true_is_believed_the_third_time(event: Event) -> None:
    talk = Talk()
    for _ in range(2):
        talk.hear(ConnectionOpened())
        assert talk.hear(event) == [CloseConnection()]
        assert talk.session.outcome is None
        talk.hear(Tick(), later_s=100)
    talk.after(ConnectionOpened(), event)
    assert talk.session.outcome
    assert talk.session.outcome.ending is Ending.FAILED


def test_an_unknown_ticket_is_believed_at_once_unless_it_was_known() -> None:
    unknown = error(11, "unknown_ticket")
    assert Talk().after(ConnectionOpened(), unknown).stage is Stage.ENDED
    assert sending().after(ConnectionClosed(), Tick()).stage is Stage.BACKING_OFF
    talk = sending().after(ConnectionClosed())
    talk.hear(Tick(), later_s=2)
    assert talk.after(ConnectionOpened(), unknown).stage is Stage.BACKING_OFF


# --- coming back -------------------------------------------------------------------------------------


def test_the_pauses_grow_and_a_stored_byte_shortens_them() -> None:
    talk = Talk()
    pauses = []
    for _ in range(8):
        talk.hear(Unreachable("Nobody listens."))
        pauses.append(talk.session.retry_at_s - talk.now_s)
        talk.hear(Tick(), later_s=pauses[-1])
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60]
    talk.after(ConnectionOpened(), conf())
    talk.works()
    talk.after(MsgStored(16_384), ConnectionClosed())
    assert talk.session.retry_at_s - talk.now_s == 1


@pytest.mark.parametrize("event", [ConnectionClosed(4001), error(40, "taken_over", retryable=True)])
def test_a_replaced_client_reconnects_late(event: Event) -> None:
    talk = sending().after(event)
    assert talk.session.retry_at_s - talk.now_s == 10


def test_a_stopping_server_is_asked_again_when_it_wants() -> None:
    talk = sending().after(MsgNews("stopping", 2.0), ConnectionClosed(1012, "The server is being restarted."))
    assert talk.session.retry_at_s - talk.now_s == 2
    assert talk.session.note == "The server is being restarted."


def test_a_file_that_can_not_be_read_is_left_out_although_a_chunk_of_it_was_damaged() -> None:
    entries = [Entry("a", 50, 7), Entry("b", 200_000, 7)]
    start = len(encode_head(entries)) + 50
    folder = File("photos", start + 200_000, 7, FolderManifest(start - 50, entries))
    session = Session("the id", folder, Options(leave_out=True), lambda: 0.5, 1000.0)
    for event in (ConnectionOpened(), replace(conf(), dest_type=FOLDER)):
        session.handle(event, 1000.0)
    while work := session.work(1000.0):
        session.handle(ChunkSent(replace(work.segment, crc32c=1)), 1000.0)
    assert session.transfer.sent_bytes > start
    assert session.handle(FileUnreadable("It can't be read.", 1), 1000.0) == []
    assert session.handle(MsgResend(start, 1), 1000.0) == [SendMessage(messages.MsgLeaveOut(1))]


def test_a_ticket_for_a_folder_ends_the_upload_of_a_file_at_once() -> None:
    talk = Talk().after(ConnectionOpened(), replace(conf(), dest_type=FOLDER))
    assert talk.session.outcome
    assert "for a folder" in talk.session.outcome.text


def test_a_ticket_that_looks_like_one_for_a_file_is_asked_about_again_at_once_for_a_folder() -> None:
    entries = [Entry("a", 50, 7)]
    length_bytes = len(encode_head(entries)) + 50
    folder = File("photos", length_bytes, 7, FolderManifest(length_bytes - 50, entries))
    session = Session("the id", folder, Options(), lambda: 0.5, 1000.0)
    for _ in range(2):
        session.handle(ConnectionOpened(), 1000.0)
        session.handle(conf(), 1000.0)
        assert (session.outcome, session.retry_at_s) == (None, 1000.0)
        session.handle(Tick(), 1000.0)
    session.handle(ConnectionOpened(), 1000.0)
    session.handle(conf(), 1000.0)
    assert session.outcome
    assert "for a single file" in session.outcome.text


def test_what_is_left_out_of_a_folder_is_known_although_the_server_knows_it_no_more() -> None:
    entries = [Entry("a", 50, 7), Entry("b", 50, 7)]
    length_bytes = len(encode_head(entries)) + 100
    folder = File("photos", length_bytes, 7, FolderManifest(length_bytes - 100, entries))
    session = Session("the id", folder, Options(leave_out=True), lambda: 0.5, 1000.0)
    terms = replace(conf(), dest_type=FOLDER)
    for event in (ConnectionOpened(), replace(terms, left_out=(1,), offset=length_bytes), ConnectionClosed()):
        session.handle(event, 1000.0)
    session.handle(Tick(), 1100.0)
    for event in (ConnectionOpened(), replace(terms, arrived=True, offset=length_bytes)):
        session.handle(event, 1100.0)
    assert (session.stage, session.left_out) == (Stage.AWAITING_APP, frozenset({1}))


ENTRIES = [Entry("a", 50, 7), Entry("b", 60, 7), Entry("c", 70, 7)]
HEAD = encode_head(ENTRIES)
STREAM = HEAD + bytes(range(1, 181))
FOLDER_CONF = replace(conf(len(STREAM), arrived=True), dest_type=FOLDER)


def read_folder(
    session: Session, unreadable: dict[int, type[FileChanged | FileUnreadable]], zeros: frozenset[int]
) -> None:
    """Reads all that the session asks for. The entries `zeros` read as zeros at first."""
    manifest = FolderManifest(len(HEAD), ENTRIES)
    while work := session.work(1000.0):
        content = bytearray(STREAM)
        for entry in zeros:
            start, end = manifest.range_of(entry)
            content[start:end] = bytes(end - start)
        bad = next((entry for entry in unreadable if entry not in zeros), None)
        segment = work.segment
        crc = crc32c(content[segment.start : segment.end])
        done = SegmentRead(Segment(segment.start, segment.end, crc))
        event = done if bad is None else unreadable[bad]("It can't be read.", bad)
        for action in session.handle(event, 1000.0):
            if isinstance(action, ReadAsZeros):
                zeros = action.entries


@pytest.mark.parametrize("failure", [FileChanged, FileUnreadable])
@pytest.mark.parametrize(
    "case",  # left out, what the server says, what can't be read, and what is found out
    [
        ({1}, (1,), {1}, {1}),
        ({1}, (), {1}, {1}),
        ({0, 2}, (), {0, 2}, {0, 2}),
        ({0, 2}, (0, 2), {2}, {0, 2}),
        (set[int](), (), {1}, None),
        ({1}, (), {1, 2}, None),
        ({1}, (1,), {2}, None),
    ],
)
@pytest.mark.parametrize("is_finished", [True, False])
def test_the_checksum_of_a_folder_that_has_arrived_tells_what_was_left_out_if_the_server_does_not(
    failure: type[FileChanged | FileUnreadable],
    case: tuple[set[int], tuple[int, ...], set[int], set[int] | None],
    is_finished: bool,
) -> None:
    left_out, told, unreadable, found = case
    manifest, content = FolderManifest(len(HEAD), ENTRIES), bytearray(STREAM)
    for entry in left_out:
        start, end = manifest.range_of(entry)
        content[start:end] = bytes(end - start)
    done = MsgAllDoneV2(True, crc32c(content))
    folder = File("photos", len(STREAM), 7, manifest)
    session = Session("the id", folder, Options(), lambda: 0.5, 1000.0)
    session.handle(ConnectionOpened(), 1000.0)
    session.handle(replace(FOLDER_CONF, left_out=told), 1000.0)
    if is_finished:
        session.handle(done, 1000.0)
        assert session.stage is Stage.VERIFYING
    read_folder(session, dict.fromkeys(sorted(unreadable), failure), frozenset(told))
    assert session.outcome is None or is_finished
    if not is_finished:
        session.handle(done, 1000.0)
    outcome = session.outcome
    assert outcome and outcome.ending is Ending.FINISHED
    if found is None:
        assert (outcome.crc32c, session.left_out) == (None, frozenset(told))
        assert outcome.text == "The app has the folder. It could not be compared. It can't be read."
    else:
        assert (outcome.crc32c, session.left_out) == (done.crc32c, frozenset(found))
        assert outcome.text == "The app has the folder."


def test_another_folder_is_told_from_the_one_that_has_arrived() -> None:
    folder = File("photos", len(STREAM), 7, FolderManifest(len(HEAD), ENTRIES))
    session = Session("the id", folder, Options(), lambda: 0.5, 1000.0)
    for event in (ConnectionOpened(), FOLDER_CONF, MsgAllDoneV2(True, crc32c(bytes(len(STREAM))))):
        session.handle(event, 1000.0)
    read_folder(session, {}, frozenset())
    assert session.outcome and session.outcome.ending is Ending.FAILED
    assert "a folder with different content" in session.outcome.text


def test_a_file_that_changes_after_it_has_arrived_ends_nothing_before_the_app_has_it() -> None:
    talk = Talk().after(ConnectionOpened(), conf(LENGTH, arrived=True), FileChanged("It has changed."))
    assert (talk.stage, talk.session.work(talk.now_s)) == (Stage.AWAITING_APP, None)
    outcome = talk.after(MsgAllDoneV2(True, CRC)).session.outcome
    assert outcome and outcome.ending is Ending.FAILED
    assert outcome.text == "The app has the file as it was when it was read. It has changed."


@pytest.mark.parametrize("failure", [FileChanged("It has changed."), FileUnreadable("It is gone.")])
def test_a_file_that_was_sent_is_not_needed_to_wait_for_the_app(failure: Event) -> None:
    talk = arrived().after(ConnectionClosed())
    talk.hear(Tick(), later_s=2)
    assert talk.stage is Stage.CONNECTING
    talk.after(failure, ConnectionOpened(), conf(LENGTH, arrived=True), MsgAllDoneV2(True, CRC))
    assert talk.session.outcome and talk.session.outcome.crc32c == CRC


def test_what_has_arrived_without_an_acknowledgement_is_not_read_again() -> None:
    talk = sending()
    talk.works()
    talk.hear(ConnectionClosed())
    talk.hear(Tick(), later_s=1.5)
    talk.after(ConnectionOpened(), conf(32_768))
    assert talk.session.work(talk.now_s, room=False) is None, "there is no gap"
    assert talk.session.work(talk.now_s) == SendChunk(Segment(32_768, 49_152), 0)


@pytest.mark.parametrize("offset", [0, 40_000])
def test_a_server_that_has_less_or_half_a_chunk_gets_what_it_lacks(offset: int) -> None:
    talk = sending()
    talk.works()
    talk.after(MsgStored(32_768), ConnectionClosed())
    talk.hear(Tick(), later_s=1.5)
    talk.after(ConnectionOpened(), conf(offset))
    while talk.stage is Stage.SENDING:
        talk.works()
        talk.hear(MsgStored(talk.session.transfer.sent_bytes))
    assert talk.after(HANDING_OVER, MsgAllDoneV2(True, CRC)).session.outcome


@pytest.mark.parametrize("lasting", [True, False])
def test_a_wrong_address_ends_it_unless_it_was_right_before(lasting: bool) -> None:
    wrong = Unreachable("There is nothing.", lasting)
    assert Talk().after(wrong).stage is (Stage.ENDED if lasting else Stage.BACKING_OFF)
    talk = sending().after(ConnectionClosed())
    talk.hear(Tick(), later_s=2)
    assert talk.after(wrong).stage is Stage.BACKING_OFF


@pytest.mark.parametrize(
    ("asked_s", "min_s", "max_s"),
    [(0.0, 0.7, 1.3), (0.1, 0.7, 1.3), (20.0, 20.0, 26.0), (1e9, 60.0, 78.0)],
)
def test_a_server_that_says_when_to_come_back_is_not_asked_earlier_up_to_a_minute(
    asked_s: float, min_s: float, max_s: float
) -> None:
    talk = Talk()
    began_s = talk.session.retry_at_s
    talk.after(Unreachable("It answers with status 503.", retry_after_s=asked_s))
    assert min_s <= talk.session.retry_at_s - began_s <= max_s


# --- silence -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("stage", [Stage.PROVING, Stage.SENDING, Stage.AWAITING_APP])
def test_a_silent_server_is_pinged_once_and_then_given_up(stage: Stage) -> None:
    talk = in_stage(stage)
    assert talk.hear(Tick(), later_s=SILENCE_S / 2) == [SendMessage(MsgPing())]
    assert talk.hear(Tick(), later_s=1) == []
    assert talk.hear(events.PeerActive()) == []
    assert talk.hear(Tick(), later_s=SILENCE_S / 2 - 0.1) == []
    assert talk.hear(Tick(), later_s=SILENCE_S / 2 + 0.1)[-1] == CloseConnection()
    assert talk.stage is Stage.BACKING_OFF


@pytest.mark.parametrize("is_asked", [True, False])
def test_only_a_server_that_says_unasked_that_it_is_at_work_may_take_long_to_store(is_asked: bool) -> None:
    talk = in_stage(Stage.SENDING)
    talk.works()
    assert talk.session.transfer.in_flight_since_s is not None
    for _ in range(10):
        heard = talk.hear(Tick(), later_s=SILENCE_S / 2 + 0.1 if is_asked else SILENCE_S / 5)
        if talk.stage is Stage.BACKING_OFF:
            break
        assert heard == ([SendMessage(MsgPing())] if is_asked else [])
        talk.hear(messages.MsgPong())
    assert (talk.stage is Stage.BACKING_OFF) is is_asked


@pytest.mark.parametrize(("idle_silence_s", "kept_s"), [(90.0, 90.0), (0.0, SILENCE_S), (1.0, SILENCE_S)])
def test_while_only_the_app_is_waited_for_the_server_may_be_silent_for_longer(
    idle_silence_s: float, kept_s: float
) -> None:
    terms = replace(conf(), idle_silence_s=idle_silence_s)
    talk = Talk().after(ConnectionOpened(), terms)
    while talk.stage is Stage.SENDING:
        talk.works()
        talk.hear(MsgStored(talk.session.transfer.sent_bytes))
    talk.hear(HANDING_OVER)
    assert talk.hear(Tick(), later_s=kept_s / 2 - 0.1) == []
    assert talk.hear(Tick(), later_s=0.1) == [SendMessage(MsgPing())]
    assert talk.hear(Tick(), later_s=kept_s / 2 - 0.1) == []
    assert talk.hear(Tick(), later_s=0.2)[-1] == CloseConnection()
    talk.hear(Tick(), later_s=2)
    talk.after(ConnectionOpened(), terms)
    assert talk.hear(Tick(), later_s=SILENCE_S / 2) == [SendMessage(MsgPing())], (
        "the next connection is asked sooner"
    )


def test_the_first_answer_may_take_longer() -> None:
    talk = Talk().after(ConnectionOpened())
    assert talk.hear(Tick(), later_s=14) == []
    assert talk.hear(Tick(), later_s=1) == [CloseConnection()]


def test_nothing_is_given_up_unless_it_was_asked_for() -> None:
    for patience_s, stage in ((0.0, Stage.CONNECTING), (60.0, Stage.ENDED)):
        talk = Talk(Options(give_up_after_s=patience_s)).after(Unreachable("Nobody listens."))
        talk.hear(Tick(), later_s=59)
        assert talk.session.outcome is None
        talk.hear(Tick(), later_s=1)
        assert talk.stage is stage


# --- endings -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("event", "ending", "resumable", "text"),
    [
        (error(30, "cancelled"), Ending.CANCELLED, False, "It went wrong."),
        (error(31, "expired"), Ending.FAILED, False, "It went wrong."),
        (error(32, "handover_failed"), Ending.FAILED, False, "It went wrong."),
        (error(24, "wrong_file", name="b.mov"), Ending.FAILED, False,
         'It went wrong. That file is "b.mov" (100,000 bytes).'),
        (OtherVersion(), Ending.FAILED, False, "The server does not speak version 2"),
        (events.FileChanged("a.mov was changed."), Ending.FAILED, False, "a.mov was changed."),
    ],
)  # fmt: skip
def test_a_permanent_error_ends_the_upload(event: Event, ending: Ending, resumable: bool, text: str) -> None:
    talk = Talk().after(ConnectionOpened())
    assert talk.hear(event) == [CloseConnection()]
    outcome = talk.session.outcome
    assert outcome
    assert (outcome.ending, outcome.resumable) == (ending, resumable)
    assert text in outcome.text


@pytest.mark.parametrize("number", [25, 41, 42, 43])
def test_a_retryable_error_makes_the_client_reconnect(number: int) -> None:
    talk = sending().after(error(number, "whatever", retryable=True))
    assert (talk.stage, talk.session.note) == (Stage.BACKING_OFF, "It went wrong.")


def test_success_means_that_the_app_has_this_file() -> None:
    for crc, ending in ((CRC, Ending.FINISHED), (CRC ^ 1, Ending.FAILED)):
        talk = Talk().after(ConnectionOpened(), conf(LENGTH, arrived=True))
        assert talk.hear(MsgAllDoneV2(True, crc)) == [CloseConnection()]
        assert talk.stage is Stage.VERIFYING
        talk.works()
        assert talk.session.outcome
        assert talk.session.outcome.ending is ending


def test_an_old_ticket_whose_checksum_nobody_knows_is_believed() -> None:
    talk = Talk().after(ConnectionOpened(), conf(LENGTH, arrived=True), MsgAllDoneV2(True, 0))
    assert talk.session.outcome == events.Outcome(Ending.FINISHED, "The app has the file.")


def test_a_silent_app_is_shown() -> None:
    talk = arrived().after(WAITING_FOR_APP)
    assert talk.session.app_is_silent
    assert talk.after(MsgNews("waiting_for_app", why="the app answered with status 500"))
    assert talk.session.app_problem == "the app answered with status 500"
    assert talk.after(ConnectionClosed()).stage is Stage.BACKING_OFF


@pytest.mark.parametrize("stage", [stage for stage in Stage if stage is not Stage.ENDED])
def test_the_user_can_end_it_at_any_moment(stage: Stage) -> None:
    talk = in_stage(stage)
    assert talk.hear(Stop()) == [CloseConnection()]
    assert talk.session.outcome
    assert talk.session.outcome.ending is Ending.INTERRUPTED
    assert talk.session.outcome.resumable
    assert talk.hear(Tick()) == talk.hear(ConnectionOpened()) == []


@pytest.mark.parametrize("stage", [Stage.PROVING, Stage.SENDING, Stage.COMPLETING])
def test_the_user_can_cancel_an_upload_in_each_stage(stage: Stage) -> None:
    talk = in_stage(stage)
    assert talk.hear(Stop(cancel=True)) == [SendMessage(MsgCancel(CANCEL_REASON))]
    assert talk.session.work(talk.now_s) is None
    assert talk.hear(MsgCancelAck(True)) == [CloseConnection()]
    assert talk.session.outcome
    assert not talk.session.outcome.resumable


@pytest.mark.parametrize("stage", [Stage.CONNECTING, Stage.BACKING_OFF, Stage.REQUESTING])
def test_a_cancellation_is_said_as_soon_as_there_is_a_connection(stage: Stage) -> None:
    talk = in_stage(stage)
    assert talk.hear(Stop(cancel=True)) == []
    talk.after(Tick(), ConnectionOpened())
    assert talk.hear(conf(10, ((0, 10),))) == [SendMessage(MsgCancel(CANCEL_REASON))]


def test_a_cancellation_is_repeated_when_it_was_lost() -> None:
    talk = in_stage(Stage.CANCELLING)
    talk.hear(MsgPong(), later_s=SILENCE_S - 1)
    assert talk.hear(Tick(), later_s=1) == [SendMessage(MsgCancel(CANCEL_REASON))]
    assert talk.hear(MsgCancelAck(True)) == [CloseConnection()]


def test_a_cancellation_that_comes_too_late_ends_without_a_wrong_word() -> None:
    for talk in (sent().after(Stop(cancel=True), HANDING_OVER), arrived().after(Stop(cancel=True))):
        assert talk.session.outcome
        assert "All data has arrived" in talk.session.outcome.text


def test_a_second_ctrl_c_does_not_wait_for_the_answer_to_a_cancellation() -> None:
    talk = in_stage(Stage.CANCELLING)
    assert talk.hear(Stop(cancel=True)) == [CloseConnection()]
    assert talk.stage is Stage.ENDED


def test_messages_without_a_connection_are_ignored() -> None:
    talk = in_stage(Stage.BACKING_OFF)
    for event in (
        conf(),
        MsgStored(1),
        messages.MsgNews("handing_over"),
        MsgAllDoneV2(True, CRC),
        ConnectionClosed(),
    ):
        assert talk.hear(event) == []
    assert talk.stage is Stage.BACKING_OFF
