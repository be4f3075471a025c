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

from incoming import chunks, frames, messages, steps
from incoming.claims import ClaimedUpload
from incoming.conversation import Conversation
from incoming.errors import BadMessage, IncomingError, InternalError, WrongState
from incoming.frames import FrameError
from incoming.lifecycle import ARRIVED, State
from incoming.logs import Seldom
from incoming.messages import MsgUploadReq
from incoming.runtime import Runtime, Task, is_crowded
from incoming.transports.message import Message
from incoming.transports.outgoing import ConnectionGone
from incoming.transports.websocket import WebSocket
from incoming.uploads import Uploads

log = logging.getLogger(__name__)

REASSURE_EVERY_S: Final = 2.0
SOON_S: Final = 0.05
"""How long acknowledgements wait for what may follow at once: to send is what a small message costs."""
SAME_FAILURE_INTERVAL_S: Final = 60.0
_seldom: Final = Seldom(SAME_FAILURE_INTERVAL_S)
LIFE_SIGN: Final = frames.build_frame(frames.OP_TEXT, messages.encode(messages.MsgPong()).encode())
"""No page sees pings and pongs of the WebSocket."""
NO_CHUNK: Final = memoryview(b"")
_NO_CRC: Final[int | None] = None


class Connection:
    """Drives one session until its client is gone."""

    def __init__(
        self,
        websocket: WebSocket,
        session: Conversation,
        uploads: Uploads,
        runtime: Runtime,
        source: str = "",
    ) -> None:
        """`source` is who the client counts as, see `sources`."""
        self._websocket = websocket
        self._session = session
        self._uploads = uploads
        self._runtime = runtime
        self._source = source
        self._counters = uploads.parts.counters
        self._claim: ClaimedUpload | None = None
        self._chunk, self._crc = NO_CHUNK, _NO_CRC
        self._rest_s = 0.0
        self._timer: Task | None = None
        self._timed_phase = steps.Phase.OPENING

    def run(self) -> None:
        """Returns when the connection has ended. Raises nothing."""
        self._counters.connections += 1
        try:
            self._happened(steps.Opened())
            while (message := self._websocket.receive()) is not None:
                self._happened(self._event(message))
                if self._rest_s > 0:
                    self._websocket.flush()
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

    def _event(self, message: Message) -> steps.Event:
        if message.opcode == frames.OP_BINARY:
            return self._chunk_event(message)
        try:
            return messages.parse(message.text)
        except BadMessage as exc:
            return steps.Unreadable(exc)

    def _chunk_event(self, message: Message) -> steps.ChunkReceived:
        """A message that was dropped, since it is too large or no chunk is expected, has no bytes."""
        if not self._session.chunks_have_headers:
            self._chunk = message.payload
            self._counters.received_bytes += message.size_bytes
            return steps.ChunkReceived(message.size_bytes)
        chunk = chunks.parse(message.payload, message.crc32c)
        self._chunk, self._crc = chunk.payload, chunk.crc32c
        size_bytes = max(message.size_bytes - chunks.HEADER_BYTES, 0)
        self._counters.received_bytes += size_bytes
        self._counters.damaged_chunks += message.is_whole and not chunk.sound
        return steps.ChunkReceived(size_bytes, chunk.offset_bytes, chunk.round, chunk.sound)

    def _about(self, exc: Exception) -> dict[str, object]:
        return self._claim.ticket.for_log(error=exc) if self._claim else {"error": exc}

    def _news(self, event: steps.Event) -> None:
        """The same as `_happened`, from a greenlet that nobody waits for."""
        try:
            self._happened(event)
            self._websocket.flush()
        except ConnectionGone as exc:
            log.debug("connection gone: %(error)s", {"error": exc})  # the reader notices too

    def _happened(self, event: steps.Event) -> None:
        """Tells the session, and does what it says, and what it says to the results of that."""
        actions = deque(self._session.handle(event))
        while actions:
            result = self._do(actions.popleft())
            if result is not None:
                actions += self._session.handle(result)
        phase = self._session.phase
        self._websocket.expect_chunks(phase is steps.Phase.RECEIVING)
        if phase is steps.Phase.ARRIVED:
            self._websocket.may_idle(None)  # how long the app may take has limits of its own
        if self._timer and phase is not self._timed_phase:
            self._stop_timer()  # thousands of them take memory, and time when they are over

    def _do(self, action: steps.Action) -> steps.Event | None:
        """Carries out one action; returns its result if it has one. Raises ConnectionGone."""
        try:
            return self._carry_out(action)
        except IncomingError as exc:
            self._tell_operator(exc)
            return steps.Failed(exc)
        except (ConnectionGone, FrameError):
            raise
        except Exception:
            log.exception("a defect: %(action)s failed", {"action": type(action).__name__})
            return steps.Failed(InternalError())

    def _tell_operator(self, exc: IncomingError) -> None:
        """Logs what the system says of a failure that is its own; without names, which hold tickets."""
        cause = exc.__cause__
        if isinstance(cause, OSError) and cause.strerror and _seldom.may_say(cause.strerror):
            log.error("the storage fails: %(error)s", {"error": cause.strerror})

    def _carry_out(self, action: steps.Action) -> steps.Event | None:
        match action:
            case steps.Send(message):
                self._websocket.send_soon(messages.encode(message))
            case steps.StoreChunk(size_bytes):
                return self._store(size_bytes)
            case steps.ClaimTicket(request):
                return self._take(request)
            case steps.CheckSame(crcs):
                with self._reassured_client():
                    self._uploads.check_same(self._held(), crcs)
                return steps.Same()
            case steps.CompleteUpload(crc):
                with self._reassured_client():
                    self._uploads.complete(self._held(), crc)
                return steps.Completed()
            case steps.CancelUpload(reason):
                return self._cancel(reason)
            case steps.ReleaseTicket():
                self._release()
            case steps.StartTimer(phase, duration_s):
                self._start_timer(phase, duration_s)
            case steps.CloseConnection(code, reason):
                self._websocket.close(code, reason)
        return None

    def _store(self, size_bytes: int) -> steps.Event:
        chunk = self._chunk[:size_bytes]
        if len(chunk) != size_bytes:
            raise InternalError  # the message was dropped: what was not read must not be acknowledged
        self._uploads.write(self._held(), chunk, self._crc, self._websocket.keep_buffer)
        self._be_idle_from_now()
        self._rest_s = self._held().pace.delay_s(size_bytes, self._runtime.now_s())
        return steps.Stored(size_bytes, self._websocket.buffers.lent, is_crowded())

    def _take(self, request: MsgUploadReq) -> steps.Event:
        with self._reassured_client() if self._uploads.is_in_doubt(request.id) else contextlib.nullcontext():
            claim = self._claim = self._uploads.claim(
                request, self._news, self._source, self._websocket.is_receiving
            )
        if self._session.chunks_have_headers:
            self._websocket.lead_bytes = chunks.HEADER_BYTES
            self._websocket.life_sign = LIFE_SIGN
        self._be_idle_from_now()
        ticket = claim.ticket
        return steps.Claimed(
            offset_bytes=claim.offset_bytes,
            length_bytes=request.length_bytes,
            arrived=ticket.state in ARRIVED,
            finished=steps.HandedOver(ticket.crc32c or 0) if ticket.state is State.FINISHED else None,
            compare=claim.compare,
            meant=ticket.file_meant,
            max_bytes_per_s=ticket.max_bytes_per_s,
        )

    def _be_idle_from_now(self) -> None:
        """A client that only answers pings keeps its connection as long as a ticket may be idle."""
        self._websocket.may_idle(self._uploads.parts.settings.idle_timeout_s)

    def _cancel(self, reason: str) -> steps.Event:
        try:
            self._uploads.cancel_by_client(self._held(), reason)
        except WrongState:
            return steps.CancelTooLate()
        return steps.CancelDone()

    @contextlib.contextmanager
    def _reassured_client(self) -> Iterator[None]:
        """Within it, which may take long, a client of version 2 hears that we are there."""
        busy = True

        def reassure() -> None:
            with contextlib.suppress(ConnectionGone):
                self._runtime.sleep(SOON_S)
                if busy:
                    self._websocket.flush()
                    self._runtime.sleep(REASSURE_EVERY_S - SOON_S)
                while busy:
                    self._websocket.send_text(messages.encode(messages.MsgPong()))
                    self._runtime.sleep(REASSURE_EVERY_S)

        if self._session.chunks_have_headers:
            self._runtime.spawn(reassure)
        else:
            self._websocket.flush()
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

    def _start_timer(self, phase: steps.Phase, duration_s: float) -> None:
        """A session waits for one thing at a time."""
        self._stop_timer()
        self._timed_phase = phase
        self._timer = self._runtime.spawn_later(duration_s, self._time_up, phase)

    def _stop_timer(self) -> None:
        timer, self._timer = self._timer, None
        if timer:
            timer.kill(block=False)

    def _time_up(self, phase: steps.Phase) -> None:
        self._timer = None
        if self._session.phase is phase:
            self._news(steps.TimeUp(phase))
