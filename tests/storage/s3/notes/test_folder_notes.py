"""The notes of folders keep their promises in a file and in Redis."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from incoming.core.errors import StorageFailed, TakenOver
from incoming.core.redis_keys import ticket_key
from incoming.runtime.gevent_runtime import GeventRuntime
from incoming.runtime.redis_connection import RedisConnection
from incoming.storage.s3.notes.file_folder_notes import FileFolderNotes
from incoming.storage.s3.notes.folder_notes import FolderNotes, FolderState, StoredPiece
from incoming.storage.s3.notes.manifest import Rest
from incoming.storage.s3.notes.notes_file import NotesFile
from incoming.storage.s3.notes.redis_folder_notes import RedisFolderNotes

ID: Final = "2b1c5a06-3c5d-4a57-9f43-0d1f9a3f7c11"
NEW: Final = FolderState("in/ID", 1000)
FULL: Final = FolderState(
    "in/ä", 1000, 2, 70, 5, "rest/ä", 60, Rest("in/rest/1", 3, 5, 6, 7), {3: "upload"}, 1, True, 4, 5, True
)


def piece(number: int) -> StoredPiece:
    """Returns any piece."""
    return StoredPiece(10, number, number + 1, number + 2, f'"{number:032x}"', "ab" * (number % 2))


class NotesContract:
    """Subclass it, and define the fixture `notes`."""

    @pytest.fixture
    def notes(self) -> FolderNotes:
        """Empty notes."""
        raise NotImplementedError

    def claim(self, notes: FolderNotes, token: str) -> FolderState | None:
        """The claim with this token is the newest one."""
        return notes.fence(ID, token)

    def test_the_first_state_counts(self, notes: FolderNotes) -> None:
        assert notes.read(ID) is None
        assert notes.begin(ID, NEW) == NEW
        assert notes.begin(ID, FULL) == NEW
        assert notes.states([ID, "unknown"]) == {ID: NEW, "unknown": None}

    def test_a_state_is_kept_with_all_that_it_has(self, notes: FolderNotes) -> None:
        notes.begin(ID, NEW)
        notes.add(ID, "", FULL, [piece(1), piece(2)])
        assert notes.read(ID) == FULL
        assert notes.pieces(ID) == [piece(1), piece(2)]

    def test_a_change_may_be_repeated_and_a_gap_is_refused(self, notes: FolderNotes) -> None:
        notes.begin(ID, NEW)
        two = replace(NEW, count=2)
        for _ in range(2):
            notes.add(ID, "", two, [piece(1), piece(2)])
        assert notes.pieces(ID) == [piece(1), piece(2)]
        notes.add(ID, "", replace(NEW, count=3), [piece(1), piece(2), piece(3)])  # the answer before was lost
        assert notes.pieces(ID) == [piece(1), piece(2), piece(3)]
        with pytest.raises(StorageFailed):
            notes.add(ID, "", replace(NEW, count=5), [piece(5)])
        with pytest.raises(StorageFailed):
            notes.add("unknown", "", NEW, [])

    def test_an_older_claim_changes_nothing(self, notes: FolderNotes) -> None:
        notes.begin(ID, NEW)
        self.claim(notes, "first")
        notes.add(ID, "first", replace(NEW, count=1), [piece(1)])
        assert self.claim(notes, "second") == replace(NEW, count=1)
        for change in (notes.add, notes.replace):
            with pytest.raises(TakenOver):
                change(ID, "first", replace(NEW, count=2), [piece(2)])
        assert notes.pieces(ID) == [piece(1)]
        notes.replace(ID, "second", NEW, [])
        assert notes.pieces(ID) == []

    @pytest.mark.parametrize("odd", ["\x85", "\u2028", "\x0b", "\x1c", "\r", "\n", '\\"'])
    def test_an_etag_may_have_characters_that_end_lines_elsewhere(self, notes: FolderNotes, odd: str) -> None:
        pieces = [replace(piece(number), etag=f'"a{odd}{number}"') for number in (1, 2, 3)]
        notes.begin(ID, NEW)
        notes.add(ID, "", replace(NEW, count=3), pieces)
        assert notes.pieces(ID) == pieces
        notes.replace(ID, "", replace(NEW, count=2), [])
        assert notes.pieces(ID) == pieces[:2]

    def test_what_is_forgotten_begins_anew(self, notes: FolderNotes) -> None:
        notes.begin(ID, NEW)
        notes.add(ID, "", FULL, [piece(1), piece(2)])
        notes.forget(ID)
        notes.forget(ID)
        assert (notes.read(ID), notes.pieces(ID)) == (None, [])
        assert notes.begin(ID, NEW) == NEW

    @settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.differing_executors],
              max_examples=25, deadline=None)  # fmt: skip
    @given(steps=st.lists(st.tuples(st.integers(0, 6), st.integers(0, 3)), max_size=10))
    def test_pieces_are_what_was_appended_to_what_was_kept(
        self, notes: FolderNotes, steps: list[tuple[int, int]]
    ) -> None:
        notes.forget(ID)
        notes.begin(ID, NEW)
        expected: list[StoredPiece] = []
        for number, (cut, count) in enumerate(steps):
            new = [piece(100 * number + at) for at in range(count)]
            kept = len(expected) - cut if 0 < cut <= len(expected) else len(expected)
            change = notes.replace if kept < len(expected) else notes.add
            expected = expected[:kept] + new
            change(ID, "", replace(NEW, count=len(expected)), new)
            assert notes.pieces(ID) == expected


class TestFileFolderNotes(NotesContract):
    """Notes in a file of this machine."""

    @pytest.fixture
    def notes(self, in_memory: Path) -> FolderNotes:
        """A new file."""
        return FileFolderNotes(NotesFile(in_memory / "manifests.sqlite", GeventRuntime()))


class TestRedisFolderNotes(NotesContract):
    """Notes in a Redis, in which each claim puts its token into the ticket."""

    @pytest.fixture
    def notes(self, redis: RedisConnection) -> FolderNotes:
        """An empty Redis."""
        self.redis = redis
        return RedisFolderNotes(redis, GeventRuntime())

    def claim(self, notes: FolderNotes, token: str) -> FolderState | None:
        """See NotesContract."""
        self.redis.read("HSET", ticket_key(ID), "token", token)
        return super().claim(notes, token)
