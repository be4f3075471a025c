"""A server session in protocol version 2 (docs/reference/protocol.md), as a transition table too.

    OPENING      waiting for the claim
    AGREEING     MsgUploadConf is sent, waiting for the client's checksums in MsgAgree
    RECEIVING    chunks come in, acknowledgements go out
    COMPLETING   all bytes are stored; the whole file is verified and made durable
    ARRIVED      waiting for the app to take the file
    CLOSED       nothing more is sent

Clients of version 2 get a MsgError with `retryable` for each error, then a close. No answer is expected, so
this version has no phases that wait for one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from incoming.core import errors
from incoming.core.news import CalledOff, Durable, HandedOver, Interrupted, NotHandedOver, WaitingForApp
from incoming.core.ticket import FOLDER
from incoming.protocol import messages
from incoming.protocol.events import (
    Actions,
    CancelAccepted,
    CancelTooLate,
    CancelUpload,
    ChunkReceived,
    Claimed,
    ClaimTicket,
    CloseConnection,
    Completed,
    CompleteUpload,
    ContentVerified,
    Event,
    Failed,
    LeaveOut,
    LeftOut,
    MakeDurable,
    MalformedMessage,
    Phase,
    ReleaseTicket,
    Send,
    StartTimer,
    StoreChunk,
    Stored,
    TimedOut,
    VerifyContent,
)
from incoming.protocol.flow_control import Limits
from incoming.protocol.messages import MsgAgree, MsgCancel, MsgComplete, MsgLeaveOut, MsgPing, MsgUploadReq
from incoming.protocol.rules import AGREEING_TIMEOUT_S, cancel_reason, close_code
from incoming.wire import close_codes

VERSION: Final = 2
MIN_VERIFY_BYTES_PER_S: Final = 512 * 1024
"""The slowest rate at which a client may read its file for the checksums in MsgAgree."""
MAX_DAMAGED: Final = 8
"""This many damaged chunks in a row end the connection: a new one may take another route."""
HANDING_OVER_TEXT: Final = "the app is being told"


class SessionV2:
    """One session in version 2. `handle` never waits, so it is never re-entered."""

    def __init__(self, limits: Limits) -> None:
        self.phase = Phase.OPENING
        self.offset_bytes = 0
        self.length_bytes = 0
        self._acknowledged_bytes = 0
        self._resends = False
        """Whether MsgResend is to be sent once all that is stored is durable."""
        self._limits = limits
        self._send_limits = limits.initial_send_limits()
        self._claim = Claimed(0, 0)
        self._finished: HandedOver | None = None
        self._round = 0
        self._damaged = 0

    def handle(self, event: Event) -> Actions:
        """Returns the actions that follow from `event`, in order. Raises nothing."""
        handler = _HANDLERS[self.phase].get(type(event))
        return handler(self, event) if handler else []

    # --- request and resume check -------------------------------------------------------------------

    def _requested(self, request: MsgUploadReq) -> Actions:
        return [ClaimTicket(request)]

    def _claimed(self, claim: Claimed) -> Actions:
        self.phase = Phase.AGREEING
        self._claim = claim
        self._finished = self._finished or claim.finished
        self.offset_bytes = self._acknowledged_bytes = claim.offset_bytes
        self.length_bytes = claim.length_bytes
        limits = self._limits.for_storage(claim.window_bytes).for_rate(claim.max_bytes_per_s)
        self._limits = limits
        self._send_limits = limits.initial_send_limits()
        compared_bytes = sum(end - start for start, end in claim.compare)
        return [
            Send(
                messages.MsgUploadConfV2(
                    version=VERSION,
                    offset=claim.offset_bytes,
                    max_chunk_bytes=self._send_limits.chunk_bytes,
                    max_window_bytes=self._send_limits.window_bytes,
                    silence_s=limits.silence_s,
                    idle_silence_s=limits.idle_silence_s,
                    compare=claim.compare,
                    arrived=claim.arrived,
                    file_last_modified_ms=claim.expected_file.last_modified_ms,
                    file_name=claim.expected_file.name,
                    dest_type=claim.dest_type if claim.dest_type == FOLDER else "",
                    left_out=claim.left_out,
                )
            ),
            StartTimer(Phase.AGREEING, AGREEING_TIMEOUT_S + compared_bytes / MIN_VERIFY_BYTES_PER_S),
        ]

    def _agreed(self, agree: MsgAgree) -> Actions:
        if len(agree.crc32c) != len(self._claim.compare):
            return self._fail(errors.BadMessage("MsgAgree.Crc32c must have one checksum for each range."))
        if self._claim.compare:
            return [VerifyContent(agree.crc32c)]
        return self._verified()

    def _verified(self, _: ContentVerified | None = None) -> Actions:
        if self._claim.arrived or self._finished:
            return self._await_result()
        self.phase = Phase.RECEIVING
        return []

    # --- chunks --------------------------------------------------------------------------------------

    def _chunk(self, chunk: ChunkReceived) -> Actions:
        if chunk.size_bytes > self._limits.max_chunk_bytes:  # MsgStored gives advice only
            return self._fail(errors.BadChunk(errors.CHUNK_TOO_LARGE))
        if chunk.round != self._round:
            return []  # sent before the client read MsgResend
        if not chunk.intact or chunk.offset_bytes > self.offset_bytes:
            return self._request_resend()
        if chunk.offset_bytes < self.offset_bytes:
            return self._acknowledge()  # a duplicate: acknowledge it again
        if chunk.size_bytes > self.length_bytes - self.offset_bytes:
            return self._fail(errors.BadChunk("There are more bytes than the file has."))
        self._damaged = 0
        return [StoreChunk(chunk.size_bytes)]

    def _request_resend(self) -> Actions:
        """Requests all that follows again. A chunk out of order counts as damaged: its header may be."""
        self._damaged += 1
        if self._damaged >= MAX_DAMAGED:
            return self._fail(errors.Damaged())
        if self._acknowledged_bytes < self.offset_bytes:
            self._resends = True  # it acknowledges all bytes before its offset
            return [MakeDurable()]
        return self._resend()

    def _resend(self) -> Actions:
        self._resends = False
        self._round += 1
        return [Send(messages.MsgResend(self.offset_bytes, self._round))]

    def _stored(self, stored: Stored) -> Actions:
        self.offset_bytes += stored.size_bytes
        self._send_limits = self._limits.send_limits(stored.chunks_in_flight, stored.is_busy)
        durable_bytes = stored.acknowledged_bytes
        more = self._acknowledge_more(self.offset_bytes if durable_bytes is None else durable_bytes)
        told = more or (self._acknowledge() if self._claim.stores_later else [])
        if self._acknowledged_bytes < self.offset_bytes == self.length_bytes:
            return [*told, MakeDurable()]  # the client waits for nothing else
        return told

    def _durable(self, durable: Durable) -> Actions:
        if self._resends and durable.acknowledged_bytes >= self.offset_bytes:
            self._acknowledged_bytes = self.offset_bytes
            return self._resend()
        return self._acknowledge_more(durable.acknowledged_bytes)

    def _acknowledge_more(self, up_to_bytes: int) -> Actions:
        up_to_bytes = min(up_to_bytes, self.offset_bytes)  # Durable may be faster than Stored
        if up_to_bytes <= self._acknowledged_bytes:
            return []  # the storage waits for more
        self._acknowledged_bytes = up_to_bytes
        return self._acknowledge()

    def _acknowledge(self, _: ChunkReceived | None = None) -> Actions:
        limits, stored_bytes = self._send_limits, self._acknowledged_bytes
        taken_bytes = (
            self.offset_bytes if self._claim.stores_later and self.offset_bytes > stored_bytes else 0
        )
        return [Send(messages.MsgStored(stored_bytes, limits.chunk_bytes, limits.window_bytes, taken_bytes))]

    def _leave_out(self, leave_out: MsgLeaveOut) -> Actions:
        """The client has nothing in flight: all that it has sent is stored."""
        if self._claim.arrived or self._finished:
            return self._unexpected(leave_out)
        if self._claim.dest_type != FOLDER:
            return self._fail(errors.BadMessage("MsgLeaveOut is only for folders."))
        if self._acknowledged_bytes < self.offset_bytes:
            return self._fail(
                errors.BadMessage("MsgLeaveOut is not expected while sent bytes are not stored.")
            )
        return [LeaveOut(leave_out.index)]

    def _left_out(self, left_out: LeftOut) -> Actions:
        self.offset_bytes = self._acknowledged_bytes = left_out.offset_bytes
        return self._acknowledge()

    # --- the end -------------------------------------------------------------------------------------

    def _complete(self, complete: MsgComplete) -> Actions:
        if complete.round < self._round:
            return []  # sent before the client read MsgResend
        if self.offset_bytes < self.length_bytes:
            return self._request_resend()
        self.phase = Phase.COMPLETING
        return [CompleteUpload(complete.crc32c)]

    def _await_result(self, _: Completed | CancelTooLate | MsgCancel | None = None) -> Actions:
        """The handover has begun: send its result if it is known, else wait for it."""
        self.phase = Phase.ARRIVED
        if self._finished:
            return self._handed_over(self._finished)
        return [_news(messages.NEWS_HANDING_OVER, HANDING_OVER_TEXT)]

    def _ignore(self, _: MsgCancel | MsgComplete) -> Actions:
        return []

    def _keep_result(self, result: HandedOver) -> Actions:
        self._finished = result
        return []

    def _handed_over(self, result: HandedOver) -> Actions:
        return [Send(messages.MsgAllDoneV2(True, result.crc32c)), *self._close(close_codes.NORMAL)]

    def _waiting(self, waiting: WaitingForApp) -> Actions:
        return [_news(messages.NEWS_WAITING_FOR_APP, waiting.why)]

    # --- keepalive, cancellation, errors --------------------------------------------------------------

    def _pinged(self, _: MsgPing) -> Actions:
        return [Send(messages.MsgPong())]

    def _cancel(self, cancel: MsgCancel) -> Actions:
        return [CancelUpload(cancel_reason(cancel))]

    def _cancelled(self, _: CancelAccepted | MsgCancel) -> Actions:
        return [Send(messages.MsgCancelAck(True)), *self._close(close_codes.NORMAL)]

    def _failed(self, event: Failed | CalledOff | NotHandedOver) -> Actions:
        return self._fail(event.error)

    def _interrupted(self, news: Interrupted) -> Actions:
        if isinstance(news.error, errors.Stopping):
            stopping = _news(messages.NEWS_STOPPING, str(news.error), self._limits.retry_after_s)
            return [stopping, *self._close(close_code(news.error), str(news.error))]
        return self._fail(news.error)

    def _malformed(self, _: MalformedMessage) -> Actions:
        return self._fail(errors.Damaged())  # clients send none, so it was damaged in transit

    def _unexpected(self, message: Any) -> Actions:
        what = "A chunk" if isinstance(message, ChunkReceived) else type(message).__name__
        return self._fail(errors.BadMessage(f"{what} is not expected now."))

    def _fail(self, error: errors.IncomingError) -> Actions:
        code = close_code(error) if error.retryable else close_codes.NORMAL
        reason = str(error) if error.retryable else ""
        return [ReleaseTicket(), Send(error_message(error)), *self._close(code, reason)]

    def _timed_out(self, timeout: TimedOut) -> Actions:
        return self._close(close_codes.POLICY_VIOLATION, "no answer") if timeout.phase is self.phase else []

    def _close(self, code: int, reason: str = "") -> Actions:
        self.phase = Phase.CLOSED
        return [CloseConnection(code, reason)]


def _news(kind: str, why: str, retry_after_s: float = 0.0) -> Send:
    return Send(messages.MsgNews(kind, retry_after_s, why))


_Handler = Callable[[SessionV2, Any], Actions]
_S = SessionV2

_DEFAULTS: Final[dict[type, _Handler]] = {
    **dict.fromkeys((MsgUploadReq, messages.MsgAck, messages.MsgPause, messages.MsgError), _S._unexpected),
    **dict.fromkeys((MsgAgree, MsgComplete, MsgLeaveOut, ChunkReceived), _S._unexpected),
    MsgPing: _S._pinged,
    MalformedMessage: _S._malformed,
    Failed: _S._failed,
    CalledOff: _S._failed,
    NotHandedOver: _S._failed,
    Interrupted: _S._interrupted,
}
_CANCELLABLE: Final[dict[type, _Handler]] = {
    MsgCancel: _S._cancel,
    CancelAccepted: _S._cancelled,
    CancelTooLate: _S._await_result,
}
_HANDLERS: Final[dict[Phase, dict[type, _Handler]]] = {
    Phase.OPENING: {
        **_DEFAULTS,
        MsgUploadReq: _S._requested,
        Claimed: _S._claimed,
        HandedOver: _S._keep_result,
    },
    Phase.AGREEING: {
        **_DEFAULTS,
        **_CANCELLABLE,
        MsgAgree: _S._agreed,
        # What is to be compared can no longer be read. The service undoes this if the proof then fails.
        MsgLeaveOut: _S._leave_out,
        LeftOut: _S._left_out,
        TimedOut: _S._timed_out,
        ContentVerified: _S._verified,
        HandedOver: _S._keep_result,
    },
    Phase.RECEIVING: {
        **_DEFAULTS,
        **_CANCELLABLE,
        ChunkReceived: _S._chunk,
        Stored: _S._stored,
        Durable: _S._durable,
        MsgLeaveOut: _S._leave_out,
        LeftOut: _S._left_out,
        MsgComplete: _S._complete,
        HandedOver: _S._handed_over,
    },
    Phase.COMPLETING: {
        **_DEFAULTS,
        MsgCancel: _S._ignore,
        ChunkReceived: _S._acknowledge,
        MsgComplete: _S._ignore,
        Completed: _S._await_result,
        HandedOver: _S._keep_result,
    },
    Phase.ARRIVED: {
        **_DEFAULTS,
        MsgCancel: _S._await_result,  # too late
        ChunkReceived: _S._acknowledge,
        MsgComplete: _S._ignore,
        WaitingForApp: _S._waiting,
        HandedOver: _S._handed_over,
    },
    Phase.CLOSED: {},
}


def error_message(error: errors.IncomingError) -> messages.MsgErrorV2:
    """Returns what a client of version 2 is told about an error."""
    expected = error.expected_file or errors.ExpectedFile("", 0, 0)
    index = error.index if isinstance(error, errors.BadFolder) else None
    return messages.MsgErrorV2(
        error_code=error.number,
        code=error.code,
        msg=str(error),
        retryable=error.retryable,
        file_length_bytes=expected.length_bytes or 0,
        file_last_modified_ms=expected.last_modified_ms,
        file_name=expected.name,
        index=-1 if index is None else index,
    )
