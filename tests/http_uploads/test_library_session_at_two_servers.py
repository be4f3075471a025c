"""The session of our library behind a balancer that sends each of its requests to another server."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import cycle
from pathlib import Path

import pytest

from tests.http_uploads.test_library_session import CHUNK_BYTES, DATA, Session, message, sha256_of
from tests.support.app import ScriptedApp
from tests.support.cluster import Cluster, own_cluster
from tests.support.http_upload import HttpUpload
from tests.support.s3_server import S3Server


@pytest.fixture
def cluster(tmp_path: Path, s3_server: S3Server) -> Iterator[Cluster]:
    """Two servers with one Redis and one bucket."""
    with own_cluster(tmp_path, s3_server) as running:
        yield running


def test_chunks_that_come_to_several_servers_are_stored_one_by_one_and_one_too_early_says_so(
    cluster: Cluster, app: ScriptedApp
) -> None:
    ticket_id = cluster.new_ticket(app)
    one, other = (HttpUpload(server.url, ticket_id) for server in cluster.servers)
    session = Session(one)
    with one.open("PATCH", session.chunk_headers(0, DATA[:CHUNK_BYTES]), "/session") as first:
        first.send(DATA[:1000])
        session.upload = other
        too_early = session.send(CHUNK_BYTES, DATA[CHUNK_BYTES : 2 * CHUNK_BYTES])
        overtaken = first.answer()
    codes = [(answer.status, message(answer)[1]["Code"]) for answer in (too_early, overtaken)]
    assert codes == [(409, "offset_mismatch")] * 2, "the page knows then that it has to send one at a time"

    session = Session(other)
    assert message(session.opened)[1]["Offset"] == 0
    servers = cycle((one, other))
    for at in range(0, len(DATA), CHUNK_BYTES):
        session.upload = next(servers)
        session.send_from(at, min(at + CHUNK_BYTES, len(DATA)))
    session.upload = next(servers)
    assert message(session.complete())[0] in ("MsgAllDone", "MsgNews")
    (delivery,) = app.wait_for(1)
    assert delivery.sha256 == sha256_of(DATA)


def test_a_server_that_stops_leaves_what_another_one_has_stored_of_the_same_session(
    cluster: Cluster, app: ScriptedApp
) -> None:
    ticket_id = cluster.new_ticket(app)
    one, other = (HttpUpload(server.url, ticket_id) for server in cluster.servers)
    session = Session(one)
    session.send_from(0, CHUNK_BYTES)
    session.upload = other
    session.send_from(CHUNK_BYTES, 2 * CHUNK_BYTES)
    for server in cluster.servers:
        server.terminate()
    cluster.servers[0].start()
    assert message(Session(one).opened)[1]["Offset"] == 2 * CHUNK_BYTES
