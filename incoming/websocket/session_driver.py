"""One client's connection: the loop that drives its session (`session`) with what comes off the websocket.

The session says what is to be done; here it is done, with the service and the socket. News about the ticket
comes from other greenlets and takes the same way. Nothing that goes wrong here is told to a stranger as a
traceback: it is an event of the session too.
"""

from __future__ import annotations

import contextlib
import logging
from collections import deque
from collections.abc import Iterator
from typing import Final

from incoming.core import news
from incoming.core.errors import BadMessage, IncomingError, InternalError, WrongState
from incoming.core.lifecycle import ARRIVED, Claim, State
from incoming.protocol import chunks, events, messages
from incoming.protocol.messages import MsgUploadReq
from incoming.protocol.negotiation import NegotiatedSession
from incoming.runtime.base import Runtime, Task
from incoming.runtime.fair_scheduler import is_contended
from incoming.runtime.logs import Seldom
from incoming.uploads.claims import ClaimedUpload, new_token
from incoming.uploads.service import Uploads
from incoming.websocket.websocket import Message, WebSocket
from incoming.websocket.writer import ConnectionGone
from incoming.wire import frames
from incoming.wire.frames import FrameError

log = logging.getLogger(__name__)

REASSURE_EVERY_S: Final = 2.0
SOON_S: Final = 0.05
"""How long acknowledgements wait for what may follow at once: to send is what a small message costs."""
SAME_FAILURE_INTERVAL_S: Final = 60.0
_seldom: Final = Seldom(SAME_FAILURE_INTERVAL_S)
UNSOLICITED_PONG: Final = frames.build_frame(frames.OP_TEXT, messages.encode(messages.MsgPong()).encode())
"""No page sees pings and pongs of the WebSocket."""
NO_CHUNK: Final = memoryview(b"")
_NO_CRC: Final[int | None] = None


