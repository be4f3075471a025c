"""One request of an HTTP client, and what it does to an upload, whichever protocol it speaks.

A claim outlives its request, for LEASE_S: the next request claims the open file again, which writes nothing
to the journal. A request that is taken over while it is running hears of it, stops reading and answers. Its
last write is over before the new one learns the offset.
"""

from __future__ import annotations

import hmac
import logging
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import chain
from math import inf
from typing import Final, NoReturn, Protocol

from incoming.core import errors
from incoming.core.checksum import checksum
from incoming.core.lifecycle import RECEIVING, Claim, State
from incoming.core.news import CalledOff, HandedOver, Interrupted, News, NotHandedOver, WaitingForApp
from incoming.core.progress import Progress
from incoming.core.resume_check import Ranges
from incoming.core.ticket import Ticket
from incoming.http_uploads.body import BodyBroken, BodyInterrupted, RequestBody
from incoming.protocol.digests import named_file_digest
from incoming.protocol.flow_control import piece_limit_bytes
from incoming.protocol.withheld import WithheldOffsets
from incoming.registry import NewsListener
from incoming.runtime.buffer_pool import BufferPool
from incoming.runtime.fair_scheduler import is_contended
from incoming.uploads.claims import ClaimedUpload, new_token
from incoming.uploads.integrity import Keep
from incoming.uploads.service import Uploads
from incoming.wire.find_header import find_in

log = logging.getLogger(__name__)

LEASE_S: Final = 60.0
"""How long an upload waits for the next request of its client before its file is closed."""
WATCH_STEP_S: Final = 5.0
"""How often a request that waits looks at the ticket itself: news may be lost between processes."""
POOLED_DIGEST_BYTES: Final = 64 * 1024
"""A larger piece is digested in a thread."""
OF_REQUEST: Final = "-"
"""What a token has between that of its session and the rest."""
OnStored = Callable[[int], object]


@dataclass(frozen=True, slots=True)
class FileDescription:
    """What a client says of its file. It counts the first time, and not before `Transfer.prove`.

    `upload_metadata`: the header of tus, as it was sent. `file_digest`: see `core.file_digest`.
    `digest_follows`: it is a trailer of the request, unless the file has a digest already.
    `proves`: the client shows that it has the same file, and sends the whole file's checksum at the end.
    """

    length_bytes: int | None = None
    name: str = ""
    last_modified_ms: int = 0
    upload_metadata: str = ""
    file_digest: str = ""
    digest_follows: bool = False
    proves: bool = False


UNKNOWN_FILE: Final = FileDescription()
"""What a request says that is about an upload, and not about the file."""


@dataclass(frozen=True, slots=True)
class SessionPosition:
    """Where the body of a request belongs, in a session of requests that a client has under way at once.

    A second request on its way hides the time that an answer takes. `session` is the token of the claim with
    which the session began. Each of its requests claims the upload with a token of its own that begins with
    it. So two processes that serve requests of one session never write with the same token.
    """

    session: str
    offset_bytes: int

    def has(self, ticket: Ticket) -> bool:
        """Returns whether the newest claim of an upload is one of this session."""
        return hmac.compare_digest(_session_of(ticket.token).encode(), self.session.encode())

    def new_token(self) -> str:
        """Returns a token for one request."""
        return f"{self.session}{OF_REQUEST}{new_token()}"


def _session_of(token: str) -> str:
    """Returns the session whose request has this token."""
    return token.partition(OF_REQUEST)[0]


class BodyCheck(Protocol):
    """Verifies the body of one request."""

    @property
    def is_fast(self) -> bool:
        """Whether `update` is as fast as memory, so that a thread would only cost time."""

    def update(self, data: memoryview) -> None:
        """Adds a piece of the body. It may be called in a thread."""

    def verify(self, trailers: Mapping[str, str]) -> None:
        """Raises ChecksumMismatch, BadHeader. `trailers`: those of a chunked body."""


