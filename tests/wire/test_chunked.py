"""The chunked coding: however it is split, the data, the trailers and the end are found, and nothing else."""

from __future__ import annotations

import re
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from incoming.wire.chunked import (
    CLOSING_BYTES,
    MAX_EXTENSION_BYTES,
    MAX_LINE_BYTES,
    MAX_TRAILER_BYTES,
    BadChunk,
    ChunkedDecoder,
)

same_each_run = settings(derandomize=True, deadline=None, max_examples=60)
NEXT = b"GET / HTTP/1.1\r\n"


@dataclass
class Body:
    """A chunked body, and what it means."""

    coded: bytes
    data: bytes
    trailers: dict[str, str]


def decode(*pieces: bytes) -> tuple[bytes, dict[str, str], bytes]:
    """Returns the data, the trailers, and what follows the body. Raises BadChunk, AssertionError."""
    decoder, data, rest = ChunkedDecoder(), b"", b""
    for piece in pieces:
        rest += piece
        while rest and not decoder.at_end:
            taken, rest = rest[: decoder.data_bytes], rest[decoder.data_bytes :]
            data += taken
            if taken:
                decoder.skip(len(taken))
            used_bytes = decoder.feed(rest)
            assert taken or used_bytes
            rest = rest[used_bytes:]
    assert decoder.at_end, "the body has no end"
    return data, decoder.trailers, rest


tokens = st.from_regex(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,8}", fullmatch=True)
quoted = st.from_regex(r'"([\t !#-\[\]-~]|\\[\t -~]){0,8}"', fullmatch=True)
blanks = st.sampled_from(["", " ", "\t ", ""])
extensions = st.builds("{};{}{}".format, blanks, blanks, tokens) | st.builds(
    "{};{}{}={}{}".format, blanks, tokens, blanks, blanks, tokens | quoted
)
trailer_names = tokens.filter(
    lambda name: name.lower() not in ("content-length", "host", "trailer", "transfer-encoding")
)
trailer_values = st.from_regex(r"[!-~]([\t -~]{0,20}[!-~])?", fullmatch=True) | st.just("")


@st.composite
def bodies(draw: st.DrawFn) -> Body:
    """Draws a body that the RFC allows."""
    chunks = draw(st.lists(st.binary(min_size=1, max_size=40), max_size=5))
    coded = b""
    for chunk in chunks:
        digits = draw(st.sampled_from(["%x", "%X", "0%x", "%08x"])) % len(chunk)
        coded += digits.encode() + draw(extensions | st.just("")).encode() + b"\r\n" + chunk + b"\r\n"
    coded += draw(st.sampled_from([b"0", b"000"])) + draw(extensions | st.just("")).encode() + b"\r\n"
    trailers: dict[str, str] = {}
    for name, value in draw(st.lists(st.tuples(trailer_names, trailer_values), max_size=3)):
        coded += f"{name}:{draw(blanks)}{value}{draw(blanks)}\r\n".encode()
        earlier = trailers.get(name.lower())
        trailers[name.lower()] = value if earlier is None else f"{earlier}, {value}"
    return Body(coded + b"\r\n", b"".join(chunks), trailers)


@same_each_run
@given(bodies())
def test_a_body_is_decoded_wherever_it_is_split_in_two(body: Body) -> None:
    stream = body.coded + NEXT
    for at in range(len(stream) + 1):
        assert decode(stream[:at], stream[at:]) == (body.data, body.trailers, NEXT[: len(stream)])


@same_each_run
@given(bodies())
def test_a_body_is_decoded_byte_by_byte(body: Body) -> None:
    pieces = [body.coded[at : at + 1] for at in range(len(body.coded))]
    assert decode(*pieces) == (body.data, body.trailers, b"")


@same_each_run
@given(bodies())
def test_no_more_than_what_belongs_to_the_body_is_ever_asked_for(body: Body) -> None:
    decoder, at = ChunkedDecoder(), 0
    while not decoder.at_end:
        least = decoder.least()
        assert 1 <= sum(least) <= len(body.coded) - at
        assert least.data_bytes == decoder.data_bytes or least.framing_bytes
        if decoder.data_bytes:
            decoder.skip(1)
        else:
            assert decoder.feed(body.coded[at : at + 1]) == 1
        at += 1
    assert at == len(body.coded)
    assert sum(decoder.least()) == 0


def test_a_chunk_and_the_next_size_come_in_one_read() -> None:
    decoder = ChunkedDecoder()
    decoder.feed(b"10000\r\n")
    assert decoder.least() == (0, 0x10000, CLOSING_BYTES)
    decoder.skip(0x10000)
    decoder.feed(b"\r\n10000")
    assert decoder.least() == (2, 0x10000, CLOSING_BYTES)


