"""The client's session against the server's own (`session_v2`), over a link that loses, cuts and damages.

Whatever happens on the way, once it stops happening the upload finishes by itself, the server has the file,
and no acknowledged byte was asked for again.
"""

from __future__ import annotations

import re
from collections import deque
from random import Random
from typing import Final

from crc32c import crc32c
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from incoming.client.protocol import server_messages
from incoming.client.protocol.events import (
    Actions,
    ChunkSent,
    CloseConnection,
    ConnectionClosed,
    ConnectionOpened,
    Ending,
    File,
    Options,
    SegmentRead,
    SendChunk,
    SendMessage,
    Stage,
    Tick,
    Unreachable,
    Work,
)
from incoming.client.protocol.session import Session
from incoming.client.protocol.stored_prefix import Segment
from incoming.core import errors, news
from incoming.core.errors import BadMessage
from incoming.core.resume_check import ranges_to_compare
from incoming.protocol import chunks, events, messages
from incoming.protocol.chunks import HEADER_BYTES
from incoming.protocol.flow_control import Limits
from incoming.protocol.v2 import SessionV2

CONTENT: Final = Random(9).randbytes(1_000_000)
LENGTHS: Final = (0, 1, 9_000, 400_000, len(CONTENT))
LIMITS: Final = Limits(1024, 4, max_chunk_bytes=64 * 1024, max_window_bytes=256 * 1024, silence_s=5.0)
STEP_S: Final = 0.05
CALM_STEPS: Final = 20_000
happened: Final[set[str]] = set()
"""What the examples came to: a link that does nothing proves nothing."""


class Server:
    """An upload and the one connection that holds it; it may be killed, and forgets its connection then."""

    def __init__(self, content: bytes, random: Random) -> None:
        self.content, self.random = content, random
        self.file = bytearray()
        self.arrived = False
        self.finished: news.HandedOver | None = None
        self.app_answers_after = random.randrange(4)
        self.session: SessionV2 | None = None
        self.said: deque[str | ConnectionClosed] = deque()

    def connect(self) -> None:
        self.session = SessionV2(LIMITS)
        self.said.clear()

    def hear(self, message: str | bytes) -> None:
        if self.session is None:
            return
        event: events.Event
        if isinstance(message, bytes):
            chunk = chunks.parse(memoryview(message))
            self.payload = bytes(chunk.payload)
            event = events.ChunkReceived(len(chunk.payload), chunk.offset_bytes, chunk.round, chunk.intact)
        else:
            try:
                event = messages.parse(message)
            except BadMessage as exc:
                event = events.MalformedMessage(exc)
        self.tell(event)

    def tell(self, event: events.Event) -> None:
        session = self.session
        for action in session.handle(event) if session else ():
            match action:
                case events.Send(message):
                    self.said.append(messages.encode(message))
                case events.CloseConnection(code, reason):
                    self.said.append(ConnectionClosed(code, reason))
                    self.session = None
                    return
                case events.ReleaseTicket() | events.StartTimer():
                    pass
                case _:
                    self.tell(self.result(action))

    def result(self, command: events.Action) -> events.Event:
        length_bytes = len(self.content)
        match command:
            case events.ClaimTicket(request):
                assert request.length_bytes == length_bytes
                same_time = self.random.random() < 0.7
                chances = [self.random.random() for _ in range(3)]
                compare = () if self.arrived else ranges_to_compare(len(self.file), same_time, chances)
                self.compare = compare
                return events.Claimed(len(self.file), length_bytes, self.arrived, self.finished, compare)
            case events.VerifyContent(crcs):
                assert crcs == tuple(crc32c(self.content[start:end]) for start, end in self.compare)
                return events.ContentVerified()
            case events.StoreChunk(size_bytes):
                self.file += self.payload[:size_bytes]
                assert self.content.startswith(self.file[-size_bytes:], len(self.file) - size_bytes)
                return events.Stored(size_bytes)
            case events.CompleteUpload(crc):
                assert bytes(self.file) == self.content
                if crc != crc32c(self.file):
                    happened.add("a spoilt MsgComplete")
                    return events.Failed(errors.Damaged())
                self.arrived = True
                return events.Completed()
        raise AssertionError(command)

    def app_is_asked(self) -> None:
        """Sooner or later the app has it."""
        if self.session and self.session.phase is events.Phase.ARRIVED:
            self.app_answers_after -= 1
            if self.app_answers_after >= 0:
                self.tell(news.WaitingForApp())
            else:
                self.finished = news.HandedOver(crc32c(self.content))
                self.tell(self.finished)

    def is_killed(self, sent_bytes: int) -> None:
        """A chunk may be stored in part by then, but nothing that no client has sent."""
        self.session = None
        torn_bytes = self.random.choice([0, 1, 777])
        self.file += self.content[len(self.file) : min(len(self.file) + torn_bytes, sent_bytes)]


