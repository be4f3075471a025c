"""The heads of HTTP requests: what RFC 9112 does not allow, line by line."""

from __future__ import annotations

import io

import pytest

from incoming.wire.request_head import (
    MAX_HEADER_BYTES,
    MAX_HEADERS,
    BadHead,
    HeaderLines,
    check_headers,
    check_request_line,
    has_body,
    origin_form,
)

HOST = {"host": ["x"]}
NO_LENGTHS = ("", "+5", "-5", "5_0", "0x5", "\xb2", "9" * 19)


def lines_of(data: bytes) -> list[bytes]:
    """Returns the lines up to the end of the headers, as Python's own parser asks for them."""
    reader, lines = HeaderLines(io.BytesIO(data)), list[bytes]()
    while not lines or lines[-1] not in (b"\r\n", b"\n"):
        lines.append(reader.readline(65537))
    return lines


@pytest.mark.parametrize(
    "line", ["GET / HTTP/1.1\r\n", "POST /x?y=%20&z=\xfc HTTP/1.0\n", "M-SEARCH * HTTP/1.1\r\n"]
)
def test_a_request_line_is_a_method_an_address_and_a_version(line: str) -> None:
    check_request_line(line)


@pytest.mark.parametrize(
    "line",
    [
        *("", "\r\n", "GET /\r\n", "GET / HTTP/1.1", "GET / HTTP/1\r\n", "GET / HTTP/2.0\r\n"),
        *("GET  / HTTP/1.1\r\n", "GET\t/ HTTP/1.1\r\n", "GET /a b HTTP/1.1\r\n", "G(T / HTTP/1.1\r\n"),
        *("GET /\x00 HTTP/1.1\r\n", "GET / HTTP/1.1 \r\n", " GET / HTTP/1.1\r\n", "GET / HTTP/1.11\r\n"),
    ],
)
def test_any_other_request_line_is_refused(line: str) -> None:
    with pytest.raises(BadHead):
        check_request_line(line)


def test_valid_headers_pass_unchanged() -> None:
    lines = [b"Host: x\r\n", b"X-Empty:\r\n", b"X:\ty \xfc\n", b"\r\n"]
    assert lines_of(b"".join(lines) + b"body") == lines


@pytest.mark.parametrize(
    "line",
    [
        *(b"no colon\r\n", b": no name\r\n", b"Space : x\r\n", b" folded\r\n", b"\tfolded\r\n"),
        *(b"X: a\rb\r\n", b"X: \x00\r\n", b"X: \x0b\r\n", b"X: \x7f\r\n", b"X\xfc: y\r\n", b"X: cut"),
    ],
)
def test_a_malformed_header_line_is_refused(line: bytes) -> None:
    with pytest.raises(BadHead):
        lines_of(b"Host: x\r\n" + line + (b"\r\n" if line.endswith(b"\n") else b""))


def test_headers_without_an_end_are_refused() -> None:
    with pytest.raises(BadHead, match="no end"):
        lines_of(b"Host: x\r\n")


def test_headers_are_bounded_in_number_and_size() -> None:
    most = b"X: y\r\n" * (MAX_HEADERS - 1)
    assert len(lines_of(most + b"\r\n")) == MAX_HEADERS
    with pytest.raises(BadHead, match="too many"):
        lines_of(most + b"X: y\r\n\r\n")
    with pytest.raises(BadHead, match="too long"):
        lines_of(b"X: " + b"y" * MAX_HEADER_BYTES + b"\r\n\r\n")
    with pytest.raises(BadHead, match="too long"):
        lines_of((b"X: " + b"y" * 1000 + b"\r\n") * 70 + b"\r\n")


@pytest.mark.parametrize(
    ("headers", "version"),
    [
        (HOST, "HTTP/1.1"),
        ({}, "HTTP/1.0"),
        ({**HOST, "content-length": ["0"]}, "HTTP/1.1"),
        ({**HOST, "content-length": ["9" * 18]}, "HTTP/1.1"),
        ({**HOST, "transfer-encoding": ["Chunked"]}, "HTTP/1.1"),
    ],
)
def test_a_clear_end_of_the_request_is_accepted(headers: dict[str, list[str]], version: str) -> None:
    check_headers(headers, version)


@pytest.mark.parametrize(
    ("headers", "version"),
    [
        ({}, "HTTP/1.1"),
        ({"host": ["x", "x"]}, "HTTP/1.0"),
        ({**HOST, "content-length": ["5", "5"]}, "HTTP/1.1"),
        ({**HOST, "content-length": ["5"], "transfer-encoding": ["chunked"]}, "HTTP/1.1"),
        ({**HOST, "transfer-encoding": ["chunked", "chunked"]}, "HTTP/1.1"),
        ({**HOST, "transfer-encoding": ["gzip, chunked"]}, "HTTP/1.1"),
        ({"transfer-encoding": ["chunked"]}, "HTTP/1.0"),
        *(({**HOST, "content-length": [length]}, "HTTP/1.1") for length in NO_LENGTHS),
    ],
)
def test_an_ambiguous_end_of_the_request_is_refused(headers: dict[str, list[str]], version: str) -> None:
    with pytest.raises(BadHead):
        check_headers(headers, version)


@pytest.mark.parametrize(
    ("target", "path", "host"),
    [
        ("/a?b", "/a?b", ""),
        ("*", "*", ""),
        ("/http://x/", "/http://x/", ""),
        ("http://x/a?b", "/a?b", "x"),
        ("hTTps://x.example:8443/", "/", "x.example:8443"),
        ("http://[::1]:4000/a", "/a", "[::1]:4000"),
        ("http://x", "/", "x"),
        ("http://x?/y", "/?/y", "x"),
        ("ftp://x/", "ftp://x/", ""),
    ],
)
def test_an_address_is_a_path_and_perhaps_a_host(target: str, path: str, host: str) -> None:
    assert origin_form(target) == (path, host)


@pytest.mark.parametrize(
    "target", ["http://", "http:///a", "http://u@x/", "http://[::1/", "http://x:y/", "http://::1/"]
)
def test_an_address_without_a_proper_host_is_refused(target: str) -> None:
    with pytest.raises(BadHead):
        origin_form(target)


def test_a_body_follows_a_length_or_a_transfer_encoding() -> None:
    assert has_body({"content-length": ["1"]})
    assert has_body({"transfer-encoding": ["chunked"]})
    assert not has_body({"content-length": ["0"]})
    assert not has_body({})
