"""A power cut with `fsync` off: the last seconds may be gone, and nobody is told anything wrong about them.

As in `test_power_cut`, but the server has synced nothing. What is older than some seconds the system has
written by itself; each later file, name and journal entry may be there, or in part, or not. What is left of
the promise (docs/explanation/durability.md): the server starts, sets aside what makes no sense, hands over no
file that lost bytes, and calls nothing finished that the app does not have.
"""

from __future__ import annotations

import os
import random
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.faults.test_power_cut import Recording, after_a_cut, record
from tests.support.app import DONE, Delivery, Reply, ScriptedApp
from tests.support.client_v1 import ClientV1, UploadEnded
from tests.support.client_v2 import ClientV2, UploadRefused
from tests.support.errands import SECRET, SETTINGS, CalledOff, Given, Moved, Taken, Waited
from tests.support.forked import ForkedServer, Launcher
from tests.support.powercut import Disk, Line
from tests.support.server import call_backend
from tests.support.tally import tally

CUTS: Final = int(os.environ.get("INCOMING_TEST_CUTS", "9"))
SEED: Final = int(os.environ.get("INCOMING_TEST_SEED", random.randrange(1 << 32)))
KINDS: Final = (Taken, Moved, Waited, Given, CalledOff)
UNSYNCED: Final = SETTINGS | {"fsync": False}
LOST_TEXT: Final = "a power cut destroyed some of its bytes"
REFUSED_TEXT: Final = "unknown file"


@dataclass
class App:
    """An app behind the cut: takes a whole file, and refuses what is none."""

    sha256: str
    has_it: bool
    spoilt: list[Delivery] = field(default_factory=list)

    def answer(self, delivery: Delivery) -> Reply:
        """Returns what is answered to a delivery."""
        if delivery.fields["cancelled"] == "yes":
            return Reply(200, "")
        if delivery.sha256 == self.sha256:
            self.has_it = True
            return DONE
        if delivery.size_bytes is not None:
            self.spoilt.append(delivery)
        return Reply(404, REFUSED_TEXT)


def written_by_itself(lines: list[Line]) -> list[Line]:
    """Returns these lines, and that by then the system has written all of it to the disk."""
    covers = len(lines)
    files = {line["ino"] for line in lines if "ino" in line}
    paths = {path for line in lines for key in ("path", "source", "target") if (path := line.get(key))}
    folders = {str(Path(path).parent) for path in paths}
    return [
        *lines,
        *({"op": "sync", "ino": ino, "covers": covers} for ino in files),
        *({"op": "sync_dir", "path": path, "covers": covers} for path in folders),
    ]


def ending(client: ClientV1 | ClientV2) -> str:
    """Goes on with the upload; returns `finished`, or why it can't be."""
    try:
        client.upload(30)
    except UploadRefused as refused:
        return str(refused.error["Msg"])
    except UploadEnded as ended:
        return ended.text
    return "finished"


def told_after_the_cut(recording: Recording, cut: int, seed: int, app: ScriptedApp, place: Path) -> str:
    """Returns what the client hears that comes back after a cut behind so many lines of the recording."""
    place.mkdir()
    lines, errand, chance = recording.lines, recording.errand, random.Random(seed)
    older = chance.randrange(cut + 1)
    before = [*written_by_itself(lines[:older]), *lines[older:cut]]
    Disk(recording.root, before, chance).rebuild(place / "storage")
    cut_at_s = lines[cut]["at_s"] if cut < len(lines) else float("inf")
    had_it = any(call.received_at_s < cut_at_s for call in errand.arrivals)
    behind = App(errand.data.sha256, had_it)
    app.answers = [behind.answer]
    server = ForkedServer(errand.server.launcher, place / "storage", **UNSYNCED)
    try:
        assert server.start_with(after_a_cut(place)), server.log_text()
        if had_it and isinstance(errand, Waited):
            call_backend(server, "finish_upload", id=errand.ticket_id, backendSecret=SECRET)
        kind = ClientV2 if errand.version == 2 else ClientV1
        told = ending(kind(server.url, errand.ticket_id, errand.data))
        assert not behind.spoilt, "a file that lost bytes was handed over"
        assert told != "finished" or behind.has_it, "nobody has what is called finished"
        assert not (LOST_TEXT in told and behind.has_it and not had_it), "what is called lost was handed over"
        set_aside = list((server.storage_dir / "journal").glob("damaged/*"))
        assert server.log_text().count("The log is set aside:") == len(set_aside)
        assert "Traceback" not in server.log_text(), server.log_text()
    finally:
        server.bury()
    return told


def test_after_a_power_cut_that_took_what_was_never_synced_nothing_wrong_is_told(
    launcher: Launcher, app: ScriptedApp, tmp_path: Path
) -> None:
    print(f"INCOMING_TEST_SEED={SEED}")
    chance = random.Random(SEED)
    recordings = [record(kind, launcher, app, tmp_path / kind.__name__, fsync=False) for kind in KINDS]
    heard: Counter[str] = Counter()
    for number in range(CUTS):
        recording = recordings[number % len(recordings)]
        cut = chance.randrange(1, len(recording.lines) + 1)
        try:
            told = told_after_the_cut(
                recording, cut, chance.randrange(1 << 32), app, tmp_path / f"cut-{number}"
            )
        except BaseException as exc:
            exc.add_note(f"{recording.errand}, cut-{number}, after {cut} lines")
            raise
        heard[told] += 1
    print(heard)
    held = "the server started; no file that had lost bytes was handed over or called finished"
    tally("fault", "Power cut at a random moment with `fsync` off", CUTS, held)