class World:
    """A client, a link and a server, step by step."""

    def __init__(self, length_bytes: int, random: Random) -> None:
        self.random, self.now_s = random, 100.0
        self.server = Server(CONTENT[:length_bytes], random)
        self.begin()
        self.up: deque[str | bytes] = deque()
        self.bad_weather = True
        self.linked = False
        self.acked_bytes = 0

    def begin(self) -> None:
        """A client process starts, perhaps not the first one."""
        file = File("a.bin", len(self.server.content), 7)
        self.client = Session("the id", file, Options(), self.random.random, self.now_s)
        self.linked = False

    def run(self) -> None:
        for _ in range(self.random.randrange(10, 200)):
            self.step()
        self.bad_weather = False
        for _ in range(CALM_STEPS):
            if self.client.outcome:
                return
            self.step()
        raise AssertionError(f"it hangs: {self.client.stage}, {self.client.note}")

    def step(self) -> None:
        self.now_s += STEP_S
        if self.bad_weather:
            self.trouble()
        self.tell(Tick())
        if self.client.stage is Stage.CONNECTING:
            self.dial()
        elif self.client.stage is Stage.BACKING_OFF:
            self.now_s = max(self.now_s, self.client.retry_at_s)
        for _ in range(self.random.randrange(1, 6)):
            self.work()
        for _ in range(self.random.randrange(1, 6)):
            self.deliver()
        if self.random.random() < 0.3:
            self.server.app_is_asked()

    def trouble(self) -> None:
        kind = self.random.random()
        if kind < 0.03:
            happened.add("cut")
            self.cut()
        elif kind < 0.05:
            happened.add("server killed")
            self.server.is_killed(self.client.transfer.sent_bytes)
            self.cut()
        elif kind < 0.07:
            happened.add("client killed")
            self.acked_bytes = max(self.acked_bytes, self.client.transfer.stored_bytes)
            self.server.session = None
            self.up.clear()
            self.begin()
        elif kind < 0.09:
            happened.add("server stops")
            self.server.tell(news.Interrupted(errors.Stopping()))
        elif kind < 0.1:
            happened.add("silence")
            self.now_s += self.random.choice([2.6, 6.0])

    def cut(self) -> None:
        self.up.clear()
        self.server.session = None
        self.server.said.clear()
        if self.linked:
            self.linked = False
            self.tell(ConnectionClosed())

    def dial(self) -> None:
        if self.bad_weather and self.random.random() < 0.2:
            happened.add("unreachable")
            self.tell(Unreachable("Nobody listens."))
            return
        self.up.clear()
        self.server.connect()
        self.linked = True
        self.tell(ConnectionOpened())

    def work(self) -> None:
        work = self.client.work(self.now_s, room=len(self.up) < 4)
        if work is None:
            return
        self.send(work, self.server.content[work.segment.start : work.segment.end])

    def send(self, work: Work, data: bytes) -> None:
        """The client has read what it wanted."""
        start, end = work.segment.start, work.segment.end
        assert len(data) == end - start > 0, "never beyond the file, never nothing"
        done = Segment(start, end, crc32c(data))
        if isinstance(work, SendChunk):
            assert start >= self.acked_bytes or self.client.stage is not Stage.SENDING
            message = bytearray(HEADER_BYTES) + data
            chunks.write_header(memoryview(message), start, done.crc32c or 0, work.round)
            self.up.append(bytes(message))
            self.tell(ChunkSent(done))
        else:
            happened.add(f"read while {self.client.stage.name}")
            self.tell(SegmentRead(done))

    def deliver(self) -> None:
        if self.up:
            self.server.hear(self.spoilt(self.up.popleft()))
        if self.server.said and self.linked:
            said = self.server.said.popleft()
            if isinstance(said, ConnectionClosed):
                self.linked = False
                self.tell(said)
            else:
                self.hear(said)

    def spoilt(self, message: str | bytes) -> str | bytes:
        """Now and then a bit is changed: anywhere in a chunk, in a number of a MsgComplete."""
        if isinstance(message, str) and "MsgComplete" in message and self.bad_weather:
            return re.sub(r'("Crc32c": )\d', r"\g<1>1", message)
        if not self.bad_weather or self.random.random() > 0.15:
            return message
        if isinstance(message, str):
            return message
        happened.add("damaged")
        at = self.random.randrange(8, len(message))  # the offset has nothing that covers it but the order
        return message[:at] + bytes([message[at] ^ 1 << self.random.randrange(8)]) + message[at + 1 :]

    def hear(self, said: str) -> None:
        if self.bad_weather and self.random.random() < 0.02:
            happened.add("a text damaged")
            self.cut()
            return
        reply = server_messages.parse(said)
        assert reply
        happened.add(type(reply).__name__)
        self.tell(reply)

    def tell(self, event: object) -> Actions:
        """Returns what the client did."""
        actions = self.client.handle(event, self.now_s)  # type: ignore[arg-type]
        for action in actions:
            match action:
                case SendMessage(message):
                    assert self.linked, "nothing is said without a connection"
                    self.up.append(messages.encode(message))
                case CloseConnection():
                    self.linked = False
        transfer = self.client.transfer
        assert transfer.stored_bytes <= transfer.sent_bytes <= transfer.length_bytes
        if self.linked and self.client.stage is Stage.SENDING:
            assert transfer.sent_bytes - transfer.stored_bytes <= LIMITS.max_window_bytes
        return actions


@settings(max_examples=300, derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.randoms(use_true_random=True))
def upload(random: Random) -> None:
    world = World(random.choice(LENGTHS), random)
    world.run()
    outcome = world.client.outcome
    assert outcome and outcome.ending is Ending.FINISHED, outcome
    assert bytes(world.server.file) == world.server.content
    assert outcome.crc32c == crc32c(world.server.content)


def test_whatever_happens_on_the_way_the_upload_finishes_once_it_stops_happening() -> None:
    happened.clear()
    upload()
    assert happened >= {
        *("cut", "server killed", "client killed", "server stops", "silence", "unreachable", "damaged"),
        *("a text damaged", "a spoilt MsgComplete", "MsgResend", "MsgErrorV2", "MsgPong", "MsgNews"),
        *("read while PROVING", "read while SENDING"),
    }
