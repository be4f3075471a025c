"""Folders that are sent while the server is killed, connections are cut, and the command is stopped.

All of it happens in the middle of the upload, at random. Each folder arrives as it was, once, and no upload
begins again. INCOMING_TEST_FOLDERS says how many folders (5 unless set); INCOMING_TEST_SEED repeats a run.
"""

from __future__ import annotations

import os
import random
import re
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.conftest import StartServer
from tests.support.app import ScriptedApp
from tests.support.http_upload import HttpUpload
from tests.support.relay import Relay
from tests.support.sending import Sending
from tests.support.server import RunningServer, new_upload
from tests.support.tally import tally
from tests.support.trees import Tree, TreeKeeper, tree_of, write_random_tree
from tests.support.waiting import wait_until

FOLDERS: Final = int(os.environ.get("INCOMING_TEST_FOLDERS", "5"))
SEED: Final = int(os.environ.get("INCOMING_TEST_SEED", random.randrange(1 << 32)))
AT_A_TIME: Final = 5
DEADLINE_S: Final = 100.0
"""Commands start slowly where all tests run at once."""
BYTES_PER_S: Final = 4_000_000
SIZES_BYTES: Final = (0, 1, 700, 5_000, 10_000, 30_000, 200_000)
LARGE_BYTES: Final = 1_500_000
LAST: Final = "zzz"
"""The name of the file that is sent last. It may change while no command runs, and is left out then."""
PAUSE: Final = "pause"
KILL: Final = "kill"
_CLAIMED: Final = re.compile(r"upload (\w{8}): claimed at (\d+) of (\d+) bytes")


@dataclass
class Upload:
    """A folder that is sent, each time through a relay of its own."""

    server: RunningServer
    folder: Path
    tree: Tree
    ticket_id: str
    chance: random.Random
    state: Path
    length_bytes: int
    trouble: list[str]
    """How each run of the command but the last one ends."""
    relays: list[Relay] = field(default_factory=list)
    """One for each run, the present one last. So what a killed run left in its relay counts for no other."""

    @property
    def carried_bytes(self) -> int:
        """How many bytes have left the client, in all runs."""
        return sum(relay.carried_bytes for relay in self.relays)

    @contextmanager
    def send(self, *options: str) -> Iterator[Sending]:
        """Starts the command, and ends it with its connections."""
        with Relay(self.server.port, BYTES_PER_S) as relay:
            self.relays.append(relay)
            address = ("--ticket", self.ticket_id, "--server", f"http://{relay.host}")
            with Sending(self.folder, *address, *options, XDG_STATE_HOME=str(self.state)) as sending:
                yield sending

    def is_begun(self) -> bool:
        """Returns whether the server has stored some of it. A busy one may have read nothing yet."""
        try:
            state = HttpUpload(self.server.url, self.ticket_id).look()
        except OSError:  # it is being restarted
            return False
        return bool(state.get("offset_bytes"))

    def wait_carried(self, part: float) -> None:
        """Waits until this run has sent so much more of the folder, and some of it is stored."""
        relay = self.relays[-1]
        at_bytes = relay.carried_bytes + part * self.length_bytes
        wait_until(lambda: relay.carried_bytes >= at_bytes, "a part of the folder", DEADLINE_S)
        wait_until(self.is_begun, "the first bytes are stored", DEADLINE_S)

    def run(self) -> None:
        """Sends the folder with some trouble on its way, until the app has it."""
        for trouble in self.trouble:
            with self.send() as sending:
                for _ in range(self.chance.randrange(2)):
                    self.wait_carried(self.chance.uniform(0.05, 0.2))
                    self.relays[-1].cut()
                self.wait_carried(self.chance.uniform(0.05, 0.25))
                if trouble != KILL:
                    sending.interrupt()
                    assert sending.ends().exit_code == 130, sending.said
        changes = self.chance.random() < 0.3
        if changes:
            (self.folder / LAST).write_bytes(b"changed")
            del self.tree[LAST]
        with self.send(*["--leave-out"] * changes) as sending:
            sending.ends()
        assert sending.exit_code == (4 if changes else 0), sending.said


def new_folder(server: RunningServer, app: ScriptedApp, place: Path, number: int) -> Upload:
    """Returns a folder with some hundred small files and some large ones."""
    chance = random.Random(SEED + number)
    sizes = [chance.choice(SIZES_BYTES) for _ in range(chance.randrange(60, 200))]
    sizes += [LARGE_BYTES] * chance.randrange(3)
    chance.shuffle(sizes)
    folder = place / f"folder {number}"
    write_random_tree(folder, chance, sizes)
    (folder / LAST).write_bytes(b"the last file")
    tree = tree_of(folder)
    ticket_id = new_upload(server, app.url, destType="folder")
    trouble = chance.choices([PAUSE, KILL], k=chance.randrange(1, 3))
    return Upload(server, folder, tree, ticket_id, chance, place / "state", sum(sizes), trouble)


def test_folders_survive_kills_cuts_and_pauses_in_the_middle(
    start_server: StartServer, tmp_path: Path
) -> None:
    print(f"INCOMING_TEST_SEED={SEED}")
    server = start_server(handover_retry_first_s=0.05, handover_retry_max_s=0.2)
    keeper = TreeKeeper(tmp_path / "kept")
    with ScriptedApp(keeper) as app:
        app.hash_files = False
        for first in range(0, FOLDERS, AT_A_TIME):
            numbers = range(first, min(first + AT_A_TIME, FOLDERS))
            uploads = [new_folder(server, app, tmp_path, number) for number in numbers]
            send_all(server, uploads)
            for upload in uploads:
                assert_arrived(upload, keeper)
    assert_none_began_again(server, FOLDERS)
    tally("fault", "kill -9, cut and pause in the middle of a folder", FOLDERS,
          "identical paths, bytes and times, none from zero, one handover")  # fmt: skip


def send_all(server: RunningServer, uploads: list[Upload]) -> None:
    """Sends folders at the same time, and kills the server in the middle."""
    all_bytes = sum(upload.length_bytes for upload in uploads)
    kill_at_bytes = random.Random(SEED + all_bytes).uniform(0.1, 0.5) * all_bytes
    with ThreadPoolExecutor(len(uploads)) as pool:
        runs = [pool.submit(upload.run) for upload in uploads]
        wait_until(
            lambda: sum(upload.carried_bytes for upload in uploads) >= kill_at_bytes, "the moment", DEADLINE_S
        )
        for upload in uploads:
            wait_until(upload.is_begun, "the first bytes are stored", DEADLINE_S)
        server.restart()
        for run in runs:
            run.result()


def assert_arrived(upload: Upload, keeper: TreeKeeper) -> None:
    """The app has taken the folder once, and it is as it was."""
    (arrived,) = keeper.arrived[upload.ticket_id]
    arrived.assert_consistent()
    assert arrived.as_sent() == upload.tree


def assert_none_began_again(server: RunningServer, folders: int) -> None:
    """No upload was resumed with less than before, and none at zero."""
    claims: dict[str, list[int]] = defaultdict(list)
    for short_id, offset, _ in _CLAIMED.findall(server.log_text()):
        claims[short_id].append(int(offset))
    assert len(claims) == folders
    for offsets in claims.values():
        assert len(offsets) > 1, "nothing has happened to it"
        assert offsets[0] == 0
        assert offsets == sorted(offsets), "what was stored was lost"
        assert all(offsets[1:]), "it began again"
