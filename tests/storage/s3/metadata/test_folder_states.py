"""What keeps the states of folders keeps its promises, in a file and in Redis."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from incoming.core.errors import NotesLost, TakenOver
from incoming.core.redis_keys import ticket_key
from incoming.runtime.gevent_runtime import GeventRuntime
from incoming.runtime.redis_connection import RedisConnection
from incoming.storage.s3.metadata.folder_states import (
    FolderState,
    FolderStates,
    StoredPiece,
    read_state,
    state_text,
)
from incoming.storage.s3.metadata.manifest import Remainder
from incoming.storage.s3.metadata.redis_folder_states import RedisFolderStates
from incoming.storage.s3.metadata.sqlite_file import SqliteFile
from incoming.storage.s3.metadata.sqlite_folder_states import SqliteFolderStates

ID: Final = "2b1c5a06-3c5d-4a57-9f43-0d1f9a3f7c11"
NEW: Final = FolderState("in/ID", 1000)
FULL: Final = FolderState(
    "in/ä",
    1000,
    2,
    70,
    5,
    "rest/ä",
    60,
    Remainder("in/rest/1", 3, 5, 6, 7),
    {3: "upload"},
    1,
    True,
    4,
    5,
    True,
)


def piece(number: int) -> StoredPiece:
    """Returns any piece."""
    return StoredPiece(10, number, number + 1, number + 2, f'"{number:032x}"', "ab" * (number % 2))


def test_a_stored_state_has_the_names_that_other_versions_read() -> None:
    remainder = {"key": "in/rest/1", "number": 3, "size_bytes": 5, "crc32c": 6, "head_crc32c": 7}
    stored = {"key": "k", "part_bytes": 1, "rest": remainder}
    assert json.loads(state_text(read_state(json.dumps(stored)))) == stored
    assert read_state(json.dumps(stored)).remainder == Remainder("in/rest/1", 3, 5, 6, 7)


class FolderStatesContract:
    """Subclass it, and define the fixture `states`."""

    @pytest.fixture
    def states(self) -> FolderStates:
        """Nothing is kept yet."""
        raise NotImplementedError

    def claim(self, states: FolderStates, token: str) -> FolderState | None:
        """The claim with this token is the newest one."""
        return states.fence(ID, token)

    def test_the_first_state_counts(self, states: FolderStates) -> None:
        assert states.read(ID) is None
        assert states.begin(ID, NEW) == NEW
        assert states.begin(ID, FULL) == NEW
        assert states.states([ID, "unknown"]) == {ID: NEW, "unknown": None}

    def test_a_state_is_kept_with_all_that_it_has(self, states: FolderStates) -> None:
        states.begin(ID, NEW)
        states.add(ID, "", FULL, [piece(1), piece(2)])
        assert states.read(ID) == FULL
        assert states.pieces(ID) == [piece(1), piece(2)]

    def test_a_change_may_be_repeated_and_a_gap_is_refused(self, states: FolderStates) -> None:
        states.begin(ID, NEW)
        two = replace(NEW, count=2)
        for _ in range(2):
            states.add(ID, "", two, [piece(1), piece(2)])
        assert states.pieces(ID) == [piece(1), piece(2)]
        states.add(ID, "", replace(NEW, count=3), [piece(1), piece(2), piece(3)])
        assert states.pieces(ID) == [piece(1), piece(2), piece(3)]
        with pytest.raises(NotesLost):
            states.add(ID, "", replace(NEW, count=5), [piece(5)])
        with pytest.raises(NotesLost):
            states.add("unknown", "", NEW, [])

    def test_an_older_claim_changes_nothing(self, states: FolderStates) -> None:
        states.begin(ID, NEW)
        self.claim(states, "first")
        states.add(ID, "first", replace(NEW, count=1), [piece(1)])
        assert self.claim(states, "second") == replace(NEW, count=1)
        for change in (states.add, states.replace):
            with pytest.raises(TakenOver):
                change(ID, "first", replace(NEW, count=2), [piece(2)])
        assert states.pieces(ID) == [piece(1)]
        states.replace(ID, "second", NEW, [])
        assert states.pieces(ID) == []

    @pytest.mark.parametrize("odd", ["\x85", "\u2028", "\x0b", "\x1c", "\r", "\n", '\\"'])
    def test_an_etag_may_have_characters_that_end_lines_elsewhere(
        self, states: FolderStates, odd: str
    ) -> None:
        pieces = [replace(piece(number), etag=f'"a{odd}{number}"') for number in (1, 2, 3)]
        states.begin(ID, NEW)
        states.add(ID, "", replace(NEW, count=3), pieces)
        assert states.pieces(ID) == pieces
        states.replace(ID, "", replace(NEW, count=2), [])
        assert states.pieces(ID) == pieces[:2]

    def test_what_is_forgotten_begins_anew(self, states: FolderStates) -> None:
        states.begin(ID, NEW)
        states.add(ID, "", FULL, [piece(1), piece(2)])
        states.forget(ID)
        states.forget(ID)
        assert (states.read(ID), states.pieces(ID)) == (None, [])
        assert states.begin(ID, NEW) == NEW

    @settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.differing_executors],
              max_examples=25, deadline=None)  # fmt: skip
    @given(steps=st.lists(st.tuples(st.integers(0, 6), st.integers(0, 3)), max_size=10))
    def test_pieces_are_what_was_appended_to_what_was_kept(
        self, states: FolderStates, steps: list[tuple[int, int]]
    ) -> None:
        states.forget(ID)
        states.begin(ID, NEW)
        expected: list[StoredPiece] = []
        for number, (cut, count) in enumerate(steps):
            new = [piece(100 * number + at) for at in range(count)]
            kept = len(expected) - cut if 0 < cut <= len(expected) else len(expected)
            change = states.replace if kept < len(expected) else states.add
            expected = expected[:kept] + new
            change(ID, "", replace(NEW, count=len(expected)), new)
            assert states.pieces(ID) == expected


class TestFileFolderNotes(FolderStatesContract):
    """States in a file of this machine."""

    @pytest.fixture
    def states(self, in_memory: Path) -> FolderStates:
        """A new file."""
        return SqliteFolderStates(SqliteFile(in_memory / "manifests.sqlite", GeventRuntime()))


class TestRedisFolderNotes(FolderStatesContract):
    """States in a Redis, in which each claim puts its token into the ticket."""

    @pytest.fixture
    def states(self, redis: RedisConnection) -> FolderStates:
        """An empty Redis."""
        self.redis = redis
        return RedisFolderStates(redis, GeventRuntime())

    def claim(self, states: FolderStates, token: str) -> FolderState | None:
        """See FolderStatesContract."""
        self.redis.read("HSET", ticket_key(ID), "token", token)
        return super().claim(states, token)
