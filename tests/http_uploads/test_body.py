"""Bodies of requests are read whole, in order and to their last byte, under each web server."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest

from tests.http_uploads.body_servers import BODY_SERVERS, BodyServer, chunked, head, put
from tests.support.data import MIB, FileBytes

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


def test_a_body_of_known_length_is_read(server: BodyServer, name: str) -> None:
    data = FileBytes(5 * MIB + 17, 1).read(0, 5 * MIB + 17)
    with server.connect() as client:
        assert client.send(put(name, data)).answer()[0] == 201
    assert server.stored(name) == data
    assert server.found(name)["at_end"]


def test_a_chunked_body_is_read_with_its_trailers(server: BodyServer, name: str) -> None:
    data = FileBytes(5 * MIB + 17, 1).read(0, 5 * MIB + 17)
    with server.connect() as client:
        client.send(
            head(name, "Transfer-Encoding: chunked"), chunked(data, 65536, "Upload-Checksum: sha1 x\r\n")
        )
        assert client.answer()[0] == 201
    assert server.stored(name) == data
    assert server.found(name)["trailers"] == {"upload-checksum": "sha1 x"}
