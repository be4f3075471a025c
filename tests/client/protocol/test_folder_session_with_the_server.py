"""The client's session against the server's own, for folders of which files can't be read any more.

Whatever happens on the way, once it stops happening the upload finishes by itself. The server has all files
but those that could not be read, and both know which ones these are.
"""

from __future__ import annotations

from dataclasses import replace
from random import Random

from crc32c import crc32c
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from incoming.client.protocol.events import (
    Actions,
    Ending,
    File,
    FileChanged,
    FileUnreadable,
    Options,
    ReadAsZeros,
)
from incoming.client.protocol.session import Session
from incoming.core import errors
from incoming.core.folder_manifest import Entry, FolderManifest, encode_head
from incoming.core.ticket import FOLDER
from incoming.protocol import events
from tests.client.protocol.test_session_with_the_server import Server, World, happened

SIZES_BYTES = (0, 0, 1, 300, 4_000, 9_000, 70_000, 200_000)


def folder(random: Random) -> tuple[FolderManifest, bytes]:
    """Returns a folder and its stream."""
    sizes = [random.choice(SIZES_BYTES) for _ in range(random.randrange(1, 12))]
    entries = [Entry(f"file {number}", size, 7) for number, size in enumerate(sizes)]
    head = encode_head(entries)
    return FolderManifest(len(head), entries), head + random.randbytes(sum(sizes))


class FolderServer(Server):
    """An upload of a folder."""

    def __init__(self, content: bytes, manifest: FolderManifest, random: Random) -> None:
        super().__init__(content, random)
        self.manifest = manifest
        self.left_out: set[int] = set()

    def result(self, command: events.Action) -> events.Event:
        match super().result(command) if not isinstance(command, events.LeaveOut) else command:
            case events.Claimed(offset_bytes, length_bytes, arrived, finished, compare):
                if arrived and self.left_out and self.random.random() < 0.5:
                    happened.add("does not tell what was left out")
                    left_out: tuple[int, ...] = ()
                else:
                    left_out = tuple(sorted(self.left_out))
                claim = events.Claimed(offset_bytes, length_bytes, arrived, finished, compare)
                return replace(claim, dest_type=FOLDER, left_out=left_out)
            case events.LeaveOut(index):
                return self.leave_out(index)
            case event:
                return event

    def leave_out(self, index: int) -> events.Event:
        start, end = self.manifest.range_of(index)
        if not start <= len(self.file) <= end:
            return events.Failed(errors.BadParameter("Index", "is not that of the next file"))
        happened.add("left out half of it" if start < len(self.file) else "left out")
        self.left_out.add(index)
        self.content = self.content[:start] + bytes(end - start) + self.content[end:]
        self.file[start:] = bytes(end - start)
        return events.LeftOut(end)


class FolderWorld(World):
    """A folder of which files break: they can't be read from then on."""

    def __init__(self, random: Random) -> None:
        manifest, content = folder(random)
        super().__init__(0, random)
        self.server: FolderServer = FolderServer(content, manifest, random)
        self.manifest = manifest
        self.stream = content
        self.broken: dict[int, type[FileChanged | FileUnreadable]] = {}
        self.begin()

    def begin(self) -> None:
        if not isinstance(self.server, FolderServer):
            return super().begin()
        file = File("photos", len(self.server.content), 7, self.server.manifest)
        options = Options(leave_out=True)
        self.client = Session("the id", file, options, self.random.random, self.now_s)
        self.linked, self.zeros = False, frozenset[int]()
        return None

    def trouble(self) -> None:
        super().trouble()
        if self.random.random() < 0.06:
            at = self.manifest.index_at(max(self.client.transfer.sent_bytes, len(self.server.file)))
            broken = at + self.random.choice([0, 0, 1, 3])
            if broken < len(self.manifest.entries) and self.manifest.entries[broken].size_bytes:
                self.broken[broken] = FileChanged if self.random.random() < 0.5 else FileUnreadable

    def read(self, start: int, end: int) -> bytes:
        """Raises KeyError with the entry if a file can't be read."""
        content = b""
        while start < end:
            index = self.manifest.index_at(start)
            first, last = self.manifest.range_of(index)
            last = min(first if start < first else last, end)
            if index in self.zeros and start >= first:
                content += bytes(last - start)
            elif index in self.broken and start >= first:
                raise KeyError(index)
            else:
                content += self.stream[start:last]
            start = last
        return content

    def work(self) -> None:
        work = self.client.work(self.now_s, room=len(self.up) < 4)
        if work is None:
            return
        try:
            data = self.read(work.segment.start, work.segment.end)
        except KeyError as failed:
            index = failed.args[0]
            self.tell(self.broken[index]("It can't be read.", index))
            return
        self.send(work, data)

    def tell(self, event: object) -> Actions:
        actions = super().tell(event)
        for action in actions:
            if isinstance(action, ReadAsZeros):
                self.zeros = action.entries
        return actions


@settings(max_examples=300, derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.randoms(use_true_random=True))
def upload(random: Random) -> None:
    world = FolderWorld(random)
    world.run()
    outcome = world.client.outcome
    assert outcome and outcome.ending is Ending.FINISHED, outcome
    server = world.server
    assert bytes(server.file) == server.content
    assert server.left_out <= {*world.broken}
    if outcome.crc32c is None:
        happened.add("not compared")
        assert {*world.broken} > server.left_out
    else:
        assert outcome.crc32c == crc32c(server.content)
        assert world.client.left_out == server.left_out
    for index in set(range(len(world.manifest.entries))) - server.left_out:
        start, end = world.manifest.range_of(index)
        assert server.content[start:end] == world.stream[start:end]


def test_files_that_can_not_be_read_are_left_out_and_all_others_arrive() -> None:
    happened.clear()
    upload()
    assert happened >= {
        *("cut", "server killed", "client killed", "damaged", "MsgResend"),
        *("left out", "left out half of it", "read while PROVING", "read while SENDING"),
        *("does not tell what was left out", "read while AWAITING_APP"),
    }
