"""A round of `mixed_ways`: some steps on random ways that end badly, then steps that complete the upload."""

from __future__ import annotations

import random
import time
from typing import Final

from tests.support.app import DONE, WAIT, Reply
from tests.support.mixed_parts import MixedParts
from tests.support.mixed_ways import BUSY, REFUSED, Ending, ForgetfulApp, MixedUpload, Outcome, Way
from tests.support.waiting import wait_until

ROUND_LIMIT_S: Final = 150.0
OUTAGE_S: Final = 0.3
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


def choose_app(app: ForgetfulApp, ticket_id: str, chance: random.Random) -> None:
    """Chooses what the app answers about a ticket, and how fast."""
    [script] = chance.choices([script for script, _ in SCRIPTS], [weight for _, weight in SCRIPTS])
    app.scripts[ticket_id] = script
    if chance.random() < 0.1:
        app.slow.add(ticket_id)


def run_round(upload: MixedUpload, name: str, limit_s: float = ROUND_LIMIT_S) -> tuple[Outcome, int]:
    """Runs a round. Returns how it has ended, and how many steps it took. `name` says how to repeat it."""
    try:
        steps = send_mixed(upload, limit_s)
        check_end(upload)
    except BaseException as exc:
        exc.add_note(f"{name}, {upload.ticket_id}")
        exc.add_note("\n".join(upload.history))
        raise
    finally:
        upload.close()
    assert upload.outcome
    return upload.outcome, steps


def send_mixed(upload: MixedUpload, limit_s: float = ROUND_LIMIT_S) -> int:
    """Takes steps until the upload has ended. Returns how many."""
    chance = upload.chance
    steps = chance.randint(1, 5) if upload.length_bytes else 0
    steps += 5 if isinstance(upload, MixedParts) else 0
    cancelled_at = chance.randint(0, steps) if chance.random() < 0.2 else -1
    for number in range(steps):
        if number == cancelled_at:
            upload.cancel(chance.choice(["app", "client"]), kill=chance.random() < 0.3)
        if upload.outcome:
            return number
        if chance.random() < 0.05:
            upload.app.go_down_for(OUTAGE_S)
        [ending] = chance.choices(list(ENDINGS), list(ENDINGS.values()))
        take_step(upload, ending)
    until_s = time.monotonic() + limit_s
    while not upload.outcome:
        assert time.monotonic() < until_s, "the upload does not come to its end"
        if steps == cancelled_at:
            upload.cancel(chance.choice(["app", "client"]), kill=chance.random() < 0.3)
        else:
            take_step(upload, Ending.ANSWERED, to_its_end=True)
        steps += 1
    return steps


def take_step(upload: MixedUpload, ending: Ending, *, to_its_end: bool = False) -> None:
    """Takes a step that ends in this way; the file is sent `to_its_end`, or up to a random offset."""
    if isinstance(upload, MixedParts):
        upload.step_in_parts(ending)
        return
    chance, to_bytes = upload.chance, upload.length_bytes
    if not to_its_end and chance.random() < 0.8:
        to_bytes = chance.randint(upload.told.acked_bytes, upload.length_bytes)
    ways = [*Way, *[Way.IETF] * 3] if upload.named_digest else list(Way)
    upload.step(chance.choice(ways), to_bytes, ending)


def check_end(upload: MixedUpload) -> None:
    """The app was told once, of the right file; and whoever asks again on any way hears the same."""
    outcome, upload.outcome = upload.outcome, None
    is_refused = REFUSED in upload.app.scripts[upload.ticket_id]
    expected = Outcome.REFUSED if is_refused else Outcome.FINISHED
    assert outcome in (expected, Outcome.CANCELLED)
    while not upload.outcome:
        upload.step(upload.chance.choice(list(Way)), upload.length_bytes, Ending.ANSWERED)
    assert upload.outcome is outcome
    if outcome is not Outcome.CANCELLED:
        upload.app.check(upload.ticket_id, upload.data.sha256)
        return
    upload.app.check_end(upload.ticket_id, upload.is_app_told_of_end)
    site = upload.site
    wait_until(lambda: not site.has_bytes(upload.ticket_id), "its bytes are removed", site.end_limit_s)
