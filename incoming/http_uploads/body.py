"""The body of an upload's request, read from the connection's own socket straight into the caller's buffer.

The streams that web servers offer as `wsgi.input` lose what they have read when a connection breaks, up to as
much as the app has asked for. That of gunicorn takes a body that breaks off for a whole one. That of uWSGI
has no chunked bodies. Here everything that the kernel has received is returned, and a body is whole only when
all of its length, or its last chunk, was read.

No more is read than belongs to the body, so the next request on the connection stays where its server looks
for it. `runtime.server_connection` knows where each server keeps the connection.
"""

from __future__ import annotations

import contextlib
import time
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final

import gevent
from gevent.lock import BoundedSemaphore

from incoming.core.errors import BadRequest, IncomingError, IncompleteBody, LengthRequired
from incoming.http_uploads.receiver import SILENCE_TIMEOUT_S, BodyBroken, BodyInterrupted, Receiver
from incoming.runtime.server_connection import ServerConnection, body_connection
from incoming.wire.chunked import CLOSING_BYTES, BadChunk, ChunkedDecoder
from incoming.wire.request_head import MAX_LENGTH_DIGITS

__all__ = ["BodyBroken", "BodyInterrupted", "RequestBody", "open_body"]

FILL_TIME_S: Final = 0.5
"""How long a buffer that is not full waits for more bytes. Then what a slow client has sent is stored."""
SLICE_BYTES: Final = 1024 * 1024
"""How much is read at a time. It takes less than half a millisecond; half of it costs a tenth more time."""
STREAM_BYTES: Final = 64 * 1024
"""How much is read at a time where only the server's stream can be read: at most that may be lost."""
UPLOAD_RESUMPTION: Final = 104
_REASONS: Final = {
    HTTPStatus.CONTINUE: "Continue",
    HTTPStatus.EARLY_HINTS: "Early Hints",
    UPLOAD_RESUMPTION: "Upload Resumption Supported",
}
SKIPPED_BYTES: Final = 64 * 1024
"""How much of a body that nobody wants is read so that the connection can be kept."""


class RequestBody(ABC):
    """The body of one request. One greenlet reads it; others may interrupt it or send interim answers."""

    def __init__(self, length_bytes: int | None) -> None:
        self.length_bytes = length_bytes
        """The Content-Length; None for a chunked body, 0 without a body."""
        self.received_bytes = 0
        """How much of the body was read, without the framing of chunks."""
        self.at_end = length_bytes == 0
        """Whether all of it was read."""
        self.trailers: Mapping[str, str] = {}
        """The trailer fields by their names in lower case, once all of a chunked body was read."""

    @property
    @abstractmethod
    def keeps_alive(self) -> bool:
        """Whether another request may follow. If not, the answer has to say `Connection: close`."""

    @abstractmethod
    def read_into(self, buffer: memoryview) -> int:
        """Fills the buffer as far as bytes come. Returns how many; 0 at the end of the body only.

        A client that expects "100 Continue" gets it before the first read. What arrived before something
        went wrong is returned first, and the next call raises. Raises BodyBroken, BodyInterrupted.
        """

    @abstractmethod
    def interrupt(self) -> None:
        """Ends the reading: a reader that waits raises BodyInterrupted at once. For another greenlet.

        What has arrived already is still returned, for a moment (`receiver.DRAIN_TIME_S`).
        """

    @abstractmethod
    def send_interim(self, status: int, headers: Sequence[tuple[str, str]]) -> None:
        """Sends an answer that precedes the final one, for example 104, unless the connection is broken.

        HTTP/1.0 has none (RFC 9110 section 15.2): then it does nothing.
        """

    @abstractmethod
    def finish(self) -> None:
        """Call it once the answer was sent. It ends a connection whose body was left. Raises nothing."""

    def skip_rest(self) -> None:  # noqa: B027 - where it is impossible the connection ends
        """Drops the rest of the body if it is short and has arrived: then the connection can be kept.

        Call it before the answer. Never waits, and raises nothing.
        """

    def until_sent(self, parts: Iterable[bytes]) -> Iterable[bytes]:
        """Returns the body of an answer, `parts`, such that the server calls `finish` after it."""
        return _Answer(self, parts)


class _Answer:
    """What a WSGI app returns; its server closes it once everything was sent (PEP 3333)."""

    def __init__(self, body: RequestBody, parts: Iterable[bytes]) -> None:
        self._body = body
        self._parts = [*parts, b""]  # uWSGI sends the head of an answer without any part after `close` only

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._parts)

    def __len__(self) -> int:
        return len(self._parts)

    def close(self) -> None:
        """See PEP 3333."""
        self._body.finish()


