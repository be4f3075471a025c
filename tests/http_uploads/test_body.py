"""Bodies of requests are read whole, in order and to the last byte that arrived, under each web server."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import incoming
from tests.http_uploads.body_servers import BODY_SERVERS, BodyServer, Uwsgi, chunked, head, put
from tests.support.data import MIB, FileBytes
from tests.support.waiting import AT_ONCE_S, wait_until

CHUNKED = "Transfer-Encoding: chunked"
EXPECT = "Expect: 100-continue"
_numbers = itertools.count(1)


@pytest.fixture(scope="module", params=BODY_SERVERS, ids=lambda kind: kind.title)
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[BodyServer]:
    """A server that the tests of a module share."""
    with request.param(tmp_path_factory.mktemp("bodies") / "storage") as running:
        yield running


@pytest.fixture
def name() -> str:
    """That of a new body."""
    return f"body{next(_numbers)}"


def some(size_bytes: int) -> bytes:
    """Returns bytes that are different everywhere."""
    return FileBytes(size_bytes, 1).read(0, size_bytes)


def coded(data: bytes, coding: str) -> tuple[str, bytes]:
    """Returns the header and the bytes of a body."""
    if coding == "length":
        return f"Content-Length: {len(data)}", data
    return CHUNKED, chunked(data, int(coding))


CODINGS = pytest.mark.parametrize("coding", ["length", "65536"], ids=["length", "chunked"])

# --- whole bodies --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("coding", "buffer_bytes"),
    [("length", MIB), ("length", 3000), ("1000", MIB), ("65536", 3000), ("1100000", MIB), ("9000000", MIB)],
)
def test_a_large_body_is_read_whole(server: BodyServer, name: str, coding: str, buffer_bytes: int) -> None:
    data = some(2 * MIB + 17)
    field, body = coded(data, coding)
    with server.connect() as client:
        client.send(head(f"{name}?buffer={buffer_bytes}", field), body)
        assert client.answer()[0] == 201
    assert server.stored(name) == data
    found = server.found(name)
    assert (found["at_end"], found["received"]) == (True, len(data))
    assert found["length"] == (len(data) if coding == "length" else None)


@pytest.mark.parametrize("coding", ["length", "1", "100"])
@pytest.mark.parametrize("first_bytes", [None, 0, 3], ids=["with", "after", "partly with"])
def test_a_small_body_is_read_whenever_it_comes_after_its_head(
    server: BodyServer, name: str, coding: str, first_bytes: int | None
) -> None:
    field, body = coded(b"hello world", coding)
    with server.connect() as client:
        client.send(head(name, field), body[:first_bytes])
        if first_bytes is not None:
            server.wait_begun(name)
            client.send(body[first_bytes:])
        assert client.answer()[0] == 201
    assert server.stored(name) == b"hello world"


def test_a_body_that_drips_is_read(server: BodyServer, name: str) -> None:
    with server.connect() as client:
        for byte in head(name, CHUNKED) + chunked(b"hello world", 4, "A: b\r\n"):
            client.send(bytes([byte]))
            time.sleep(0.001)
        assert client.json()["trailers"] == {"a": "b"}
    assert server.stored(name) == b"hello world"


@pytest.mark.parametrize(
    "request_head",
    [head, lambda name: put(name, b""), lambda name: head(name, version="1.0")],
)
def test_a_request_without_a_body_is_at_its_end(server: BodyServer, name: str, request_head: Any) -> None:
    with server.connect() as client:
        assert client.send(request_head(name)).answer()[0] == 201
    found = server.found(name)
    assert (found["length"], found["received"], found["at_end"], found["pieces"]) == (0, 0, True, [])


def test_trailers_are_read(server: BodyServer, name: str) -> None:
    with server.connect() as client:
        body = chunked(b"hello", 3, "Upload-Checksum: sha1 x=\r\nA: 1\r\na:2\r\n")
        assert client.send(head(name, CHUNKED), body).json()["trailers"] == {
            "upload-checksum": "sha1 x=",
            "a": "1, 2",
        }


def test_what_a_slow_client_has_sent_is_not_held_back(server: BodyServer, name: str) -> None:
    with server.connect() as client:
        client.send(head(name, "Content-Length: 10"), b"hello")
        server.wait_received(name, 5)
        wait_until(lambda: server.stored(name) == b"hello", "what has come is returned, and stored")
        client.send(b"world")
        assert client.json()["pieces"] == [5, 5]


# --- the next request ----------------------------------------------------------------------------------


@pytest.mark.parametrize("size_bytes", [5, 100_000])
@pytest.mark.parametrize("is_pipelined", [False, True], ids=["one by one", "in one send"])
def test_requests_follow_each_other_on_a_connection(
    server: BodyServer, name: str, size_bytes: int, is_pipelined: bool
) -> None:
    if not server.keeps_alive:
        pytest.skip("it serves one request on a connection")
    data = some(size_bytes)
    names = [f"{name}.{number}" for number in range(5)]
    codings = ["length", "1", "40000", "length", "200000"] if size_bytes == 5 else ["length", "4000"] * 2
    requests = [
        head(one, coded(data, coding)[0]) + coded(data, coding)[1]
        for one, coding in zip(names, codings, strict=False)
    ]
    with server.connect() as client:
        if is_pipelined:
            client.send(*requests)
        for number, request in enumerate(requests):
            if not is_pipelined:
                client.send(request)
            status, headers, _ = client.answer()
            assert (status, headers.get("connection", "keep-alive")) == (201, "keep-alive")
            assert server.stored(names[number]) == data


def test_a_server_of_one_request_says_so(server: BodyServer, name: str) -> None:
    if server.keeps_alive:
        pytest.skip("it serves several requests on a connection")
    with server.connect() as client:
        assert client.send(put(name, b"hello")).answer()[1]["connection"] == "close"
        assert client.ends()


# --- lines that break ----------------------------------------------------------------------------------


@CODINGS
@pytest.mark.parametrize("reset", [False, True], ids=["FIN", "RST"])
def test_what_had_arrived_when_the_connection_broke_is_read(
    server: BodyServer, name: str, coding: str, reset: bool
) -> None:
    data = some(48_000)
    field, body = coded(data, coding)
    field = field.replace("48000", "8000000")
    with server.connect() as client:
        client.send(head(f"{name}?wait", field), body[: len(body) - 2 * (coding != "length") - 5])
        client.wait_delivered()
        client.break_off(reset=reset)
        server.go(name)
    found = server.found(name)
    assert (found["at_end"], found["error"], found["received"]) == (
        False,
        "incomplete_body",
        len(server.stored(name)),
    )
    assert server.stored(name) == (data[:-5] if coding == "length" else data)


@CODINGS
@pytest.mark.parametrize("reset", [False, True], ids=["FIN", "RST"])
def test_no_byte_is_lost_when_a_connection_breaks_while_it_is_read(
    server: BodyServer, name: str, coding: str, reset: bool
) -> None:
    data = some(3_400_123)
    with server.connect() as client:
        field, body = coded(data, coding)
        field = field.replace(str(len(data)), "8000000")
        client.send(head(name, field), body.removesuffix(b"0\r\n\r\n"))
        client.wait_delivered()
        client.break_off(reset=reset)
    assert server.found(name)["error"] == "incomplete_body"
    assert server.stored(name) == data


@pytest.mark.parametrize("end", [b"0\r\n\r", b"0\r\nX: y\r\n", b""])
def test_a_chunked_body_without_its_end_is_not_whole(server: BodyServer, name: str, end: bytes) -> None:
    with server.connect() as client:
        client.send(head(name, CHUNKED), b"5\r\nhello\r\n", end)
        client.wait_delivered()
        client.break_off(reset=False)
    found = server.found(name)
    assert (found["error"], found["at_end"]) == ("incomplete_body", False)
    assert server.stored(name) == b"hello"


def test_a_client_that_shuts_its_side_too_early_can_read_why(server: BodyServer, name: str) -> None:
    if server.scheme == "https":
        pytest.skip("a side of a TLS connection can't be shut alone")
    with server.connect() as client:
        client.send(head(name, "Content-Length: 10"), b"hello").shut()
        assert client.json()["error"] == "incomplete_body"
        assert client.ends()
    assert server.stored(name) == b"hello"


@pytest.mark.parametrize(
    "spoiled", [b"5\r\nhelloworld", b"5\r\nhello\r\nx\r\n", b"5\r\nhello\r\n0\r\nX\r\n\r\n"]
)
def test_a_malformed_chunk_is_refused_and_nothing_before_it_is_lost(
    server: BodyServer, name: str, spoiled: bytes
) -> None:
    with server.connect() as client:
        found = client.send(head(name, CHUNKED), spoiled, head("smuggled")).json()
        assert (found["error"], found["received"]) == ("bad_request", 5)
        assert "malformed" in found["why"]
        assert client.ends()
    assert server.stored(name) == b"hello"
    assert not (server.storage_dir / "smuggled.json").exists()


# --- answers before the end ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "coding"), [("refuse", "length"), ("stop=100000", "65536"), ("stop=100000&empty", "length")]
)
def test_a_client_that_is_still_sending_can_read_the_answer(
    server: BodyServer, name: str, coding: str, answer: str
) -> None:
    field, body = coded(some(8 * MIB), coding)
    with server.connect() as client:
        client.send(head(f"{name}?buffer=100000&{answer}", field), body)
        status, headers, _ = client.answer()
        assert status == {"refuse": 409, "stop=100000": 201}.get(answer, 204)
        assert headers.get("connection") == "close" or not server.says_close
        assert client.ends()


@pytest.mark.parametrize("coding", ["length", "5"])
def test_the_short_body_of_a_refused_request_is_skipped_and_is_not_taken_for_a_request(
    server: BodyServer, name: str, coding: str
) -> None:
    field, body = coded(head("smuggled"), coding)
    with server.connect() as client:
        status, headers, _ = client.send(head(f"{name}?refuse", field), body).answer()
        assert status == 409
        if server.keeps_alive:
            assert headers.get("connection", "keep-alive") == "keep-alive"
            assert client.send(put(f"{name}2", b"hello")).answer()[0] == 201
        else:
            assert client.ends()
    assert not (server.storage_dir / "smuggled.json").exists()


def test_a_refused_request_whose_short_body_has_not_arrived_ends_the_connection(
    server: BodyServer, name: str
) -> None:
    with server.connect() as client:
        assert client.send(head(f"{name}?refuse", "Content-Length: 50"), b"hello").answer()[0] == 409
        client.send(head("smuggled"))
        assert client.ends()
    assert not (server.storage_dir / "smuggled.json").exists()


# --- interim answers -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("field", "coding"), [(EXPECT, "length"), (EXPECT, "65536"), ("Expect: 100-Continue", "length")]
)
def test_a_client_that_expects_100_continue_gets_it(
    server: BodyServer, name: str, coding: str, field: str
) -> None:
    length, body = coded(b"hello", coding)
    with server.connect() as client:
        client.send(head(name, length, field))
        assert client.answer()[0] == 100
        status, headers, _ = client.send(body).answer()
        assert (status, headers.get("connection", "keep-alive")) == (
            201,
            "keep-alive" if server.keeps_alive else "close",
        )
    assert server.stored(name) == b"hello"


def test_a_refusal_costs_a_client_that_expects_100_continue_nothing(server: BodyServer, name: str) -> None:
    with server.connect() as client:
        client.send(head(f"{name}?refuse", "Content-Length: 1000000", EXPECT))
        if server.continues_by_itself:
            assert client.answer()[0] == 100
        assert client.answer()[0] == 409
        assert client.ends()


def test_100_continue_follows_a_104(server: BodyServer, name: str) -> None:
    with server.connect() as client:
        client.send(head(f"{name}?interim", "Content-Length: 5", EXPECT))
        first, second = client.answer(), client.answer()
        if server.continues_by_itself:
            first, second = second, first
        assert (first[0], first[1], second[0]) == (104, {"upload-offset": "0"}, 100)
        assert client.send(b"hello").answer()[0] == 201


@CODINGS
def test_the_final_answer_follows_a_104(server: BodyServer, name: str, coding: str) -> None:
    field, body = coded(b"hello", coding)
    with server.connect() as client:
        client.send(head(f"{name}?interim", field), body)
        assert [client.answer()[0], client.answer()[0]] == [104, 201]


def test_a_client_of_http_1_0_gets_no_interim_answer(server: BodyServer, name: str) -> None:
    with server.connect() as client:
        client.send(head(f"{name}?interim", "Content-Length: 5", EXPECT, version="1.0"), b"hello")
        assert client.answer()[0] == 201


# --- interrupted ---------------------------------------------------------------------------------------


@CODINGS
def test_a_reader_that_waits_is_interrupted_at_once_and_its_client_is_answered(
    server: BodyServer, name: str, coding: str
) -> None:
    data = some(100_000)
    field, body = coded(data, coding)
    with server.connect() as client:
        client.send(head(name, field.replace("100000", "8000000")), body.removesuffix(b"0\r\n\r\n"))
        server.wait_received(name, len(data))
        began_s = time.time()
        server.ask("POST", name)
        found = client.json()
        assert found["error"] == "interrupted"
        assert found["ended_s"] - began_s < AT_ONCE_S  # a silent client is given up after 30 s
        client.send(b"more")
        assert client.ends()
    assert server.stored(name) == data


# --- lengths that are not plain ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "field",
    ["Transfer-Encoding: gzip, chunked", "Transfer-Encoding: identity", "Content-Length: " + "9" * 19],
)
def test_what_follows_a_head_without_a_plain_length_is_not_taken_for_a_request(
    server: BodyServer, name: str, field: str
) -> None:
    with server.connect() as client:
        client.send(head(name, field), b"5\r\nhello\r\n0\r\n\r\n", head("smuggled"))
        assert client.rest().count(b"HTTP/1.1 2") == 0
    assert not (server.storage_dir / name).exists()
    assert not (server.storage_dir / "smuggled.json").exists()


# --- a server that does not show its connection --------------------------------------------------------


@pytest.fixture(scope="module")
def buffering(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BodyServer]:
    """uWSGI that reads bodies before it calls the app."""
    with Uwsgi(tmp_path_factory.mktemp("buffering") / "storage", "--post-buffering", "4096") as running:
        yield running


def test_a_body_that_the_server_has_buffered_is_read(buffering: BodyServer, name: str) -> None:
    data = some(MIB + 3)
    with buffering.connect() as client:
        assert client.send(put(name, data)).answer()[0] == 201
    assert buffering.stored(name) == data


def test_a_chunked_body_is_refused_where_it_can_not_be_read(buffering: BodyServer, name: str) -> None:
    with buffering.connect() as client:
        client.send(head(name, CHUNKED), chunked(b"hello", 5))
        status, _, body = client.answer()
    assert status == 411
    assert b"Content-Length" in body


def test_the_log_names_no_defect_of_ours(server: BodyServer) -> None:
    assert f'File "{Path(incoming.__file__).parent}/' not in server.log_text()
