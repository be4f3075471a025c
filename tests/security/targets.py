"""What is fuzzed: functions that take any bytes, and raise when something holds no longer.

Each takes what strangers can send, gives it to the code that reads it first, and compares with something that
was written apart from it. Nothing here needs atheris: `fuzz` drives these with it, and `test_fuzz` with the
inputs that were found and kept.
"""

from __future__ import annotations

import contextlib
import io
import json
import re
import struct
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import astuple
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, cast
from urllib.parse import parse_qsl

import gevent

from incoming.core import backend_requests, file_name
from incoming.core.client_limits import ClientLimits
from incoming.core.errors import (
    BadFolder,
    BadForm,
    BadHeader,
    BadMessage,
    BadParameter,
    FormTooLarge,
    IncomingError,
    WrongMediaType,
)
from incoming.core.folder_manifest import HEADER_BYTES, Entry, encode_head, parse_head
from incoming.core.folder_names import NameRules, stored_paths
from incoming.core.stats import Counters
from incoming.http import parameters
from incoming.http.handler import read_headers
from incoming.http.routes import make_app
from incoming.http_uploads.app import HttpUploads
from incoming.http_uploads.proxy_probe import ProxyProbe
from incoming.protocol import chunks, digests, ietf_draft, messages, problems
from incoming.protocol.events import ChunkReceived, MalformedMessage, TimedOut
from incoming.protocol.flow_control import Limits
from incoming.protocol.messages import MAX_REQUEST_BYTES, MAX_TEXT_BYTES
from incoming.protocol.multipart_form import FormReader
from incoming.protocol.negotiation import NegotiatedSession
from incoming.protocol.rules import PROBE_MAX_HOLD_S
from incoming.runtime.buffer_pool import BufferPool
from incoming.settings.table import Settings
from incoming.storage import FolderStorage
from incoming.storage.local.storage import DiskFacts, LocalStorage
from incoming.uploads.overview import Overview
from incoming.uploads.refusals import Refusals
from incoming.uploads.service import Uploads
from incoming.websocket.keepalive import KeepAlive
from incoming.websocket.websocket import WebSocket
from incoming.websocket.writer import ConnectionGone
from incoming.wire import content_disposition, frames, handshake, request_head
from incoming.wire.chunked import BadChunk, ChunkedDecoder
from incoming.wire.frames import FrameError
from tests.support.fakes import FakeRuntime
from tests.support.uploads import TIMES, House

BUFFER_BYTES: Final = MAX_TEXT_BYTES
SILENCE_S: Final = 10.0
Said = list[tuple[int, bytes]]


# --- frames ----------------------------------------------------------------------------------------------


class NoKeepAlive(KeepAlive):
    """Looks after nobody."""

    def set_tcp_keepalive(self, sock: object) -> None:
        """There is no TCP."""

    def schedule(self, connection: object, due_s: float) -> None:
        """The script says when there is silence."""


class Script(WebSocket):
    """A websocket whose reads are told: pieces of `data` of the sizes in `cuts`; 0 is a silence."""

    def __init__(self, data: bytes, cuts: bytes) -> None:
        self._data, self._at = data, 0
        super().__init__(cast(Any, self), BufferPool(BUFFER_BYTES), NoKeepAlive(SILENCE_S))
        self._cuts = iter(cuts)
        self.sent = b""
        vars(self.writer)["try_send"] = self._keep

    def settimeout(self, timeout_s: float) -> None:
        """Times are told by `cuts`."""

    def _read_once(self, parts: list[memoryview | bytearray], buffer: memoryview | None) -> int:
        cut = next(self._cuts, 255)
        if cut == 0:
            self.liveness.received_s -= SILENCE_S
            self.liveness.pinged_s -= SILENCE_S
            raise TimeoutError("timed out")
        began = self._at
        for part in parts:
            piece = self._data[self._at : min(self._at + len(part), began + cut)]
            part[: len(piece)] = piece
            self._at += len(piece)
        return self._at - began

    def sendall(self, data: bytes) -> None:
        """Keeps what the server says."""
        self.sent += data

    def _keep(self, frame: bytes) -> bool:
        self.sendall(frame)
        return True

    def shutdown(self, how: int) -> None:
        """Nothing comes any more."""
        self._data = self._data[: self._at]


