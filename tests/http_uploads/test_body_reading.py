"""Bodies are read the same whatever is read ahead, wherever they are split, and into buffers of any size."""

from __future__ import annotations

from contextlib import closing
from typing import Any

import gevent
import gevent.socket
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from incoming.core.errors import BadRequest, IncomingError, LengthRequired
from incoming.http_uploads import body as body_module
from incoming.http_uploads.body import BodyBroken, RequestBody, open_body
from incoming.http_uploads.receiver import Receiver
from incoming.runtime.server_connection import ServerConnection
from tests.wire.test_chunked import Body, bodies

NEXT = b"GET / HTTP/1.1\r\n"
DEADLINE_S = 60.0
some_examples = settings(derandomize=True, deadline=None, max_examples=40)


class Connection(ServerConnection):
    """A connection whose server has read these bytes ahead."""

    def __init__(self, sock: Any, ahead: bytes) -> None:
        super().__init__(sock)
        self.ahead = ahead
        self.read_bytes = 0
        self.ended_with: dict[str, str] | None = None

    def take_ahead(self, limit_bytes: int) -> bytes:
        """See ServerConnection."""
        taken, self.ahead = self.ahead[:limit_bytes], self.ahead[limit_bytes:]
        return taken

    def body_read(self, size_bytes: int) -> None:
        """See ServerConnection."""
        self.read_bytes += size_bytes

    def body_ended(self, trailers: Any) -> None:
        """See ServerConnection."""
        self.ended_with = dict(trailers)


def opened(
    connection: ServerConnection | None, monkeypatch: pytest.MonkeyPatch, **environ: str
) -> RequestBody:
    """Returns the body of a request on this connection."""
    monkeypatch.setattr(body_module, "body_connection", lambda _: connection)
    return open_body({"SERVER_PROTOCOL": "HTTP/1.1", **environ})


def read_all(body: RequestBody, buffer_bytes: int) -> bytes:
    """Returns everything up to the end of the body."""
    buffer, data = memoryview(bytearray(buffer_bytes)), b""
    with gevent.Timeout(DEADLINE_S):
        while size_bytes := body.read_into(buffer):
            data += buffer[:size_bytes]
    return data


ways = st.fixed_dictionaries(
    {
        "ahead_bytes": st.integers(0, 60),
        "piece_bytes": st.sampled_from([1, 2, 7, 1000]),
        "buffer_bytes": st.sampled_from([1, 3, 17, 4096]),
        "can_peek": st.booleans(),
    }
)


@some_examples
@given(bodies(), ways)
def test_a_chunked_body_is_read_and_nothing_after_it(body: Body, way: dict[str, Any]) -> None:
    check_read(body.coded, body.data, body.trailers, way, HTTP_TRANSFER_ENCODING="chunked")


@some_examples
@given(st.binary(min_size=1, max_size=100), ways)
def test_a_body_of_known_length_is_read_and_nothing_after_it(data: bytes, way: dict[str, Any]) -> None:
    check_read(data, data, {}, way, CONTENT_LENGTH=str(len(data)))


def check_read(
    coded: bytes, data: bytes, trailers: dict[str, str], way: dict[str, Any], **environ: str
) -> None:
    """Reads a body that comes in this way, and checks what was read and what is left."""
    stream = coded + NEXT
    ahead, rest = stream[: way["ahead_bytes"]], stream[way["ahead_bytes"] :]
    ours, theirs = gevent.socket.socketpair()
    with closing(ours), closing(theirs), pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(Receiver, "can_peek", way["can_peek"])
        connection = Connection(ours, ahead)
        body = opened(connection, monkeypatch, **environ)

        def send() -> None:
            for at in range(0, len(rest), way["piece_bytes"]):
                theirs.sendall(rest[at : at + way["piece_bytes"]])
                gevent.sleep(0)

        sending = gevent.spawn(send)
        assert read_all(body, way["buffer_bytes"]) == data
        sending.join()
        assert (body.at_end, body.received_bytes, body.trailers) == (True, len(data), trailers)
        assert connection.ended_with == (trailers if "CONTENT_LENGTH" not in environ else None)
        theirs.close()
        left = connection.ahead
        while more := ours.recv(1000):
            left += more
        assert left == NEXT


@pytest.mark.parametrize("can_peek", [True, False])
def test_what_precedes_a_malformed_chunk_is_returned_first(
    can_peek: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Receiver, "can_peek", can_peek)
    ours, theirs = gevent.socket.socketpair()
    with closing(ours), closing(theirs):
        theirs.sendall(b"5\r\nhello\r\nnot a size\r\n")
        body = opened(Connection(ours, b""), monkeypatch, HTTP_TRANSFER_ENCODING="chunked")
        buffer = memoryview(bytearray(100))
        assert body.read_into(buffer) == 5
        for _ in range(2):
            with pytest.raises(BodyBroken, match="malformed") as broken:
                body.read_into(buffer)
            assert isinstance(broken.value.error, BadRequest)
        assert not body.keeps_alive


@pytest.mark.parametrize("status", [100, 103, 104])
def test_what_had_arrived_is_read_although_an_interim_answer_can_not_be_sent(
    status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours, theirs = gevent.socket.socketpair()
    with closing(ours):
        theirs.sendall(b" and read")
        theirs.close()
        body = opened(Connection(ours, b"ahead"), monkeypatch, CONTENT_LENGTH="100")
        body.send_interim(status, [("Upload-Offset", "5")])
        buffer = memoryview(bytearray(100))
        assert bytes(buffer[: body.read_into(buffer)]) == b"ahead and read"
        body.send_interim(status, ())
        with pytest.raises(BodyBroken):
            body.read_into(buffer)


REFUSED: dict[str, dict[str, str]] = {
    "two codings": {"HTTP_TRANSFER_ENCODING": "gzip, chunked"},
    "another coding": {"HTTP_TRANSFER_ENCODING": "identity"},
    "no coding": {"HTTP_TRANSFER_ENCODING": ""},
    "a coding and a length": {"HTTP_TRANSFER_ENCODING": "chunked", "CONTENT_LENGTH": "5"},
    "a length with a sign": {"CONTENT_LENGTH": "+5"},
    "two lengths": {"CONTENT_LENGTH": "5,5"},
    "a length in other digits": {"CONTENT_LENGTH": "\u0665"},
    "a length of 19 digits": {"CONTENT_LENGTH": "9" * 19},
}


@pytest.mark.parametrize("environ", REFUSED.values(), ids=REFUSED)
def test_a_length_that_another_server_could_read_differently_is_refused(
    environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    ours, theirs = gevent.socket.socketpair()
    with closing(ours), closing(theirs), pytest.raises(BadRequest):
        opened(Connection(ours, b""), monkeypatch, **environ)


def test_a_chunked_body_needs_the_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(LengthRequired) as refused:
        opened(None, monkeypatch, HTTP_TRANSFER_ENCODING="Chunked")
    assert isinstance(refused.value, IncomingError)
    assert "Content-Length" in str(refused.value)