class _SocketBody(RequestBody):
    """A body that is read from the socket."""

    def __init__(
        self, connection: ServerConnection, length_bytes: int | None, environ: Mapping[str, Any]
    ) -> None:
        super().__init__(length_bytes)
        self._connection = connection
        self._receiver = Receiver(connection.socket)
        self._server_has_more = True
        self._has_interim = environ.get("SERVER_PROTOCOL") != "HTTP/1.0"
        expects = str(environ.get("HTTP_EXPECT", "")).strip().lower() == "100-continue"
        self._awaits_continue = expects and self._has_interim and not connection.server_continues
        self._sending = BoundedSemaphore(1)
        self._failure: BodyBroken | BodyInterrupted | None = None

    @property
    def keeps_alive(self) -> bool:
        """See RequestBody."""
        return self.at_end and self._connection.keeps_alive

    def read_into(self, buffer: memoryview) -> int:
        """See RequestBody."""
        if self._failure:
            raise self._failure
        if self.at_end:
            return 0
        filled_bytes, until_s = 0, None
        try:
            self._continue()
            while filled_bytes < len(buffer) and not self.at_end:
                read_bytes = self._read_some(buffer[filled_bytes:], until_s)
                if read_bytes is None:
                    break
                filled_bytes += read_bytes
                self.received_bytes += read_bytes
                if until_s is None and filled_bytes:
                    until_s = time.monotonic() + FILL_TIME_S
        except (BodyBroken, BodyInterrupted) as failure:
            self._failure = failure
            self._connection.body_left()
            if not filled_bytes:
                raise
        return filled_bytes

    @abstractmethod
    def _read_some(self, buffer: memoryview, until_s: float | None) -> int | None:
        """Returns how many bytes of the body were read; None if none had come at `until_s`."""

    def _take_ahead(self, limit_bytes: int) -> bytes:
        """Returns what the server has read ahead, in portions."""
        if not self._server_has_more:
            return b""
        taken = self._connection.take_ahead(limit_bytes)
        self._server_has_more = len(taken) == limit_bytes
        return taken

    def interrupt(self) -> None:
        """See RequestBody."""
        self._receiver.interrupt()

    def _continue(self) -> None:
        if self._awaits_continue:
            self._awaits_continue = False
            self._connection.continue_sent()
            self.send_interim(HTTPStatus.CONTINUE, ())

    def send_interim(self, status: int, headers: Sequence[tuple[str, str]]) -> None:
        """See RequestBody."""
        if not self._has_interim:
            return
        fields = "".join(f"{name}: {value}\r\n" for name, value in headers)
        head = f"HTTP/1.1 {status:d} {_REASONS.get(status, '')}\r\n{fields}\r\n"
        try:
            with self._sending, gevent.Timeout(SILENCE_TIMEOUT_S, TimeoutError("it is not accepted")):
                self._connection.socket.sendall(head.encode("latin-1"))
        except OSError:
            # What had arrived is still to be read. After it, the reader finds the end of the connection.
            self._has_interim = False

    def skip_rest(self) -> None:
        """See RequestBody."""
        if self._failure or self._awaits_continue or not self._connection.keeps_alive:
            return
        scratch = memoryview(bytearray(SKIPPED_BYTES))
        with contextlib.suppress(BodyBroken, BodyInterrupted):
            while scratch and not self.at_end:
                read_bytes = self._read_some(scratch, 0.0)
                if read_bytes is None:
                    return
                self.received_bytes += read_bytes
                scratch = scratch[read_bytes:]

    def finish(self) -> None:
        """See RequestBody."""
        with contextlib.suppress(OSError):
            self._connection.finish(self.at_end)


class _LengthBody(_SocketBody):
    """A body with a Content-Length."""

    def _read_some(self, buffer: memoryview, until_s: float | None) -> int | None:
        left_bytes = (self.length_bytes or 0) - self.received_bytes
        part = buffer[: min(left_bytes, SLICE_BYTES)]
        ahead = self._take_ahead(len(part))
        if ahead:
            read_bytes = len(ahead)
            part[:read_bytes] = ahead
        else:
            read_bytes = self._receiver.receive(part, until_s, left_bytes)
        self._connection.body_read(read_bytes)
        self.at_end = read_bytes == left_bytes
        return read_bytes or None


