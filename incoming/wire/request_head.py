"""The head of an HTTP request, line by line: what is refused before anybody acts on it (RFC 9112).

Two servers that read one stream of bytes differently can be played against each other: what the proxy takes
for a body is a request to the one behind it. So nothing is guessed here. A head that the RFC does not allow,
or that another server could read in another way, is refused as a whole. pywsgi takes the first of two
lengths, and knows no body under `Transfer-Encoding: gzip, chunked`; and Python's parser of mails, which reads
its headers, drops all that follow a line without a colon.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final, Protocol

MAX_HEADERS: Final = 100
MAX_HEADER_BYTES: Final = 64 * 1024
"""Of all headers of a request. nginx takes 32 KiB, and browsers rarely send more than 4."""
MAX_LENGTH_DIGITS: Final = 18

_TOKEN: Final = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_REQUEST: Final = re.compile(_TOKEN.decode() + r" [^\x00-\x20\x7f]+ HTTP/1\.[01]\r?\n")
_FIELD: Final = re.compile(_TOKEN + rb":[\t\x20-\x7e\x80-\xff]*\r?\n")
_ABSOLUTE: Final = re.compile(r"https?://([^/?#]*)([/?].*)?", re.IGNORECASE | re.DOTALL)
_AUTHORITY: Final = re.compile(r"(\[[0-9a-f:.]+]|[^\[\]:@]+)(:\d*)?", re.IGNORECASE | re.ASCII)
_END: Final = (b"\r\n", b"\n")


class BadHead(ValueError):
    """The head of a request is not taken; the connection ends with 400."""


class Reader(Protocol):
    """What lines are read from."""

    def readline(self, limit: int = ..., /) -> bytes:
        """Returns the next line with its end, or as much of it."""


class HeaderLines:
    """The lines of a request's headers, each looked at before it is handed on."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._lines = self._bytes = 0

    def readline(self, limit: int = -1, /) -> bytes:
        """Returns the next line with its end. Raises BadHead, also at the end of the stream."""
        left_bytes = MAX_HEADER_BYTES - self._bytes
        line = self._reader.readline(min(limit, left_bytes) if limit >= 0 else left_bytes)
        self._bytes += len(line)
        self._lines += 1
        if self._bytes >= MAX_HEADER_BYTES or self._lines > MAX_HEADERS:
            raise BadHead("too many headers, or too long ones")
        if line not in _END and not _FIELD.fullmatch(line):
            # A half of a request is none: it may say more than its whole (RFC 9112 section 8).
            raise BadHead("a header that is none" if line else "the headers have no end")
        return line


def check_request_line(line: str) -> None:
    """Raises BadHead unless `line` is a method, an address and HTTP/1.0 or 1.1, with a space between each."""
    if not _REQUEST.fullmatch(line):
        raise BadHead("a request line that is none")


def origin_form(target: str) -> tuple[str, str]:
    """Returns path and query of a request's address, and the host that it names; empty: the Host header does.

    Each server has to take the absolute form (RFC 9112 section 3.2.2). Raises BadHead for one that names no
    host, or a user, which RFC 9110 section 4.2 forbids.
    """
    found = _ABSOLUTE.fullmatch(target)
    if not found:
        return target, ""
    host, path = found[1], found[2] or "/"
    if not _AUTHORITY.fullmatch(host):
        raise BadHead("an address whose host is none")
    return path if path.startswith("/") else f"/{path}", host


def check_headers(headers: Mapping[str, Sequence[str]], version: str) -> None:
    """Raises BadHead unless it is plain where the request ends, and for whom it is.

    `headers`: {name in lower case: values}; `version`: `HTTP/1.0` or `HTTP/1.1`.
    """
    lengths, encodings = headers.get("content-length", ()), headers.get("transfer-encoding", ())
    if len(lengths) + len(encodings) > 1:
        raise BadHead("more than one length (RFC 9112 section 6.3)")
    for length in lengths:
        if not (length.isascii() and length.isdigit() and len(length) <= MAX_LENGTH_DIGITS):
            raise BadHead("a length that is no number")
    for encoding in encodings:
        if encoding.lower() != "chunked" or version != "HTTP/1.1":
            raise BadHead("a transfer encoding that is not understood (RFC 9112 section 6.1)")
    hosts = len(headers.get("host", ()))
    if hosts > 1 or (not hosts and version == "HTTP/1.1"):
        raise BadHead("not one host (RFC 9112 section 3.2)")


def has_body(headers: Mapping[str, Sequence[str]]) -> bool:
    """Returns whether a body follows these headers."""
    return "transfer-encoding" in headers or any(int(length) for length in headers.get("content-length", ()))
