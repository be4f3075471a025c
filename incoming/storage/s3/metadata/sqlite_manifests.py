"""Manifests in a file of this machine: see `sqlite_file`."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from typing import Final

from incoming.core.errors import NotesLost
from incoming.storage.s3.metadata.manifest import Manifest, Remainder, StoredPart
from incoming.storage.s3.metadata.sqlite_file import SqliteFile
from incoming.storage.s3.part_plan import PartPlan

_SCHEMA: Final = """
create table if not exists manifests (
    ticket_id text primary key, key text not null,
    part_bytes integer not null, doubles_every integer not null,
    upload_id text not null, rest text, is_complete integer not null
) without rowid;
create table if not exists parts (
    ticket_id text not null, number integer not null, part text not null, primary key (ticket_id, number)
) without rowid;
"""


class SqliteManifests:
    """See manifest.Manifests."""

    def __init__(self, file: SqliteFile) -> None:
        """Adds its tables to the file. Raises StorageFailed."""
        self._file = file
        file.add_tables(_SCHEMA)

    def read(self, ticket_id: str) -> Manifest | None:
        """See Manifests."""
        return self._file.do(self._read, ticket_id)

    def sizes(self, ticket_ids: Sequence[str]) -> dict[str, int | None]:
        """See Manifests."""
        return self._file.do(self._sizes, ticket_ids)

    def begin(self, ticket_id: str, manifest: Manifest) -> Manifest:
        """See Manifests."""
        return self._file.do(self._begin, ticket_id, manifest)

    def fence(self, ticket_id: str, token: str) -> Manifest | None:
        """See Manifests. Claims end with the process, so the fence is in its memory."""
        self._file.fence(ticket_id, token)
        return self.read(ticket_id)

    def add(
        self, ticket_id: str, token: str, parts: Sequence[StoredPart], remainder: Remainder | None
    ) -> None:
        """See Manifests."""
        self._file.change(ticket_id, token, self._add, ticket_id, parts, remainder)

    def cut(self, ticket_id: str, token: str, part_count: int, remainder: Remainder | None) -> None:
        """See Manifests."""
        self._file.change(ticket_id, token, self._cut, ticket_id, part_count, remainder)

    def replace(self, ticket_id: str, token: str, manifest: Manifest) -> None:
        """See Manifests."""
        self._file.change(ticket_id, token, self._replace_known, ticket_id, manifest)

    def set_complete(self, ticket_id: str, token: str) -> None:
        """See Manifests."""
        self._file.change(ticket_id, token, self._set_complete, ticket_id)

    def forget(self, ticket_id: str) -> None:
        """See Manifests."""
        self._file.unfence(ticket_id)
        self._file.do(self._forget, ticket_id)

    # --- in a thread of the pool ----------------------------------------------------------------------

    @property
    def _db(self) -> sqlite3.Connection:
        return self._file.db

    def _read(self, ticket_id: str) -> Manifest | None:
        columns = "key, part_bytes, doubles_every, upload_id, rest, is_complete"
        query = f"select {columns} from manifests where ticket_id = ?"
        row = self._db.execute(query, (ticket_id,)).fetchone()
        if row is None:
            return None
        key, part_bytes, doubles_every, upload_id, remainder, is_complete = row
        stored = self._db.execute("select part from parts where ticket_id = ? order by number", (ticket_id,))
        return Manifest(
            key,
            PartPlan(part_bytes, doubles_every),
            upload_id,
            tuple(StoredPart.from_text(part) for (part,) in stored),
            Remainder.from_text(remainder) if remainder else None,
            bool(is_complete),
        )

    def _sizes(self, ticket_ids: Sequence[str]) -> dict[str, int | None]:
        found = {ticket_id: self._read(ticket_id) for ticket_id in ticket_ids}
        return {ticket_id: one.size_bytes if one else None for ticket_id, one in found.items()}

    def _begin(self, ticket_id: str, manifest: Manifest) -> Manifest:
        found = self._read(ticket_id)
        if found is None:
            self._replace(ticket_id, manifest)
        return found or manifest

    def _replace_known(self, ticket_id: str, manifest: Manifest) -> None:
        if self._read(ticket_id) is None:
            raise NotesLost
        self._replace(ticket_id, manifest)

    def _replace(self, ticket_id: str, manifest: Manifest) -> None:
        row = (
            ticket_id,
            manifest.key,
            manifest.plan.part_bytes,
            manifest.plan.doubles_every,
            manifest.upload_id,
            _text(manifest.remainder),
            manifest.is_complete,
        )
        self._forget(ticket_id)
        self._db.execute("insert into manifests values (?, ?, ?, ?, ?, ?, ?)", row)
        self._insert(ticket_id, manifest.parts)

    def _insert(self, ticket_id: str, parts: Iterable[StoredPart]) -> None:
        rows = [(ticket_id, part.number, part.to_text()) for part in parts]
        self._db.executemany("insert into parts values (?, ?, ?)", rows)

    def _add(self, ticket_id: str, parts: Sequence[StoredPart], remainder: Remainder | None) -> None:
        query = "select coalesce(max(number), 0) from parts where ticket_id = ?"
        (count,) = self._db.execute(query, (ticket_id,)).fetchone()
        new = [part for part in parts if part.number > count]
        if [part.number for part in new] != list(range(count + 1, count + 1 + len(new))):
            raise NotesLost
        self._insert(ticket_id, new)
        self._set_remainder(ticket_id, remainder)

    def _cut(self, ticket_id: str, part_count: int, remainder: Remainder | None) -> None:
        self._db.execute("delete from parts where ticket_id = ? and number > ?", (ticket_id, part_count))
        self._set_remainder(ticket_id, remainder)

    def _set_remainder(self, ticket_id: str, remainder: Remainder | None) -> None:
        changed = self._db.execute(
            "update manifests set rest = ? where ticket_id = ?", (_text(remainder), ticket_id)
        )
        if not changed.rowcount:
            raise NotesLost  # there is no manifest

    def _set_complete(self, ticket_id: str) -> None:
        self._db.execute(
            "update manifests set is_complete = 1, rest = null where ticket_id = ?", (ticket_id,)
        )

    def _forget(self, ticket_id: str) -> None:
        self._db.execute("delete from parts where ticket_id = ?", (ticket_id,))
        self._db.execute("delete from manifests where ticket_id = ?", (ticket_id,))


def _text(remainder: Remainder | None) -> str | None:
    return remainder.to_text() if remainder else None
