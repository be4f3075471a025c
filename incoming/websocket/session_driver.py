"""Drives the session of one client: WebSocket messages become events, and its actions are performed.

The session decides what to do; the service and the socket do it here. News about the ticket comes from other
greenlets, and becomes events too. So does every failure: no client ever gets a traceback.
"""

from __future__ import annotations

import contextlib
import logging
from collections import deque
from collections.abc import Iterator
from typing import Final

from incoming.core import news
from incoming.core.errors import BadChunk, BadMessage, Damaged, IncomingError, InternalError, WrongState
from incoming.core.lifecycle import ARRIVED, Claim, State
from incoming.protocol import chunks, events, messages
from incoming.protocol.messages import MsgUploadReq
from incoming.protocol.negotiation import NegotiatedSession
from incoming.runtime.base import Runtime, Task
from incoming.runtime.fair_scheduler import is_contended
from incoming.runtime.logs import LogRateLimit
from incoming.uploads.claims import ClaimedUpload, new_token
from incoming.uploads.refusals import Kind
from incoming.uploads.service import Uploads
from incoming.websocket.websocket import Message, WebSocket
from incoming.websocket.writer import ConnectionGone
from incoming.wire import frames
from incoming.wire.frames import FrameError

log = logging.getLogger(__name__)

PROGRESS_PONG_INTERVAL_S: Final = 2.0
"""How often a client of version 2 gets a MsgPong while it waits for slow work."""
FLUSH_DELAY_S: Final = 0.05
"""How long acknowledgements wait for messages that may follow at once. The send is what a small message
costs."""
SAME_FAILURE_INTERVAL_S: Final = 60.0
_log_limit: Final = LogRateLimit(SAME_FAILURE_INTERVAL_S)
UNSOLICITED_PONG: Final = frames.build_frame(frames.OP_TEXT, messages.encode(messages.MsgPong()).encode())
"""The scripts of a page see no pings and pongs of the WebSocket, but this message."""
NO_CHUNK: Final = memoryview(b"")
NO_PONGS: Final = contextlib.nullcontext()
_NO_CRC: Final[int | None] = None
_ERRORS_OF_SESSIONS: Final = {error.number: error for error in (BadMessage, BadChunk, Damaged)}
"""The errors that a session finds itself, by their numbers in MsgError."""