class Receiving(Protocol):
    """What takes the bytes of an upload: `Uploads` of a whole file, `PartUploads` of a part."""

    def ticket(self, upload_id: str) -> Ticket:
        """Returns the ticket of an upload, or what would be that of a part."""

    def claim(
        self, upload_id: str, claim: Claim, listener: NewsListener, source: str = "",
        lease_s: float | None = None,
    ) -> ClaimedUpload:  # fmt: skip
        """See Uploads."""

    def release(self, claim: ClaimedUpload) -> None:
        """See Uploads."""

    def write(
        self, claim: ClaimedUpload, chunk: memoryview, crc: int | None = None, keep: Keep | None = None
    ) -> float:
        """See Uploads."""

    def flush(self, claim: ClaimedUpload) -> None:
        """See Uploads."""

    def set_length(self, claim: ClaimedUpload, length_bytes: int) -> None:
        """See Uploads."""

    def prove(self, claim: ClaimedUpload) -> None:
        """See Uploads."""

    def begin_unchecked(self, claim: ClaimedUpload) -> None:
        """See Uploads."""

    def accept_unchecked(self, claim: ClaimedUpload) -> None:
        """See Uploads."""

    def discard_unchecked(self, claim: ClaimedUpload) -> None:
        """See Uploads."""


@dataclass(frozen=True, slots=True)
class TransferContext:
    """What all requests share: the uploads, the buffers, and the offsets that clients were told."""

    uploads: Uploads
    buffers: BufferPool
    withheld: WithheldOffsets

    def visible_offset_bytes(self, ticket_id: str, progress: Progress) -> int:
        """Returns the offset that a client may see. It is below the length until the app has the file."""
        if progress.offset_bytes == progress.length_bytes and progress.state is not State.FINISHED:
            return self.withheld.visible_bytes(ticket_id, progress.offset_bytes)
        return progress.offset_bytes