def fuzz_frames(data: bytes) -> None:
    """The frame reader: says the same as one that was written from the RFC alone, however it is cut up."""
    cuts, stream = data[1 : 1 + (data[0] & 15)] if data else b"", data[1 + (data[0] & 15) :] if data else b""
    websocket = Script(stream, cuts)
    websocket.chunk_header_bytes = data[0] & 16 if data else 0
    expects_chunks = not (data and data[0] & 32)
    websocket.expect_chunks(expects_chunks)
    got: Said = []
    end = "gone"
    try:
        while (message := websocket.receive()) is not None:
            if message.opcode == frames.OP_TEXT:
                message.text  # noqa: B018 - raises FrameError
            payload = bytes(message.payload)
            if message.opcode == frames.OP_BINARY and message.is_whole:
                has_checksum = expects_chunks and websocket.chunk_header_bytes > 0
                assert message.crc32c == (_crc32c(payload[16:]) if has_checksum else None)
            got.append((message.opcode, payload))
        end = "closed"
    except ConnectionGone:
        pass
    except FrameError as exc:
        assert exc.code in (1002, 1007, 1009)
        websocket.close(exc.code, str(exc))
        end = "refused"
    expected, how = _as_the_rfc_says(stream, expects_chunks)
    if 0 in cuts:  # two silences end it early
        assert got == expected[: len(got)]
    else:
        assert (got, end) == (expected, how), (expected, how)
    _check_own_frames(websocket.sent)


def _as_the_rfc_says(stream: bytes, expects_chunks: bool) -> tuple[Said, str]:
    """Returns the messages in a client's stream and how it ends: "gone", "closed" or "refused".

    Of a binary message that is not expected, or does not fit, nothing is kept.
    """
    longest_text = MAX_TEXT_BYTES if expects_chunks else MAX_REQUEST_BYTES
    said: Said = []
    kind, parts = 0, b""
    reader = io.BytesIO(stream)
    while True:
        verdict, first, payload = _one_frame(reader, kind, len(parts), longest_text)
        if verdict:
            return said, verdict
        opcode = first & 15
        if opcode == 8:
            return said, "closed" if _good_close(payload) else "refused"
        if opcode > 8:
            continue
        kind, parts = kind or opcode, parts + payload
        if first & 0x80:
            if kind == 1 and not _is_text(parts):
                return said, "refused"
            is_kept = kind == 1 or (expects_chunks and len(parts) <= BUFFER_BYTES)
            said.append((kind, parts if is_kept else b""))
            kind, parts = 0, b""


def _one_frame(reader: io.BytesIO, kind: int, so_far: int, longest_text: int) -> tuple[str, int, bytes]:
    """Returns ("", first byte, payload), or why there is none."""
    head = reader.read(2)
    if len(head) < 2:
        return "gone", 0, b""
    first, opcode, size, control = head[0], head[0] & 15, head[1] & 127, bool(head[0] & 8)
    known = opcode in (0, 1, 2, 8, 9, 10)
    if not head[1] & 0x80 or first & 0x70 or not known or (control and (size > 125 or not first & 0x80)):
        return "refused", 0, b""
    extra = {126: 2, 127: 8}.get(size, 0)
    long_size, mask = reader.read(extra), reader.read(4)
    if len(mask) < 4:
        return "gone", 0, b""
    if extra:
        size = int.from_bytes(long_size, "big")
        if size < (126 if extra == 2 else 65536) or size >> 63:
            return "refused", 0, b""
    if not control and bool(kind) != (opcode == 0):
        return "refused", 0, b""
    if not control and so_far + size > (longest_text if 1 in (kind, opcode) else 64 << 20):
        return "refused", 0, b""
    payload = reader.read(size)
    if len(payload) < size:
        return "gone", 0, b""
    return "", first, bytes(byte ^ mask[i % 4] for i, byte in enumerate(payload))


def _good_close(payload: bytes) -> bool:
    if not payload:
        return True
    code = int.from_bytes(payload[:2], "big")
    allowed = code in (1000, 1001, 1002, 1003, *range(1007, 1015)) or 3000 <= code < 5000
    return len(payload) > 1 and allowed and _is_text(payload[2:])


