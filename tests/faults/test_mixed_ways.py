"""Uploads that change their way in the middle, while connections break and the server is killed and stopped.

Each round is one upload: some steps on random ways that end badly, then steps that complete it. `MixedUpload`
checks all that the server tells on the way. Several rounds share a server, so a kill hits all of them,
wherever they are.

INCOMING_TEST_MIXED says how many rounds (20 unless set); INCOMING_TEST_SEED repeats their choices.
"""

from __future__ import annotations

import os
import random
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Final

from tests.conftest import StartServer
from tests.support.app import DONE, WAIT, Reply
from tests.support.data import FileBytes
from tests.support.mixed_ways import BUSY, REFUSED, Ending, ForgetfulApp, MixedUpload, Outcome, Site, Way
from tests.support.server import call_backend
from tests.support.tally import tally

ROUNDS: Final = int(os.environ.get("INCOMING_TEST_MIXED", "20"))
SEED: Final = int(os.environ.get("INCOMING_TEST_SEED", random.randrange(1 << 32)))
AT_A_TIME: Final = 8
ROUND_LIMIT_S: Final = 150.0
OUTAGE_S: Final = 0.3
SETTINGS: Final = {
    "chunk_size_kib": 64,
    "handover_retry_first_s": 0.05,
    "handover_retry_max_s": 0.2,
    "http_hold_s": 1.0,
    "stop_timeout_s": 0.5,
}
ENDINGS: Final = {
    Ending.ANSWERED: 30,
    Ending.FIN: 20,
    Ending.RESET: 12,
    Ending.HALF_OPEN: 12,
    Ending.LEFT_OPEN: 12,
    Ending.KILL: 18,
    Ending.STOP: 3,
}
"""How often a step ends in each way, in relation to the others."""
SCRIPTS: Final[list[tuple[list[Reply], int]]] = [
    ([DONE], 60),
    ([BUSY, BUSY, DONE], 12),
    ([WAIT, DONE], 15),
    ([REFUSED], 13),
]


def random_length(chance: random.Random) -> int:
    """Returns the length of a file in bytes. Some are empty, and some do not fit into one buffer."""
    return chance.choice([0, 1, chance.randrange(3000), *[chance.randrange(600_000)] * 5, 3_000_000])


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
    [script] = chance.choices([script for script, _ in SCRIPTS], [weight for _, weight in SCRIPTS])
    app.scripts[ticket_id] = script
    if chance.random() < 0.1:
        app.slow.add(ticket_id)
    return MixedUpload(site, app, ticket_id, data, chance)


def run_round(site: Site, app: ForgetfulApp, number: int) -> tuple[Outcome, int]:
    """Runs a round. Returns how it has ended, and how many steps it took."""
    upload = new_mixed_upload(site, app, number)
    try:
        steps = send_mixed(upload)
        check_end(upload)
    except BaseException as exc:
        exc.add_note(f"INCOMING_TEST_SEED={SEED}, round {number}, {upload.ticket_id}")
        exc.add_note("\n".join(upload.history))
        raise
    finally:
        upload.close()
    assert upload.outcome
    return upload.outcome, steps


def send_mixed(upload: MixedUpload) -> int:
    """Takes steps until the upload has ended. Returns how many."""
    chance = upload.chance
    steps = chance.randint(1, 5) if upload.length_bytes else 0
    for _ in range(steps):
        if chance.random() < 0.05:
            upload.app.go_down_for(OUTAGE_S)
        to_bytes = chance.randint(upload.acked_bytes, upload.length_bytes)
        if chance.random() < 0.2:
            to_bytes = upload.length_bytes
        [ending] = chance.choices(list(ENDINGS), list(ENDINGS.values()))
        upload.step(chance.choice(list(Way)), to_bytes, ending)
    until_s = time.monotonic() + ROUND_LIMIT_S
    while not upload.outcome:
        assert time.monotonic() < until_s, "the upload does not come to its end"
        upload.step(chance.choice(list(Way)), upload.length_bytes, Ending.ANSWERED)
        steps += 1
    return steps


def check_end(upload: MixedUpload) -> None:
    """The app was told once, of the right file; and whoever asks again on any way hears the same."""
    outcome, upload.outcome = upload.outcome, None
    is_refused = REFUSED in upload.app.scripts[upload.ticket_id]
    assert outcome is (Outcome.REFUSED if is_refused else Outcome.FINISHED)
    while not upload.outcome:
        upload.step(upload.chance.choice(list(Way)), upload.length_bytes, Ending.ANSWERED)
    assert upload.outcome is outcome
    upload.app.check(upload.ticket_id, upload.data.sha256)


def test_uploads_that_change_their_way_arrive_whole_and_nobody_is_told_too_early(
    start_server: StartServer,
) -> None:
    site = Site(start_server(**SETTINGS))
    app = ForgetfulApp(site)
    with app, ThreadPoolExecutor(AT_A_TIME) as pool:
        rounds = [pool.submit(run_round, site, app, number) for number in range(ROUNDS)]
        try:
            results = [one.result() for one in rounds]
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
        outcomes = Counter(outcome for outcome, _ in results)
        steps = sum(count for _, count in results)
        for ticket_id in app.scripts:  # nothing was told again later
            assert app.about(ticket_id)
    print(f"\n{outcomes}, {steps} steps, {site.kills} kills, {site.stops} stops")
    assert "Traceback" not in site.server.log_text()
    tally("fault", "an upload that changes its way in the middle, with cuts, kills and refusals", ROUNDS,
          "identical, told once, and no success before the app had it")  # fmt: skip
