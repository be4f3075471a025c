"""Servers behind nginx are replaced one after the other under load: no client has to know of it."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import pytest

from tests.support.app import ScriptedApp
from tests.support.balancer import Balancer
from tests.support.cluster import Cluster, own_cluster
from tests.support.data import MIB, FileBytes
from tests.support.engines import Browser
from tests.support.http_upload import HttpUpload
from tests.support.many_uploads import ManyUploads, page_of
from tests.support.s3_server import S3Server
from tests.support.sending import Sending, write_file
from tests.support.site import serve_page
from tests.support.tally import tally
from tests.support.tus import TusUpload
from tests.support.waiting import wait_until

IS_LONG: Final = "INCOMING_TEST_SCALE" in os.environ
REPLACEMENTS: Final = 10
AT_A_TIME: Final = 6
MAX_OF_PAGE: Final = 40 * REPLACEMENTS
"""The load lasts until the last replacement, however slow the machine is."""
LENGTH_BYTES: Final = 2 * MIB
BYTES_PER_S: Final = 500_000
"""Of each upload, so that it meets replacements."""
BYTES_BETWEEN: Final = AT_A_TIME * MIB
REST_S: Final = 3.0
"""nginx has to learn that the last one is back: docs/how-to/many-machines.md."""
MAX_WAIT_S: Final = 2.0
PATCH_BYTES: Final = 256 * 1024
DEADLINE_S: Final = 120.0


@pytest.fixture
def cluster(tmp_path: Path, s3_server: S3Server) -> Iterator[Cluster]:
    """Two servers with one Redis and one bucket."""
    with own_cluster(tmp_path, s3_server) as running:
        yield running


@pytest.fixture
def balancer(cluster: Cluster, tmp_path: Path) -> Iterator[Balancer]:
    addresses = [f"127.0.0.1:{server.port}" for server in cluster.servers]
    with Balancer(tmp_path / "nginx", addresses) as running:
        yield running


@pytest.mark.skipif(not IS_LONG, reason="INCOMING_TEST_SCALE=1 runs it")
def test_no_upload_errs_or_waits_long_while_server_after_server_is_replaced(
    cluster: Cluster, balancer: Balancer, app: ScriptedApp, driver: Browser, tmp_path: Path
) -> None:
    digests: dict[str, str] = {}
    with ExitStack() as stack:
        page = ManyUploads(driver, [cluster.new_ticket(app) for _ in range(MAX_OF_PAGE)], LENGTH_BYTES)
        driver.get(stack.enter_context(serve_page(page_of(balancer.url))))
        pool = stack.enter_context(ThreadPoolExecutor())
        page.begin(AT_A_TIME, max_bytes_per_s=BYTES_PER_S)
        sendings = []
        for number in range(2):
            ticket, data = cluster.new_ticket(app), FileBytes(REPLACEMENTS * 3 * MIB, number)
            digests[ticket] = data.sha256
            file = write_file(tmp_path / f"file-{number}", data)
            options = ("--ticket", ticket, "--server", balancer.url, "--max-bytes-per-s", str(BYTES_PER_S))
            sendings.append(stack.enter_context(Sending(file, *options)))
        requests = []
        for number, client in enumerate((patch_all, put_all), 2):
            ticket, data = cluster.new_ticket(app), FileBytes(REPLACEMENTS * 2 * MIB, number)
            digests[ticket] = data.sha256
            requests.append(pool.submit(client, balancer.url, ticket, data, tmp_path / f"file-{number}"))
        for number in range(REPLACEMENTS):
            wait_for_more(page)
            time.sleep(REST_S if number else 0)
            server = cluster.servers[number % len(cluster.servers)]
            assert server.terminate() == 0
            server.start()
        page.begin_no_more()
        wait_until(lambda: page.have_ended, "all uploads of the page have ended", DEADLINE_S)
        for sending in sendings:
            assert sending.ends(DEADLINE_S).exit_code == 0, sending.said
        for request in requests:
            request.result(DEADLINE_S)
        losses_s, steps_s = page.losses_s, page.steps_s
        lost_steps_s, answers_s = page.lost_steps_s, page.answers_s
        assert page.errors == []
        assert sorted(page.finished) == sorted(page.tickets)
    digests |= page.digests()
    assert {told.id: told.sha256 for told in app.wait_for(len(digests))} == digests
    assert "Traceback" not in cluster.log_text()
    assert losses_s, "replacements met uploads"
    print(f"\n{len(losses_s)} connections lost: away for {max(losses_s):.2f} s at most")
    print(f"from one acknowledgement to the next: {max(lost_steps_s):.2f} s, otherwise {max(steps_s):.2f} s")
    print("ends that came late:", [f"{late_s:.2f} s" for late_s in answers_s])
    print("resumed by incoming send:", [sending.result["resumed"] for sending in sendings])
    assert max(losses_s) < MAX_WAIT_S
    happened = f"none failed or waited for more than {MAX_WAIT_S:.0f} s, all identical"
    tally("fault", f"one of two servers replaced during {len(digests)} uploads", REPLACEMENTS, happened)


def wait_for_more(page: ManyUploads) -> None:
    """Waits until the page has uploaded so much that every upload at a time was under way."""
    goal = page.acked_bytes + BYTES_BETWEEN
    wait_until(lambda: page.acked_bytes >= goal or page.have_ended, "uploads go on", DEADLINE_S)
    assert not page.have_ended, "the load lasts until the last replacement"


def patch_all(url: str, ticket: str, data: FileBytes, _: Path) -> None:
    """Uploads by tus, a request for each piece, as its clients do: after an error they ask for the offset."""
    upload = TusUpload(url, ticket)
    offset_bytes: int | None = None

    def goes_on() -> bool:
        nonlocal offset_bytes
        try:
            if offset_bytes is None:
                answer = upload.head()
            else:
                answer = upload.append(offset_bytes, data.read(offset_bytes, PATCH_BYTES))
        except OSError:
            offset_bytes = None
            return False
        offset_bytes = answer.offset_bytes if answer.status in (200, 204) else None
        return offset_bytes == data.length_bytes

    wait_until(lambda: upload.create(data.length_bytes).status == 201, "the upload is created")
    wait_until(goes_on, "the last piece is stored", DEADLINE_S)


def put_all(url: str, ticket: str, data: FileBytes, file: Path) -> None:
    """Uploads with curl, which sends the whole file again after an error."""
    address = HttpUpload(url, ticket).url
    retry = ["--retry", "1000", "--retry-delay", "1", "--retry-all-errors"]
    limit = ["--limit-rate", str(BYTES_PER_S)]
    command = ["curl", "-sS", *retry, *limit, "-T", str(write_file(file, data)), f"{address}/"]
    subprocess.run(command, check=True, timeout=3 * DEADLINE_S)  # it begins anew after each replacement
