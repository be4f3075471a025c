"""Two servers with a Redis and a bucket limit a client address together."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

import pytest
import requests

from incoming.wire.close_codes import TRY_AGAIN_LATER
from tests.support.app import ScriptedApp
from tests.support.client_v2 import ClientV2
from tests.support.cluster import Cluster, own_cluster
from tests.support.data import MIB, FileBytes
from tests.support.s3_server import S3Server
from tests.support.server import RunningServer
from tests.support.waiting import wait_until
from tests.support.websocket import ConnectionClosed

PLACES: Final = 3
DATA: Final = FileBytes(100, 1)
CROWD: Final = {"X-Forwarded-For": "203.0.113.7"}


@pytest.fixture
def cluster(tmp_path: Path, s3_server: S3Server) -> Iterator[Cluster]:
    limits: dict[str, Any] = {"max_unfinished_mib_per_source": 4, "max_connections_per_source": PLACES}
    with own_cluster(tmp_path, s3_server, trusted_proxies="127.0.0.1", **limits) as cluster:
        yield cluster


def begin(server: RunningServer, ticket_id: str, length_bytes: int, source: str) -> int:
    """Begins an upload by tus, as if through a proxy, and returns the status of the answer."""
    headers = {"Tus-Resumable": "1.0.0", "Upload-Length": str(length_bytes), "X-Forwarded-For": source}
    url = f"{server.url}/incoming/frontend/uploads/{ticket_id}"
    return requests.post(url, headers=headers, timeout=60).status_code


def test_an_address_has_its_limits_with_all_servers_together(cluster: Cluster, app: ScriptedApp) -> None:
    first, second = cluster.servers
    ids = [cluster.new_ticket(app) for _ in range(4 + PLACES)]
    assert begin(first, ids[0], 3 * MIB, "203.0.113.5") == 201
    assert begin(second, ids[1], 2 * MIB, "203.0.113.5") == 503
    assert begin(second, ids[0], 3 * MIB, "203.0.113.5") == 201, "it is the same upload"
    assert begin(second, ids[2], MIB, "203.0.113.5") == 201
    assert begin(second, ids[1], 2 * MIB, "203.0.113.6") == 201

    with ExitStack() as stack:
        for ticket_id in ids[4:]:
            client = ClientV2(first.url, ticket_id, DATA)
            client.headers = CROWD
            client.open()
            stack.callback(client.drop)
        wait_until(lambda: is_refused(second, ids[3]), "the second server hears of the first one's clients")
        first.terminate()
        wait_until(lambda: not is_refused(second, ids[3]), "they have left with the first one")


def is_refused(server: RunningServer, ticket_id: str) -> bool:
    """Returns whether a server has no place for one more connection of an address."""
    client = ClientV2(server.url, ticket_id, DATA).connect(CROWD)
    try:
        client.request()
    except ConnectionClosed as closed:
        return closed.code == TRY_AGAIN_LATER
    finally:
        client.drop()
    return False
