"""The chunked transfer coding (RFC 9112 section 7.1), decoded without I/O and strictly.

Chunk data is not copied: the decoder sees the framing only, and its caller reads the data straight to where
it belongs. `ChunkedDecoder.least` says how many bytes of the body have to follow in any case. A caller that
reads no more than that never takes a byte of the next request on the connection.

What two servers could read differently is refused: line ends without CR, sizes with signs, spaces or a
prefix, and trailers that would change where the request ends.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from incoming.wire.request_head import TOKEN

MAX_LINE_BYTES: Final = 4096
"""The limit for a chunk size with its extensions."""
MAX_EXTENSION_BYTES: Final = 16 * 1024
"""The limit for all chunk extensions of a body (section 7.1.1 asks for one)."""
MAX_TRAILER_BYTES: Final = 8192
"""The limit for the trailer section."""
MAX_CHUNK_BYTES: Final = 2**63 - 1
CLOSING_BYTES: Final = len(b"\r\n0\r\n\r\n")
"""What follows the data of a chunk at least."""

_LOOK_BYTES: Final = 64  # most lines are shorter

_QUOTED: Final = rb'"(?:[\t \x21\x23-\x5b\x5d-\x7e\x80-\xff]|\\[\t \x21-\x7e\x80-\xff])*"'
_BWS: Final = rb"[\t ]*"
_EXTENSION: Final = _BWS + b";" + _BWS + TOKEN + b"(?:%b=%b(?:%b|%b))?" % (_BWS, _BWS, TOKEN, _QUOTED)
_SIZE_LINE: Final = re.compile(b"([0-9A-Fa-f]{1,16})((?:%b)*)\r\n" % _EXTENSION)
_SIZE_BEGUN: Final = re.compile(rb"(?:([0-9A-Fa-f]{1,16})[\t ]*(?:;[\t\x20-\x7e\x80-\xff]*)?\r?)?")
_FIELD_LINE: Final = re.compile(b"(%b):[\t ]*([\t\x20-\x7e\x80-\xff]*)\r\n" % TOKEN)
_FIELD_BEGUN: Final = re.compile(b"(?:%b(?::[\t\x20-\x7e\x80-\xff]*)?)?\r?" % TOKEN)
_END: Final = b"\r\n"
_FORBIDDEN: Final = frozenset({"content-length", "host", "trailer", "transfer-encoding"})
"""A trailer may not change the framing or the routing of its request (RFC 9110 section 6.5.1)."""


class BadChunk(ValueError):
    """The coding is broken. The rest of the connection has no meaning."""


class Least(NamedTuple):
    """The fewest bytes of a body that are still to come: framing, then data, then more framing."""

    framing_bytes: int
    data_bytes: int
    closing_bytes: int


class ChunkedDecoder:
    """The state of one chunked body."""

    def __init__(self) -> None:
        self.data_bytes = 0
        """How much of the current chunk's data is still to be read."""
        self.at_end = False
        """Whether the last chunk and the trailers were read."""
        self.trailers: dict[str, str] = {}
        """The trailer fields by their names in lower case; repeated ones are joined by a comma."""
        self._line = bytearray()
        self._after_data = self._in_trailers = False
        self._extension_bytes = self._trailer_bytes = 0

    def least(self) -> Least:
        """Returns what is still to come at least; all 0 at the end."""
        if self.at_end:
            return Least(0, 0, 0)
        if self.data_bytes:
            return Least(0, self.data_bytes, CLOSING_BYTES)
        line = self._line
        if self._after_data:
            return Least(CLOSING_BYTES - len(line), 0, 0)
        end_bytes = 1 if line.endswith(b"\r") else 2
        if self._in_trailers:
            return Least(end_bytes if len(line) == 2 - end_bytes else end_bytes + 2, 0, 0)
        if not line:
            return Least(CLOSING_BYTES - 2, 0, 0)
        size_bytes = _size_begun(line)
        if size_bytes:
            return Least(end_bytes, size_bytes, CLOSING_BYTES)
        return Least(end_bytes + 2, 0, 0)

    def feed(self, data: bytes | bytearray | memoryview) -> int:
        """Reads framing. Returns how many bytes of `data` were framing: what follows is data or not ours.

        Raises BadChunk.
        """
        at = 0
        while at < len(data) and not self.data_bytes and not self.at_end:
            at += self._feed_line(bytes(data[at : at + _LOOK_BYTES]))
        return at

    def skip(self, size_bytes: int) -> None:
        """Counts bytes of the current chunk's data that were read."""
        self.data_bytes -= size_bytes
        self._after_data = not self.data_bytes

    def _feed_line(self, data: bytes) -> int:
        """Adds `data` to the current line, up to the end of that. Returns how many bytes were used."""
        used = data.find(b"\n") + 1
        self._line += data[: used or len(data)]
        if self._after_data:
            self._check_data_end(bool(used))
        elif self._in_trailers:
            self._check_trailer(bool(used))
        else:
            self._check_size(bool(used))
        if used:
            self._line.clear()
        return used or len(data)

    def _check_data_end(self, is_whole: bool) -> None:
        if not _END.startswith(self._line):
            raise BadChunk("the data of a chunk is longer than its size")
        self._after_data = not is_whole

    def _check_size(self, is_whole: bool) -> None:
        line = self._line
        if len(line) > MAX_LINE_BYTES:
            raise BadChunk("a chunk size with its extensions is too long")
        if not is_whole:
            if not _SIZE_BEGUN.fullmatch(line):
                raise BadChunk("a malformed chunk size")
            return
        found = _SIZE_LINE.fullmatch(line)
        if not found:
            raise BadChunk("a malformed chunk size")
        self._extension_bytes += len(found[2])
        if self._extension_bytes > MAX_EXTENSION_BYTES:
            raise BadChunk("too many chunk extensions")
        self.data_bytes = int(found[1], 16)
        if self.data_bytes > MAX_CHUNK_BYTES:
            raise BadChunk("a chunk is too large")
        self._in_trailers = not self.data_bytes

    def _check_trailer(self, is_whole: bool) -> None:
        line = self._line
        if self._trailer_bytes + len(line) > MAX_TRAILER_BYTES:
            raise BadChunk("the trailers are too long")
        if line == _END:
            self.at_end = True
            return
        if not is_whole:
            if not _FIELD_BEGUN.fullmatch(line):
                raise BadChunk("a malformed trailer")
            return
        self._trailer_bytes += len(line)
        found = _FIELD_LINE.fullmatch(line)
        if not found:
            raise BadChunk("a malformed trailer")
        name, value = found[1].decode().lower(), found[2].decode("latin-1").strip(" \t")
        if name in _FORBIDDEN:
            raise BadChunk("a trailer that is not allowed as one")
        earlier = self.trailers.get(name)
        self.trailers[name] = value if earlier is None else f"{earlier}, {value}"


def _size_begun(line: bytearray) -> int:
    """Returns the chunk size as far as its digits are known. More digits only make it larger."""
    found = _SIZE_BEGUN.fullmatch(line)
    return int(found[1], 16) if found and found[1] else 0
