"""The same conversation in protocol version 2 (docs/protocol.md), as a table too.

    OPENING      waiting for the claim
    AGREEING     MsgUploadConf is out, waiting for the client to prove that it has the same file
    RECEIVING    chunks come in, acknowledgements go out
    COMPLETING   all bytes are there; the whole file is compared and made durable
    ARRIVED      waiting for the app to take the file
    CLOSED       nothing is said any more

Clients of version 2 are told what happened, whether it can be mended or not, so there are no phases for last
words: a MsgError, with its `retryable`, and then a close.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from incoming.core import errors
from incoming.core.news import CalledOff, HandedOver, Interrupted, NotHandedOver, WaitingForApp
from incoming.protocol import messages
from incoming.protocol.events import (
    Actions,
    CancelDone,
    CancelTooLate,
    CancelUpload,
    CheckSame,
    ChunkReceived,
    Claimed,
    ClaimTicket,
    CloseConnection,
    Completed,
    CompleteUpload,
    Event,
    Failed,
    Phase,
    ReleaseTicket,
    Same,
    Send,
    StartTimer,
    StoreChunk,
    Stored,
    TimeUp,
    Unreadable,
)
from incoming.protocol.flow_control import Limits
from incoming.protocol.messages import MsgAgree, MsgCancel, MsgComplete, MsgPing, MsgUploadReq
from incoming.protocol.v1 import (
    AGREEING_TIMEOUT_S,
    CLOSE_CODES,
    CLOSE_NORMAL,
    CLOSE_POLICY,
    CLOSE_TRY_AGAIN_LATER,
    MAX_REASON_CHARS,
)

VERSION: Final = 2
PROVEN_BYTES_PER_S: Final = 512 * 1024
"""How fast a client has to read its file at least, to prove that it is the same."""
MAX_DAMAGED: Final = 8
"""So many damaged chunks in a row end the connection: another one may take another way."""
BEING_TOLD: Final = "the app is being told"
RETRY_AFTER_S: Final = 2.0
"""When the clients of a stopping server are asked to come back, each after another time."""


class SessionV2:
    """One conversation, protocol version 2. `handle` never waits, so nothing re-enters it."""

    def __init__(self, limits: Limits) -> None:
        self.phase = Phase.OPENING
        self.offset_bytes = 0
        self.length_bytes = 0
        self._limits = limits
        self._room = limits.first_room()
        self._claim = Claimed(0, 0)
        self._finished: HandedOver | None = None
        self._round = 0
        self._damaged = 0

    def handle(self, event: Event) -> Actions:
        """Returns what is to be done about `event`, in this order. Raises nothing."""
        handler = _HANDLERS[self.phase].get(type(event))
        return handler(self, event) if handler else []

    # --- the beginning -----------------------------------------------------------------------------

    def _requested(self, request: MsgUploadReq) -> Actions:
        return [ClaimTicket(request)]

    def _claimed(self, claim: Claimed) -> Actions:
        self.phase = Phase.AGREEING
        self._claim = claim
        self._finished = self._finished or claim.finished
        self.offset_bytes, self.length_bytes = claim.offset_bytes, claim.length_bytes
        self._limits = limits = self._limits.within(claim.max_bytes_per_s)
        self._room = limits.first_room()
        proof_s = AGREEING_TIMEOUT_S + sum(end - start for start, end in claim.compare) / PROVEN_BYTES_PER_S
        return [
            Send(
                messages.MsgUploadConf2(
                    version=VERSION,
                    offset=claim.offset_bytes,
                    max_chunk_bytes=self._room.chunk_bytes,
                    max_window_bytes=self._room.window_bytes,
                    silence_s=limits.silence_s,
                    idle_silence_s=limits.idle_silence_s,
                    compare=claim.compare,
                    arrived=claim.arrived,
                    file_last_modified_ms=claim.meant.last_modified_ms,
                    file_name=claim.meant.name,
                )
            ),
            StartTimer(Phase.AGREEING, proof_s),
        ]

    def _agreed(self, agree: MsgAgree) -> Actions:
        if len(agree.crc32c) != len(self._claim.compare):
            return self._fail(errors.BadMessage("MsgAgree.Crc32c has to have a checksum for each range."))
        if self._claim.compare:
            return [CheckSame(agree.crc32c)]
        return self._same()

    def _same(self, _: Same | None = None) -> Actions:
        if self._claim.arrived or self._finished:
            return self._watch()
        self.phase = Phase.RECEIVING
        return []

    # --- chunks --------------------------------------------------------------------------------------

    def _chunk(self, chunk: ChunkReceived) -> Actions:
        if chunk.size_bytes > self._limits.max_chunk_bytes:  # what it was told is advice: it changes
            return self._fail(errors.BadChunk("A chunk is larger than agreed."))
        if chunk.round != self._round:
            return []  # it was on its way when we asked for it again
        if not chunk.sound or chunk.offset_bytes > self.offset_bytes:
            return self._ask_again()
        if chunk.offset_bytes < self.offset_bytes:
            return self._stored_up_to_here()  # once more: the acknowledgement was lost, not the chunk
        if chunk.size_bytes > self.length_bytes - self.offset_bytes:
            return self._fail(errors.BadChunk("There are more bytes than the file has."))
        self._damaged = 0
        return [StoreChunk(chunk.size_bytes)]

    def _ask_again(self) -> Actions:
        """A chunk is damaged, or is not the one that is expected, which is the same: its header may be."""
        self._damaged += 1
        if self._damaged >= MAX_DAMAGED:
            return self._fail(errors.Damaged())
        self._round += 1
        return [Send(messages.MsgResend(self.offset_bytes, self._round))]

    def _stored(self, stored: Stored) -> Actions:
        self.offset_bytes += stored.size_bytes
        self._room = self._limits.room(stored.arriving, stored.is_busy)
        return self._stored_up_to_here()

    def _stored_up_to_here(self, _: ChunkReceived | None = None) -> Actions:
        room = self._room
        return [Send(messages.MsgStored(self.offset_bytes, room.chunk_bytes, room.window_bytes))]

    # --- the end -------------------------------------------------------------------------------------

    def _complete(self, complete: MsgComplete) -> Actions:
        if complete.round < self._round:
            return []  # said before it has heard that a chunk was damaged
        if self.offset_bytes < self.length_bytes:
            return self._ask_again()
        self.phase = Phase.COMPLETING
        return [CompleteUpload(complete.crc32c)]

    def _watch(self, _: Completed | CancelTooLate | MsgCancel | None = None) -> Actions:
        """The file has arrived, whoever says what: wait for the result, or tell it if it is known."""
        self.phase = Phase.ARRIVED
        if self._finished:
            return self._handed_over(self._finished)
        return [_news(messages.NEWS_HANDING_OVER, BEING_TOLD)]

    def _too_late(self, _: MsgCancel | MsgComplete) -> Actions:
        return []

    def _remember(self, result: HandedOver) -> Actions:
        self._finished = result
        return []

    def _handed_over(self, result: HandedOver) -> Actions:
        return [Send(messages.MsgAllDone2(True, result.crc32c)), *self._close(CLOSE_NORMAL)]

    def _waiting(self, waiting: WaitingForApp) -> Actions:
        return [_news(messages.NEWS_WAITING_FOR_APP, waiting.why)]

    # --- whatever else -------------------------------------------------------------------------------

    def _pinged(self, _: MsgPing) -> Actions:
        return [Send(messages.MsgPong())]

    def _cancel(self, cancel: MsgCancel) -> Actions:
        return [CancelUpload(cancel.reason[:MAX_REASON_CHARS] or "cancelled by the user")]

    def _cancelled(self, _: CancelDone | MsgCancel) -> Actions:
        return [Send(messages.MsgCancelAck(True)), *self._close(CLOSE_NORMAL)]

    def _failed(self, event: Failed | CalledOff | NotHandedOver) -> Actions:
        return self._fail(event.error)

    def _interrupted(self, news: Interrupted) -> Actions:
        if isinstance(news.error, errors.Stopping):
            stopping = _news(messages.NEWS_STOPPING, str(news.error), RETRY_AFTER_S)
            return [stopping, *self._close(CLOSE_CODES[errors.Stopping], str(news.error))]
        return self._fail(news.error)

    def _unreadable(self, _: Unreadable) -> Actions:
        return self._fail(errors.Damaged())  # nobody sends such a thing: it has become one on its way

    def _unexpected(self, message: Any) -> Actions:
        what = "A chunk" if isinstance(message, ChunkReceived) else type(message).__name__
        return self._fail(errors.BadMessage(f"{what} is not expected now."))

    def _fail(self, error: errors.IncomingError) -> Actions:
        meant = error.meant or errors.FileMeant("", 0, 0)
        told = messages.MsgError2(
            error_code=error.number,
            code=error.code,
            msg=str(error),
            retryable=error.retryable,
            file_length_bytes=meant.length_bytes,
            file_last_modified_ms=meant.last_modified_ms,
            file_name=meant.name,
        )
        code = CLOSE_CODES.get(type(error), CLOSE_TRY_AGAIN_LATER if error.retryable else CLOSE_NORMAL)
        return [ReleaseTicket(), Send(told), *self._close(code, str(error) if error.retryable else "")]

    def _silent(self, time_up: TimeUp) -> Actions:
        return self._close(CLOSE_POLICY, "no answer") if time_up.phase is self.phase else []

    def _close(self, code: int, reason: str = "") -> Actions:
        self.phase = Phase.CLOSED
        return [CloseConnection(code, reason)]


def _news(word: str, why: str, retry_after_s: float = 0.0) -> Send:
    return Send(messages.MsgNews(word, retry_after_s, why))


_Handler = Callable[[SessionV2, Any], Actions]
_S = SessionV2

_ALWAYS: Final[dict[type, _Handler]] = {
    **dict.fromkeys((MsgUploadReq, messages.MsgAck, messages.MsgPause, messages.MsgError), _S._unexpected),
    **dict.fromkeys((MsgAgree, MsgComplete, ChunkReceived), _S._unexpected),
    MsgPing: _S._pinged,
    Unreadable: _S._unreadable,
    Failed: _S._failed,
    CalledOff: _S._failed,
    NotHandedOver: _S._failed,
    Interrupted: _S._interrupted,
}
_CANCELLABLE: Final[dict[type, _Handler]] = {
    MsgCancel: _S._cancel,
    CancelDone: _S._cancelled,
    CancelTooLate: _S._watch,
}
_HANDLERS: Final[dict[Phase, dict[type, _Handler]]] = {
    Phase.OPENING: {
        **_ALWAYS,
        MsgUploadReq: _S._requested,
        Claimed: _S._claimed,
        HandedOver: _S._remember,
    },
    Phase.AGREEING: {
        **_ALWAYS,
        **_CANCELLABLE,
        MsgAgree: _S._agreed,
        TimeUp: _S._silent,
        Same: _S._same,
        HandedOver: _S._remember,
    },
    Phase.RECEIVING: {
        **_ALWAYS,
        **_CANCELLABLE,
        ChunkReceived: _S._chunk,
        Stored: _S._stored,
        MsgComplete: _S._complete,
        HandedOver: _S._handed_over,
    },
    Phase.COMPLETING: {
        **_ALWAYS,
        MsgCancel: _S._too_late,
        ChunkReceived: _S._stored_up_to_here,
        MsgComplete: _S._too_late,
        Completed: _S._watch,
        HandedOver: _S._remember,
    },
    Phase.ARRIVED: {
        **_ALWAYS,
        MsgCancel: _S._watch,  # too late
        ChunkReceived: _S._stored_up_to_here,
        MsgComplete: _S._too_late,
        WaitingForApp: _S._waiting,
        HandedOver: _S._handed_over,
    },
    Phase.CLOSED: {},
}