class SessionDriver:
    """Drives one session until its client is gone."""

    def __init__(
        self,
        websocket: WebSocket,
        session: NegotiatedSession,
        uploads: Uploads,
        runtime: Runtime,
        source: str = "",
    ) -> None:
        """`source` is what the client's limits are counted by, see core.client_limits."""
        self._websocket = websocket
        self._writer = websocket.writer
        self._session = session
        self._uploads = uploads
        self._runtime = runtime
        self._source = source
        self._counters = uploads.context.counters
        self._claim: ClaimedUpload | None = None
        self._ticket_id = ""
        """As the client sent it."""
        self._refused_code = ""
        """The code of the last refusal."""
        self._chunk, self._crc = NO_CHUNK, _NO_CRC
        self._delay_s = 0.0
        """How long the rate limit delays the next message."""
        self._timer: Task | None = None
        self._timed_phase = events.Phase.OPENING

    def run(self) -> None:
        """Returns when the connection has ended. Raises nothing."""
        self._counters.connections += 1
        try:
            self._dispatch(events.ConnectionOpened())
            while (message := self._websocket.receive()) is not None:
                self._dispatch(self._event(message))
                if self._delay_s > 0:
                    self._writer.flush()
                    self._runtime.sleep(self._delay_s)
                    self._delay_s = 0.0
        except ConnectionGone as exc:
            log.debug("connection lost: %(error)s", {"error": exc})
        except FrameError as exc:
            log.info("connection closed: %(error)s", self._about(exc))
            self._websocket.close(exc.code, str(exc))
        finally:
            self._counters.connections -= 1
            self._stop_timer()
            self._release()
            self._websocket.end()

    def _about(self, exc: Exception) -> dict[str, object]:
        return self._claim.ticket.for_log(error=exc) if self._claim else {"error": exc}

    # --- events ----------------------------------------------------------------------------------

    def _event(self, message: Message) -> events.Event:
        if message.opcode == frames.OP_BINARY:
            return self._chunk_event(message)
        try:
            return messages.parse(message.text)
        except BadMessage as exc:
            return events.MalformedMessage(exc)

    def _chunk_event(self, message: Message) -> events.ChunkReceived:
        """A message that was dropped has no bytes: it was too large, or no chunk was expected."""
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

    def _dispatch_news(self, event: events.Event) -> None:
        """Dispatches an event of another greenlet, and sends the answers at once."""
        try:
            self._dispatch(event)
            self._writer.flush()
        except ConnectionGone as exc:
            log.debug("connection lost: %(error)s", {"error": exc})  # the reader notices too

    def _dispatch(self, event: events.Event) -> None:
        """Passes an event to the session, performs its actions, and passes their results on likewise."""
        actions = deque(self._session.handle(event))
        while actions:
            result = self._perform(actions.popleft())
            if result is not None:
                actions += self._session.handle(result)
        phase = self._session.phase
        self._websocket.expect_chunks(phase is events.Phase.RECEIVING)
        if phase is events.Phase.ARRIVED:
            self._websocket.set_idle_timeout(None)  # the app's time has limits of its own
        if self._timer and phase is not self._timed_phase:
            self._stop_timer()  # thousands of timers take memory, and time when they fire

    # --- actions ---------------------------------------------------------------------------------

    def _perform(self, action: events.Action) -> events.Event | None:
        """Performs one action; returns its result if it has one. Raises ConnectionGone."""
        try:
            return self._perform_or_raise(action)
        except IncomingError as exc:
            return self._failed(exc)
        except (ConnectionGone, FrameError):
            raise
        except Exception:
            log.exception("a defect: %(action)s failed", {"action": type(action).__name__})
            return events.Failed(InternalError())

    def _failed(self, exc: IncomingError) -> events.Failed:
        self._log_storage_failure(exc)
        self._record_refusal(exc)
        return events.Failed(exc)

    def _record_refusal(self, error: IncomingError) -> None:
        """Records an error once, although the session answers a failed action with a message."""
        if error.code != self._refused_code:
            self._refused_code = error.code
            self._uploads.refusals.record(Kind.CLAIM, error, self._ticket_id)

    def _log_storage_failure(self, exc: IncomingError) -> None:
        """Logs the system's reason for a failure, without file names, which contain ticket ids."""
        cause = exc.__cause__
        if isinstance(cause, OSError) and cause.strerror and _log_limit.allows(cause.strerror):
            log.error("the storage failed: %(error)s", {"error": cause.strerror})

    def _perform_or_raise(self, action: events.Action) -> events.Event | None:
        match action:
            case events.Send(message):
                if isinstance(message, messages.MsgError | messages.MsgErrorV2):
                    self._record_error_message(message.error_code, message.msg)
                self._writer.queue_text(messages.encode(message))
            case events.StoreChunk(size_bytes):
                return self._store(size_bytes)
            case events.ClaimTicket(request):
                return self._claim_ticket(request)
            case events.VerifyContent(crcs):
                with self._progress_pongs():
                    self._uploads.check_same(self._claimed(), crcs)
                return events.ContentVerified()
            case events.LeaveOut(index):
                claim = self._claimed()
                with self._progress_pongs():
                    self._uploads.leave_out(claim, index)
                self._restart_idle_timeout()
                return events.LeftOut(claim.acknowledged_bytes)
            case events.MakeDurable():
                claim = self._claimed()
                with self._progress_pongs():
                    self._uploads.flush(claim)
                return news.Durable(claim.acknowledged_bytes)
            case events.CompleteUpload(crc):
                with self._progress_pongs():
                    self._uploads.complete(self._claimed(), crc)
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

    def _record_error_message(self, number: int, sentence: str) -> None:
        """Records what the session itself refuses. Other errors are recorded where they occur."""
        if error := _ERRORS_OF_SESSIONS.get(number):
            self._record_refusal(error(sentence))

    def _store(self, size_bytes: int) -> events.Event:
        chunk = self._chunk[:size_bytes]
        if len(chunk) != size_bytes:
            raise InternalError  # the message was dropped, and must not be acknowledged
        claim = self._claimed()
        with self._progress_pongs() if claim.stores_later else NO_PONGS:
            self._delay_s = self._uploads.write(claim, chunk, self._crc, self._websocket.detach_buffer)
            is_whole = claim.taken_bytes == claim.ticket.length_bytes
            if is_whole and claim.acknowledged_bytes < claim.taken_bytes and not self._session.is_v2:
                self._uploads.flush(claim)  # the client waits for nothing else; version 2 asks for it
        self._restart_idle_timeout()
        in_flight = self._websocket.buffers.in_use
        return events.Stored(size_bytes, in_flight, is_contended(), claim.acknowledged_bytes)

    def _claim_ticket(self, request: MsgUploadReq) -> events.Event:
        self._ticket_id = request.id
        may_take_long = self._uploads.needs_power_cut_check(request.id)
        with self._progress_pongs() if may_take_long else NO_PONGS:
            proves = self._session.is_v2
            claimed = Claim(
                request.length_bytes, request.name, request.last_modified_ms, proves, token=new_token()
            )
            claim = self._claim = self._uploads.claim(request.id, claimed, self._dispatch_news, self._source)
        claim.is_sending = self._websocket.is_receiving
        if self._session.is_v2:
            self._websocket.chunk_header_bytes = chunks.HEADER_BYTES
            self._websocket.unsolicited_pong = UNSOLICITED_PONG
        self._restart_idle_timeout()
        ticket = claim.ticket
        return events.Claimed(
            offset_bytes=claim.offset_bytes,
            length_bytes=request.length_bytes,
            arrived=ticket.state in ARRIVED,
            finished=news.HandedOver(ticket.crc32c or 0) if ticket.state is State.FINISHED else None,
            compare=claim.compare,
            expected_file=ticket.expected_file,
            max_bytes_per_s=ticket.max_bytes_per_s,
            window_bytes=claim.window_bytes,
            stores_later=claim.stores_later,
            dest_type=ticket.dest_type,
            left_out=claim.left_out,
        )

    def _restart_idle_timeout(self) -> None:
        """A client that only answers pings keeps its connection as long as a ticket may be idle."""
        self._websocket.set_idle_timeout(self._uploads.context.settings.idle_timeout_s)

    def _cancel(self, reason: str) -> events.Event:
        try:
            self._uploads.cancel_by_client(self._claimed(), reason)
        except WrongState:
            return events.CancelTooLate()
        return events.CancelAccepted()

    @contextlib.contextmanager
    def _progress_pongs(self) -> Iterator[None]:
        """Sends a client of version 2 a MsgPong now and again during slow work, so that it keeps waiting."""
        busy = True

        def send_pongs() -> None:
            with contextlib.suppress(ConnectionGone):
                self._runtime.sleep(FLUSH_DELAY_S)
                if busy:
                    self._writer.flush()
                    self._runtime.sleep(PROGRESS_PONG_INTERVAL_S - FLUSH_DELAY_S)
                while busy:
                    self._writer.send_text(messages.encode(messages.MsgPong()))
                    self._runtime.sleep(PROGRESS_PONG_INTERVAL_S)

        if self._session.is_v2:
            self._runtime.spawn(send_pongs)
        else:
            self._writer.flush()
        try:
            yield
        finally:
            busy = False

    def _claimed(self) -> ClaimedUpload:
        if self._claim is None:
            raise InternalError
        return self._claim

    def _release(self) -> None:
        claim, self._claim = self._claim, None
        if claim:
            self._uploads.release(claim)

    # --- timeouts --------------------------------------------------------------------------------

    def _start_timer(self, phase: events.Phase, duration_s: float) -> None:
        """A session waits for one thing at a time, so it has one timer."""
        self._stop_timer()
        self._timed_phase = phase
        self._timer = self._runtime.spawn_later(duration_s, self._on_timeout, phase)

    def _stop_timer(self) -> None:
        timer, self._timer = self._timer, None
        if timer:
            timer.kill(block=False)

    def _on_timeout(self, phase: events.Phase) -> None:
        self._timer = None
        if self._session.phase is phase:
            self._dispatch_news(events.TimedOut(phase))
