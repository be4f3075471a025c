"""Uploads over three servers with one Redis and one bucket, while any of the parts is killed or stands still.

Each round is one upload on all ways, each step at another server, as in `test_mixed_ways`. Kills hit servers,
Redis and the S3 server. Servers that stand still wake up as zombies, some with bytes of another file.

INCOMING_TEST_SCALE says how many rounds (SHARE unless set); INCOMING_TEST_SEED repeats their choices, and
INCOMING_TEST_ROUND runs one round alone.
"""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import pytest

from tests.support.cluster import Cluster
from tests.support.data import MIB, FileBytes
from tests.support.forked import Launcher
from tests.support.mixed_cluster import (
    ClusterSite,
    ClusterUpload,
    Machines,
    check_nothing_is_left,
    take_refused,
)
from tests.support.mixed_rounds import choose_app, random_length, run_round
from tests.support.mixed_ways import ForgetfulApp, Outcome
from tests.support.redis_server import RedisServer
from tests.support.s3_choice import new_s3_server
from tests.support.s3_place import BUCKET
from tests.support.s3_server import S3Server
from tests.support.tally import tally

SHARE: Final = 6
"""The rounds of the share in `make test`. `make faults-scale` tries 300."""
ROUNDS: Final = int(os.environ.get("INCOMING_TEST_SCALE", SHARE))
SEED: Final = int(os.environ.get("INCOMING_TEST_SEED", random.randrange(1 << 32)))
ONE_ROUND: Final = os.environ.get("INCOMING_TEST_ROUND")
AT_A_TIME: Final = 6
ROUND_LIMIT_S: Final = 300.0
SETTINGS: Final = {
    "chunk_size_kib": 64,
    "handover_retry_first_s": 0.05,
    "handover_retry_max_s": 0.5,
    "http_hold_s": 1.0,
    "stop_timeout_s": 0.5,
    "s3_part_mib": 5,
}


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    with RedisServer(tmp_path / "redis") as server:
        yield server


@pytest.fixture
def s3(tmp_path: Path) -> Iterator[S3Server]:
    """A server of this test's own, since it is killed."""
    with new_s3_server(tmp_path / "s3") as server:
        server.create_bucket(BUCKET)
        yield server


def new_upload(machines: Machines, app: ForgetfulApp, number: int) -> ClusterUpload:
    """Returns the upload of a round. Some files have several parts."""
    chance = random.Random(SEED + number)
    length_bytes = random_length(chance)
    if chance.random() < 0.3:
        length_bytes = chance.randrange(5 * MIB, 17 * MIB)
    site = ClusterSite(machines, chance)
    ticket_id = site.new_ticket(app)
    choose_app(app, ticket_id, chance)
    return ClusterUpload(site, app, ticket_id, FileBytes(length_bytes, SEED + number), chance)


def run_rounds(machines: Machines, app: ForgetfulApp, numbers: Sequence[int]) -> list[tuple[Outcome, int]]:
    """Runs these rounds, several at a time. Returns how each has ended, and how many steps it took."""

    def run(number: int) -> tuple[Outcome, int]:
        upload = new_upload(machines, app, number)
        name = f"INCOMING_TEST_SEED={SEED} INCOMING_TEST_ROUND={number}"
        try:
            return run_round(upload, name, ROUND_LIMIT_S)
        except BaseException as exc:
            exc.add_note(machines.history)
            raise

    with ThreadPoolExecutor(AT_A_TIME) as pool:
        runs = [pool.submit(run, number) for number in numbers]
        try:
            return [one.result() for one in runs]
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def extra_deliveries(app: ForgetfulApp) -> int:
    """Returns how often an app was told of a file that it had taken."""
    told = Counter(delivery.id for delivery in app.deliveries if delivery.id in app.has)
    return sum(max(count - len(app.scripts[ticket_id]), 0) for ticket_id, count in told.items())


@pytest.mark.timeout(3 * 3600 if ROUNDS > SHARE else 900)
def test_any_server_continues_any_upload_while_all_parts_are_killed_and_zombies_wake_up(
    tmp_path: Path, redis: RedisServer, s3: S3Server, launcher: Launcher
) -> None:
    print(f"\nINCOMING_TEST_SEED={SEED}")
    numbers = [int(ONE_ROUND)] if ONE_ROUND else range(ROUNDS)
    with Cluster(tmp_path, redis, s3, size=3, launcher=launcher, **SETTINGS) as cluster:
        machines = Machines(cluster, redis, s3, tmp_path.name)
        app = ForgetfulApp(ClusterSite(machines, random.Random(SEED)))
        with app:
            results = run_rounds(machines, app, numbers)
            outcomes = Counter(outcome for outcome, _ in results)
            extra = extra_deliveries(app)
            print(f"{outcomes}, {sum(steps for _, steps in results)} steps, {dict(machines.counts)}, "
                  f"{extra} files told twice, {machines.returned_bytes} bytes asked for again")  # fmt: skip
            assert extra <= machines.counts.total(), "more deliveries than kills"
            assert take_refused(machines, app) == outcomes[Outcome.REFUSED]
            check_nothing_is_left(machines)
        assert "Traceback" not in cluster.log_text()
    parts = "over three servers with one Redis and S3"
    tally("fault", f"an upload that changes its protocol, {parts}, with kills of any part", len(numbers),
          "identical, one handover, no acknowledged byte lost, nothing left in the bucket")  # fmt: skip
    tally("fault", f"a second call about a file that its app has, {parts}", extra,
          f"no more of them than faults; seed {SEED}")  # fmt: skip
    for what, count in machines.counts.items():
        tally("fault", f"{what}, {parts}", count, "other servers continued its uploads")
