"""The head of an HTTP request, line by line, and what is refused in it (RFC 9112).

Two servers that parse the same bytes differently allow request smuggling: what the proxy treats as a body is
a request to the server behind it. So nothing is guessed here. A head that the RFC forbids, or that another
server could parse differently, is refused as a whole. pywsgi itself takes the first of two lengths, and sees
no body under `Transfer-Encoding: gzip, chunked`. Python's e-mail parser, which it reads headers with, drops
all headers after a line without a colon.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final, Protocol

MAX_HEADERS: Final = 100
MAX_HEADER_BYTES: Final = 64 * 1024
"""The limit for all headers of a request. nginx accepts 32 KiB, and browsers rarely send more than 4."""
MAX_LENGTH_DIGITS: Final = 18

TOKEN: Final = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_REQUEST: Final = re.compile(TOKEN.decode() + r" [^\x00-\x20\x7f]+ HTTP/1\.[01]\r?\n")
_FIELD: Final = re.compile(TOKEN + rb":[\t\x20-\x7e\x80-\xff]*\r?\n")
_ABSOLUTE: Final = re.compile(r"https?://([^/?#]*)([/?].*)?", re.IGNORECASE | re.DOTALL)
_AUTHORITY: Final = re.compile(r"(\[[0-9a-f:.]+]|[^\[\]:@]+)(:\d*)?", re.IGNORECASE | re.ASCII)
_END: Final = (b"\r\n", b"\n")


class BadHead(ValueError):
    """The head of a request is refused: the answer is 400, and the connection ends."""


class Reader(Protocol):
    """A source of lines."""

    def readline(self, limit: int = ..., /) -> bytes:
        """Returns the next line with its line end, or its first `limit` bytes."""


class HeaderLines:
    """The header lines of a request, each checked when it is read."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._lines = self._bytes = 0

    def readline(self, limit: int = -1, /) -> bytes:
        """Returns the next line with its line end. Raises BadHead, also at the end of the stream."""
        left_bytes = MAX_HEADER_BYTES - self._bytes
        line = self._reader.readline(min(limit, left_bytes) if limit >= 0 else left_bytes)
        self._bytes += len(line)
        self._lines += 1
        if self._bytes >= MAX_HEADER_BYTES or self._lines > MAX_HEADERS:
            raise BadHead("too many headers, or too long ones")
        if line not in _END and not _FIELD.fullmatch(line):
            # An incomplete head may mean something else than the whole one (RFC 9112 section 8).
            raise BadHead("a malformed header" if line else "the headers have no end")
        return line


def check_request_line(line: str) -> None:
    """Raises BadHead unless `line` is a method, an address and HTTP/1.0 or 1.1, with a space between each."""
    if not _REQUEST.fullmatch(line):
        raise BadHead("a malformed request line")


def origin_form(target: str) -> tuple[str, str]:
    """Returns path and query of a request target, and its host; the host is empty in origin form.

    Every server must accept the absolute form (RFC 9112 section 3.2.2). Raises BadHead for one without a
    host, or with a user name, which RFC 9110 section 4.2 forbids.
    """
    found = _ABSOLUTE.fullmatch(target)
    if not found:
        return target, ""
    host, path = found[1], found[2] or "/"
    if not _AUTHORITY.fullmatch(host):
        raise BadHead("a request target with a malformed host")
    return path if path.startswith("/") else f"/{path}", host


def check_headers(headers: Mapping[str, Sequence[str]], version: str) -> None:
    """Raises BadHead unless the headers say clearly where the request ends, and for which host it is.

    `headers`: {name in lower case: values}; `version`: `HTTP/1.0` or `HTTP/1.1`.
    """
    lengths, encodings = headers.get("content-length", ()), headers.get("transfer-encoding", ())
    if len(lengths) + len(encodings) > 1:
        raise BadHead("more than one length (RFC 9112 section 6.3)")
    for length in lengths:
        if not (length.isascii() and length.isdigit() and len(length) <= MAX_LENGTH_DIGITS):
            raise BadHead("a malformed length")
    for encoding in encodings:
        if encoding.lower() != "chunked" or version != "HTTP/1.1":
            raise BadHead("an unknown transfer encoding (RFC 9112 section 6.1)")
    hosts = len(headers.get("host", ()))
    if hosts > 1 or (not hosts and version == "HTTP/1.1"):
        raise BadHead("no host, or more than one (RFC 9112 section 3.2)")


def has_body(headers: Mapping[str, Sequence[str]]) -> bool:
    """Returns whether a body follows these headers."""
    return "transfer-encoding" in headers or any(int(length) for length in headers.get("content-length", ()))
