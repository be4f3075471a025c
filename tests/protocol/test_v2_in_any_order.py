"""Any order of events of version 2 against a model: a file, a link that damages it, a client that errs.

News come late, chunks come twice, damaged or out of place, and other connections take over: what is stored
must still be the file, and complete is only what its client has called complete.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable
from operator import methodcaller
from random import Random
from typing import Final

from crc32c import crc32c
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from incoming.core import errors, news
from incoming.core.news import Durable, News
from incoming.core.ticket import FILE, FOLDER
from incoming.protocol import events, messages
from incoming.protocol.chunks import parse
from incoming.protocol.events import Action, Event, Phase, Send
from incoming.protocol.flow_control import Limits
from incoming.protocol.messages import MsgAgree, MsgCancel, MsgComplete, MsgErrorV2, MsgStored, ToClient
from incoming.protocol.v2 import MAX_DAMAGED, SessionV2

CONTENT: Final = Random(3).randbytes(2500)
MAX_CHUNK_BYTES: Final = 1024
FILE_BYTES: Final = 600
"""The length of each file in a folder, so that chunks end in the middle of files."""
LAST_WORDS: Final = {MsgErrorV2, messages.MsgAllDoneV2, messages.MsgCancelAck}
LATER_WORDS: Final = MsgStored | messages.MsgResend | messages.MsgAllDoneV2 | messages.MsgCancelAck
"""What needs a MsgUploadConf before it."""
LASTING = errors.HandoverFailed("The app did not accept the file: it said <no>.")
Command = (
    events.ClaimTicket
    | events.VerifyContent
    | events.StoreChunk
    | events.LeaveOut
    | events.MakeDurable
    | events.CompleteUpload
    | events.CancelUpload
)
VERSION_1: Final[set[object]] = {
    *(messages.MsgUploadConf, messages.MsgChunkAck, messages.MsgAllDone, events.StartTimer),
    *(Phase.CANCELLING, Phase.REFUSED, Phase.PAUSED),
}
reached: Final[set[type[Action | ToClient | Event] | Phase]] = set()
"""What the conversations of all examples came to: a model that never gets anywhere proves nothing."""


class Simulation:
    """One connection, the upload that it is about, and everybody else who has to do with that."""

    def __init__(
        self, upload: str, stored_bytes: int, length_bytes: int, piece_bytes: int = 1, dest_type: str = FILE
    ) -> None:
        """The storage keeps pieces of this size, and the rest when it is told to, or at the end."""
        self.dest_type = dest_type
        self.session = SessionV2(Limits(1024, 4, MAX_CHUNK_BYTES, 4096, 5.0))
        self.upload, self.content = upload, CONTENT[:length_bytes]
        self.file = bytearray(self.content[:stored_bytes] if upload == "receiving" else self.content)
        self.piece_bytes, self.durable_bytes = piece_bytes, len(self.file)
        self.held = False  # by this connection
        self.lost: errors.IncomingError | None = None
        self.command: Command | None = None  # asked for; the reader waits for its result
        self.result: Event | None = None
        self.chunk = memoryview(b"")  # what is in the reader's buffer
        self.news: deque[News] = deque()
        self.round = 0  # as the client counts
        self.client_completed = self.client_agreed = False
        self.sent: list[ToClient] = []
        self.acked_bytes = self.last_offset_bytes = self.resends = 0
        self.released = self.closed = False
        self.hear(events.ConnectionOpened())
        self.hear(messages.MsgUploadReq("the id", len(self.content), "a.bin", 2, 9))

    # --- what a client says ---------------------------------------------------------------------------

    def goes_on(self) -> None:
        """The service answers, its answer comes, and a client does what is due."""
        if self.command:
            self.service_answers(None)
        elif self.result:
            result, self.result = self.result, None
            self.hear(result)
        elif self.session.phase is Phase.AGREEING:
            self.agrees(True)
        elif self.session.phase is not Phase.RECEIVING:
            self.hear(messages.MsgPing())
        elif len(self.file) < len(self.content):
            self.sends_what_is_due()
        else:
            self.completes()

    def client_says(self, event: Event) -> None:
        if not self.command and not self.result:
            self.client_agreed |= isinstance(event, MsgAgree)
            self.hear(event)

    def agrees(self, with_all: bool) -> None:
        conf = next((m for m in self.sent if isinstance(m, messages.MsgUploadConfV2)), None)
        ranges = conf.compare if conf else ((0, 1),)
        crcs = [crc32c(self.content[start:end]) for start, end in ranges]
        self.client_says(MsgAgree(tuple(crcs if with_all else crcs[1:])))

    def completes(self, rounds_ago: int = 0, wrong_by: int = 0) -> None:
        self.client_completed = True
        self.client_says(MsgComplete(crc32c(self.content) ^ wrong_by, max(self.round - rounds_ago, 0)))

    def sends(self, offset_bytes: int, size_bytes: int, rounds_ago: int = 0, flip: int | None = None) -> None:
        """Sends a piece of the file; one of the message's bits may be flipped on the way.

        Nothing covers the offset itself: what protects it is that chunks come in order. So its bits are
        flipped where that is so, in the chunk that is due.
        """
        piece = self.content[offset_bytes : offset_bytes + size_bytes]
        fields = ((offset_bytes, 8), (crc32c(piece), 4), (max(self.round - rounds_ago, 0), 4))
        message = bytearray(b"".join(value.to_bytes(size, "big") for value, size in fields) + piece)
        if flip is not None:
            message[flip // 8 % len(message)] ^= 1 << flip % 8
        if not self.command and not self.result:
            chunk = parse(memoryview(message))
            self.chunk = chunk.payload
            self.hear(events.ChunkReceived(len(piece), chunk.offset_bytes, chunk.round, chunk.intact))

    def sends_what_is_due(self, flip: int | None = None) -> None:
        self.sends(len(self.file), MAX_CHUNK_BYTES, 0, flip)

    def leaves_out(self, index_off_by: int = 0) -> None:
        """The client can't read the file that is due, and says so once all that it sent is stored."""
        if self.dest_type == FOLDER and self.acked_bytes < len(self.file):
            return
        self.client_says(messages.MsgLeaveOut(len(self.file) // FILE_BYTES + index_off_by))

    def news_come(self) -> None:
        if self.news:
            self.hear(self.news.popleft(), commands_allowed=False)

    def time_is_up(self) -> None:
        """That of the first request, which was spoken of in version 1."""
        self.hear(events.TimedOut(self.session.phase), commands_allowed=False)

    # --- what happens to the upload -------------------------------------------------------------------

    def service_answers(self, trouble: errors.IncomingError | None) -> None:
        command, self.command = self.command, None
        if command is None:
            return
        lost = None if isinstance(command, events.ClaimTicket) else self.lost
        problem = lost or trouble
        self.result = events.Failed(problem) if problem else self.carried_out(command)

    def carried_out(self, command: Command) -> Event:
        match command:
            case events.ClaimTicket():
                return self.claimed()
            case events.VerifyContent():
                return events.ContentVerified()
            case events.StoreChunk(size_bytes):
                assert self.upload == "receiving"
                self.file += self.chunk[:size_bytes]
                is_whole = len(self.file) == len(self.content)
                pieces_bytes = len(self.file) // self.piece_bytes * self.piece_bytes
                self.durable_bytes = max(self.durable_bytes, len(self.file) if is_whole else pieces_bytes)
                return events.Stored(size_bytes, acknowledged_bytes=self.durable_bytes)
            case events.MakeDurable():
                self.durable_bytes = len(self.file)
                return Durable(self.durable_bytes)
            case events.LeaveOut(index):
                start, end = index * FILE_BYTES, min((index + 1) * FILE_BYTES, len(self.content))
                if not start <= len(self.file) <= end:
                    return events.Failed(errors.BadParameter("Index", "is not that of the file that is due"))
                self.content = self.content[:start] + bytes(end - start) + self.content[end:]
                self.file[:] = self.content[:end]
                self.durable_bytes = end
                return events.LeftOut(end)
            case events.CompleteUpload(crc):
                if crc != crc32c(self.file):
                    return events.Failed(errors.Damaged())
                self.upload = "arrived"
                return events.Completed()
        if self.upload != "receiving":
            return events.CancelTooLate()
        self.upload, self.held, self.lost = "cancelled", False, errors.UploadCancelled()
        return events.CancelAccepted()

    def claimed(self) -> Event:
        ends = {"cancelled": errors.UploadCancelled(), "failed": LASTING}
        if self.upload in ends:
            return events.Failed(ends[self.upload])
        self.held, arrived = True, self.upload != "receiving"
        finished = news.HandedOver(7) if self.upload == "finished" else None
        compare = () if arrived or not self.file else ((0, len(self.file)),)
        offset_bytes, length_bytes = len(self.file), len(self.content)
        return events.Claimed(
            offset_bytes, length_bytes, arrived, finished, compare, dest_type=self.dest_type
        )

    def storage_keeps_the_rest(self) -> None:
        if self.held and len(self.file) > self.durable_bytes:
            self.durable_bytes = len(self.file)
            self.news.append(Durable(self.durable_bytes))

    def happens(self, before: str, after: str, news: News) -> None:
        """Somebody else does something, if the upload is as it has to be for that."""
        if before not in (self.upload, "any"):
            return
        self.upload = after or self.upload
        if self.held:
            self.news.append(news)
            error = getattr(news, "error", None)
            if isinstance(error, errors.TakenOver | errors.UploadCancelled | errors.UploadExpired):
                self.held, self.lost = False, error

    # --- what the session may do ------------------------------------------------------------------------

    def hear(self, event: Event, *, commands_allowed: bool = True) -> None:
        reached.add(type(event))
        for place, action in enumerate(actions := self.session.handle(event)):
            reached.add(type(action.message) if isinstance(action, Send) else type(action))
            if isinstance(action, Command):
                assert commands_allowed, "news have nobody who waits for a result"
                assert place == len(actions) - 1, "what follows a command would come before its result"
                self.check_command(action)
                self.command = action
            else:
                self.do(action)
        reached.add(self.session.phase)
        self.check_bytes()

    def do(self, action: Action) -> None:
        match action:
            case Send(message):
                self.check_message(message)
                self.sent.append(message)
            case events.ReleaseTicket():
                self.released, self.held = True, False
                self.lost = self.lost or errors.TakenOver()
            case events.CloseConnection():
                assert not self.closed
                self.closed = True

    def check_command(self, command: Command) -> None:
        assert not self.released and not self.closed
        assert not LAST_WORDS & set(map(type, self.sent))
        if isinstance(command, events.StoreChunk):
            assert self.client_agreed, "nothing is stored before the file is known to be the same"
            start, end = len(self.file), len(self.file) + command.size_bytes
            assert len(self.file) < end <= len(self.content)
            assert bytes(self.chunk[: command.size_bytes]) == self.content[start:end]
        if isinstance(command, events.LeaveOut):
            assert self.dest_type == FOLDER
        if isinstance(command, events.CompleteUpload):
            assert self.client_completed and bytes(self.file) == self.content

    def check_message(self, message: ToClient) -> None:
        assert not self.closed
        texts = {**json.loads(messages.encode(message))["MsgData"], "FileName": ""}  # which is data
        assert not set("<>&") & set(str(texts))
        kinds = {type(before) for before in self.sent}
        assert not kinds & LAST_WORDS
        confirmed = messages.MsgUploadConfV2 in kinds
        assert not isinstance(message, messages.MsgUploadConfV2 if confirmed else LATER_WORDS)
        match message:
            case messages.MsgUploadConfV2():
                self.acked_bytes = message.offset
            case MsgStored(offset):
                assert self.acked_bytes <= offset
                self.resends = 0 if offset > self.acked_bytes else self.resends
                self.acked_bytes = offset
            case messages.MsgResend(offset, number):
                assert (offset, number) == (self.session.offset_bytes, self.round + 1)
                self.acked_bytes = offset
                self.round, self.resends = number, self.resends + 1
                assert self.resends < MAX_DAMAGED
            case messages.MsgAllDoneV2():
                assert self.upload == "finished"

    def check_bytes(self) -> None:
        assert self.last_offset_bytes <= self.session.offset_bytes
        assert self.acked_bytes <= self.session.offset_bytes <= len(self.file) <= len(self.content)
        assert self.acked_bytes <= self.durable_bytes
        if self.piece_bytes == 1 or self.session.phase is Phase.COMPLETING:
            assert self.acked_bytes == self.session.offset_bytes
        assert bytes(self.file) == self.content[: len(self.file)]
        self.last_offset_bytes = self.session.offset_bytes


Move = Callable[[Simulation], None]
ANYTHING: Final[list[Event]] = [
    *(messages.MsgUploadReq("the id", 1, "b", 2), messages.MsgAck(True), messages.MsgPause(True)),
    *(messages.MsgError(1, "&"), events.MalformedMessage(errors.BadMessage("A message is not JSON."))),
    *(events.ChunkReceived(MAX_CHUNK_BYTES + 1), MsgAgree((1,) * 9)),
]
OTHERS: Final[list[tuple[str, str, News]]] = [
    ("receiving", "cancelled", news.CalledOff(errors.UploadCancelled())),
    ("receiving", "cancelled", news.CalledOff(errors.UploadExpired())),
    ("any", "", news.Interrupted(errors.TakenOver())),
    ("any", "", news.Interrupted(errors.Stopping())),
    ("arrived", "finished", news.HandedOver(7)),
    ("arrived", "arrived", news.WaitingForApp()),
    ("arrived", "failed", news.NotHandedOver(LASTING)),
]
RARE: Final[list[Move]] = [
    *(methodcaller("client_says", event) for event in ANYTHING + [MsgCancel("<no>")] * 5),
    *(methodcaller("service_answers", error) for error in (errors.StorageFull(), errors.InternalError())),
    *(methodcaller("agrees", with_all) for with_all in (True, False)),
    *(methodcaller("leaves_out", off_by) for off_by in (0, 0, 1)),
    *(methodcaller("completes", rounds_ago, wrong_by) for rounds_ago in (0, 1) for wrong_by in (0, 1)),
    *(methodcaller("happens", *happening) for happening in OTHERS * 2),
    *[Simulation.storage_keeps_the_rest] * 6,
    Simulation.time_is_up,
]
UPLOADS: Final = ["receiving"] * 6 + ["arrived"] * 3 + ["finished", "failed", "cancelled"]
LENGTHS_BYTES: Final = [0, 1, MAX_CHUNK_BYTES] + [len(CONTENT)] * 6
PIECES_BYTES: Final = [1, 1, 700, 2000]


def any_move(chance: Random) -> Move:
    """Returns what happens next."""
    kind = chance.randrange(20)
    if kind < 8:
        return Simulation.goes_on
    if kind < 10:
        return Simulation.news_come
    if kind < 12:
        return methodcaller("sends_what_is_due", chance.randrange(8 * 16))
    if kind < 16:
        return methodcaller("sends_what_is_due", 8 * 8 + chance.randrange(8 * 500))
    if kind < 18:
        place, size_bytes = chance.randrange(len(CONTENT)), chance.choice([0, 1, 300, MAX_CHUNK_BYTES])
        flip = chance.choice([None, 8 * 8 + chance.randrange(8 * 9)])
        return methodcaller("sends", place, size_bytes, chance.randrange(3), flip)
    return chance.choice(RARE)


@settings(max_examples=2500, derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.randoms(use_true_random=True))  # hypothesis' own lists repeat a few moves too often
def hold_a_conversation(chance: Random) -> None:
    length_bytes = chance.choice(LENGTHS_BYTES)
    stored_bytes, piece_bytes = chance.randint(0, length_bytes), chance.choice(PIECES_BYTES)
    upload, dest_type = chance.choice(UPLOADS), chance.choice([FILE, FOLDER])
    conversation = Simulation(upload, stored_bytes, length_bytes, piece_bytes, dest_type)
    peaceful_moves = [Simulation.goes_on] * chance.randint(2, 12)
    for move in peaceful_moves + [any_move(chance) for _ in range(24)]:
        note(repr(move))
        move(conversation)


def test_no_order_of_events_breaks_a_conversation_of_version_2() -> None:
    reached.clear()
    hold_a_conversation()
    everything = {*Event.__args__, *Action.__args__, *ToClient.__args__, *Phase} - {Send} - VERSION_1
    assert everything <= reached