def _is_text(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def _check_own_frames(sent: bytes) -> None:
    """What the server says is pings, pongs and at most one close frame, the last; unmasked and whole."""
    closed = False
    while sent:
        assert not closed
        first, size = sent[0], sent[1]
        assert first in (0x88, 0x89, 0x8A)
        assert size <= 125
        assert len(sent) >= 2 + size
        closed = first == 0x88
        sent = sent[2 + size :]


# --- messages --------------------------------------------------------------------------------------------


def fuzz_messages(data: bytes) -> None:
    """The message parser: returns a message that survives the way back, or raises BadMessage."""
    text = data.decode("utf-8", "replace")
    try:
        message = messages.parse(text)
    except BadMessage as exc:
        assert str(exc)
        return
    assert json.loads(text)["MsgType"] == type(message).__name__
    sent = messages.encode(message)
    again = messages.parse(sent)
    assert messages.encode(again) == sent  # texts for pages are made harmless once, and then stay
    name = file_name.bare_file_name(getattr(message, "name", ""))
    assert name not in ("", ".", "..")
    assert not {"/", "\\", "\0", "\n"} & set(name)


def fuzz_conversation(data: bytes) -> None:
    """Both sessions: whatever is said, in whatever order, they answer with actions and raise nothing."""
    limits = Limits(
        chunk_size_bytes=1024, send_ahead=4, max_chunk_bytes=4096, max_window_bytes=65536, silence_s=10.0
    )
    conversation = NegotiatedSession(limits)
    for line in data.split(b"\n"):
        if line[:1] == b"#":
            offset, number = struct.unpack(">QB", line[1:10].ljust(9, b"\0"))
            conversation.handle(ChunkReceived(len(line), offset, number, bool(number & 1)))
        elif line[:1] == b"!":
            conversation.handle(TimedOut(conversation.phase))
        else:
            try:
                conversation.handle(messages.parse(line.decode("utf-8", "replace")))
            except BadMessage as exc:
                conversation.handle(MalformedMessage(exc))


def fuzz_chunks(data: bytes) -> None:
    """The chunks of version 2: intact exactly if another implementation of the checksum agrees."""
    chunk = chunks.parse(memoryview(data))
    if len(data) <= 16:
        assert not chunk.intact
        assert not chunk.payload
        return
    offset, crc, number = struct.unpack(">QLL", data[:16])
    assert (chunk.offset_bytes, chunk.crc32c, chunk.round) == (offset, crc, number)
    assert bytes(chunk.payload) == data[16:]
    assert chunk.intact == (_crc32c(data[16:]) == crc)
    header = bytearray(16)
    chunks.write_header(memoryview(header), offset, crc, number)
    assert header == data[:16]


def _crc32c(data: bytes) -> int:
    """Returns the checksum, bit by bit (RFC 3720 appendix B.4)."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = _CRC_OF_BYTE[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    return crc ^ 0xFFFFFFFF


def _crc_of(byte: int) -> int:
    for _ in range(8):
        byte = (byte >> 1) ^ (0x82F63B78 if byte & 1 else 0)
    return byte


_CRC_OF_BYTE: Final = [_crc_of(byte) for byte in range(256)]


# --- HTTP ------------------------------------------------------------------------------------------------


def fuzz_parameters(data: bytes) -> None:
    """The parameters: everything is taken or refused with its name; what was taken is within its bounds."""
    asked = dict(parse_qsl(data.decode("utf-8", "surrogateescape"), keep_blank_values=True))
    for read in (parameters.new_upload, parameters.listing, parameters.ticket_id):
        try:
            taken = read(asked)
        except BadParameter as exc:
            assert exc.parameter in str(exc)
            continue
        if isinstance(taken, backend_requests.NewUpload):
            assert taken.signal_finish_url.lower().startswith(("http://", "https://"))
            assert not set(taken.signal_finish_url) & set("\r\n\t \\\0")
            assert taken.file_owner_uid is None or 0 <= taken.file_owner_uid < 2**32 - 1
            assert taken.max_bytes_per_s >= 0
            assert len(taken.secret) <= parameters.MAX_SECRET_CHARS


class Nobody:
    """Takes the place of the service, which is not what is fuzzed: all tickets are one."""

    id = "00000000-0000-4000-8000-000000000000"
    refusals = Refusals(Counters(), time.monotonic)

    def issue(self, asked: object) -> Nobody:
        """Makes no ticket."""
        return self

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *args: None


_APP: Final = make_app(Settings(), cast(Uploads, Nobody()), cast(Overview, Nobody()))
_ROUTES: Final = ("backend/new_upload", "backend/cancel_upload", "frontend/incoming.js", "frontend/upload_ws")
_TYPES: Final = (b"", b"application/x-www-form-urlencoded", b"application/json")


def fuzz_routes(data: bytes) -> None:
    """The routes as WSGI: query, form, parts, headers; never an answer of 500."""
    head, _, body = data.partition(b"\n\n")
    route, query, content_type, accept, path, part, since = (head.split(b"\n") + [b""] * 7)[:7]
    number = route[0] if route else 0
    kind = content_type if len(content_type) > 1 else _TYPES[(content_type or b"\0")[0] % len(_TYPES)]
    environ = {
        "REQUEST_METHOD": "GET" if number & 64 else "POST",
        "PATH_INFO": "/incoming/" + _ROUTES[number % len(_ROUTES)] + path.decode("latin-1"),
        "QUERY_STRING": query.decode("latin-1"),
        "CONTENT_TYPE": kind.decode("latin-1"),
        "CONTENT_LENGTH": str(len(body)),
        "HTTP_ACCEPT": accept.decode("latin-1"),
        "HTTP_RANGE": part.decode("latin-1"),
        "HTTP_IF_MODIFIED_SINCE": since.decode("latin-1"),
        "REMOTE_ADDR": "127.0.0.1",
        "SERVER_NAME": "x",
        "SERVER_PORT": "80",
        "wsgi.input": io.BytesIO(body),
        "wsgi.errors": io.StringIO(),
        "wsgi.url_scheme": "http",
    }
    statuses: list[str] = []
    answer = b"".join(_APP(environ, lambda status, headers, exc_info=None: statuses.append(status)))
    assert statuses[0][0] in "234", (statuses, answer)
    assert b"Traceback" not in answer


def fuzz_heads(data: bytes) -> None:
    """Heads of requests: what passes is one length at most, and no header is lost or made up."""
    line, _, rest = data.partition(b"\n")
    text = line.decode("latin-1") + "\n"
    try:
        request_head.check_request_line(text)
        version = text.split(" ")[2].strip()
        read = read_headers(request_head.HeaderLines(io.BytesIO(rest)))
        by_name = {name.lower(): read.get_all(name) for name in read}
        request_head.check_headers(by_name, version)
        request_head.has_body(by_name)
    except request_head.BadHead:
        return
    written = list(_lines_before_the_end(rest))
    assert len(read.items()) == len(written), (read.items(), written)
    lengths = [x for x in written if x.lower().startswith((b"content-length:", b"transfer-encoding:"))]
    assert len(lengths) <= 1


def _lines_before_the_end(rest: bytes) -> Iterator[bytes]:
    for line in rest.split(b"\n"):
        if line.rstrip(b"\r") == b"":
            return
        yield line


def fuzz_bodies(data: bytes) -> None:
    """Chunked bodies: cut anywhere, they are read as one who has all of it before him reads them.

    The first byte tells the size of the pieces.
    """
    size, coded = (data[0] % 64 + 1 if data else 1), data[1:]
    decoder, content, rest, refused = ChunkedDecoder(), b"", b"", False
    try:
        for at in range(0, len(coded), size):
            rest += coded[at : at + size]
            while rest and not decoder.at_end:
                assert sum(decoder.least()) > 0
                taken, rest = rest[: decoder.data_bytes], rest[decoder.data_bytes :]
                content += taken
                if taken:
                    decoder.skip(len(taken))
                rest = rest[decoder.feed(rest) :]
    except BadChunk:
        refused = True
    read = (content, decoder.trailers, rest) if decoder.at_end and not refused else None
    assert read == _chunked_as_the_rfc_says(coded), read


def _chunked_as_the_rfc_says(coded: bytes) -> tuple[bytes, dict[str, str], bytes] | None:
    """Reads a body that is there as a whole (RFC 9112 section 7.1); None for one that is refused."""
    content, size, extension_bytes = b"", -1, 0
    while size:
        line, end, coded = coded.partition(b"\r\n")
        digits = line[: len(line) - len(line.lstrip(b"0123456789abcdefABCDEF"))]
        extension_bytes += len(line) - len(digits)
        if not end or not 1 <= len(digits) <= 16 or int(digits, 16) >= 1 << 63:
            return None
        if not _are_extensions(line[len(digits) :]) or len(line) + 2 > 4096 or extension_bytes > 16384:
            return None
        size = int(digits, 16)
        content += coded[:size]
        if size and coded[size : size + 2] != b"\r\n":
            return None
        coded = coded[size + 2 :] if size else coded
    trailers: dict[str, str] = {}
    for _ in range(8192):
        line, end, coded = coded.partition(b"\r\n")
        if not line and end:
            return content, trailers, coded
        name, colon, value = line.partition(b":")
        key = name.decode("latin-1").lower()
        is_text = all(byte >= 32 and byte != 127 for byte in value.replace(b"\t", b" "))
        if not (end and colon and name and _is_token(name) and is_text):
            return None
        if key in ("content-length", "host", "trailer", "transfer-encoding"):
            return None
        text = value.decode("latin-1").strip(" \t")
        trailers[key] = f"{trailers[key]}, {text}" if key in trailers else text
    return None


def _is_token(name: bytes) -> bool:
    return all(byte in b"!#$%&'*+-.^_`|~" or (chr(byte).isalnum() and byte < 128) for byte in name)


def _are_extensions(text: bytes) -> bool:
    """Returns whether this is nothing, or extensions of a chunk."""
    while text:
        text = text.lstrip(b" \t")
        if not text.startswith(b";"):
            return False
        text = text[1:].lstrip(b" \t")
        name = text[: next((at for at, byte in enumerate(text) if not _is_token(bytes([byte]))), len(text))]
        text = text[len(name) :]
        if not name:
            return False
        if text.lstrip(b" \t").startswith(b"="):
            text = text.lstrip(b" \t")[1:].lstrip(b" \t")
            value_bytes = _value_bytes(text)
            if not value_bytes:
                return False
            text = text[value_bytes:]
    return True


def _value_bytes(text: bytes) -> int:
    """Returns the length of the token or the quoted string at the start; 0 if there is none."""
    if not text.startswith(b'"'):
        return next((at for at, byte in enumerate(text) if not _is_token(bytes([byte]))), len(text))
    at = 1
    while at < len(text) and text[at] != ord('"'):
        at += 2 if text[at] == ord("\\") else 1
        if at > len(text) or (text[at - 1] < 32 and text[at - 1] != 9) or text[at - 1] == 127:
            return 0
    return at + 1 if at < len(text) else 0


def fuzz_handshake(data: bytes) -> None:
    """The handshake: refused in words, or answered with exactly one head."""
    values = data.decode("latin-1").split("\n")
    names = ("UPGRADE", "CONNECTION", *(f"SEC_WEBSOCKET_{x}" for x in ("VERSION", "KEY", "EXTENSIONS")))
    environ = {f"HTTP_{name}": value for name, value in zip(names, values, strict=False)}
    environ |= {"REQUEST_METHOD": "GET", "SERVER_PROTOCOL": "HTTP/1.1"}
    handshake.proxy_fault(environ)
    why = handshake.refusal(environ)
    if why:
        assert str(why)
        return
    answer = handshake.answer(environ)
    assert answer.startswith(b"HTTP/1.1 101 ")
    assert answer.count(b"\r\n") == 5
    assert b"xtension" not in answer


# --- resumable uploads of the IETF --------------------------------------------------------------------------

UPLOAD_HEADERS: Final = (
    *(
        "Upload-Draft-Interop-Version",
        "Upload-Complete",
        "Upload-Incomplete",
        "Upload-Offset",
        "Upload-Length",
    ),
    *("Content-Type", "Content-Digest", "Repr-Digest", "Want-Repr-Digest", "Content-Disposition"),
)
_PLAIN_INTEGER: Final = re.compile(r" *(-?[0-9]{1,15}) *")


def fuzz_upload_headers(data: bytes) -> None:
    """Headers of a request that uploads: understood as they are written, or refused in words that name one.

    The first line is the method, the second the Content-Length; then come the values of UPLOAD_HEADERS.
    """
    method, length, *values = [line.strip(" \t") for line in (data + b"\n").decode("latin-1").split("\n")]
    given = {name.lower(): value for name, value in zip(UPLOAD_HEADERS, values, strict=False) if value}

    def find(name: str) -> str | None:
        return given.get(name.lower())

    dialect = ietf_draft.spoken(find).dialect
    content_bytes = int(length) if length.isascii() and length.isdigit() and len(length) < 16 else None
    reads = ietf_draft.read_creation, ietf_draft.read_append
    try:
        for header in ("Content-Digest", "Repr-Digest"):
            found = digests.read_digest(header, find(header))
            assert (
                found is None or digests.read_digest(header, digests.digest_value(*astuple(found))) == found
            )
        part = reads[not ietf_draft.is_creation(dialect, method, find)](dialect, find, content_bytes)
    except (BadHeader, WrongMediaType) as exc:
        assert any(name in str(exc) for name in (*UPLOAD_HEADERS, dialect.flag))
        assert json.loads(json.dumps(problems.problem(exc, 400, "Bad Request")))["detail"] == str(exc)
        return
    offset = _PLAIN_INTEGER.fullmatch(find("Upload-Offset") or "")
    if offset and int(offset[1]) >= 0:
        assert part.offset_bytes == int(offset[1])
    assert part.is_last or (find(dialect.flag) or "").startswith(dialect.flag_value(False))
    assert part.length_bytes is None or part.length_bytes >= 0
    if part.is_last and content_bytes is not None:
        assert part.length_bytes == part.offset_bytes + content_bytes
    digests.wanted_hash(find("Want-Repr-Digest"))
    name = file_name.bare_file_name(content_disposition.file_name(find("Content-Disposition")))
    assert name and not set("/\\\0\n\r") & set(name)


# --- forms -----------------------------------------------------------------------------------------------

_BOUNDARY: Final = b"\r\n--b0undary"
_FORM_TYPE: Final = "multipart/form-data; boundary=b0undary"
_FILE_HEAD: Final = _BOUNDARY[2:] + b'\r\nContent-Disposition: form-data; name="f"; filename="%s"\r\n\r\n'
_MEANS_AN_END: Final = tuple(_BOUNDARY + after for after in (b"\r\n", b"--", b" ", b"\t"))


def fuzz_forms(data: bytes) -> None:
    """Forms: one that comes in pieces is read as one that comes at once, and a file comes out as it is."""
    size_bytes, wraps, rest = data[0] if data else 0, data[1:2] > b"\x7f", data[2:]
    if not wraps:
        assert _read_form(rest, size_bytes or 1) == _read_form(rest, len(rest) or 1)
        return
    name, _, content = rest.partition(b"\n")
    name = name.replace(b'"', b"%22").replace(b"\r", b"%0D").replace(b"\\", b"/")[:1000]
    if any(end in b"\r\n" + content + b"\r\n" for end in _MEANS_AN_END):
        return  # a browser chooses a boundary that is not in the file
    form = _FILE_HEAD % name + content + _BOUNDARY + b"--\r\n"
    read = _read_form(form, size_bytes or 1)
    assert read is not None or (not name and not content), form
    assert read is None or read[1] == content


def _read_form(form: bytes, piece_bytes: int) -> tuple[str | None, bytes] | None:
    """Returns the name and the content of the file in a form; None where it is refused."""
    reader, content = FormReader(_FORM_TYPE), b""
    try:
        for at in range(0, len(form), piece_bytes):
            content += b"".join(reader.feed(form[at : at + piece_bytes]))
        reader.finish()
    except (BadForm, FormTooLarge) as exc:
        assert str(exc)
        return None
    return reader.file_name, content


# --- requests for uploads, their parts, and the probe ----------------------------------------------------

_METHODS: Final = ("OPTIONS", "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "BREW")
TICKET, SESSION = "{ticket}", "{session}"
"""What inputs have in place of the ticket, and of the session that the last answer began."""
_UPLOAD_PATHS: Final = (
    *(f"/incoming/frontend/uploads/{TICKET}", f"/incoming/frontend/uploads/{TICKET}/parts/"),
    *(f"/incoming/0.1/frontend/uploads/{TICKET}/parts/1", f"/incoming/frontend/uploads/{TICKET}/session"),
    *("/incoming/frontend/probe", "/incoming/frontend/uploads", f"/incoming/frontend/uploads/{TICKET}/"),
)
_UPLOAD_FIELDS: Final = (
    *("CONTENT_TYPE", "HTTP_TUS_RESUMABLE", "HTTP_UPLOAD_LENGTH", "HTTP_UPLOAD_OFFSET", "HTTP_UPLOAD_CONCAT"),
    *("HTTP_UPLOAD_DEFER_LENGTH", "HTTP_UPLOAD_METADATA", "HTTP_UPLOAD_CHECKSUM", "HTTP_UPLOAD_COMPLETE"),
    *("HTTP_X_HTTP_METHOD_OVERRIDE", "HTTP_ACCEPT", "HTTP_CONTENT_RANGE", "HTTP_UPLOAD_SESSION"),
    *("HTTP_UPLOAD_DRAFT_INTEROP_VERSION", "HTTP_CONTENT_DIGEST", "HTTP_REPR_DIGEST", "HTTP_UPLOAD_TICKET"),
    *("QUERY_STRING", "HTTP_TRANSFER_ENCODING", "CONTENT_LENGTH"),
)
MAX_REQUESTS: Final = 6
REQUESTS_OF_A_HOUSE: Final = 2000
TRY_AGAIN: Final = (503, 504)


class Uploading:
    """The service behind its uploads over HTTP, in a directory. It is replaced before it has much to keep."""

    def __init__(self) -> None:
        self._directory = TemporaryDirectory(prefix="fuzz-uploads-")
        self.house = House(Path(self._directory.name), http_hold_s=0.1, max_upload_bytes=1 << 20, **TIMES)
        limits, uploads = ClientLimits((), 0), self.house.uploads
        front = HttpUploads(uploads, BufferPool(BUFFER_BYTES, 1 << 20), limits).wrap(self._no_upload)
        self._app = ProxyProbe(uploads, limits.source_of).wrap(front)
        self.requests = 0

    @staticmethod
    def _no_upload(_: object, start_response: Callable[..., object]) -> list[bytes]:
        start_response("404 Not Found", [])
        return []

    def ask(self, environ: dict[str, Any]) -> tuple[int, dict[str, str], bytes]:
        """Returns status, headers and body of the answer. Time passes, so that no answer is held for good."""
        self.requests += 1
        started: list[tuple[str, list[tuple[str, str]]]] = []

        def run() -> bytes:
            parts = self._app(
                environ, lambda status, headers, exc_info=None: started.append((status, headers))
            )
            try:
                return b"".join(parts)
            finally:
                getattr(parts, "close", lambda: None)()

        task = gevent.spawn(run)
        self.house.runtime.advance(PROBE_MAX_HOLD_S + 1)
        body = task.get(timeout=60)
        ((status, headers),) = started
        assert all(f"{name}{value}".isprintable() for name, value in headers), headers
        return int(status[:3]), {name.lower(): value for name, value in headers}, body


_uploading: list[Uploading] = []


def fuzz_uploads(data: bytes) -> None:
    """Some requests for one upload, one after the other: never a defect, and stored is what was accepted.

    A request is a method, an address, and lines, each of which has the number of a field before its value.
    Behind an empty line is the body. A line with one dot separates the requests.
    """
    if not _uploading or _uploading[0].requests > REQUESTS_OF_A_HOUSE:
        _uploading[:] = [Uploading()]
    uploading = _uploading[0]
    ticket_id, session = uploading.house.new_ticket(), ""
    for request in data.split(b"\n.\n")[:MAX_REQUESTS]:
        head, _, content = request.partition(b"\n\n")
        first, *lines = head.split(b"\n")
        named = {TICKET: ticket_id, SESSION: session}
        environ = _upload_environ(first, lines, named, content)
        status, headers, body = uploading.ask(environ)
        session = headers.get("upload-session", session)
        assert 200 <= status < 500 or status in TRY_AGAIN, (status, body)
        assert b"Traceback" not in body
        if status == 204 and environ["REQUEST_METHOD"] == "PATCH" and "upload-offset" in headers:
            _check_stored(uploading, environ, headers, content)
    with contextlib.suppress(IncomingError):
        uploading.house.uploads.cancel_by_app(ticket_id, "")


def _upload_environ(
    first: bytes, lines: list[bytes], named: dict[str, str], content: bytes
) -> dict[str, Any]:
    """Returns the environ of WSGI. `named`: what takes the place of TICKET and SESSION."""

    def text(value: bytes) -> str:
        named_in = value.decode("latin-1")
        for name, its in named.items():
            named_in = named_in.replace(name, its)
        return named_in

    method, path = (*first[:2], 0, 0)[:2]
    address = _UPLOAD_PATHS[path % len(_UPLOAD_PATHS)].replace(TICKET, named[TICKET])
    fields = {_UPLOAD_FIELDS[line[0] % len(_UPLOAD_FIELDS)]: text(line[1:]) for line in lines if line}
    return {
        "CONTENT_LENGTH": str(len(content)),
        "QUERY_STRING": "",
        **fields,
        "REQUEST_METHOD": _METHODS[method % len(_METHODS)],
        "PATH_INFO": address + first[2:].decode("latin-1"),
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1",
        "SERVER_PORT": "80",
        "HTTP_HOST": "x",
        "wsgi.input": io.BytesIO(content),
        "wsgi.url_scheme": "http",
    }


def _check_stored(
    uploading: Uploading, environ: dict[str, Any], headers: dict[str, str], content: bytes
) -> None:
    """An offset that was told by tus is told again. What was sent without a length is not behind it."""
    looked = {**environ, "REQUEST_METHOD": "HEAD", "CONTENT_LENGTH": "", "wsgi.input": io.BytesIO()}
    if environ.get("HTTP_TUS_RESUMABLE") != "1.0.0" or "HTTP_UPLOAD_COMPLETE" in environ:
        return
    status, again, _ = uploading.ask(looked)
    assert status in (200, 410, 423, *TRY_AGAIN), status
    if status == 200 and "upload-offset" in again:
        assert int(again["upload-offset"]) >= int(headers["upload-offset"])
        assert int(headers["upload-offset"]) <= int(environ["HTTP_UPLOAD_OFFSET"]) + len(content)


# --- folders ---------------------------------------------------------------------------------------------

MAX_STORED_BYTES: Final = 1 << 14
_folders: list[tuple[TemporaryDirectory[str], FolderStorage]] = []


def fuzz_folders(data: bytes) -> None:
    """Folders: a head is read as JSON Lines are, or refused in words; what is stored is in its folder.

    The first byte tells whether the rest is a whole head, or the lines in one; the second how large the
    pieces are in which the stream comes.
    """
    if len(data) < 2:
        return
    kind, piece_bytes, rest = data[0], data[1] + 1, data[2:]
    is_head, folds = bool(kind & 1), bool(kind & 2)
    head = rest if is_head else _head_of(rest)
    try:
        manifest = parse_head(head)
        entries = manifest.entries
        stored = stored_paths(entries, NameRules(folds))
    except BadFolder as exc:
        assert exc.reason and str(exc).endswith(".")
        return
    text = head[HEADER_BYTES:].decode("utf-8", "replace")  # members that have no meaning are not looked at
    lines = [json.loads(line) for line in text.split("\n")[:-1]]
    assert [(one["path"], one.get("size", 0)) for one in lines] == [(e.path, e.size_bytes) for e in entries]
    assert manifest.length_bytes == len(head) + sum(entry.size_bytes for entry in entries)
    assert parse_head(encode_head(entries)).entries == entries
    _check_paths(entries, stored)
    if manifest.length_bytes - len(head) <= MAX_STORED_BYTES:
        _check_stored_folder(head + bytes(manifest.length_bytes - len(head)), piece_bytes)


def _head_of(lines: bytes) -> bytes:
    """Returns a head whose checksums are right."""
    lines += b"\n" * bool(lines)
    header = struct.pack(">8sQII4x", b"IncFold1", len(lines), lines.count(b"\n"), _crc32c(lines))
    return header + struct.pack(">I", _crc32c(header)) + lines


def _check_paths(entries: Sequence[Entry], stored: list[str]) -> None:
    """No path leads out of the folder, and none is in the way of another one."""
    folders, files = set(), set()
    for entry, path in zip(entries, stored, strict=True):
        names = path.split("/")
        assert not {"", ".", ".."} & set(names), path
        assert len(names) <= 100 and all(len(name.encode()) <= 255 for name in names), path
        assert not any(ord(c) < 32 or c in "\\\x7f" for c in path), path
        folders |= {"/".join(names[:count]) for count in range(1, len(names))}
        if entry.is_folder:
            folders.add(path)
        else:
            assert path not in files, path
            files.add(path)
    assert not folders & files


def _check_stored_folder(stream: bytes, piece_bytes: int) -> None:
    """Stores a folder for real, looks at all that is on the disk, and removes it."""
    if not _folders:
        directory = TemporaryDirectory(prefix="fuzz-folders-")
        local = LocalStorage(Path(directory.name) / "data", 0, FakeRuntime(), DiskFacts(syncs=False))
        _folders.append((directory, local.folders))
    directory, folders = _folders[0]
    writer = folders.open(Nobody.id, len(stream))
    for at in range(0, len(stream), piece_bytes):
        writer.write(memoryview(stream)[at : at + piece_bytes])
    writer.finish()
    read = bytearray()
    folders.read(Nobody.id, 0, len(stream), read.extend)
    assert read == stream
    place = Path(folders.location(Nobody.id))
    assert {path.parent for path in Path(directory.name).glob("*/*/*")} == {place.parent}
    assert [path.name for path in Path(directory.name).glob("*/*")] == [Nobody.id]
    folders.delete(Nobody.id)
    assert not [*Path(directory.name).glob("*/*")]


TARGETS: Final[dict[str, Callable[[bytes], None]]] = {
    "frames": fuzz_frames,
    "messages": fuzz_messages,
    "conversation": fuzz_conversation,
    "chunks": fuzz_chunks,
    "parameters": fuzz_parameters,
    "forms": fuzz_forms,
    "routes": fuzz_routes,
    "heads": fuzz_heads,
    "bodies": fuzz_bodies,
    "handshake": fuzz_handshake,
    "upload_headers": fuzz_upload_headers,
    "uploads": fuzz_uploads,
    "folders": fuzz_folders,
}
