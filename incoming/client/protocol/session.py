"""The client's session: one upload over as many connections as it takes. Events in, actions out.

    CONNECTING -> REQUESTING -> PROVING -> SENDING -> COMPLETING -> AWAITING_APP -> (VERIFYING ->) ENDED
       ^              |            |          |           |              |
    BACKING_OFF <-----+------------+----------+-----------+--------------+      on retryable errors

The session does not push reads of the file. The driver asks for `work` when it has room for more, and reports
when it is done. docs/reference/protocol.md describes version 2, which this session speaks.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final

from incoming.client.protocol import events, outcomes, server_messages
from incoming.client.protocol.backoff import Backoff
from incoming.client.protocol.events import (
    CONNECTED,
    Actions,
    CloseConnection,
    Event,
    Outcome,
    ReadAsZeros,
    ReadSegment,
    SendMessage,
    Stage,
    Work,
)
from incoming.client.protocol.resume_proof import ResumeProof
from incoming.client.protocol.timeouts import Timeouts
from incoming.client.protocol.transfer import Transfer
from incoming.core import errors
from incoming.core.resume_check import Ranges
from incoming.core.ticket import FOLDER
from incoming.protocol import messages
from incoming.protocol.messages import (
    MsgAgree,
    MsgCancel,
    MsgComplete,
    MsgLeaveOut,
    MsgPing,
    MsgUploadReq,
)
from incoming.protocol.v2 import VERSION
from incoming.wire import close_codes

CANCEL_REASON: Final = "cancelled by the user"
READ_BYTES: Final = 4 * 1024 * 1024
"""How much is read at a time for a checksum, before the connection is served again."""
CONNECTION_LOST: Final = "The connection was lost."
_ONLY_COMPARES: Final = (Stage.CONNECTING, Stage.AWAITING_APP, Stage.VERIFYING)
"""The stages in which the file of an upload that has arrived is needed for its checksum only, if at all."""


@dataclass(frozen=True, slots=True)
class LeavingOut:
    """An entry of the folder that is about to be left out, for the reason `why`."""

    entry: int
    why: str
    end_bytes: int
    is_asked_for: bool = False


class Session:
    """The upload of one file with a ticket. `handle` and `work` never wait and raise nothing."""

    def __init__(
        self,
        ticket: str,
        file: events.File,
        options: events.Options,
        random_unit: Callable[[], float],
        now_s: float,
    ) -> None:
        """`random_unit` returns random numbers from 0 to 1; `now_s` is the time by the caller's clock."""
        self.stage = Stage.CONNECTING
        self.outcome: Outcome | None = None
        self.transfer = Transfer(file.length_bytes, options.max_bytes_per_s, file.manifest)
        self.left_out: frozenset[int] = frozenset()
        """The entries of the folder that are left out."""
        self.retry_at_s = now_s
        self.note = ""
        self.resumed = 0
        self.app_is_silent, self.app_problem = False, ""
        self._ticket, self._file, self._options = ticket, file, options
        self._backoff, self._timeouts = Backoff(random_unit), Timeouts(options.give_up_after_s, now_s)
        self._compare: Ranges = ()
        self._proof = ResumeProof(())
        self._cancelling = self._was_confirmed = False
        self._retry_after_s, self._concluded_s = 0.0, now_s
        self._app_crc32c: int | None = None
        self._leaving: LeavingOut | None = None
        self._has_arrived = False
        """Whether the server has all of it. Then nothing that happens here changes what the app gets."""
        self._assumed_left_out: frozenset[int] = frozenset()
        """The entries that can't be read here once all has arrived. They may have been left out."""
        self._not_compared = ""
        """Why what has arrived can't be compared, in a sentence; empty as long as it can."""

    def handle(self, event: Event, now_s: float) -> Actions:
        """Returns the actions that follow from `event`, in order."""
        if self.stage in CONNECTED:
            if type(event) is messages.MsgPong and not self._timeouts.awaits_pong:
                self.transfer.still_at_work(now_s)
            if type(event) in _FROM_SERVER:
                self._timeouts.received(now_s)
        elif type(event) in _NEEDS_CONNECTION:
            return []
        handler = None if self.stage is Stage.ENDED else _HANDLERS.get(type(event))
        return handler(self, event, now_s) if handler else []

    def work(self, now_s: float, room: bool = True) -> Work | None:
        """Returns the next read of the file, if any. Chunks are sent only if there is `room` in the queue."""
        if room and self.stage is Stage.SENDING and (chunk := self.transfer.next_chunk(now_s)):
            return chunk
        if self._leaving:
            return None
        if self.stage is Stage.PROVING:
            segment = self._proof.next_segment(READ_BYTES)
            return ReadSegment(segment) if segment else None
        if self.stage in (Stage.SENDING, Stage.AWAITING_APP, Stage.VERIFYING) and self._can_compare:
            gap = self.transfer.prefix.gap(READ_BYTES)
            return ReadSegment(gap) if gap else None
        return None

    def patience_s(self, now_s: float) -> float:
        """Returns how long the upload may be without progress from now on; infinite if there is no limit."""
        return self._timeouts.left_s(now_s)

    # --- request and resume check ---------------------------------------------------------------------

    def _connection_opened(self, _: events.ConnectionOpened, now_s: float) -> Actions:
        if self.stage is not Stage.CONNECTING:
            return []
        self.stage = Stage.REQUESTING
        self._timeouts.connected(now_s)
        file = self._file
        return [
            SendMessage(
                MsgUploadReq(self._ticket, file.length_bytes, file.name, VERSION, file.last_modified_ms)
            )
        ]

    def _confirmed(self, conf: messages.MsgUploadConfV2, now_s: float) -> Actions:
        if self.stage is not Stage.REQUESTING or not self._is_valid(conf):
            return self._fail_if_certain(outcomes.INVALID_ANSWERS, now_s)
        if self._is_for_something_else(conf):
            return self._refuse_ticket(conf, now_s)
        if self._was_confirmed or conf.offset:
            self.resumed += 1
        if conf.offset > self.transfer.stored_bytes:
            self._progressed(now_s)
        self._was_confirmed = True
        self.note, self.app_is_silent = "", False
        self._timeouts.set_limits(conf.silence_s, conf.idle_silence_s)
        # Once its app has the folder, the server does not report the left-out files if there are too many.
        knows = conf.left_out or not conf.arrived
        actions = self._set_left_out(frozenset(conf.left_out)) if knows else []
        self.transfer.start_connection(conf.offset, conf.max_chunk_bytes, conf.max_window_bytes)
        if conf.arrived:
            self.stage, self._has_arrived = Stage.AWAITING_APP, True
            return [*actions, SendMessage(MsgAgree(()))]
        if self._cancelling:
            return [*actions, *self._cancel(now_s)]
        self.stage, self._compare, self._proof = Stage.PROVING, conf.compare, ResumeProof(conf.compare)
        return [*actions, *self._agree(now_s)]

    def _is_valid(self, conf: messages.MsgUploadConfV2) -> bool:
        if self._is_for_something_else(conf):
            return True  # whatever else it says
        return server_messages.is_valid(conf, self._file.length_bytes, self._file.manifest)

    def _is_for_something_else(self, conf: messages.MsgUploadConfV2) -> bool:
        """Returns whether the ticket is for a folder and the client has a file, or the other way round."""
        is_folder = self._file.manifest is not None
        return is_folder is not (conf.dest_type == FOLDER)

    def _refuse_ticket(self, conf: messages.MsgUploadConfV2, now_s: float) -> Actions:
        """Ends the upload. It asks again first if the message lacks DestType, which may have been damaged."""
        outcome = outcomes.other_ticket(self._file)
        if conf.dest_type == FOLDER or self._backoff.is_certain():
            return self._end(outcome)
        return self._back_off(outcome.text, now_s, delay_s=0.0)

    def _other_version(self, _: server_messages.OtherVersion, __: float) -> Actions:
        return self._end(outcomes.TOO_OLD)

    def _agree(self, now_s: float) -> Actions:
        """Sends the checksums once all ranges are read."""
        if self._proof.next_segment(1):
            return []
        self.stage = Stage.SENDING
        return [SendMessage(MsgAgree(tuple(self._proof.checksums))), *self._complete(now_s)]

    # --- bytes -----------------------------------------------------------------------------------------

    def _segment_read(self, done: events.SegmentRead, now_s: float) -> Actions:
        self._timeouts.progressed(now_s)
        self.transfer.prefix.fill(done.segment)
        if self.stage is Stage.PROVING:
            self._proof.add(done.segment)
            return self._agree(now_s)
        return self._verify() if self.stage is Stage.VERIFYING else self._complete(now_s)

    def _chunk_sent(self, sent: events.ChunkSent, now_s: float) -> Actions:
        self.transfer.chunk_sent(sent.segment, now_s)
        return self._complete(now_s)

    def _acknowledged(self, stored: messages.MsgStored, now_s: float) -> Actions:
        before_bytes = self.transfer.stored_bytes
        if self._leaving and self._leaving.is_asked_for and stored.offset >= self._leaving.end_bytes:
            return self._left_out(self._leaving, now_s)
        if not self.transfer.acknowledged(stored.offset, now_s, stored.taken):
            return self._back_off(CONNECTION_LOST, now_s)
        self.transfer.set_limits(stored.max_chunk_bytes, stored.max_window_bytes, now_s)
        if self.transfer.stored_bytes > before_bytes:
            self._progressed(now_s)
        return self._ask_to_leave_out(now_s)

    def _resend(self, resend: messages.MsgResend, now_s: float) -> Actions:
        if self.stage not in (Stage.SENDING, Stage.COMPLETING):
            return []
        if not self.transfer.go_back(resend.offset, resend.round, now_s):
            return self._back_off(CONNECTION_LOST, now_s)
        self.stage = Stage.SENDING
        return [*self._ask_to_leave_out(now_s), *self._complete(now_s)]

    def _complete(self, now_s: float) -> Actions:
        """Sends MsgComplete as soon as the checksum of the whole file is known."""
        crc32c = self.transfer.crc32c() if self.stage in (Stage.SENDING, Stage.COMPLETING) else None
        if crc32c is None:
            return []
        self.stage, self._concluded_s = Stage.COMPLETING, now_s
        return [SendMessage(MsgComplete(crc32c, self.transfer.round))]

    # --- files of a folder that are left out -----------------------------------------------------------

    def _leave_out(self, failure: events.FileChanged | events.FileUnreadable, now_s: float) -> Actions:
        """Leaves out the file that can't be read. All that comes before it is stored first."""
        assert failure.entry is not None and self._file.manifest
        if self._leaving and self._leaving.entry == failure.entry:
            return []
        end_bytes = self._file.manifest.ends[failure.entry]
        self._leaving = LeavingOut(failure.entry, failure.why, end_bytes)
        self.transfer.begin_leaving_out(failure.entry)
        return self._ask_to_leave_out(now_s)

    def _can_leave_out(self, entry: int | None) -> bool:
        if entry is None or not self._options.leave_out or self.stage not in (Stage.PROVING, Stage.SENDING):
            return False
        return self.transfer.may_leave_out(entry)

    def _ask_to_leave_out(self, now_s: float) -> Actions:
        leaving = self._leaving
        if leaving is None or leaving.is_asked_for or not self.transfer.is_ready_to_leave_out:
            return []
        self._leaving = replace(leaving, is_asked_for=True)
        self.transfer.in_flight_since_s = now_s
        return [SendMessage(MsgLeaveOut(leaving.entry))]

    def _left_out(self, leaving: LeavingOut, now_s: float) -> Actions:
        """The server counts the whole range of the file as zeros."""
        actions = self._set_left_out(self.left_out | {leaving.entry})
        self._progressed(now_s)
        if self.stage is Stage.PROVING:
            self._proof = ResumeProof(self._compare)  # of the stream as it is now
            return [*actions, *self._agree(now_s)]
        return [*actions, *self._complete(now_s)]

    def _set_left_out(self, entries: frozenset[int]) -> Actions:
        """The server has left out these entries. A power cut may have undone what it had said before."""
        leaving, self._leaving = self._leaving, None
        if entries == self.left_out:
            return []
        for entry in sorted(entries - self.left_out):
            self.transfer.left_out(entry)
        self.left_out = entries
        return [ReadAsZeros(entries, leaving.why if leaving and leaving.entry in entries else "")]

    # --- the end -----------------------------------------------------------------------------------------

    def _news(self, news: messages.MsgNews, now_s: float) -> Actions:
        if news.news == messages.NEWS_STOPPING:
            self._retry_after_s = news.retry_after_s
        if news.news not in (messages.NEWS_HANDING_OVER, messages.NEWS_WAITING_FOR_APP):
            return []
        if self._cancelling:
            return self._end(outcomes.STOPPED_LATE)
        if self.stage in (Stage.COMPLETING, Stage.AWAITING_APP):
            if self.stage is Stage.COMPLETING:
                self._progressed(now_s)
            self.stage, self._has_arrived = Stage.AWAITING_APP, True
            self.transfer.all_stored(now_s)
            self._timeouts.be_idle()
            self.app_is_silent = news.news == messages.NEWS_WAITING_FOR_APP
            self.app_problem = news.why
        return []

    def _all_done(self, done: messages.MsgAllDoneV2, now_s: float) -> Actions:
        """The app has a file. A script may delete ours next, so check that it is the same."""
        if not done.success:
            return self._end(outcomes.not_taken(self._file))
        self.transfer.all_stored(now_s)
        if not done.crc32c and self._file.length_bytes:  # the server no longer knows it
            return self._end(outcomes.finished(self._file, None))
        self.stage, self._app_crc32c = Stage.VERIFYING, done.crc32c
        return [CloseConnection(), *self._verify()]

    def _verify(self) -> Actions:
        if not self._can_compare:
            return self._end(outcomes.changed_since(self._file, self._not_compared))
        crc32c = self.transfer.crc32c()
        if crc32c is None:
            return []
        if crc32c == self._app_crc32c:
            self.left_out |= self._assumed_left_out  # nothing but their zeros gives this checksum
            return self._end(outcomes.finished(self._file, crc32c))
        if self._assumed_left_out:
            # They were sent, or some of them. The driver finds out whether they have changed since.
            read_again = ReadAsZeros(self.left_out)
            return [read_again, *self._end(outcomes.not_compared(self._file, self._not_compared))]
        return self._end(outcomes.other_content(self._file))

    @property
    def _can_compare(self) -> bool:
        """Whether all that is needed for the checksum can be read, as far as is known."""
        return not self._not_compared or bool(self._assumed_left_out)

    @property
    def _checksum_is_known(self) -> bool:
        return self.transfer.prefix.gap(1) is None

    @property
    def _only_compares(self) -> bool:
        return self._has_arrived and self.stage in _ONLY_COMPARES

    def _cannot_compare(self, failure: events.FileChanged | events.FileUnreadable) -> Actions:
        """What has arrived can no longer be read here.

        An entry of a folder may have been left out, and the server may not have told that. So its bytes count
        as zeros, and the checksum tells. A single file can no longer be compared.
        """
        if self._checksum_is_known:
            return []
        self._not_compared = self._not_compared or failure.why
        if failure.entry is None:
            return self._verify() if self.stage is Stage.VERIFYING else []
        self._assumed_left_out |= {failure.entry}
        return [ReadAsZeros(self.left_out | self._assumed_left_out)]

    def _cancelled(self, _: messages.MsgCancelAck, now_s: float) -> Actions:
        if self.stage is Stage.CANCELLING:
            return self._end(outcomes.CANCELLED_HERE)
        return self._back_off(CONNECTION_LOST, now_s)

    def _refused(self, error: messages.MsgErrorV2, now_s: float) -> Actions:
        if error.retryable:
            delay_s = self._backoff.delay_after_takeover_s() if error.code == errors.TakenOver.code else None
            return self._back_off(error.msg, now_s, delay_s)
        if self._cancelling and error.error_code == errors.UploadCancelled.number:
            return self._end(outcomes.CANCELLED_HERE)
        was_known = error.error_code == errors.UnknownTicket.number and self._was_confirmed
        if was_known or error.error_code in outcomes.NOT_UNDERSTOOD:
            return self._fail_if_certain(outcomes.refused(error, self._file), now_s)
        return self._end(outcomes.refused(error, self._file))

    def _stop(self, stop: events.Stop, now_s: float) -> Actions:
        late = self.stage in (Stage.AWAITING_APP, Stage.VERIFYING)
        if not stop.cancel or self._cancelling or late:
            return self._end(outcomes.STOPPED_LATE if late else outcomes.STOPPED)
        self._cancelling = True
        if self.stage is Stage.BACKING_OFF:
            self.retry_at_s = now_s
        if self.stage not in (Stage.PROVING, Stage.SENDING, Stage.COMPLETING):
            return []  # sent as soon as there is a connection
        return self._cancel(now_s)

    def _cancel(self, now_s: float) -> Actions:
        self.stage, self._concluded_s = Stage.CANCELLING, now_s
        return [SendMessage(MsgCancel(CANCEL_REASON))]

    # --- errors -----------------------------------------------------------------------------------------

    def _connection_closed(self, closed: events.ConnectionClosed, now_s: float) -> Actions:
        if self._retry_after_s:
            delay_s: float | None = self._backoff.delay_after_stop_s(self._retry_after_s)
        else:
            taken_over = closed.code == close_codes.TAKEN_OVER
            delay_s = self._backoff.delay_after_takeover_s() if taken_over else None
        return self._back_off(closed.reason or CONNECTION_LOST, now_s, delay_s)

    def _unreachable(self, failure: events.Unreachable, now_s: float) -> Actions:
        if failure.lasting and not self._was_confirmed:
            return self._end(Outcome(events.Ending.FAILED, failure.why, resumable=True))
        return self._back_off(failure.why, now_s, self._backoff.delay_s(failure.retry_after_s))

    def _file_changed(self, failure: events.FileChanged, now_s: float) -> Actions:
        if self._only_compares:
            return self._cannot_compare(failure)
        if self._can_leave_out(failure.entry):
            return self._leave_out(failure, now_s)
        return self._end(self._stopped_by(failure.why, failure.entry))

    def _stopped_by(self, why: str, entry: int | None) -> Outcome:
        """Returns the outcome after a file has changed."""
        if entry is None:
            return Outcome(events.Ending.FAILED, why)
        if self.transfer.may_leave_out(entry):
            return Outcome(events.Ending.FAILED, f"{why} {outcomes.CAN_LEAVE_OUT}", resumable=True)
        return Outcome(events.Ending.FAILED, f"{why} {outcomes.TOO_LATE_TO_LEAVE_OUT}")

    def _file_unreadable(self, failure: events.FileUnreadable, now_s: float) -> Actions:
        if self._only_compares and (failure.entry is not None or self._checksum_is_known):
            return self._cannot_compare(failure)
        if self._can_leave_out(failure.entry):
            return self._leave_out(failure, now_s)
        return self._fail_if_certain(Outcome(events.Ending.FAILED, failure.why, resumable=True), now_s)

    def _ticked(self, _: events.Tick, now_s: float) -> Actions:
        if self._timeouts.has_given_up(now_s):
            return self._end(outcomes.gave_up(self._options.give_up_after_s, self.note))
        if self.stage is Stage.BACKING_OFF and now_s >= self.retry_at_s:
            self.stage = Stage.CONNECTING
        return self._check_connection(now_s) if self.stage in CONNECTED else []

    def _check_connection(self, now_s: float) -> Actions:
        if self._timeouts.is_dead(now_s, self.transfer.in_flight_since_s):
            return self._back_off("The connection is dead: the server is silent.", now_s)
        if now_s - self._concluded_s >= self._timeouts.silence_s:  # the message may have been damaged
            if self.stage is Stage.COMPLETING:
                return self._complete(now_s)
            if self.stage is Stage.CANCELLING:
                return self._cancel(now_s)
        if self.stage is not Stage.REQUESTING and self._timeouts.is_ping_due(now_s):
            return [SendMessage(MsgPing())]
        return []

    def _fail_if_certain(self, outcome: Outcome, now_s: float) -> Actions:
        return self._end(outcome) if self._backoff.is_certain() else self._back_off(outcome.text, now_s)

    def _back_off(self, note: str, now_s: float, delay_s: float | None = None) -> Actions:
        """Ends this connection and schedules the next attempt."""
        self.stage, self.note, self._retry_after_s = Stage.BACKING_OFF, note, 0.0
        self.retry_at_s = now_s + (self._backoff.delay_s() if delay_s is None else delay_s)
        self.transfer.in_flight_since_s = None
        return [CloseConnection()]

    def _progressed(self, now_s: float) -> None:
        self._timeouts.progressed(now_s)
        self._backoff.reset()

    def _end(self, outcome: Outcome) -> Actions:
        self.stage, self.outcome = Stage.ENDED, outcome
        return [CloseConnection()]


