"""A power cut at any moment: what was declared durable is there, and no file is made of what is none.

A real server, with `fsync` on, takes one file of each kind, over WebSockets and over HTTP, while all that it
asks of the disk is written down. From that, disks are rebuilt as a cut may leave them, at random moments and
with a random part of what was not synced (`powercut`); a server is started on each, held to what was said
before, and everybody goes on. docs/how-to/restarting.md has the promise. INCOMING_TEST_CUTS says how many
disks (one for each kind unless set).
"""

from __future__ import annotations

import os
import random
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from tests.support.app import ScriptedApp
from tests.support.client_v1 import ClientV1
from tests.support.client_v2 import ClientV2
from tests.support.errands import KINDS, SETTINGS, Backend, Errand, Moved, Refused
from tests.support.folder_errand import WholeFolder
from tests.support.forked import ForkedServer, Launcher
from tests.support.http_errands import HTTP_KINDS
from tests.support.powercut import Disk, Line, read_trace
from tests.support.tally import tally

ALL_KINDS: Final[tuple[type[Errand], ...]] = (*KINDS, *HTTP_KINDS, WholeFolder)
CUTS: Final = int(os.environ.get("INCOMING_TEST_CUTS", len(ALL_KINDS)))
SEED: Final = int(os.environ.get("INCOMING_TEST_SEED", random.randrange(1 << 32)))
CHECKPOINT_EVERY_S: Final = 0.005
"""Uploads here are short, and are to have some checkpoints all the same."""
ENDS: Final = ("finished", "cancelled")


@dataclass
class Recording:
    """One upload, from the ticket to its end, and what its server asked of the disk meanwhile."""

    errand: Errand
    root: Path
    lines: list[Line]


def record(
    kind: type[Errand], launcher: Launcher, app: ScriptedApp, directory: Path, **settings: object
) -> Recording:
    """Returns the recording of an upload that nothing happens to."""
    directory.mkdir()
    (directory / "storage").mkdir()
    server = ForkedServer(launcher, directory / "storage", **SETTINGS | settings)
    try:
        server.start_with({"trace": str(directory / "trace"), "checkpoint_every_s": CHECKPOINT_EVERY_S})
        errand = kind(server, Backend(app), 3)
        errand.go_on()
    finally:
        server.bury()
    return Recording(errand, server.storage_dir, read_trace(directory / "trace"))


def after_a_cut(place: Path) -> dict[str, object]:
    """Returns the plan of the first process after a power cut: the machine has started again."""
    boot_id = place / "boot_id"
    boot_id.write_text("another start of the machine\n")
    return {"boot_id": str(boot_id)}


def after_the_cut(old: Errand, cut_at_s: float, server: ForkedServer, backend: Backend) -> Errand:
    """Returns the errand as its client and its app remember it: with what they had heard by then."""
    new = type(old)(server, backend, old.data.seed)
    new.said = [(at_s, what) for at_s, what in old.said if at_s < cut_at_s]
    if not new.said:
        return new
    new.arrivals = [call for call in old.arrivals if call.received_at_s < cut_at_s]
    new.ends = [call for call in old.ends if call.received_at_s < cut_at_s]
    new.ticket_id, new.phase = old.ticket_id, "rest"
    backend.knows(new)
    if isinstance(new, WholeFolder) and isinstance(old, WholeFolder):
        if new.arrivals:
            new.data.leave_out(*old.data.left_out)
        new.client = new.new_client()
        new.client.has_lost_power = True
    else:
        kind = ClientV2 if new.version == 2 else ClientV1
        new.client = kind(server.url, new.ticket_id, new.data)
    new.client.may_be_cut = True
    if isinstance(new, Moved | WholeFolder) and isinstance(old, Moved | WholeFolder) and new.arrivals:
        new.place.parent.mkdir()
        copy = shutil.copytree if old.place.is_dir() else shutil.copy
        copy(old.place, new.place)  # on the app's own disk, which has not failed
    if isinstance(new, Refused):
        new.heard = new.has_heard("failed")
        new.retrying = new.heard and new.journaled() in ("handing_over", "finished")
    new.after_a_death()
    return new


def survives(recording: Recording, cut: int, seed: int, app: ScriptedApp, place: Path) -> None:
    """Everything goes on after a cut behind so many lines of the recording."""
    place.mkdir()
    lines = recording.lines
    Disk(recording.root, lines[:cut], random.Random(seed)).rebuild(place / "storage")
    cut_at_s = lines[cut]["at_s"] if cut < len(lines) else float("inf")
    server = ForkedServer(recording.errand.server.launcher, place / "storage", **SETTINGS)
    backend = Backend(app)
    errand = after_the_cut(recording.errand, cut_at_s, server, backend)
    try:
        server.start_with(after_a_cut(place))
        assert not (server.storage_dir / "journal" / "damaged").exists(), server.log_text()
        errand.go_on()
        assert not backend.complaints
        assert "Traceback" not in server.log_text(), server.log_text()
    finally:
        server.bury()


def test_what_was_declared_durable_survives_a_power_cut(
    launcher: Launcher, app: ScriptedApp, tmp_path: Path
) -> None:
    print(f"INCOMING_TEST_SEED={SEED}")
    chance = random.Random(SEED)
    recordings = [record(kind, launcher, app, tmp_path / kind.__name__) for kind in ALL_KINDS]
    for number in range(CUTS):
        recording = recordings[number % len(recordings)]
        cut = chance.randrange(1, len(recording.lines) + 1)
        try:
            survives(recording, cut, chance.randrange(1 << 32), app, tmp_path / f"cut-{number}")
        except BaseException as exc:
            about = [str({k: v for k, v in line.items() if k != "data"}) for line in recording.lines[:cut]]
            exc.add_note(f"{recording.errand}, cut-{number}, after {cut} lines:\n" + "\n".join(about[-12:]))
            raise
    what = "Power cut at a random moment, a random part of what was not synced lost"
    held = "every state, file and end that was declared durable was there, no other bytes were handed over"
    tally("fault", what, CUTS, held)


def test_a_disk_that_loses_what_was_not_synced_is_noticed_without_fsync(
    launcher: Launcher, app: ScriptedApp, tmp_path: Path
) -> None:
    """The test of the test: a server that syncs nothing does not pass."""
    recording = record(KINDS[0], launcher, app, tmp_path / "synced")
    recording.lines = [line for line in recording.lines if not line["op"].startswith("sync")]
    with pytest.raises((AssertionError, FileNotFoundError, KeyError)):  # or the journal is there without it
        for number in range(40):
            cut = len(recording.lines)
            survives(recording, cut, number, app, tmp_path / f"cut-{number}")
