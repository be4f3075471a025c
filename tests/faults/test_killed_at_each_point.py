"""kill -9 before and after each thing that the server does to the disk, to its clients and to its apps.

For an upload of each kind (`errands`) a first run counts the calls at each named point; then there is a run
for each of them in which the server dies right there. What it had said by then is held against the disk, the
server is started again, and everybody goes on. The rest of INCOMING_TEST_POINT_KILLS kills is at random
points, one after another, with all kinds of uploads under way, and also while the server starts.
"""

from __future__ import annotations

import itertools
import os
import random
import signal
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tests.support.app import ScriptedApp
from tests.support.errands import KINDS, SETTINGS, Backend, Died, Errand
from tests.support.folder_errand import WholeFolder
from tests.support.forked import ForkedServer, Launcher, killed_at
from tests.support.http_errands import HTTP_KINDS
from tests.support.tally import tally
from tests.support.waiting import wait_until

KILLS: Final = int(os.environ.get("INCOMING_TEST_POINT_KILLS", "20"))
SYSTEMATIC: Final = KILLS * 3 // 4
"""At most so many of them at a point of their own; the others at random."""
SEED: Final = int(os.environ.get("INCOMING_TEST_SEED", random.randrange(1 << 32)))
HELD: Final = (
    "nothing acknowledged was lost, no ticket was forgotten, no handover was lost or repeated in vain"
)
Point = tuple[str, int, str]


@contextmanager
def a_server(launcher: Launcher, directory: Path) -> Iterator[ForkedServer]:
    """A server that is dead afterwards, and that has never told of a defect."""
    server = ForkedServer(launcher, directory / "storage", **SETTINGS)
    try:
        yield server
        assert "Traceback" not in server.log_text(), server.log_text()
    finally:
        server.bury()


def points_of(kind: type[Errand], launcher: Launcher, app: ScriptedApp, directory: Path) -> list[Point]:
    """Returns every point that an upload of this kind passes, from the start of its server on."""
    if kind not in _points:
        _points[kind] = _count_points(kind, launcher, app, directory)
    return _points[kind]


_points: Final[dict[type[Errand], list[Point]]] = {}


def _count_points(kind: type[Errand], launcher: Launcher, app: ScriptedApp, directory: Path) -> list[Point]:
    directory.mkdir()
    seen = directory / "seen"
    with a_server(launcher, directory) as server:
        server.start_with({"seen": str(seen)})
        kind(server, Backend(app), 0).go_on()
    counts = Counter(seen.read_text().split())
    return [
        (name, number, when)
        for name, count in sorted(counts.items())
        for number in range(1, count + 1)
        for when in ("before", "after")
    ]


def all_points(launcher: Launcher, app: ScriptedApp, tmp_path: Path) -> list[tuple[type[Errand], Point]]:
    """Returns the points that each kind of upload passes."""
    kinds: tuple[type[Errand], ...] = (*KINDS, *HTTP_KINDS, WholeFolder)
    return [(kind, at) for kind in kinds for at in points_of(kind, launcher, app, tmp_path / kind.__name__)]


def survives(kind: type[Errand], point: Point, launcher: Launcher, app: ScriptedApp, directory: Path) -> bool:
    """An upload of this kind comes through though its server dies at the point. Returns whether it did."""
    directory.mkdir()
    with a_server(launcher, directory) as server:
        backend = Backend(app)
        errand = kind(server, backend, point[1])
        listens = server.start_with(killed_at(*point))
        try:
            if listens:
                errand.go_on()
        except Died:
            pass
        died = server.has_died
        if died:
            assert server.bury() == -signal.SIGKILL
            errand.after_a_death()
            server.start_with({})
        errand.go_on()
        assert_nothing_left_over(server, backend)
        return died


def assert_nothing_left_over(server: ForkedServer, backend: Backend) -> None:
    """Nothing half-written is left behind, and no file of an upload that has ended; the app is content."""
    assert not backend.complaints
    server.bury()
    server.start_with({})  # what a kill has cut off is done now
    journal = server.storage_dir / "journal"
    wait_until(lambda: {file.name for file in journal.iterdir()} <= {"log", "clock"}, "nothing else is left")
    data = server.storage_dir / "data"
    wait_until(lambda: not list(data.iterdir()), "the first sweep removes the files of uploads that ended")
    assert not backend.complaints


def test_uploads_of_each_kind_survive_a_kill_at_each_point(
    launcher: Launcher, app: ScriptedApp, tmp_path: Path
) -> None:
    cases = all_points(launcher, app, tmp_path)
    if len(cases) > SYSTEMATIC:
        print(f"INCOMING_TEST_SEED={SEED}")
        cases = random.Random(SEED).sample(cases, SYSTEMATIC)
    kills: Counter[str] = Counter()
    for number, (kind, point) in enumerate(cases):
        try:
            kills[point[0]] += survives(kind, point, launcher, app, tmp_path / f"kill-{number}")
        except BaseException as exc:
            exc.add_note(f"{kind.__name__}, killed at {point}, in kill-{number}")
            raise
    print(f"\n{kills.total()} kills: {dict(kills)}")
    # Now and then a reconnection is faster than the release before it, and saves two journal entries.
    assert kills.total() > len(cases) * 0.9 - 4, "the points are not where they were"
    for name, count in kills.items():
        tally("fault", f"kill -9 before or after each `{name}`", count, HELD)


def test_many_uploads_survive_one_random_kill_after_another(
    launcher: Launcher, app: ScriptedApp, tmp_path: Path
) -> None:
    print(f"INCOMING_TEST_SEED={SEED}")
    chance = random.Random(SEED)
    at_random = KILLS - min(SYSTEMATIC, len(all_points(launcher, app, tmp_path)))
    kills = 0
    for drill in itertools.count():
        if kills >= at_random:
            break
        directory = tmp_path / f"drill-{drill}"
        directory.mkdir()
        with a_server(launcher, directory) as server:
            backend = Backend(app)
            kinds: list[type[Errand]] = [*KINDS, WholeFolder]
            errands = [kind(server, backend, drill) for kind in kinds]
            kills += one_drill(server, backend, errands, chance)
    tally("fault", "kill -9 at random points, again and again, several uploads under way", kills, HELD)


def one_drill(server: ForkedServer, backend: Backend, errands: list[Errand], chance: random.Random) -> int:
    """Several uploads at the same time, whose server dies again and again. Returns how often it did."""
    kills = 0
    names = ("open", "journal_write", "fdatasync", "replace", "fsync", "ack", "pwrite", "post", "unlink")
    for life in range(12):
        point = (chance.choice(names), chance.randrange(1, 12), chance.choice(("before", "after")))
        listens = server.start_with(killed_at(*point) if life < 11 else {})
        all_done = listens and go_on_together(errands)
        if server.has_died:
            kills += 1
            assert server.bury() == -signal.SIGKILL
            for errand in errands:
                errand.after_a_death()
        elif all_done:
            break
    assert_nothing_left_over(server, backend)
    return kills


def go_on_together(errands: list[Errand]) -> bool:
    """Returns whether all came to their end."""
    with ThreadPoolExecutor(len(errands)) as pool:
        runs: list[Future[None]] = [pool.submit(errand.go_on) for errand in errands]
    died = 0
    for run in runs:
        try:
            run.result()
        except Died:
            died += 1
    return not died
