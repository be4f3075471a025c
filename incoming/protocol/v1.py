"""One conversation with one client, without a socket: `handle(event)` returns what is to be done.

The transport reads a message, tells the session, and carries out the actions that it gets back; the results
of some actions are events again (a claim is granted or refused, a chunk is stored or not). News about the
ticket (the app cancelled, the file was handed over, a newer connection came) arrive as events as well, at any
moment. So everything that can happen between a client and the server is one table, `_HANDLERS`, and is tested
without time or I/O.

    OPENING      waiting for MsgUploadReq, then for the claim
    AGREEING     MsgUploadConf is out, waiting for MsgAck
    RECEIVING    chunks come in, acknowledgements go out
    ARRIVED      all bytes are there; waiting for the app to take the file
    CANCELLING   the app cancelled: MsgCancel is out, waiting for the client's MsgCancel
    REFUSED      MsgError is out, waiting for the client's MsgCancel
    PAUSED       the client said MsgPause; its close will follow
    CLOSED       nothing is said any more

Existing clients take every MsgError as the end and hang when the socket closes before they have their
MsgCancelAck (CONTRACT 4). Hence REFUSED and CANCELLING, with their five seconds; and hence whatever can be
mended closes the connection without a message: the client comes back by itself.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from incoming.core import errors
from incoming.core.news import CalledOff, HandedOver, Interrupted, NotHandedOver
from incoming.protocol import messages
from incoming.protocol.events import (  # fmt: skip
    Actions,
    CancelDone,
    CancelTooLate,
    CancelUpload,
    ChunkReceived,
    Claimed,
    ClaimTicket,
    CloseConnection,
    CompleteUpload,
    Event,
    Failed,
    Opened,
    Phase,
    ReleaseTicket,
    Send,
    StartTimer,
    StoreChunk,
    Stored,
    TimeUp,
    Unreadable,
)
from incoming.protocol.flow_control import Limits
from incoming.protocol.messages import (
    MsgAck,
    MsgAgree,
    MsgCancel,
    MsgComplete,
    MsgError,
    MsgPause,
    MsgPing,
    MsgUploadReq,
)

ANSWER_TIMEOUT_S: Final = 5.0
"""How long a client may take to answer MsgError or MsgCancel (CONTRACT 4)."""
OPENING_TIMEOUT_S: Final = 15.0
"""How long a connection may stay without naming a ticket."""
AGREEING_TIMEOUT_S: Final = 60.0
"""How long a client may take to say MsgAck: it is one answer to one message."""
MAX_REASON_CHARS: Final = 1000

CLOSE_NORMAL: Final = 1000
CLOSE_POLICY: Final = 1008
CLOSE_SERVICE_RESTART: Final = 1012
CLOSE_TRY_AGAIN_LATER: Final = 1013
CLOSE_TAKEN_OVER: Final = 4001
"""RFC 6455 section 7.4.2 gives 4000-4999 to applications; 1012 and 1013 are in its registry."""


class Session:
    """One conversation, protocol version 1. `handle` never waits, so nothing re-enters it."""

    def __init__(self, limits: Limits) -> None:
        self.phase = Phase.OPENING
        self._limits = limits
        self.offset_bytes = 0
        self.length_bytes = 0
        self._arrived = False
        self._finished = False
        self._cancel_answer: Actions | None = None

    def handle(self, event: Event) -> Actions:
        """Returns what is to be done about `event`, in this order. Raises nothing."""
        if isinstance(event, TimeUp) and event.phase is not self.phase:
            return []  # the timer of an earlier phase
        handler = _HANDLERS[self.phase].get(type(event))
        return handler(self, event) if handler else []

    def _opened(self, _: Opened) -> Actions:
        return [StartTimer(Phase.OPENING, OPENING_TIMEOUT_S)]

    def _requested(self, request: MsgUploadReq) -> Actions:
        return [ClaimTicket(request)]

    def _claimed(self, claim: Claimed) -> Actions:
        self.phase = Phase.AGREEING
        self.offset_bytes, self.length_bytes = claim.offset_bytes, claim.length_bytes
        # News may have come before the claim's own answer.
        self._arrived |= claim.arrived
        self._finished |= claim.finished is not None
        limits = self._limits = self._limits.for_length(claim.length_bytes)
        chunk_size_kb = limits.chunk_size_bytes // 1024
        return [
            Send(messages.MsgUploadConf(chunk_size_kb, claim.offset_bytes, limits.send_ahead)),
            StartTimer(Phase.AGREEING, AGREEING_TIMEOUT_S),
        ]

    def _agreed(self, ack: MsgAck) -> Actions:
        if not ack.ack:
            return self._refuse(errors.BadMessage("MsgAck.Ack has to be true."))
        if self._arrived:
            return self._watch()
        if self.offset_bytes == self.length_bytes:
            self.phase = Phase.ARRIVED
            return [CompleteUpload()]
        self.phase = Phase.RECEIVING
        return []

    def _chunk(self, chunk: ChunkReceived) -> Actions:
        if chunk.size_bytes > self._limits.chunk_size_bytes:
            return self._refuse(errors.BadChunk("A chunk is larger than agreed."))
        if chunk.size_bytes > self.length_bytes - self.offset_bytes:
            return self._refuse(errors.BadChunk("There are more bytes than the file has."))
        return [StoreChunk(chunk.size_bytes)] if chunk.size_bytes else self._acknowledge(0)

    def _stored(self, stored: Stored) -> Actions:
        self.offset_bytes += stored.size_bytes
        if self.offset_bytes < self.length_bytes:
            return self._acknowledge(stored.size_bytes)
        self.phase = Phase.ARRIVED
        return [*self._acknowledge(stored.size_bytes), CompleteUpload()]

    def _acknowledge(self, size_bytes: int) -> Actions:
        return [Send(messages.MsgChunkAck(size_bytes))]

    def _paused(self, pause: MsgPause) -> Actions:
        if not pause.pause:
            return []
        self.phase = Phase.PAUSED
        return [ReleaseTicket(), StartTimer(Phase.PAUSED, ANSWER_TIMEOUT_S)]

    def _cancel(self, cancel: MsgCancel) -> Actions:
        self._cancel_answer = [Send(messages.MsgCancelAck(True))]
        return [CancelUpload(cancel.reason[:MAX_REASON_CHARS] or "cancelled by the user")]

    def _client_failed(self, error: MsgError) -> Actions:
        self._cancel_answer = []
        words = error.msg[:MAX_REASON_CHARS] or f"error {error.error_code}"
        return [CancelUpload(f"error in the page: {words}")]

    def _cancelled(self, _: CancelDone | Failed) -> Actions:
        return [*(self._cancel_answer or []), *self._close(CLOSE_NORMAL)]

    def _acknowledge_cancel(self, _: MsgCancel) -> Actions:
        """The client's answer to what we said, or a cancellation of nothing: the ticket is not touched."""
        return [Send(messages.MsgCancelAck(True)), *self._close(CLOSE_NORMAL)]

    def _watch(self, _: CancelTooLate | None = None) -> Actions:
        """The file has arrived, whoever says what: wait for the result, or tell it if it is known."""
        self.phase = Phase.ARRIVED
        return self._handed_over() if self._finished else []

    def _remember(self, _: HandedOver) -> Actions:
        self._arrived = self._finished = True
        return []

    def _handed_over(self, _: HandedOver | None = None) -> Actions:
        return [Send(messages.MsgAllDone(True)), *self._close(CLOSE_NORMAL)]

    def _called_off(self, news: CalledOff | Failed) -> Actions:
        """Existing clients understand MsgCancel only while they send (CONTRACT 4)."""
        self.phase = Phase.CANCELLING
        return [
            ReleaseTicket(),
            Send(messages.MsgCancel(str(news.error))),
            StartTimer(Phase.CANCELLING, ANSWER_TIMEOUT_S),
        ]

    def _not_done(self, event: Failed) -> Actions:
        """A chunk or a cancellation can come upon the app's cancellation before the news of it comes here."""
        if not isinstance(event.error, errors.UploadCancelled | errors.UploadExpired):
            return self._failed(event)
        return self._called_off(event) if self._cancel_answer is None else self._cancelled(event)

    def _not_answered(self, _: TimeUp) -> Actions:
        return self._refuse(errors.UploadCancelled())

    def _failed(self, event: Failed | Unreadable | CalledOff | NotHandedOver) -> Actions:
        return self._refuse(event.error)

    def _interrupted(self, news: Interrupted | Failed) -> Actions:
        code = CLOSE_CODES.get(type(news.error), CLOSE_TRY_AGAIN_LATER)
        return self._close(code, str(news.error))

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

    def _silent(self, _: TimeUp) -> Actions:
        return self._close(CLOSE_POLICY, "no answer")

    def _did_not_leave(self, _: TimeUp) -> Actions:
        return self._close(CLOSE_NORMAL)

    def _close(self, code: int, reason: str = "") -> Actions:
        self.phase = Phase.CLOSED
        return [CloseConnection(code, reason)]


