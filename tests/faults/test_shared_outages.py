"""Redis or S3 is away for a while during uploads to two servers: clients wait, and all end well."""

from __future__ import annotations

import os
import re
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

import pytest
import requests

from tests.support.app import ScriptedApp
from tests.support.balancer import Balancer
from tests.support.cluster import Cluster
from tests.support.data import MIB, FileBytes
from tests.support.engines import Browser
from tests.support.many_uploads import ManyUploads, page_of
from tests.support.redis_server import RedisServer
from tests.support.s3_choice import new_s3_server
from tests.support.s3_place import BUCKET
from tests.support.sending import Sending, write_file
from tests.support.site import serve_page
from tests.support.tally import tally
from tests.support.waiting import wait_until

IS_LONG: Final = "INCOMING_TEST_SCALE" in os.environ
AWAY_S: Final = 60.0
OF_EACH: Final = 10
"""So many uploads in the page, and as many by `incoming send`."""
LENGTH_BYTES: Final = 16 * MIB
BYTES_PER_S: Final = 1_000_000
"""Of each upload, so that none ends before the outage."""
WINDOW_MIB: Final = 10
"""A client may have so much on its way without an acknowledgement."""
SETTINGS: Final[dict[str, Any]] = {
    "max_window_mib": WINDOW_MIB, "s3_part_mib": WINDOW_MIB // 2, "s3_parallel_parts": 1,
}  # fmt: skip
DEADLINE_S: Final = 60.0 + 2 * AWAY_S
RECEIVED: Final = re.compile(r"^incoming_received_bytes_total (\S+)$", re.MULTILINE)


@pytest.mark.skipif(not IS_LONG, reason="INCOMING_TEST_SCALE=1 runs it")
@pytest.mark.parametrize("is_killed", [False, True])
@pytest.mark.parametrize("part", ["redis", "s3"])
def test_uploads_wait_while_a_part_that_all_servers_share_is_away(
    tmp_path: Path, app: ScriptedApp, driver: Browser, part: str, is_killed: bool
) -> None:
    digests: dict[str, str] = {}
    with ExitStack() as stack:
        redis = stack.enter_context(RedisServer(tmp_path / "redis"))
        s3 = stack.enter_context(new_s3_server(tmp_path / "s3"))
        s3.create_bucket(BUCKET)
        folder = tmp_path / f"away-{part}-{is_killed}-{os.getpid()}"
        cluster = stack.enter_context(Cluster(folder, redis, s3, **SETTINGS))
        addresses = [f"127.0.0.1:{server.port}" for server in cluster.servers]
        url = stack.enter_context(Balancer(tmp_path / "nginx", addresses)).url
        tickets = [cluster.new_ticket(app) for _ in range(2 * OF_EACH)]
        page = ManyUploads(driver, tickets[:OF_EACH], LENGTH_BYTES)
        driver.get(stack.enter_context(serve_page(page_of(url))))
        page.begin(OF_EACH, max_bytes_per_s=BYTES_PER_S)
        sendings = []
        for number, ticket in enumerate(tickets[OF_EACH:]):
            data = FileBytes(LENGTH_BYTES, number)
            digests[ticket] = data.sha256
            file = write_file(tmp_path / f"file-{number}", data)
            options = ("--ticket", ticket, "--server", url, "--max-bytes-per-s", str(BYTES_PER_S))
            sendings.append(stack.enter_context(Sending(file, *options)))

        def all_run() -> bool:
            return bool(page.acked_bytes) and all("%" in sending.says() for sending in sendings)

        wait_until(all_run, "all run", DEADLINE_S)
        away = redis if part == "redis" else s3
        (away.kill if is_killed else away.freeze)()
        try:
            time.sleep(AWAY_S)
        finally:
            (away.start if is_killed else away.thaw)()
        began_s = time.monotonic()
        wait_until(lambda: page.have_ended, "all uploads of the page have ended", DEADLINE_S)
        for sending in sendings:
            assert sending.ends(DEADLINE_S).exit_code == 0, sending.said
        ended_s = time.monotonic() - began_s
        assert page.errors == []
        digests |= page.digests()
        assert {told.id: told.sha256 for told in app.wait_for(len(digests))} == digests
        again_bytes = received_bytes(cluster) - len(digests) * LENGTH_BYTES
        left_s = LENGTH_BYTES / BYTES_PER_S
        resumed = [sending.result["resumed"] for sending in sendings]
        assert "Traceback" not in cluster.log_text()
    how = "killed and away" if is_killed else "frozen"
    print(f"\n{part} {how} for {AWAY_S:.0f} s: {len(digests)} uploads ended {ended_s:.0f} s later,", end=" ")
    print(f"of which they needed {left_s:.0f} s at most to send the rest")
    print(f"sent again: {again_bytes / len(digests) / MIB:.2f} MiB each; resumed by incoming send: {resumed}")
    assert 0 <= again_bytes <= len(digests) * WINDOW_MIB * MIB
    happened = "no error, all identical, no more than a window sent again"
    what = f"uploads in a page and by incoming send, {part} {how} for {AWAY_S:.0f} s"
    tally("fault", what, len(digests), happened)


def received_bytes(cluster: Cluster) -> int:
    """Returns how many bytes of files all servers have received."""
    pages = [requests.get(f"{server.url}/incoming/metrics", timeout=60).text for server in cluster.servers]
    return sum(int(float(RECEIVED.findall(page)[0])) for page in pages)