class _ChunkedBody(_SocketBody):
    """A body in the chunked coding."""

    def __init__(self, connection: ServerConnection, environ: Mapping[str, Any]) -> None:
        super().__init__(connection, None, environ)
        self._decoder = ChunkedDecoder()
        self._pending = bytearray()
        """What was read and is not decoded yet."""
        self._bad_chunk: BadChunk | None = None
        """Why nothing more can be decoded; for the read after the one that returns what came before."""

    def _read_some(self, buffer: memoryview, until_s: float | None) -> int | None:
        try:
            data_bytes = self._read_coded(buffer, until_s)
        except BadChunk as exc:
            raise BodyBroken(BadRequest(f"The chunked body is malformed: {exc}.")) from exc
        if self._decoder.at_end:
            self.at_end, self.trailers = True, self._decoder.trailers
            self._connection.body_ended(self.trailers)
        return data_bytes

    def _read_coded(self, buffer: memoryview, until_s: float | None) -> int | None:
        """Returns how many bytes of data were read; None if nothing had come at `until_s`."""
        decoder, receiver = self._decoder, self._receiver
        if self._bad_chunk:
            raise self._bad_chunk
        if not self._pending:
            self._pending += self._take_ahead(sum(decoder.least()))
        if self._pending:
            return self._decode_pending(buffer)
        part = buffer[:SLICE_BYTES]
        if decoder.data_bytes >= len(part):  # straight to its place
            received_bytes = receiver.receive(part, until_s, sum(decoder.least()))
            decoder.skip(received_bytes)
            return received_bytes or None
        if receiver.can_peek:
            coded_bytes = receiver.peek(part, until_s, sum(decoder.least()))
            used_bytes, data_bytes = self._decode(part[:coded_bytes], part)
            receiver.drop(used_bytes)
            return data_bytes if coded_bytes else None
        coded = memoryview(bytearray(min(sum(decoder.least()), len(part) + CLOSING_BYTES)))
        self._pending += coded[: receiver.receive(coded, until_s)]
        return 0 if self._pending else None

    def _decode_pending(self, buffer: memoryview) -> int:
        used_bytes, data_bytes = self._decode(memoryview(bytes(self._pending)), buffer)
        del self._pending[:used_bytes]
        return data_bytes

    def _decode(self, coded: memoryview, buffer: memoryview) -> tuple[int, int]:
        """Moves data into the buffer, which may hold `coded` itself. Returns the bytes of both."""
        decoder, used_bytes, data_bytes = self._decoder, 0, 0
        while used_bytes < len(coded) and not decoder.at_end:
            size_bytes = min(decoder.data_bytes, len(coded) - used_bytes)
            if size_bytes:
                size_bytes = min(size_bytes, len(buffer) - data_bytes)
                if not size_bytes:
                    break
                data = coded[used_bytes : used_bytes + size_bytes]
                buffer[data_bytes : data_bytes + size_bytes] = data
                decoder.skip(size_bytes)
                data_bytes += size_bytes
                used_bytes += size_bytes
                continue
            try:
                used_bytes += decoder.feed(coded[used_bytes:])
            except BadChunk as exc:
                self._bad_chunk = exc
                if not data_bytes:
                    raise
                break
        return used_bytes, data_bytes


class _StreamBody(RequestBody):
    """A body of a server that does not show its connection, read from `wsgi.input` as it is."""

    def __init__(self, stream: Any, length_bytes: int) -> None:
        super().__init__(length_bytes)
        self._stream = stream
        self._failure: BodyBroken | BodyInterrupted | None = None

    @property
    def keeps_alive(self) -> bool:
        """See RequestBody."""
        return self.at_end

    def read_into(self, buffer: memoryview) -> int:
        """See RequestBody. It can't be interrupted while it waits."""
        if self._failure:
            raise self._failure
        size_bytes = min(len(buffer), STREAM_BYTES, (self.length_bytes or 0) - self.received_bytes)
        try:
            piece = self._stream.read(size_bytes) if size_bytes else b""
        except OSError as exc:
            raise BodyBroken(IncompleteBody("the connection broke")) from exc
        if size_bytes and not piece:
            raise BodyBroken(IncompleteBody("the connection was closed"))
        buffer[: len(piece)] = piece
        self.received_bytes += len(piece)
        self.at_end = self.received_bytes == self.length_bytes
        return len(piece)

    def interrupt(self) -> None:
        """See RequestBody."""
        self._failure = BodyInterrupted()

    def send_interim(self, status: int, headers: Sequence[tuple[str, str]]) -> None:
        """See RequestBody. Such a server sends none."""

    def finish(self) -> None:
        """See RequestBody."""


def open_body(environ: Mapping[str, Any]) -> RequestBody:
    """Returns the body of a request. Nothing of it is read yet.

    Raises LengthRequired where the server can't read a chunked body, BadRequest where the headers do not say
    clearly how long the body is. After an error the answer has to say `Connection: close`.
    """
    connection = body_connection(environ)
    coding, length = environ.get("HTTP_TRANSFER_ENCODING"), environ.get("CONTENT_LENGTH") or ""
    try:
        _check_length(coding, length)
        if coding is not None and connection is None:
            raise LengthRequired
    except IncomingError:
        if connection:
            connection.body_left()
        raise
    if connection is None:
        return _StreamBody(environ["wsgi.input"], int(length or 0))
    if coding is not None:
        return _ChunkedBody(connection, environ)
    return _LengthBody(connection, int(length or 0), environ)


def _check_length(coding: str | None, length: str) -> None:
    """Raises BadRequest for headers that another server could read differently (RFC 9112 section 6.3)."""
    if coding is not None and (coding.strip().lower() != "chunked" or length):
        raise BadRequest("The Transfer-Encoding must be chunked, without a Content-Length.")
    if length and not (length.isascii() and length.isdigit() and len(length) <= MAX_LENGTH_DIGITS):
        raise BadRequest("The Content-Length is malformed.")
