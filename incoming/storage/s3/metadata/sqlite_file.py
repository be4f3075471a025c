"""A file of this machine with the metadata of uploads in S3: for one process, with a journal.

SQLite writes it, with a write-ahead log and `synchronous=FULL`: what a call has stored survives a power cut.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import ParamSpec, TypeVar

from incoming.core.errors import StorageFailed, TakenOver
from incoming.runtime.base import Runtime
from incoming.runtime.gevent_runtime import thread_lock

P = ParamSpec("P")
T = TypeVar("T")


@contextmanager
def _sqlite_errors() -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as exc:
        raise StorageFailed from exc


class SqliteFile:
    """An open file. A change by another claim than the newest one raises TakenOver."""

    def __init__(self, file: Path, runtime: Runtime) -> None:
        """Opens the file, or creates it. Raises StorageFailed."""
        self._runtime = runtime
        self._lock = thread_lock()
        """Its holder, a thread of the pool, uses the database. The greenlet that waits may be killed."""
        self._tokens: dict[str, str] = {}
        """The newest claim of each upload that has been claimed in this process."""
        with _sqlite_errors():
            self.db = sqlite3.connect(file, check_same_thread=False, isolation_level=None)
            self.db.execute("pragma journal_mode=wal")
            self.db.execute("pragma synchronous=full")

    def add_tables(self, schema: str) -> None:
        """Creates what is missing of these tables. Raises StorageFailed."""
        with _sqlite_errors():
            self.db.executescript(schema)

    def close(self) -> None:
        """Closes the file."""
        self.db.close()

    def fence(self, ticket_id: str, token: str) -> None:
        """From now on only the claim with this token may change what is noted of an upload."""
        self._tokens[ticket_id] = token

    def unfence(self, ticket_id: str) -> None:
        """Forgets the newest claim of an upload."""
        self._tokens.pop(ticket_id, None)

    def do(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Returns what the work returns. It runs in a thread of the pool, in a transaction of its own."""
        return self._runtime.in_pool(lambda: self._in_transaction(work, *args, **kwargs))

    def change(
        self, ticket_id: str, token: str, change: Callable[P, object], *args: P.args, **kwargs: P.kwargs
    ) -> None:
        """Makes a change by the claim with this token, like `do`."""

        def fenced() -> None:
            if self._tokens.get(ticket_id, token) != token:
                raise TakenOver
            change(*args, **kwargs)

        self.do(fenced)

    def _in_transaction(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        with self._lock, _sqlite_errors(), self.db:
            self.db.execute("begin immediate")
            return work(*args, **kwargs)