CLOSE_CODES: Final[dict[type[errors.IncomingError], int]] = {
    errors.TakenOver: CLOSE_TAKEN_OVER,
    errors.Stopping: CLOSE_SERVICE_RESTART,
}

_Handler = Callable[[Session, Any], Actions]
_S = Session

_BEFORE_THE_END: Final[dict[type, _Handler]] = {
    **dict.fromkeys((MsgUploadReq, MsgAck, MsgPause, MsgCancel, MsgError, ChunkReceived), _S._unexpected),
    **dict.fromkeys((MsgAgree, MsgComplete, MsgPing), _S._unexpected),
    Unreadable: _S._failed,
    Failed: _S._failed,
    CalledOff: _S._failed,
    NotHandedOver: _S._failed,
    Interrupted: _S._interrupted,
}
_AFTER_THE_CLAIM: Final[dict[type, _Handler]] = {
    **_BEFORE_THE_END,
    MsgPause: _S._paused,
    MsgCancel: _S._cancel,
    MsgError: _S._client_failed,
    CancelDone: _S._cancelled,
    CancelTooLate: _S._watch,
    Failed: _S._not_done,
}
_HANDLERS: Final[dict[Phase, dict[type, _Handler]]] = {
    Phase.OPENING: {
        **_BEFORE_THE_END,
        Opened: _S._opened,
        MsgUploadReq: _S._requested,
        Claimed: _S._claimed,
        MsgCancel: _S._acknowledge_cancel,
        TimeUp: _S._silent,
        HandedOver: _S._remember,
    },
    Phase.AGREEING: {
        **_AFTER_THE_CLAIM,
        MsgAck: _S._agreed,
        TimeUp: _S._silent,
        HandedOver: _S._remember,
    },
    Phase.RECEIVING: {
        **_AFTER_THE_CLAIM,
        ChunkReceived: _S._chunk,
        Stored: _S._stored,
        CalledOff: _S._called_off,
        HandedOver: _S._handed_over,
    },
    Phase.ARRIVED: {
        # Their MsgCancel can cross the last acknowledgement: they get the result instead (CONTRACT 4).
        # A MsgAck is due when they cancelled before they had our MsgUploadConf.
        **{event: handler for event, handler in _BEFORE_THE_END.items()
           if event not in (MsgAck, MsgPause, MsgCancel, MsgError)},
        ChunkReceived: _S._chunk,
        HandedOver: _S._handed_over,
    },
    Phase.CANCELLING: {
        MsgCancel: _S._acknowledge_cancel,
        CancelDone: _S._cancelled,
        TimeUp: _S._not_answered,
        Interrupted: _S._interrupted,
    },
    Phase.REFUSED: {
        MsgCancel: _S._acknowledge_cancel,
        TimeUp: _S._silent,
        Interrupted: _S._interrupted,
    },
    Phase.PAUSED: {TimeUp: _S._did_not_leave, Interrupted: _S._interrupted},
    Phase.CLOSED: {},
}  # fmt: skip
