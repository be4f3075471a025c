"""States of folders in the file of this machine that also has the manifests: see `sqlite_file`."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Final

from incoming.core.errors import NotesLost
from incoming.storage.s3.metadata.folder_states import (
    FolderState,
    StoredPiece,
    piece_lines,
    read_pieces,
    read_state,
    state_text,
)
from incoming.storage.s3.metadata.sqlite_file import SqliteFile

SCHEMA: Final = """
create table if not exists folders (
    ticket_id text primary key, state text not null, pieces integer not null
) without rowid;
create table if not exists folder_pieces (
    ticket_id text not null, first integer not null, lines text not null, primary key (ticket_id, first)
) without rowid;
"""


class SqliteFolderStates:
    """See folder_states.FolderStates."""

    def __init__(self, file: SqliteFile) -> None:
        """Adds its tables to the file. Raises StorageFailed."""
        self._file = file
        file.add_tables(SCHEMA)

    def read(self, ticket_id: str) -> FolderState | None:
        """See FolderStates."""
        return self._file.do(self._read, ticket_id)

    def states(self, ticket_ids: Sequence[str]) -> dict[str, FolderState | None]:
        """See FolderStates."""
        return self._file.do(lambda: {ticket_id: self._read(ticket_id) for ticket_id in ticket_ids})

    def pieces(self, ticket_id: str) -> list[StoredPiece]:
        """See FolderStates."""
        return self._file.do(self._pieces, ticket_id)

    def begin(self, ticket_id: str, state: FolderState) -> FolderState:
        """See FolderStates."""
        return self._file.do(self._begin, ticket_id, state)

    def fence(self, ticket_id: str, token: str) -> FolderState | None:
        """See FolderStates. Claims end with the process, so the fence is in its memory."""
        self._file.fence(ticket_id, token)
        return self.read(ticket_id)

    def add(self, ticket_id: str, token: str, state: FolderState, pieces: Sequence[StoredPiece]) -> None:
        """See FolderStates."""
        self._file.change(ticket_id, token, self._add, ticket_id, state, pieces)

    def replace(self, ticket_id: str, token: str, state: FolderState, pieces: Sequence[StoredPiece]) -> None:
        """See FolderStates."""
        self._file.change(ticket_id, token, self._replace, ticket_id, state, pieces)

    def forget(self, ticket_id: str) -> None:
        """See FolderStates."""
        self._file.unfence(ticket_id)
        self._file.do(self._forget, ticket_id)

    # --- in a thread of the pool --------------------------------------------------------------------------

    @property
    def _db(self) -> sqlite3.Connection:
        return self._file.db

    def _read(self, ticket_id: str) -> FolderState | None:
        row = self._db.execute("select state from folders where ticket_id = ?", (ticket_id,)).fetchone()
        return read_state(row[0]) if row else None

    def _pieces(self, ticket_id: str) -> list[StoredPiece]:
        query = "select lines from folder_pieces where ticket_id = ? order by first"
        return read_pieces(lines for (lines,) in self._db.execute(query, (ticket_id,)))

    def _begin(self, ticket_id: str, state: FolderState) -> FolderState:
        found = self._read(ticket_id)
        if found is None:
            self._db.execute("insert into folders values (?, ?, 0)", (ticket_id, state_text(state)))
        return found or state

    def _add(self, ticket_id: str, state: FolderState, pieces: Sequence[StoredPiece]) -> None:
        row = self._db.execute("select pieces from folders where ticket_id = ?", (ticket_id,)).fetchone()
        before = state.count - len(pieces)
        if row is None or before > row[0]:
            raise NotesLost
        if pieces:
            batch = (ticket_id, before + 1, piece_lines(pieces))
            self._db.execute("insert or replace into folder_pieces values (?, ?, ?)", batch)
        changed = (state_text(state), state.count, ticket_id)
        self._db.execute("update folders set state = ?, pieces = ? where ticket_id = ?", changed)

    def _replace(self, ticket_id: str, state: FolderState, pieces: Sequence[StoredPiece]) -> None:
        before = state.count - len(pieces)
        self._db.execute("delete from folder_pieces where ticket_id = ? and first > ?", (ticket_id, before))
        query = "select first, lines from folder_pieces where ticket_id = ? order by first desc limit 1"
        newest = self._db.execute(query, (ticket_id,)).fetchone()
        if newest:
            first, lines = newest
            kept = piece_lines(read_pieces([lines])[: before - first + 1])
            update = "update folder_pieces set lines = ? where ticket_id = ? and first = ?"
            self._db.execute(update, (kept, ticket_id, first))
        self._add(ticket_id, state, pieces)

    def _forget(self, ticket_id: str) -> None:
        self._db.execute("delete from folder_pieces where ticket_id = ?", (ticket_id,))
        self._db.execute("delete from folders where ticket_id = ?", (ticket_id,))
