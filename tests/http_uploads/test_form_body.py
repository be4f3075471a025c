"""The file in a form as a body: it comes while the form does, and ends only where the form does."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from incoming.core.errors import BadForm, IncompleteBody
from incoming.http_uploads.body import BodyBroken, RequestBody
from incoming.http_uploads.form_body import BLOCK_BYTES, FormBody
from incoming.protocol.multipart_form import FormReader
from incoming.protocol.request_checksum import RequestChecksums

BOUNDARY = "xYzZy"
CONTENT = bytes(range(256)) * 4000
HEAD = b'--xYzZy\r\nContent-Disposition: form-data; name="f"; filename="a"\r\n\r\n'
END = b"\r\n--xYzZy--\r\n"


class Pieces(RequestBody):
    """A body that comes in these pieces, and then breaks if it is cut."""

    def __init__(self, *pieces: bytes, is_cut: bool = False) -> None:
        super().__init__(None)
        self.pieces = list(pieces)
        self.is_cut = is_cut
        self.calls: list[object] = []

    @property
    def keeps_alive(self) -> bool:
        return self.at_end

    def read_into(self, buffer: memoryview) -> int:
        if not self.pieces:
            if self.is_cut:
                raise BodyBroken(IncompleteBody("the connection broke"))
            self.at_end = True
            return 0
        piece = self.pieces.pop(0)
        count = min(len(piece), len(buffer))
        buffer[:count] = piece[:count]
        if piece[count:]:
            self.pieces.insert(0, piece[count:])
        return count

    def interrupt(self) -> None:
        self.calls.append("interrupt")

    def send_interim(self, status: int, headers: Sequence[tuple[str, str]]) -> None:
        self.calls.append(status)

    def finish(self) -> None:
        self.calls.append("finish")


def form_of(body: RequestBody) -> FormBody:
    return FormBody(body, FormReader(f"multipart/form-data; boundary={BOUNDARY}"), RequestChecksums())


def read_all(body: FormBody, buffer_bytes: int = 100_000) -> bytes:
    content, buffer = b"", memoryview(bytearray(buffer_bytes))
    while count := body.read_into(buffer):
        content += buffer[:count]
    return content


@pytest.mark.parametrize("buffer_bytes", [1000, BLOCK_BYTES, 3 * BLOCK_BYTES])
@pytest.mark.parametrize("piece_bytes", [997, BLOCK_BYTES, 1 << 30])
def test_the_file_comes_out_whatever_the_sizes_of_pieces_and_buffers(
    piece_bytes: int, buffer_bytes: int
) -> None:
    form = HEAD + CONTENT + END
    body = form_of(Pieces(*(form[at : at + piece_bytes] for at in range(0, len(form), piece_bytes))))
    assert read_all(body, buffer_bytes) == CONTENT
    assert body.received_bytes == len(CONTENT)
    assert body.at_end
    assert body.length_bytes is None


def test_the_name_is_known_before_the_file_has_come() -> None:
    body = form_of(Pieces(HEAD[:20], HEAD[20:], b"content", is_cut=True))
    assert body.read_name() == "a"
    assert not body.at_end


def test_an_empty_file_ends_at_once() -> None:
    body = form_of(Pieces(HEAD + END))
    assert body.read_name() == "a"
    assert read_all(body) == b""
    assert body.at_end


def test_the_file_comes_out_while_the_form_comes_in() -> None:
    pieces = Pieces(HEAD + b"first" * 10)
    body, buffer = form_of(pieces), memoryview(bytearray(1000))
    assert body.read_into(buffer) > 40
    assert not body.at_end


def test_a_form_without_an_end_is_not_a_file() -> None:
    body = form_of(Pieces(HEAD + CONTENT))
    with pytest.raises(BadForm, match="incomplete"):
        read_all(body)
    assert not body.at_end


def test_a_form_that_breaks_off_is_broken_after_what_has_come() -> None:
    body = form_of(Pieces(HEAD + CONTENT[:5000], is_cut=True))
    buffer = memoryview(bytearray(100_000))
    assert body.read_into(buffer) > 4900
    with pytest.raises(BodyBroken):
        body.read_into(buffer)


def test_a_form_without_a_file_has_no_name() -> None:
    body = form_of(Pieces(b'--xYzZy\r\nContent-Disposition: form-data; name="f"\r\n\r\n1' + END))
    with pytest.raises(BadForm, match="no field for a file"):
        body.read_name()


def test_it_is_ended_and_interrupted_as_the_form_is() -> None:
    pieces = Pieces(HEAD + END)
    body = form_of(pieces)
    read_all(body)
    body.interrupt()
    body.send_interim(100, ())
    body.finish()
    assert pieces.calls == ["interrupt", 100, "finish"]
    assert body.keeps_alive == pieces.keeps_alive