_Handler = Callable[[Session, Any, float], Actions]
_S = Session

_MESSAGES: Final[dict[type, _Handler]] = {
    messages.MsgUploadConfV2: _S._confirmed,
    server_messages.OtherVersion: _S._other_version,
    messages.MsgStored: _S._acknowledged,
    messages.MsgResend: _S._resend,
    messages.MsgNews: _S._news,
    messages.MsgAllDoneV2: _S._all_done,
    messages.MsgCancelAck: _S._cancelled,
    messages.MsgErrorV2: _S._refused,
}
_HANDLERS: Final[dict[type, _Handler]] = {
    **_MESSAGES,
    events.ConnectionOpened: _S._connection_opened,
    events.ConnectionClosed: _S._connection_closed,
    events.Unreachable: _S._unreachable,
    events.ChunkSent: _S._chunk_sent,
    events.SegmentRead: _S._segment_read,
    events.FileChanged: _S._file_changed,
    events.FileUnreadable: _S._file_unreadable,
    events.Tick: _S._ticked,
    events.Stop: _S._stop,
}
_FROM_SERVER: Final = frozenset({*_MESSAGES, messages.MsgPong, events.PeerActive})
_NEEDS_CONNECTION: Final = _FROM_SERVER | {events.ConnectionClosed, events.ChunkSent}
