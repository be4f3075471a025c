"""One upload, from the client's side, over as many connections as it takes: events in, actions out.

    DIALING -> ASKING -> PROVING -> SENDING -> COMPLETING -> ARRIVED -> (CHECKING ->) ENDED
       ^          |         |          |            |           |
    WAITING <-----+---------+----------+------------+-----------+      whatever passes by itself

What the file has to be read for is not pushed but pulled: whoever has room for more asks for `work`, and
tells when it is done. Clauses are those of docs/protocol.md, version 2.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from incoming.client.protocol import events, outcomes, server_messages
from incoming.client.protocol.backoff import Retries
from incoming.client.protocol.events import (
    CONNECTED,
    Actions,
    Event,
    HangUp,
    Outcome,
    ReadPiece,
    Say,
    Stage,
    Work,
)
from incoming.client.protocol.resume_proof import Proof
from incoming.client.protocol.timeouts import Patience
from incoming.client.protocol.transfer import Transfer
from incoming.protocol import messages
from incoming.protocol.messages import MsgAgree, MsgCancel, MsgComplete, MsgPing, MsgUploadReq

VERSION: Final = 2
CANCEL_REASON: Final = "cancelled by the user"
READ_BYTES: Final = 4 * 1024 * 1024
"""So much is read at once for a checksum; then the connection has its turn."""
CLOSE_TAKEN_OVER: Final = 4001
LOST: Final = "The connection was lost."


class Session:
    """The upload of a file with a ticket. `handle` and `work` never wait, and raise nothing."""

    def __init__(
        self,
        ticket: str,
        file: events.File,
        options: events.Options,
        chance: Callable[[], float],
        now_s: float,
    ) -> None:
        """`chance` returns random numbers from 0 to 1; `now_s` is this moment, by a clock of the caller's."""
        self.stage = Stage.DIALING
        self.outcome: Outcome | None = None
        self.transfer = Transfer(file.length_bytes, options.max_bytes_per_s)
        self.retry_at_s = now_s
        self.note = ""
        self.resumed = 0
        self.app_is_silent, self.app_trouble = False, ""
        self._ticket, self._file, self._options = ticket, file, options
        self._retries, self._patience = Retries(chance), Patience(options.give_up_after_s, now_s)
        self._proof = Proof(())
        self._cancelling = self._was_confirmed = False
        self._retry_after_s, self._completed_s = 0.0, now_s
        self._app_has: int | None = None

    def handle(self, event: Event, now_s: float) -> Actions:
        """Returns what is to be done about `event`, in this order."""
        if self.stage in CONNECTED:
            if type(event) in _FROM_SERVER:
                self._patience.hear(now_s)
        elif type(event) in _NEEDS_CONNECTION:
            return []
        handler = None if self.stage is Stage.ENDED else _HANDLERS.get(type(event))
        return handler(self, event, now_s) if handler else []

    def work(self, now_s: float, room: bool = True) -> Work | None:
        """Returns what the file is to be read for next, if anything; chunks only where there is `room`."""
        if self.stage is Stage.PROVING:
            due = self._proof.due(READ_BYTES)
            return ReadPiece(due) if due else None
        if room and self.stage is Stage.SENDING and (chunk := self.transfer.next_chunk(now_s)):
            return chunk
        if self.stage in (Stage.SENDING, Stage.ARRIVED, Stage.CHECKING):
            gap = self.transfer.prefix.gap(READ_BYTES)
            return ReadPiece(gap) if gap else None
        return None

    # --- the beginning of a connection ---------------------------------------------------------------

    def _opened(self, _: events.ConnectionOpened, now_s: float) -> Actions:
        if self.stage is not Stage.DIALING:
            return []
        self.stage = Stage.ASKING
        self._patience.begin(now_s)
        file = self._file
        return [Say(MsgUploadReq(self._ticket, file.length_bytes, file.name, VERSION, file.last_modified_ms))]

    def _confirmed(self, conf: messages.MsgUploadConfV2, now_s: float) -> Actions:
        if self.stage is not Stage.ASKING or not server_messages.is_valid(conf, self._file.length_bytes):
            return self._doubt(outcomes.NO_SENSE, now_s)
        if self._was_confirmed or conf.offset:
            self.resumed += 1
        if conf.offset > self.transfer.stored_bytes:
            self._progress(now_s)
        self._was_confirmed = True
        self.note, self.app_is_silent = "", False
        self._patience.agree(conf.silence_s, conf.idle_silence_s)
        self.transfer.begin(conf.offset, conf.max_chunk_bytes, conf.max_window_bytes)
        if conf.arrived:
            self.stage = Stage.ARRIVED
            return [Say(MsgAgree(()))]
        if self._cancelling:
            self.stage = Stage.CANCELLING
            return [Say(MsgCancel(CANCEL_REASON))]
        self.stage, self._proof = Stage.PROVING, Proof(conf.compare)
        return self._agree(now_s)

    def _other_version(self, _: server_messages.OtherVersion, __: float) -> Actions:
        return self._end(outcomes.TOO_OLD)

    def _agree(self, now_s: float) -> Actions:
        """Says what the server has asked for once all of it is read."""
        if self._proof.due(1):
            return []
        self.stage = Stage.SENDING
        return [Say(MsgAgree(tuple(self._proof.found))), *self._complete(now_s)]

    # --- bytes -----------------------------------------------------------------------------------------

    def _read(self, done: events.PieceRead, now_s: float) -> Actions:
        self._patience.progress(now_s)
        self.transfer.prefix.fill(done.piece)
        if self.stage is Stage.PROVING:
            self._proof.read(done.piece)
            return self._agree(now_s)
        return self._check() if self.stage is Stage.CHECKING else self._complete(now_s)

    def _sent(self, sent: events.ChunkSent, now_s: float) -> Actions:
        self.transfer.sent(sent.piece, now_s)
        return self._complete(now_s)

    def _stored(self, stored: messages.MsgStored, now_s: float) -> Actions:
        before_bytes = self.transfer.stored_bytes
        if not self.transfer.stored(stored.offset, now_s):
            return self._lose(LOST, now_s)
        self.transfer.allow(stored.max_chunk_bytes, stored.max_window_bytes, now_s)
        if self.transfer.stored_bytes > before_bytes:
            self._progress(now_s)
        return []

    def _resend(self, resend: messages.MsgResend, now_s: float) -> Actions:
        if self.stage not in (Stage.SENDING, Stage.COMPLETING):
            return []
        if not self.transfer.go_back(resend.offset, resend.round, now_s):
            return self._lose(LOST, now_s)
        self.stage = Stage.SENDING
        return self._complete(now_s)

    def _complete(self, now_s: float) -> Actions:
        """Says that it was all, as soon as the checksum of the whole is known."""
        crc32c = self.transfer.crc32c() if self.stage in (Stage.SENDING, Stage.COMPLETING) else None
        if crc32c is None:
            return []
        self.stage, self._completed_s = Stage.COMPLETING, now_s
        return [Say(MsgComplete(crc32c, self.transfer.round))]

    # --- the end -----------------------------------------------------------------------------------------

    def _news(self, news: messages.MsgNews, now_s: float) -> Actions:
        if news.news == messages.NEWS_STOPPING:
            self._retry_after_s = news.retry_after_s
        if news.news not in (messages.NEWS_HANDING_OVER, messages.NEWS_WAITING_FOR_APP):
            return []
        if self._cancelling:
            return self._end(outcomes.STOPPED_LATE)
        if self.stage in (Stage.COMPLETING, Stage.ARRIVED):
            if self.stage is Stage.COMPLETING:
                self._progress(now_s)
            self.stage = Stage.ARRIVED
            self.transfer.arrived(now_s)
            self._patience.be_idle()
            self.app_is_silent = news.news == messages.NEWS_WAITING_FOR_APP
            self.app_trouble = news.why
        return []

    def _all_done(self, done: messages.MsgAllDoneV2, now_s: float) -> Actions:
        """The app has a file; whoever deletes ours after that wants to be sure that it is the same."""
        if not done.success:
            return self._end(outcomes.NOT_TAKEN)
        self.transfer.arrived(now_s)
        if not done.crc32c and self._file.length_bytes:  # not known any more
            return self._end(outcomes.finished(None))
        self.stage, self._app_has = Stage.CHECKING, done.crc32c
        return [HangUp(), *self._check()]

    def _check(self) -> Actions:
        crc32c = self.transfer.crc32c()
        if crc32c is None:
            return []
        same = crc32c == self._app_has
        return self._end(outcomes.finished(crc32c) if same else outcomes.OTHER_CONTENT)

    def _cancelled(self, _: messages.MsgCancelAck, now_s: float) -> Actions:
        if self.stage is Stage.CANCELLING:
            return self._end(outcomes.CANCELLED_HERE)
        return self._lose(LOST, now_s)

    def _refused(self, error: messages.MsgErrorV2, now_s: float) -> Actions:
        if error.retryable:
            delay_s = self._retries.delay_after_takeover_s() if error.code == "taken_over" else None
            return self._lose(error.msg, now_s, delay_s)
        if self._cancelling and error.error_code == outcomes.CANCELLED_NUMBER:
            return self._end(outcomes.CANCELLED_HERE)
        was_known = error.error_code == outcomes.UNKNOWN_TICKET_NUMBER and self._was_confirmed
        if was_known or error.error_code in outcomes.NOT_UNDERSTOOD_NUMBERS:
            return self._doubt(outcomes.refused(error), now_s)
        return self._end(outcomes.refused(error))

    def _stop(self, stop: events.Stop, now_s: float) -> Actions:
        late = self.stage in (Stage.ARRIVED, Stage.CHECKING)
        if not stop.cancel or self._cancelling or late:
            return self._end(outcomes.STOPPED_LATE if late else outcomes.STOPPED)
        self._cancelling = True
        if self.stage is Stage.WAITING:
            self.retry_at_s = now_s
        if self.stage not in (Stage.PROVING, Stage.SENDING, Stage.COMPLETING):
            return []  # it is said as soon as there is a connection
        self.stage = Stage.CANCELLING
        return [Say(MsgCancel(CANCEL_REASON))]

    # --- what goes wrong -----------------------------------------------------------------------------------

    def _closed(self, closed: events.Closed, now_s: float) -> Actions:
        if self._retry_after_s:
            delay_s: float | None = self._retries.delay_after_stop_s(self._retry_after_s)
        else:
            taken_over = closed.code == CLOSE_TAKEN_OVER
            delay_s = self._retries.delay_after_takeover_s() if taken_over else None
        return self._lose(closed.reason or LOST, now_s, delay_s)

    def _unreachable(self, trouble: events.Unreachable, now_s: float) -> Actions:
        if trouble.lasting and not self._was_confirmed:
            return self._end(Outcome(events.Ending.FAILED, trouble.why, resumable=True))
        return self._lose(trouble.why, now_s, self._retries.delay_s(trouble.retry_after_s))

    def _spoiled(self, trouble: events.FileSpoiled, _: float) -> Actions:
        return self._end(Outcome(events.Ending.FAILED, trouble.why))

    def _unreadable(self, trouble: events.FileUnreadable, now_s: float) -> Actions:
        return self._doubt(Outcome(events.Ending.FAILED, trouble.why, resumable=True), now_s)

    def _ticked(self, _: events.Tick, now_s: float) -> Actions:
        if self._patience.has_ended(now_s):
            return self._end(outcomes.gave_up(self._options.give_up_after_s, self.note))
        if self.stage is Stage.WAITING and now_s >= self.retry_at_s:
            self.stage = Stage.DIALING
        return self._watch(now_s) if self.stage in CONNECTED else []

    def _watch(self, now_s: float) -> Actions:
        if self._patience.is_dead(now_s, self.transfer.waiting_since_s):
            return self._lose("The connection has died.", now_s)
        if self.stage is Stage.COMPLETING and now_s - self._completed_s >= self._patience.silence_s:
            return self._complete(now_s)  # the word may have been spoilt on its way
        if self.stage is not Stage.ASKING and self._patience.wants_ping(now_s):
            return [Say(MsgPing())]
        return []

    def _doubt(self, outcome: Outcome, now_s: float) -> Actions:
        return self._end(outcome) if self._retries.doubted_enough() else self._lose(outcome.text, now_s)

    def _lose(self, note: str, now_s: float, delay_s: float | None = None) -> Actions:
        """The connection is of no use any more; the upload is."""
        self.stage, self.note, self._retry_after_s = Stage.WAITING, note, 0.0
        self.retry_at_s = now_s + (self._retries.delay_s() if delay_s is None else delay_s)
        self.transfer.waiting_since_s = None
        return [HangUp()]

    def _progress(self, now_s: float) -> None:
        self._patience.progress(now_s)
        self._retries.progressed()

    def _end(self, outcome: Outcome) -> Actions:
        self.stage, self.outcome = Stage.ENDED, outcome
        return [HangUp()]


_Handler = Callable[[Session, Any, float], Actions]
_S = Session

_MESSAGES: Final[dict[type, _Handler]] = {
    messages.MsgUploadConfV2: _S._confirmed,
    server_messages.OtherVersion: _S._other_version,
    messages.MsgStored: _S._stored,
    messages.MsgResend: _S._resend,
    messages.MsgNews: _S._news,
    messages.MsgAllDoneV2: _S._all_done,
    messages.MsgCancelAck: _S._cancelled,
    messages.MsgErrorV2: _S._refused,
}
_HANDLERS: Final[dict[type, _Handler]] = {
    **_MESSAGES,
    events.ConnectionOpened: _S._opened,
    events.Closed: _S._closed,
    events.Unreachable: _S._unreachable,
    events.ChunkSent: _S._sent,
    events.PieceRead: _S._read,
    events.FileSpoiled: _S._spoiled,
    events.FileUnreadable: _S._unreadable,
    events.Tick: _S._ticked,
    events.Stop: _S._stop,
}
_FROM_SERVER: Final = frozenset({*_MESSAGES, messages.MsgPong, events.Heard})
_NEEDS_CONNECTION: Final = _FROM_SERVER | {events.Closed, events.ChunkSent}
