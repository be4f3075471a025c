"""Uploads that change their way in the middle, while connections break and the server is killed and stopped.

Each round is one upload: some steps on random ways that end badly, then steps that complete it. `MixedUpload`
checks all that the server tells on the way. Several rounds share a server, so a kill hits all of them,
wherever they are. Some uploads come in parts, some are cancelled, and the clients of some name a digest.

INCOMING_TEST_MIXED says how many rounds (20 unless set); INCOMING_TEST_SEED repeats their choices.
"""

from __future__ import annotations

import os
import random
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Final

import pytest

from tests.conftest import StartServer
from tests.support.data import FileBytes
from tests.support.hosts import GunicornServer, HostedServer, UwsgiServer
from tests.support.mixed_parts import MixedParts
from tests.support.mixed_rounds import choose_app, random_length, run_round
from tests.support.mixed_ways import ForgetfulApp, MixedUpload, Outcome, Site
from tests.support.server import RunningServer, call_backend
from tests.support.tally import tally

ROUNDS: Final = int(os.environ.get("INCOMING_TEST_MIXED", "20"))
SEED: Final = int(os.environ.get("INCOMING_TEST_SEED", random.randrange(1 << 32)))
AT_A_TIME: Final = 8
SETTINGS: Final = {
    "chunk_size_kib": 64,
    "handover_retry_first_s": 0.05,
    "handover_retry_max_s": 0.2,
    "http_hold_s": 1.0,
    "stop_timeout_s": 0.5,
}


def new_ticket(site: Site, app: ForgetfulApp) -> str:
    """Returns the id of a new ticket. A backend asks again if the server is down or stops."""
    while True:
        site.wait_until_up()
        with suppress(OSError):
            answer = call_backend(site.server, "new_upload", signalFinishURL=app.url)
            if answer.status_code != 503:
                assert answer.status_code == 200, answer.text
                return answer.text


def new_mixed_upload(site: Site, app: ForgetfulApp, number: int) -> MixedUpload:
    """Returns the upload of a round."""
    chance = random.Random(SEED + number)
    data = FileBytes(random_length(chance), SEED + number)
    ticket_id = new_ticket(site, app)
    choose_app(app, ticket_id, chance)
    if data.length_bytes and chance.random() < 0.2:
        return MixedParts(site, app, ticket_id, data, chance)
    upload = MixedUpload(site, app, ticket_id, data, chance)
    if data.length_bytes and chance.random() < 0.35:
        right = bytes.fromhex(data.sha256)
        upload.named_digest = chance.choice([right, right, bytes(len(right))])
    return upload


def test_uploads_that_change_their_way_arrive_whole_and_nobody_is_told_too_early(
    start_server: StartServer,
) -> None:
    run_rounds(start_server(**SETTINGS), ROUNDS)
    tally("fault", "an upload that changes its protocol midway, with cuts, kills and refusals", ROUNDS,
          "identical, one handover, no success reported before the app had it")  # fmt: skip


@pytest.mark.parametrize("host", [UwsgiServer, GunicornServer], ids=lambda host: host.title)
def test_uploads_that_change_their_way_arrive_whole_under_other_web_servers(
    host: type[HostedServer], tmp_path: Path
) -> None:
    rounds = max(ROUNDS // 20, 1)
    with host(tmp_path / "storage", **SETTINGS) as server:
        run_rounds(server, rounds)
    tally("fault", f"an upload that changes its protocol midway, under {host.title}", rounds,
          "identical, one handover, no success reported before the app had it")  # fmt: skip


def run_rounds(server: RunningServer, rounds: int) -> None:
    """Runs so many rounds, several at a time."""
    site = Site(server)
    app = ForgetfulApp(site)

    def run(number: int) -> tuple[Outcome, int]:
        upload = new_mixed_upload(site, app, number)
        return run_round(upload, f"INCOMING_TEST_SEED={SEED}, round {number}")

    with app, ThreadPoolExecutor(AT_A_TIME) as pool:
        runs = [pool.submit(run, number) for number in range(rounds)]
        try:
            results = [one.result() for one in runs]
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    outcomes = Counter(outcome for outcome, _ in results)
    steps = sum(count for _, count in results)
    print(f"\n{outcomes}, {steps} steps, {site.kills} kills, {site.stops} stops")
    assert "Traceback" not in server.log_text()