GOOD_END = b"0\r\n\r\n"
REFUSED = {
    "no size": b"\r\n",
    "an extension without a size": b";a=b\r\n",
    "a size with a sign": b"+5\r\nhello\r\n",
    "a negative size": b"-5\r\n",
    "a size with a prefix": b"0x5\r\nhello\r\n",
    "a size with an underscore": b"1_0\r\n",
    "a blank in front of a size": b" 5\r\nhello\r\n",
    "a blank after a size": b"5 \r\nhello\r\n",
    "a size in other digits": "\u0665\r\nhello\r\n".encode(),
    "a size of 17 digits": b"00000000000000005\r\nhello\r\n",
    "a size beyond a signed number": b"8000000000000000\r\n",
    "a size that ends without CR": b"5\nhello\r\n",
    "a CR without LF after a size": b"5\rhello",
    "two CRs after a size": b"5\r\r\nhello",
    "data without its line end": b"5\r\nhello0\r\n\r\n",
    "data that is longer than its size": b"5\r\nhello!\r\n",
    "data that ends without CR": b"5\r\nhello\n0\r\n\r\n",
    "an empty extension": b"5;\r\nhello\r\n",
    "an extension with an empty value": b"5;a=\r\nhello\r\n",
    "an extension with a control character": b"5;a=\x01\r\nhello\r\n",
    "an extension with an open quote": b'5;a="b\r\nhello\r\n',
    "an extension with a line end in quotes": b'5;a="\n"\r\nhello\r\n',
    "an extension with a bare CR": b"5;a=\rb\r\nhello\r\n",
    "a trailer without a colon": b"0\r\nX\r\n\r\n",
    "a trailer without a name": b"0\r\n: x\r\n\r\n",
    "a trailer with a blank before its colon": b"0\r\nX : x\r\n\r\n",
    "a folded trailer": b"0\r\nX: x\r\n y\r\n\r\n",
    "a trailer with a control character": b"0\r\nX: \x00\r\n\r\n",
    "a trailer that ends without CR": b"0\r\nX: x\n\r\n",
    "trailers that end without CR": b"0\r\n\n",
    "a length as a trailer": b"0\r\nContent-Length: 5\r\n\r\n",
    "a coding as a trailer": b"0\r\nTransfer-Encoding: chunked\r\n\r\n",
    "a host as a trailer": b"0\r\nHost: x\r\n\r\n",
}


@pytest.mark.parametrize("coded", REFUSED.values(), ids=REFUSED)
def test_what_another_server_could_read_differently_is_refused_wherever_it_is_split(coded: bytes) -> None:
    for at in range(len(coded)):
        with pytest.raises(BadChunk):
            decode(coded[:at], coded[at:] + GOOD_END)


@pytest.mark.parametrize("coded", [b"g", b"5 x", b"5\r\nhelloX", b"0\r\n\x00", b"0\r\nX: \x00", b"5;\x00"])
def test_what_can_not_become_a_chunk_is_refused_before_its_line_ends(coded: bytes) -> None:
    with pytest.raises(BadChunk):
        decode(coded)


def test_a_size_line_is_limited() -> None:
    fits = b"5;a=" + b"x" * (MAX_LINE_BYTES - 6) + b"\r\n"
    assert decode(fits + b"hello\r\n" + GOOD_END)[0] == b"hello"
    for line in (fits.replace(b"=", b"=x"), b"5;a=" + b"x" * MAX_LINE_BYTES):
        with pytest.raises(BadChunk, match="too long"):
            decode(line)


def test_all_extensions_of_a_body_are_limited() -> None:
    chunk = b"1;" + b"x" * 1023 + b"\r\na\r\n"
    count = MAX_EXTENSION_BYTES // 1024
    assert decode(chunk * count + GOOD_END)[0] == b"a" * count
    with pytest.raises(BadChunk, match="extensions"):
        decode(chunk * (count + 1) + GOOD_END)


@pytest.mark.parametrize("line", [b"X: " + b"x" * 1019 + b"\r\n", b"X:\r\n" * 256])
def test_the_trailers_are_limited(line: bytes) -> None:
    count = MAX_TRAILER_BYTES // 1024 - 1
    assert decode(b"0\r\n" + line * count + b"\r\n")[2] == b""
    for rest in (line * (count + 2), line * count + b"X: " + b"x" * 1024):
        with pytest.raises(BadChunk, match="trailers"):
            decode(b"0\r\n" + rest)


def test_the_largest_chunk_is_as_large_as_any_file() -> None:
    decoder = ChunkedDecoder()
    assert decoder.feed(b"7fffffffffffffff\r\n") == 18
    assert decoder.least() == (0, 2**63 - 1, CLOSING_BYTES)


@same_each_run
@given(bodies(), st.data())
def test_damage_is_refused_or_changes_what_is_read_but_is_never_an_error_of_another_kind(
    body: Body, data: st.DataObject
) -> None:
    at = data.draw(st.integers(0, len(body.coded) - 1))
    damaged = body.coded[:at] + data.draw(st.binary(max_size=3)) + body.coded[at + 1 :]
    try:
        decode(damaged)
    except BadChunk as exc:
        assert re.fullmatch(r"[a-z ]+", str(exc))
    except AssertionError as exc:
        assert "no end" in str(exc)
