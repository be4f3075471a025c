"""A server session in protocol version 1: `handle(event)` returns the actions to carry out.

The driver reads a message, passes it to the session as an event, and carries out the actions. The results of
some actions are events again: a claim succeeds or fails, a chunk is stored or not. News about the ticket (the
app has cancelled, the file was handed over, a newer connection came) are events too and may come at any time.
So all behaviour is one transition table, `_HANDLERS`, and tests need neither a clock nor I/O.

    OPENING      waiting for MsgUploadReq, then for the claim
    AGREEING     MsgUploadConf is sent, waiting for MsgAck
    RECEIVING    chunks come in, acknowledgements go out
    ARRIVED      all bytes are stored, waiting for the app to take the file
    CANCELLING   the app has cancelled: MsgCancel is sent, waiting for the client's MsgCancel
    REFUSED      MsgError is sent, waiting for the client's MsgCancel
    PAUSED       the client sent MsgPause and will close
    CLOSED       nothing more is sent

Clients of version 1 take each MsgError as final. They hang if the connection closes before MsgCancelAck
arrives. That is why REFUSED and CANCELLING wait five seconds, and why a retryable error closes the connection
without a message: the client then reconnects (docs/reference/protocol.md, "Errors in version 1").
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, Final

from incoming.core import errors
from incoming.core.news import CalledOff, Durable, HandedOver, Interrupted, NotHandedOver
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
    CompleteUpload,
    ConnectionOpened,
    Event,
    Failed,
    MalformedMessage,
    Phase,
    ReleaseTicket,
    Send,
    StartTimer,
    StoreChunk,
    Stored,
    TimedOut,
)
from incoming.protocol.flow_control import Limits
from incoming.protocol.messages import (
    MsgAck,
    MsgAgree,
    MsgCancel,
    MsgComplete,
    MsgError,
    MsgLeaveOut,
    MsgPause,
    MsgPing,
    MsgUploadReq,
)
from incoming.protocol.rules import (
    AGREEING_TIMEOUT_S,
    ANSWER_TIMEOUT_S,
    MAX_REASON_CHARS,
    OPENING_TIMEOUT_S,
    cancel_reason,
    close_code,
)
from incoming.wire import close_codes


class SessionV1:
    """One session in version 1. `handle` never waits, so it is never re-entered."""

    def __init__(self, limits: Limits) -> None:
        self.phase = Phase.OPENING
        self._limits = limits
        self.offset_bytes = 0
        self.length_bytes = 0
        self._acknowledged_bytes = 0
        self._unacknowledged: deque[int] = deque()
        """The sizes of the chunks that are stored and not acknowledged, in order."""
        self._arrived = False
        self._finished = False
        self._cancel_reply: Actions | None = None

    def handle(self, event: Event) -> Actions:
        """Returns the actions that follow from `event`, in order. Raises nothing."""
        if isinstance(event, TimedOut) and event.phase is not self.phase:
            return []  # the timer of an earlier phase
        handler = _HANDLERS[self.phase].get(type(event))
        return handler(self, event) if handler else []

    def _opened(self, _: ConnectionOpened) -> Actions:
        return [StartTimer(Phase.OPENING, OPENING_TIMEOUT_S)]

    def _requested(self, request: MsgUploadReq) -> Actions:
        return [ClaimTicket(request)]

    def _claimed(self, claim: Claimed) -> Actions:
        self.phase = Phase.AGREEING
        self.offset_bytes = self._acknowledged_bytes = claim.offset_bytes
        self.length_bytes = claim.length_bytes
        # News may arrive before the result of the claim.
        self._arrived |= claim.arrived
        self._finished |= claim.finished is not None
        limits = self._limits = self._limits.for_storage(claim.window_bytes).for_length(claim.length_bytes)
        chunk_size_kb = limits.chunk_size_bytes // 1024
        return [
            Send(messages.MsgUploadConf(chunk_size_kb, claim.offset_bytes, limits.send_ahead)),
            StartTimer(Phase.AGREEING, AGREEING_TIMEOUT_S),
        ]

    def _agreed(self, ack: MsgAck) -> Actions:
        if not ack.ack:
            return self._refuse(errors.BadMessage("MsgAck.Ack must be true."))
        if self._arrived:
            return self._await_result()
        if self.offset_bytes == self.length_bytes:
            self.phase = Phase.ARRIVED
            return [CompleteUpload()]
        self.phase = Phase.RECEIVING
        return []

    def _chunk(self, chunk: ChunkReceived) -> Actions:
        if chunk.size_bytes > self._limits.chunk_size_bytes:
            return self._refuse(errors.BadChunk(errors.CHUNK_TOO_LARGE))
        if chunk.size_bytes > self.length_bytes - self.offset_bytes:
            return self._refuse(errors.BadChunk("The chunk has bytes beyond the end of the file."))
        if chunk.size_bytes:
            return [StoreChunk(chunk.size_bytes)]
        self._unacknowledged.append(0)
        return self._acknowledge(self._acknowledged_bytes)

    def _stored(self, stored: Stored) -> Actions:
        self.offset_bytes += stored.size_bytes
        self._unacknowledged.append(stored.size_bytes)
        durable_bytes = stored.acknowledged_bytes
        acknowledgements = self._acknowledge(self.offset_bytes if durable_bytes is None else durable_bytes)
        if self.offset_bytes < self.length_bytes:
            return acknowledgements
        self.phase = Phase.ARRIVED
        return [*acknowledgements, CompleteUpload()]

    def _durable(self, durable: Durable) -> Actions:
        return self._acknowledge(durable.acknowledged_bytes)

    def _acknowledge(self, up_to_bytes: int) -> Actions:
        """Acknowledges the chunks that end there at the latest, each by a message of its own."""
        actions: Actions = []
        waiting = self._unacknowledged
        while waiting and self._acknowledged_bytes + waiting[0] <= up_to_bytes:
            size_bytes = waiting.popleft()
            self._acknowledged_bytes += size_bytes
            actions.append(Send(messages.MsgChunkAck(size_bytes)))
        return actions

    def _paused(self, pause: MsgPause) -> Actions:
        if not pause.pause:
            return []
        self.phase = Phase.PAUSED
        return [ReleaseTicket(), StartTimer(Phase.PAUSED, ANSWER_TIMEOUT_S)]

    def _cancel(self, cancel: MsgCancel) -> Actions:
        self._cancel_reply = [Send(messages.MsgCancelAck(True))]
        return [CancelUpload(cancel_reason(cancel))]

    def _aborted_by_client(self, error: MsgError) -> Actions:
        self._cancel_reply = []
        text = error.msg[:MAX_REASON_CHARS] or f"error {error.error_code}"
        return [CancelUpload(f"error in the page: {text}")]

    def _cancelled(self, _: CancelAccepted | Failed) -> Actions:
        return [*(self._cancel_reply or []), *self._close(close_codes.NORMAL)]

    def _acknowledge_cancel(self, _: MsgCancel) -> Actions:
        """The client answers MsgError or MsgCancel, or cancels before a claim: the ticket does not change."""
        return [Send(messages.MsgCancelAck(True)), *self._close(close_codes.NORMAL)]

    def _await_result(self, _: CancelTooLate | None = None) -> Actions:
        """The handover has begun: send its result if it is known, else wait for it."""
        self.phase = Phase.ARRIVED
        return self._handed_over() if self._finished else []

    def _keep_result(self, _: HandedOver) -> Actions:
        self._arrived = self._finished = True
        return []

    def _handed_over(self, _: HandedOver | None = None) -> Actions:
        return [Send(messages.MsgAllDone(True)), *self._close(close_codes.NORMAL)]

    def _cancelled_by_app(self, news: CalledOff | Failed) -> Actions:
        """Clients of version 1 understand MsgCancel only while they send chunks."""
        self.phase = Phase.CANCELLING
        return [
            ReleaseTicket(),
            Send(messages.MsgCancel(str(news.error))),
            StartTimer(Phase.CANCELLING, ANSWER_TIMEOUT_S),
        ]

    def _operation_failed(self, event: Failed) -> Actions:
        """A write or a cancellation may find that the app has cancelled before that news arrives here."""
        if not isinstance(event.error, errors.UploadCancelled | errors.UploadExpired):
            return self._failed(event)
        return self._cancelled_by_app(event) if self._cancel_reply is None else self._cancelled(event)

    def _answer_timed_out(self, _: TimedOut) -> Actions:
        return self._refuse(errors.UploadCancelled())

    def _failed(self, event: Failed | MalformedMessage | CalledOff | NotHandedOver) -> Actions:
        return self._refuse(event.error)

    def _interrupted(self, news: Interrupted | Failed) -> Actions:
        return self._close(close_code(news.error), str(news.error))

    def _unexpected(self, message: Any) -> Actions:
        what = "A chunk" if isinstance(message, ChunkReceived) else type(message).__name__
        return self._refuse(errors.BadMessage(f"{what} is not expected now."))

    def _refuse(self, error: errors.IncomingError) -> Actions:
        if error.retryable:
            return self._interrupted(Failed(error))
        self.phase = Phase.REFUSED
        return [
            ReleaseTicket(),
            Send(messages.MsgError(error.number, str(error))),
            StartTimer(Phase.REFUSED, ANSWER_TIMEOUT_S),
        ]

    def _timed_out(self, _: TimedOut) -> Actions:
        return self._close(close_codes.POLICY_VIOLATION, "no answer")

    def _close_timed_out(self, _: TimedOut) -> Actions:
        return self._close(close_codes.NORMAL)

    def _close(self, code: int, reason: str = "") -> Actions:
        self.phase = Phase.CLOSED
        return [CloseConnection(code, reason)]


_Handler = Callable[[SessionV1, Any], Actions]
_S = SessionV1

_DEFAULTS: Final[dict[type, _Handler]] = {
    **dict.fromkeys((MsgUploadReq, MsgAck, MsgPause, MsgCancel, MsgError, ChunkReceived), _S._unexpected),
    **dict.fromkeys((MsgAgree, MsgLeaveOut, MsgComplete, MsgPing), _S._unexpected),
    MalformedMessage: _S._failed,
    Failed: _S._failed,
    CalledOff: _S._failed,
    NotHandedOver: _S._failed,
    Interrupted: _S._interrupted,
}
_CLAIMED: Final[dict[type, _Handler]] = {
    **_DEFAULTS,
    MsgPause: _S._paused,
    MsgCancel: _S._cancel,
    MsgError: _S._aborted_by_client,
    CancelAccepted: _S._cancelled,
    CancelTooLate: _S._await_result,
    Failed: _S._operation_failed,
}
_HANDLERS: Final[dict[Phase, dict[type, _Handler]]] = {
    Phase.OPENING: {
        **_DEFAULTS,
        ConnectionOpened: _S._opened,
        MsgUploadReq: _S._requested,
        Claimed: _S._claimed,
        MsgCancel: _S._acknowledge_cancel,
        TimedOut: _S._timed_out,
        HandedOver: _S._keep_result,
    },
    Phase.AGREEING: {
        **_CLAIMED,
        MsgAck: _S._agreed,
        TimedOut: _S._timed_out,
        HandedOver: _S._keep_result,
    },
    Phase.RECEIVING: {
        **_CLAIMED,
        ChunkReceived: _S._chunk,
        Stored: _S._stored,
        Durable: _S._durable,
        CalledOff: _S._cancelled_by_app,
        HandedOver: _S._handed_over,
    },
    Phase.ARRIVED: {
        # The client's MsgCancel may cross the last acknowledgement: it gets the result instead.
        # A MsgAck may follow a MsgCancel that was sent before MsgUploadConf arrived.
        **{event: handler for event, handler in _DEFAULTS.items()
           if event not in (MsgAck, MsgPause, MsgCancel, MsgError)},
        ChunkReceived: _S._chunk,
        HandedOver: _S._handed_over,
    },
    Phase.CANCELLING: {
        MsgCancel: _S._acknowledge_cancel,
        CancelAccepted: _S._cancelled,
        TimedOut: _S._answer_timed_out,
        Interrupted: _S._interrupted,
    },
    Phase.REFUSED: {
        MsgCancel: _S._acknowledge_cancel,
        TimedOut: _S._timed_out,
        Interrupted: _S._interrupted,
    },
    Phase.PAUSED: {TimedOut: _S._close_timed_out, Interrupted: _S._interrupted},
    Phase.CLOSED: {},
}  # fmt: skip