class Transfer:
    """One request's hold of one upload. Its methods raise IncomingError, and no other error on purpose."""

    def __init__(
        self,
        shared: TransferContext,
        ticket_id: str,
        position: SessionPosition | None = None,
        of_part: bool = False,
    ) -> None:
        """`of_part`: the id is that of a part. Only its bytes can be sent then."""
        uploads = shared.uploads
        self._shared = shared
        self._position = position
        self._body_begin_bytes: int | None = None
        self._body_end_bytes: int | None = None
        self._uploads = uploads
        self._is_part = of_part
        self._digest_follows = False
        self._owes_flush = False
        """Whether `leave` has to do what completing the upload would have done."""
        self._receiving: Receiving = uploads.parts if of_part else uploads
        self._buffers = shared.buffers
        self._ticket_id = ticket_id
        self._body: RequestBody | None = None
        self._claimed: ClaimedUpload | None = None
        self._error: errors.IncomingError | None = None
        self._has_news = uploads.context.runtime.signal()
        self.offset_bytes = 0
        """How many bytes are stored."""

    def precedes(self, position: SessionPosition) -> bool:
        """Returns whether this request sends the bytes just before this position, in the same session."""
        if self._position is None or self._position.session != position.session or self._error:
            return False
        return self._body_end_bytes in (None, position.offset_bytes)

    # --- the claim ------------------------------------------------------------------------------------

    def claim(self, file: FileDescription, source: str) -> None:
        """Takes the upload over. Raises what `Uploads.claim` raises.

        A request of a session may not take it from another claim: raises TakenOver where there is a newer
        one, and SessionEnded where the server has started again since.
        """
        if self._position and not self._position.has(self.ticket):
            self._uploads.check_running()  # a stop releases the claim
            raise errors.TakenOver if self.ticket.token else errors.SessionEnded
        event = Claim(
            file.length_bytes,
            file.name,
            file.last_modified_ms,
            upload_metadata=file.upload_metadata,
            file_digest=file.file_digest,
            proves=file.proves,
            keeps_others_out=file.proves,  # the library, which says it as over a WebSocket
            token=self._position.new_token() if self._position else new_token(),
        )
        claimed = self._receiving.claim(self._ticket_id, event, self._hear, source, lease_s=LEASE_S)
        self._digest_follows = file.digest_follows
        claimed.is_sending = lambda: self._body is not None
        self._claimed, self.offset_bytes = claimed, claimed.offset_bytes
        self._owes_flush = not claimed.is_kept()

    def _hear(self, news: News) -> None:
        match news:
            case CalledOff(error) | Interrupted(error) | NotHandedOver(error):
                self._error = self._error or error
                if self._body:
                    self._body.interrupt()
            case HandedOver() | WaitingForApp():
                pass
            case _:
                return
        self._has_news.set()

    def leave(self) -> None:
        """Ends the request's part. The claim of an upload that has to resume stays for a while.

        Raises StorageFull, StorageFailed when its answer may not be given: a kill would make it untrue.
        """
        claimed, self._body = self._claimed, None
        if not claimed:
            return
        if self.ticket.state not in RECEIVING or self._uploads.stopping:
            self._receiving.release(claimed)
        elif self._owes_flush and not claimed.lost:
            self._flush()

    def release(self) -> None:
        """Pauses the upload now, because no request of this client will resume it."""
        self._uploads.release(self._claim)

    @property
    def _claim(self) -> ClaimedUpload:
        if self._claimed is None:
            raise errors.InternalError
        return self._claimed

    @property
    def session(self) -> str:
        """The token by which further requests of a session claim the upload; see SessionPosition."""
        return _session_of(self._claim.token)

    @property
    def to_compare(self) -> Ranges:
        """The parts of what is stored that a client which `proves` has to show that it has."""
        return self._claim.compare

    @property
    def left_out(self) -> tuple[int, ...]:
        """The files of a folder that are left out, see `ClaimedUpload.left_out`."""
        return self._claim.left_out

    @property
    def window_bytes(self) -> int:
        """How much a client has to send ahead, see `ClaimedUpload.window_bytes`."""
        return self._claim.window_bytes

    def compare(self, ranges: Ranges, crc32cs: tuple[int, ...]) -> None:
        """Compares the checksums of these parts of a client's file with what is stored.

        They are parts that another claim of the session has named, in `to_compare`. Raises WrongFile,
        BytesLost, StorageFailed.
        """
        self._claim.compare = ranges
        self._uploads.check_same(self._claim, crc32cs)

    @property
    def ticket(self) -> Ticket:
        """The ticket as it is now. Raises UnknownTicket."""
        return self._receiving.ticket(self._ticket_id)

    @property
    def is_receiving(self) -> bool:
        """Whether bytes may still come."""
        return self.ticket.state in RECEIVING

    @property
    def progress(self) -> Progress:
        """How far the upload has come, by what this request knows."""
        ticket = self.ticket
        offset_bytes = self.offset_bytes if ticket.state in RECEIVING else ticket.length_bytes or 0
        length_bytes = ticket.length_bytes
        if length_bytes is None and self._claimed and self._claimed.unproved:
            length_bytes = self._claimed.unproved.length_bytes  # its client goes by it
        about = length_bytes, ticket.name, ticket.last_modified_ms, ticket.reason
        return Progress(ticket.state, offset_bytes, *about)

    @property
    def visible_offset_bytes(self) -> int:
        """See TransferContext."""
        return self._shared.visible_offset_bytes(self._ticket_id, self.progress)

    @property
    def missing_bytes(self) -> int | None:
        """How many bytes the upload lacks; None while its length is unknown."""
        length_bytes = self.ticket.length_bytes
        return None if length_bytes is None else max(length_bytes - self.offset_bytes, 0)

    # --- receiving ------------------------------------------------------------------------------------

    def check_offset(self, offset_bytes: int) -> None:
        """Raises OffsetMismatch unless a client that sees this upload resumes at this offset.

        A client may have asked for the offset when the last bytes were still withheld. The next body begins
        there.
        """
        progress = self.progress
        stored_bytes, is_whole = progress.offset_bytes, progress.offset_bytes == progress.length_bytes
        may_repeat = is_whole and self._shared.withheld.admits(offset_bytes, stored_bytes)
        if offset_bytes != stored_bytes and not may_repeat:
            raise errors.OffsetMismatch(self.visible_offset_bytes, offset_bytes)
        self._body_begin_bytes = offset_bytes

    def repeat_from(self, offset_bytes: int) -> None:
        """The next body begins at this offset, so some of its bytes may be stored already.

        Raises OffsetMismatch if the offset is beyond the stored bytes.
        """
        if offset_bytes > self.progress.offset_bytes:
            raise errors.OffsetMismatch(self.visible_offset_bytes, offset_bytes)
        self._body_begin_bytes = offset_bytes

    def set_length(self, length_bytes: int) -> None:
        """Sets the length of an upload that began without one; it may be repeated.

        Raises as `Uploads.set_length`.
        """
        if self.is_receiving and self.ticket.length_bytes != length_bytes:
            self._receiving.set_length(self._claim, length_bytes)
        elif self.ticket.length_bytes != length_bytes:
            raise errors.LengthMismatch(self.ticket.expected_file, length_bytes)

    def prove(self) -> None:
        """Lets what a client has said of its file count. It has proved that, as far as its protocol can.

        One that shows checksums of its file does that with `compare`. Raises as `Uploads.prove`.
        """
        if self._claim.unproved and not self._claim.unproved.proves:
            self._receiving.prove(self._claim)

    def receive(
        self,
        body: RequestBody,
        check: BodyCheck | None = None,
        on_stored: OnStored = lambda _: None,
    ) -> None:
        """Stores the body after what is stored. `on_stored` is called with each offset that survives a kill.

        With a `check` the body is stored as a whole or not at all. Without one, what had arrived before a
        connection broke is stored. Bytes that are stored already, because the body begins at an earlier
        offset, are compared and not stored. They may come again when the upload has arrived, too.

        Raises TooManyBytes, WrongFile, IncompleteBody, what `check` raises, and what `Uploads.write` raises.
        """
        stored_bytes = begin_bytes = self.progress.offset_bytes
        if self._body_begin_bytes is not None:
            begin_bytes, self._body_begin_bytes = self._body_begin_bytes, None
        if body.length_bytes is not None:
            self._body_end_bytes = begin_bytes + body.length_bytes - body.received_bytes
        with self._reading(body):
            self._check_declared(body, stored_bytes - begin_bytes)
            if self._has_compared(body, begin_bytes, stored_bytes, check) and body.length_bytes != 0:
                self.prove()  # a request without a byte shows nothing
                self._check_declared(body, 0)
            if not self.is_receiving:
                if body.read_into(memoryview(bytearray(1))):
                    raise errors.TooManyBytes(stored_bytes - begin_bytes)
                if check:
                    check.verify(body.trailers)
                return
            try:
                if check:
                    self._receive_checked(body, check, on_stored)
                else:
                    for piece in self._pieces(body):
                        self._store(piece, on_stored)
            except BaseException as exc:
                self._keep_what_came(exc)
                raise
            self._owes_flush = True
            if self._is_part or self.missing_bytes != 0:  # else its completion is next, or `leave`
                self._flush()
            if self._digest_follows:
                self._name_digest(body.trailers)

    def _name_digest(self, trailers: Mapping[str, str]) -> None:
        """Lets the digest of the file count that follows its bytes. Raises BadHeader, which keeps them."""
        digest = named_file_digest(find_in(trailers))
        if digest and self._claim.unproved is None:
            self._uploads.name_digest(self._claim, digest)

    def _flush(self) -> None:
        """What was taken survives a kill from then on, and the claim too: the answer may tell."""
        self._owes_flush = False
        self._receiving.flush(self._claim)

    def _keep_what_came(self, exc: BaseException) -> None:
        """The request ends with an error. The answer tells an offset that a kill keeps."""
        claim = self._claim
        if claim.acknowledged_bytes < claim.taken_bytes:
            self._owes_flush = False
            if not isinstance(exc, errors.StorageFailed):
                with suppress(errors.IncomingError):
                    self._receiving.flush(claim)
            self.offset_bytes = claim.acknowledged_bytes
        elif isinstance(exc, errors.BadFolder):
            self.offset_bytes = claim.acknowledged_bytes  # what came of the folder was discarded

    @contextmanager
    def _reading(self, body: RequestBody) -> Iterator[None]:
        """Within it the body is read: news that end the claim end the reading, and its errors are ours."""
        self._body = body
        try:
            if self._error:
                raise self._error
            yield
        except BodyInterrupted as exc:
            raise self._error or errors.TakenOver() from exc
        except BodyBroken as exc:
            about = self.ticket.for_log(offset_bytes=self.offset_bytes, error=exc)
            log.info("upload %(ticket)s: the request broke off at byte %(offset_bytes)d: %(error)s", about)
            raise exc.error from exc
        finally:
            self._body = None

    def _check_declared(self, body: RequestBody, repeated_bytes: int) -> None:
        """Raises TooManyBytes for a body that says that it has more bytes than are missing.

        `repeated_bytes` of it are stored already.
        """
        missing_bytes = self.missing_bytes if self.is_receiving else 0
        coming_bytes = (body.length_bytes or 0) - body.received_bytes
        if missing_bytes is not None and coming_bytes > missing_bytes + repeated_bytes:
            raise errors.TooManyBytes(missing_bytes + repeated_bytes)

    def skip_stored(self, body: RequestBody, check: BodyCheck | None = None) -> None:
        """Reads the part of a body that is stored already, and compares it. The rest is for `receive`.

        It is for a client that sends its file from the start once more. The `check` gets this part, too.
        Raises WrongFile, also for a shorter body, and as `receive`.
        """
        with self._reading(body):
            has_all = self._has_compared(body, 0, self.offset_bytes, check)
        if not has_all:
            raise errors.WrongFile(self.ticket.expected_file)

    def _has_compared(
        self, body: RequestBody, begin_bytes: int, end_bytes: int, check: BodyCheck | None
    ) -> bool:
        """Reads the beginning of a body, which belongs at `begin_bytes`, up to the end of the stored bytes.

        Returns whether it has all of them: a shorter body may be the beginning of another file. Raises
        WrongFile if it differs from what is stored there. Of an upload that has arrived, the app may have the
        file by now, so the checksum of a whole file is compared. The same goes for a beginning that can't be
        read back.
        """
        stored_crc = self._uploads.stored_checksum(self._claim) if self.is_receiving else self.ticket.crc32c
        by_checksum = begin_bytes == 0 and not (self.is_receiving and stored_crc is None)
        at_bytes, crc = begin_bytes, 0
        while at_bytes < end_bytes:
            with self._piece() as piece:
                if not piece.fill(body, end_bytes - at_bytes):
                    return False
                if check:
                    self._digest(check, piece)
                crc = checksum(piece.data, crc)
                if not by_checksum and not self._has_stored(at_bytes, piece.data):
                    raise errors.WrongFile(self.ticket.expected_file)
                at_bytes += len(piece.data)
        if by_checksum and stored_crc not in (None, crc):
            raise errors.WrongFile(self.ticket.expected_file)
        return True

    def _has_stored(self, at_bytes: int, data: memoryview) -> bool:
        """Returns whether these bytes are stored there. If the app has taken the file, they were."""
        if self.is_receiving:
            return self._uploads.has_stored(self._claim, at_bytes, data)
        return self._uploads.has_in_file(self.ticket, at_bytes, data)

    def _pieces(self, body: RequestBody, to_the_brim: bool = False) -> Generator[_Piece]:
        """Yields the body piece by piece. Each is valid until the next one, unless it is kept.

        `to_the_brim`: each is as large as a buffer, or ends with the body.
        """
        begin_bytes = self.offset_bytes
        while True:
            length_bytes = self._claim.ticket.length_bytes  # asks no registry: there are many pieces
            missing_bytes = None if length_bytes is None else max(length_bytes - self.offset_bytes, 0)
            if to_the_brim:
                limit_bytes = piece_limit_bytes(self._buffers.size_bytes)
            else:
                in_flight = self._buffers.in_use + 1
                limit_bytes = piece_limit_bytes(self._buffers.size_bytes, in_flight, is_contended())
                limit_bytes -= self.offset_bytes % limit_bytes  # the kernel copies whole pages faster
            if missing_bytes is not None:
                # A body may turn out to have more bytes than the upload lacks only if it has no length.
                limit_bytes = min(limit_bytes, max(missing_bytes, 1))
            with self._piece() as piece:
                if not piece.fill(body, limit_bytes, to_the_brim):
                    return
                if missing_bytes == 0:
                    raise errors.TooManyBytes(self.offset_bytes - begin_bytes)
                yield piece

    @contextmanager
    def _piece(self) -> Iterator[_Piece]:
        piece = _Piece(self._buffers)
        try:
            yield piece
        finally:
            piece.done()

    def _store(self, piece: _Piece, on_stored: OnStored) -> None:
        delay_s = self._receiving.write(self._claim, piece.data, keep=piece.keep)
        self.offset_bytes += len(piece.data)
        if self._claim.acknowledged_bytes:
            on_stored(self._claim.acknowledged_bytes)
        if delay_s > 0:
            self._uploads.context.runtime.sleep(delay_s)

    def _receive_checked(self, body: RequestBody, check: BodyCheck, on_stored: OnStored) -> None:
        """A body that fits into one buffer is verified before it is stored.

        A larger one is stored as unchecked bytes, which no claim and no restart takes for stored ones.
        """
        pieces = self._pieces(body, to_the_brim=True)
        first = next(pieces, None)
        if first is None:
            check.verify(body.trailers)
            return
        if body.at_end:
            self._digest(check, first)
            check.verify(body.trailers)
            self._store(first, on_stored)
            pieces.close()
            return
        start_bytes = self.offset_bytes
        self._receiving.begin_unchecked(self._claim)
        try:
            for piece in chain((first,), pieces):
                self._digest(check, piece)
                try:
                    self._store(piece, lambda _: None)
                except errors.BadFolder as exc:
                    self._refuse_folder(exc, body, check, pieces)
            check.verify(body.trailers)
            self._receiving.accept_unchecked(self._claim)
        except BaseException:
            self.offset_bytes = start_bytes
            with suppress(errors.IncomingError):  # the newer claim discards them
                self._receiving.discard_unchecked(self._claim)
            raise
        on_stored(self._claim.acknowledged_bytes)

    def _refuse_folder(
        self, error: errors.BadFolder, body: RequestBody, check: BodyCheck, rest: Iterator[_Piece]
    ) -> NoReturn:
        """Refuses a folder for good, if its list came as it was sent. Raises ChecksumMismatch, BadFolder."""
        for piece in rest:
            self._digest(check, piece)
        check.verify(body.trailers)
        self._uploads.refuse_folder(self._claim, error)
        raise error

    def _digest(self, check: BodyCheck, piece: _Piece) -> None:
        if check.is_fast or len(piece.data) <= POOLED_DIGEST_BYTES:
            check.update(piece.data)
        else:
            self._uploads.context.runtime.in_pool(check.update, piece.data)

    # --- the end --------------------------------------------------------------------------------------

    def complete(self, crc32c: int | None = None) -> None:
        """All bytes are stored: hands the file over. It may be repeated.

        Raises as `Uploads.complete`: WrongState while bytes are missing, Damaged.
        """
        if self.is_receiving:
            self._uploads.complete(self._claim, crc32c)

    def wait_for_app(self, max_s: float = inf, to_tell: bool = False) -> Progress:
        """Waits until the app has answered, for `http_hold_s` and `max_s` at most.

        Returns how far the upload is then. `to_tell`: for a client that asks again, and shows a person why it
        waits. The wait ends when a call of the app has failed.

        Raises HandoverFailed, UploadCancelled, UploadExpired, Stopping, TakenOver.
        """
        now_s = self._uploads.context.runtime.now_s
        until_s = now_s() + min(max_s, self._uploads.context.settings.http_hold_s)
        while True:
            self._has_news.clear()
            ticket = self.ticket
            self._uploads.check_resumable(ticket)
            if self._error:
                raise self._error
            left_s = until_s - now_s()
            if ticket.state is State.FINISHED:
                self._shared.withheld.forget(self._ticket_id)
                return self.progress
            if left_s <= 0 or (to_tell and self._why_no_answer(ticket.state)):
                return self.progress
            self._has_news.wait(min(left_s, WATCH_STEP_S))

    @property
    def app_not_ready(self) -> errors.AppNotReady:
        """The error for a client whose app has not answered in time, with the reason if there is one."""
        return errors.AppNotReady(self._why_no_answer(self.ticket.state))

    def _why_no_answer(self, state: State) -> str:
        return self._uploads.why_no_answer(self._ticket_id, state)

    def cancel(self, reason: str) -> None:
        """The client cancels the upload. Raises WrongState once the handover has begun."""
        self._uploads.cancel_by_client(self._claim, reason)


class _Piece:
    """A piece of a body, in a buffer of the pool."""

    def __init__(self, pool: BufferPool) -> None:
        self._pool = pool
        self._buffer = pool.acquire()
        self._is_kept = False
        self.data = self._buffer[:0]

    def fill(self, body: RequestBody, limit_bytes: int, to_the_brim: bool = False) -> int:
        """Reads a piece of at most `limit_bytes`. Returns its size; 0 at the end of the body.

        `to_the_brim`: waits until no more of the body fits, or comes.
        """
        room = self._buffer[:limit_bytes]
        used_bytes = body.read_into(room)
        while to_the_brim and 0 < used_bytes < len(room) and (count := body.read_into(room[used_bytes:])):
            used_bytes += count
        self.data = self._buffer[:used_bytes]
        return used_bytes

    def keep(self) -> Callable[[], None]:
        """Keeps the piece valid until what this returns is called."""
        self._is_kept = True
        return self._release

    def done(self) -> None:
        """The piece is not used any more, unless it is kept."""
        if not self._is_kept:
            self._release()

    def _release(self) -> None:
        self._pool.release(self._buffer, len(self.data))