class Connection:
    """Drives one session until its client is gone."""

    def __init__(
        self,
        websocket: WebSocket,
        session: NegotiatedSession,
        uploads: Uploads,
        runtime: Runtime,
        source: str = "",
    ) -> None:
        """`source` is who the client counts as, see `sources`."""
        self._websocket = websocket
        self._writer = websocket.writer
        self._session = session
        self._uploads = uploads
        self._runtime = runtime
        self._source = source
        self._counters = uploads.context.counters
        self._claim: ClaimedUpload | None = None
        self._chunk, self._crc = NO_CHUNK, _NO_CRC
        self._rest_s = 0.0
        self._timer: Task | None = None
        self._timed_phase = events.Phase.OPENING

    def run(self) -> None:
        """Returns when the connection has ended. Raises nothing."""
        self._counters.connections += 1
        try:
            self._happened(events.ConnectionOpened())
            while (message := self._websocket.receive()) is not None:
                self._happened(self._event(message))
                if self._rest_s > 0:
                    self._writer.flush()
                    self._runtime.sleep(self._rest_s)
                    self._rest_s = 0.0
        except ConnectionGone as exc:
            log.debug("connection gone: %(error)s", {"error": exc})
        except FrameError as exc:
            log.info("connection closed: %(error)s", self._about(exc))
            self._websocket.close(exc.code, str(exc))
        finally:
            self._counters.connections -= 1
            self._stop_timer()
            self._release()
            self._websocket.end()

    def _event(self, message: Message) -> events.Event:
        if message.opcode == frames.OP_BINARY:
            return self._chunk_event(message)
        try:
            return messages.parse(message.text)
        except BadMessage as exc:
            return events.MalformedMessage(exc)

    def _chunk_event(self, message: Message) -> events.ChunkReceived:
        """A message that was dropped, since it is too large or no chunk is expected, has no bytes."""
        if not self._session.is_v2:
            self._chunk = message.payload
            self._counters.received_bytes += message.size_bytes
            return events.ChunkReceived(message.size_bytes)
        chunk = chunks.parse(message.payload, message.crc32c)
        self._chunk, self._crc = chunk.payload, chunk.crc32c
        size_bytes = max(message.size_bytes - chunks.HEADER_BYTES, 0)
        self._counters.received_bytes += size_bytes
        self._counters.damaged_chunks += message.is_whole and not chunk.intact
        return events.ChunkReceived(size_bytes, chunk.offset_bytes, chunk.round, chunk.intact)

    def _about(self, exc: Exception) -> dict[str, object]:
        return self._claim.ticket.for_log(error=exc) if self._claim else {"error": exc}

    def _news(self, event: events.Event) -> None:
        """The same as `_happened`, from a greenlet that nobody waits for."""
        try:
            self._happened(event)
            self._writer.flush()
        except ConnectionGone as exc:
            log.debug("connection gone: %(error)s", {"error": exc})  # the reader notices too

    def _happened(self, event: events.Event) -> None:
        """Tells the session, and does what it says, and what it says to the results of that."""
        actions = deque(self._session.handle(event))
        while actions:
            result = self._do(actions.popleft())
            if result is not None:
                actions += self._session.handle(result)
        phase = self._session.phase
        self._websocket.expect_chunks(phase is events.Phase.RECEIVING)
        if phase is events.Phase.ARRIVED:
            self._websocket.set_idle_timeout(None)  # how long the app may take has limits of its own
        if self._timer and phase is not self._timed_phase:
            self._stop_timer()  # thousands of them take memory, and time when they are over

    def _do(self, action: events.Action) -> events.Event | None:
        """Carries out one action; returns its result if it has one. Raises ConnectionGone."""
        try:
            return self._carry_out(action)
        except IncomingError as exc:
            self._tell_operator(exc)
            return events.Failed(exc)
        except (ConnectionGone, FrameError):
            raise
        except Exception:
            log.exception("a defect: %(action)s failed", {"action": type(action).__name__})
            return events.Failed(InternalError())

    def _tell_operator(self, exc: IncomingError) -> None:
        """Logs what the system says of a failure that is its own; without names, which hold tickets."""
        cause = exc.__cause__
        if isinstance(cause, OSError) and cause.strerror and _seldom.may_say(cause.strerror):
            log.error("the storage fails: %(error)s", {"error": cause.strerror})

    def _carry_out(self, action: events.Action) -> events.Event | None:
        match action:
            case events.Send(message):
                self._writer.queue_text(messages.encode(message))
            case events.StoreChunk(size_bytes):
                return self._store(size_bytes)
            case events.ClaimTicket(request):
                return self._take(request)
            case events.VerifyContent(crcs):
                with self._reassured_client():
                    self._uploads.check_same(self._held(), crcs)
                return events.ContentVerified()
            case events.CompleteUpload(crc):
                with self._reassured_client():
                    self._uploads.complete(self._held(), crc)
                return events.Completed()
            case events.CancelUpload(reason):
                return self._cancel(reason)
            case events.ReleaseTicket():
                self._release()
            case events.StartTimer(phase, duration_s):
                self._start_timer(phase, duration_s)
            case events.CloseConnection(code, reason):
                self._websocket.close(code, reason)
        return None

    def _store(self, size_bytes: int) -> events.Event:
        chunk = self._chunk[:size_bytes]
        if len(chunk) != size_bytes:
            raise InternalError  # the message was dropped: what was not read must not be acknowledged
        self._rest_s = self._uploads.write(self._held(), chunk, self._crc, self._websocket.detach_buffer)
        self._be_idle_from_now()
        return events.Stored(size_bytes, self._websocket.buffers.lent, is_contended())

    def _take(self, request: MsgUploadReq) -> events.Event:
        with self._reassured_client() if self._uploads.is_in_doubt(request.id) else contextlib.nullcontext():
            proves = self._session.is_v2
            claimed = Claim(
                request.length_bytes, request.name, request.last_modified_ms, proves, token=new_token()
            )
            claim = self._claim = self._uploads.claim(
                request.id, claimed, self._news, self._source, self._websocket.is_receiving
            )
        if self._session.is_v2:
            self._websocket.chunk_header_bytes = chunks.HEADER_BYTES
            self._websocket.unsolicited_pong = UNSOLICITED_PONG
        self._be_idle_from_now()
        ticket = claim.ticket
        return events.Claimed(
            offset_bytes=claim.offset_bytes,
            length_bytes=request.length_bytes,
            arrived=ticket.state in ARRIVED,
            finished=news.HandedOver(ticket.crc32c or 0) if ticket.state is State.FINISHED else None,
            compare=claim.compare,
            meant=ticket.file_meant,
            max_bytes_per_s=ticket.max_bytes_per_s,
        )

    def _be_idle_from_now(self) -> None:
        """A client that only answers pings keeps its connection as long as a ticket may be idle."""
        self._websocket.set_idle_timeout(self._uploads.context.settings.idle_timeout_s)

    def _cancel(self, reason: str) -> events.Event:
        try:
            self._uploads.cancel_by_client(self._held(), reason)
        except WrongState:
            return events.CancelTooLate()
        return events.CancelAccepted()

    @contextlib.contextmanager
    def _reassured_client(self) -> Iterator[None]:
        """Within it, which may take long, a client of version 2 hears that we are there."""
        busy = True

        def reassure() -> None:
            with contextlib.suppress(ConnectionGone):
                self._runtime.sleep(SOON_S)
                if busy:
                    self._writer.flush()
                    self._runtime.sleep(REASSURE_EVERY_S - SOON_S)
                while busy:
                    self._writer.send_text(messages.encode(messages.MsgPong()))
                    self._runtime.sleep(REASSURE_EVERY_S)

        if self._session.is_v2:
            self._runtime.spawn(reassure)
        else:
            self._writer.flush()
        try:
            yield
        finally:
            busy = False

    def _held(self) -> ClaimedUpload:
        if self._claim is None:
            raise InternalError
        return self._claim

    def _release(self) -> None:
        claim, self._claim = self._claim, None
        if claim:
            self._uploads.release(claim)

    def _start_timer(self, phase: events.Phase, duration_s: float) -> None:
        """A session waits for one thing at a time."""
        self._stop_timer()
        self._timed_phase = phase
        self._timer = self._runtime.spawn_later(duration_s, self._time_up, phase)

    def _stop_timer(self) -> None:
        timer, self._timer = self._timer, None
        if timer:
            timer.kill(block=False)

    def _time_up(self, phase: events.Phase) -> None:
        self._timer = None
        if self._session.phase is phase:
            self._news(events.TimedOut(phase))
