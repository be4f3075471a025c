"""kill -9 at each thing that the server does to the disk while bytes wait for their checksum.

The next process resumes at the mark or, once the checksum was accepted, behind the accepted bytes. It has
every byte that was acknowledged, and no other one in front of its offset.
"""

from __future__ import annotations

import hashlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from incoming.core.lifecycle import State
from incoming.registry.clock import boot_id
from tests.support import unchecked_errand
from tests.support.fakes import FakeApp
from tests.support.forked import Launcher, killed_at
from tests.support.tally import tally
from tests.support.unchecked_errand import CHECKED_BYTES, CHUNK_BYTES, DATA
from tests.support.uploads import House

DEADLINE_S = 60.0
HELD = "nothing acknowledged was lost, and no unchecked byte counted as stored"


class Run(NamedTuple):
    """One life of the process."""

    code: int
    told_bytes: int
    """The last offset that a client was told."""
    passed: list[str]
    """The points that it came to, in order, with the lines `begin` and `end`."""


def run(launcher: Launcher, directory: Path, end: str, plan: dict[str, object]) -> Run:
    directory.mkdir()
    said, seen = directory / "said", directory / "seen"
    options = [str(directory / "storage"), str(said), str(seen), end]
    script = Path(unchecked_errand.__file__)
    log = directory / "log"
    process = launcher.start(options, os.environ, log, script=script, plan={"seen": str(seen), **plan})
    code = process.wait(DEADLINE_S)
    assert code in (0, -signal.SIGKILL), log.read_text()
    told = said.read_text().split() if said.exists() else ["0"]
    return Run(code, int(told[-1]), seen.read_text().split())


def points(passed: list[str]) -> Iterator[tuple[str, int]]:
    """Yields the name and the number of each point between the mark's begin and its end."""
    begin, end = passed.index("begin"), passed.index("end")
    for place in range(begin + 1, end):
        yield passed[place], passed[: place + 1].count(passed[place])


@pytest.mark.parametrize("end", ["accept", "discard"])
def test_a_kill_while_bytes_are_unchecked_leaves_what_was_acknowledged_and_nothing_else(
    launcher: Launcher, tmp_path: Path, end: str
) -> None:
    whole = run(launcher, tmp_path / "whole", end, {})
    assert whole.code == 0
    cases = [(*point, "before") for point in points(whole.passed)]
    cases.append((*list(points(whole.passed))[-1], "after"))  # between two points the disk does not change
    names = {name for name, _, _ in cases}
    assert {"journal_write", "fdatasync", "pwrite"} <= names, "the points are not where they were"
    assert ("ftruncate" in names) == (end == "discard")
    for number, case in enumerate(cases):
        directory = tmp_path / f"kill-{number}"
        try:
            killed = run(launcher, directory, end, killed_at(*case))
            assert killed.code == -signal.SIGKILL
            assert_resumes(directory, killed.told_bytes, is_accepted_in(case, cases, end))
        except BaseException as exc:
            exc.add_note(f"{end}, killed at {case}, in {directory.name}")
            raise
    tally("fault", "kill -9 while bytes wait for their checksum", len(cases), HELD)


def is_accepted_in(case: tuple[str, int, str], cases: list[tuple[str, int, str]], end: str) -> bool:
    """Returns whether the journal had the acceptance by then: its last write was done."""
    last_write = max(place for place, one in enumerate(cases) if one[0] == "journal_write")
    return end == "accept" and cases.index(case) > last_write


def assert_resumes(directory: Path, told_bytes: int, is_accepted: bool) -> None:
    """The next process, and one after it, take the upload up where they have to."""
    house = House(directory / "storage", FakeApp(), boot_id=boot_id()).after_a_kill()
    [ticket] = house.context.registry.tickets()
    expected_bytes = CHECKED_BYTES + 2 * CHUNK_BYTES if is_accepted else CHECKED_BYTES
    assert told_bytes <= house.uploads.look(ticket.id).offset_bytes == expected_bytes
    claim = house.claim(ticket.id, len(DATA)).claim
    assert claim.offset_bytes == expected_bytes
    assert house.file(ticket.id).read_bytes() == DATA[:expected_bytes]
    house.uploads.write(claim, memoryview(DATA[expected_bytes : expected_bytes + CHUNK_BYTES]))
    again = house.after_a_kill()
    claim = again.claim(ticket.id, len(DATA)).claim
    assert claim.offset_bytes == expected_bytes + CHUNK_BYTES, "the mark does not outlive what it marked"
    if claim.offset_bytes < len(DATA):
        again.uploads.write(claim, memoryview(DATA[claim.offset_bytes :]))
    again.uploads.complete(claim)
    again.runtime.settle()
    assert again.state(ticket.id) is State.FINISHED
    assert again.app.forms[0]["sha256"] == hashlib.sha256(DATA).hexdigest()
