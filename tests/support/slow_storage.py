"""A third storage, as object stores are: slow, shared by several processes, and unreadable before the end.

Bytes become durable a while after they came, in pieces, or when somebody asks for that. What is unfinished
can't be read: checksums are all that is known of it. Only the newest claim may store anything.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from incoming.core.checkpoints import Checkpoint
from incoming.core.checksum import checksum
from incoming.core.errors import IncomingError, StorageFailed, TakenOver
from incoming.core.resume_check import SAMPLE_BYTES
from incoming.core.storage_kinds import LOCAL
from incoming.runtime.base import Runtime, Signal, Task
from incoming.storage import OnDurable, Sample

STANDSTILL_S: Final = 0.2
"""When no more bytes have come for so long, what was taken is stored."""
GIVES_UP_AFTER_S: Final = 60.0


@dataclass(slots=True)
class StoredFile:
    """What is stored of one upload, in pieces."""

    pieces: list[bytes] = field(default_factory=list)
    token: str | None = None
    """Of the claim that may write; None: any."""
    is_finished: bool = False

    @property
    def content(self) -> bytes:
        """All of it."""
        return b"".join(self.pieces)


@dataclass(slots=True)
class SlowStore:
    """The store itself, which outlives the processes that use it. Tests change how it behaves."""

    runtime: Runtime
    put_s: float = 0.01
    """How long it takes until a piece is stored."""
    finish_s: float = 0.0
    """How long it takes to finish a file."""
    read_s: float = 0.0
    """How long it takes until a piece is read."""
    piece_bytes: int = 1024
    in_flight_bytes: int = 4096
    """A writer takes no more bytes than these beyond what is durable."""
    is_away: bool = False
    files: dict[str, StoredFile] = field(default_factory=dict)

    def contents(self) -> dict[str, bytes]:
        """Returns what is stored, by ticket."""
        return {ticket_id: file.content for ticket_id, file in self.files.items()}

    def receive(self) -> None:
        """Takes the time that a piece takes. Raises StorageFailed when the store is away for long."""
        self.runtime.sleep(self.put_s)
        until_s = self.runtime.now_s() + GIVES_UP_AFTER_S
        while self.is_away:
            if self.runtime.now_s() >= until_s:
                raise StorageFailed
            self.runtime.sleep(1.0)

    def of(self, ticket_id: str, token: str | None) -> StoredFile:
        """Returns the file, which the claim with this token may change. Raises TakenOver, StorageFailed."""
        file = self.files.get(ticket_id)
        if file is None:
            raise StorageFailed  # it was deleted
        if file.token not in (None, token):
            raise TakenOver
        return file


class SlowStorage:
    """See storage.Storage: one process's way to the store. A dead process stores nothing any more."""

    ownership = pickup = recovery = free_space = inventory = parts = folders = small_files = objects = None
    name = LOCAL
    survives_power_cuts = keeps_unchecked_apart = True

    def __init__(self, store: SlowStore) -> None:
        self.store = store
        self.checksums = SlowChecksums(store)
        self.is_dead = False

    @property
    def window_bytes(self) -> int:
        """See storage.Storage."""
        return self.store.in_flight_bytes

    @property
    def stores_later(self) -> bool:
        """See storage.Storage."""
        return self.store.in_flight_bytes > 0

    def location(self, ticket_id: str, destination: str = "") -> str:
        """See storage.Storage."""
        return f"slow://{destination or ticket_id}"

    def open(
        self, ticket_id: str, length_bytes: int | None, on_reserve: Callable[[int], object] = lambda _: None,
        on_durable: OnDurable = lambda _: None, destination: str = "",
    ) -> SlowWriter:  # fmt: skip
        """See storage.Storage."""
        self.store.files.setdefault(ticket_id, StoredFile())
        return SlowWriter(self, ticket_id, on_durable)

    def size(self, ticket_id: str) -> int | None:
        """See storage.Storage."""
        self.store.runtime.sleep(0)  # it asks over the network
        file = self.store.files.get(ticket_id)
        return None if file is None else len(file.content)

    def sizes(self, ticket_ids: Sequence[str]) -> dict[str, int | None]:
        """See storage.Storage."""
        return {ticket_id: self.size(ticket_id) for ticket_id in ticket_ids}

    def read(self, ticket_id: str, start: int, end: int, take: Callable[[memoryview], None]) -> None:
        """See storage.Storage."""
        file = self.store.files.get(ticket_id)
        if file is None or not file.is_finished or end > len(file.content):
            raise StorageFailed
        for at in range(start, end, self.store.piece_bytes):
            self.store.runtime.sleep(self.store.read_s)
            take(memoryview(file.content[at : min(at + self.store.piece_bytes, end)]))

    def delete(self, ticket_id: str, destination: str = "") -> None:
        """See storage.Storage."""
        self.store.files.pop(ticket_id, None)

    def check(self) -> None:
        """See storage.Storage."""
        if self.store.is_away:
            raise StorageFailed

    def die(self) -> None:
        """The process is killed: nothing that it does arrives any more."""
        self.is_dead = True


class SlowChecksums:
    """See storage.KnownChecksums."""

    def __init__(self, store: SlowStore) -> None:
        self._store = store

    def stored(self, ticket_id: str) -> Checkpoint:
        """See storage.KnownChecksums."""
        content = self._pieces(ticket_id)
        return Checkpoint(sum(map(len, content)), checksum(b"".join(content)))

    def samples(self, ticket_id: str) -> Sequence[Sample]:
        """See storage.KnownChecksums: the beginnings of the pieces."""
        found, at = [], 0
        for piece in self._pieces(ticket_id):
            head = piece[:SAMPLE_BYTES]
            found.append(Sample(at, at + len(head), checksum(head)))
            at += len(piece)
        return found

    def _pieces(self, ticket_id: str) -> list[bytes]:
        file = self._store.files.get(ticket_id)
        return list(file.pieces) if file else []


class SlowWriter:
    """See storage.Writer. One piece is on its way to the store at a time."""

    def __init__(self, storage: SlowStorage, ticket_id: str, on_durable: OnDurable) -> None:
        self._storage = storage
        self._store = storage.store
        self._runtime = storage.store.runtime
        self._ticket_id = ticket_id
        self._on_durable = on_durable
        self._is_open = True
        self._token: str | None = None
        self._life = 0
        """Another one after each fence: what was under way before does not count."""
        self._sender: Task | None = None
        self._timer: Task | None = None
        self._changed: list[Signal] = []
        self._begin()

    def _begin(self) -> None:
        """Begins with what is stored, and nothing beyond it."""
        self._life += 1
        self._waiting = bytearray()
        self._goal_bytes = 0
        """What is taken up to here is stored without waiting for more."""
        self._unchecked_from: int | None = None
        self._error: StorageFailed | TakenOver | None = None
        file = self._store.files.get(self._ticket_id)
        self.durable_offset = len(file.content) if file else 0
        self.taken_bytes = self.accounted_bytes = self.durable_offset
        self._tell()

    # --- the claim ------------------------------------------------------------------------------------

    def fence(self, token: str) -> None:
        """See storage.Writer."""
        self._runtime.sleep(0)
        file = self._store.files.get(self._ticket_id)
        if file is None:
            raise StorageFailed
        file.token = self._token = token
        self._begin()

    # --- bytes ----------------------------------------------------------------------------------------

    def wait_for_capacity(self) -> None:
        """See storage.Writer."""
        life = self._life
        self._wait(lambda: self._in_flight_bytes() < self._store.in_flight_bytes or life != self._life)

    def _in_flight_bytes(self) -> int:
        return len(self._waiting) if self._unchecked_from is None else 0

    def write(self, chunk: memoryview, crc32c: int | None = None) -> None:
        """See storage.Writer."""
        self._check()
        self._waiting += chunk
        self.taken_bytes += len(chunk)
        self.accounted_bytes = self.taken_bytes
        self._send()
        if self._timer is None:
            self._timer = self._runtime.spawn_later(STANDSTILL_S, self._stand_still, self.taken_bytes)

    def _stand_still(self, taken_bytes: int) -> None:
        self._timer = None
        if taken_bytes == self.taken_bytes:
            self._goal_bytes = self.taken_bytes
            self._send()
        elif self._is_open:
            self._timer = self._runtime.spawn_later(STANDSTILL_S, self._stand_still, self.taken_bytes)

    def flush(self) -> None:
        """See storage.Writer."""
        life, goal_bytes = self._life, self._accepted_bytes()
        self._goal_bytes = max(self._goal_bytes, goal_bytes)
        self._error = None  # it is tried again
        self._send()
        self._wait(lambda: self.durable_offset >= goal_bytes or life != self._life)

    def _accepted_bytes(self) -> int:
        return self.taken_bytes if self._unchecked_from is None else self._unchecked_from

    def begin_unchecked(self) -> None:
        """See storage.Writer."""
        self._unchecked_from = self.taken_bytes

    def accept_unchecked(self) -> None:
        """See storage.Writer."""
        self._unchecked_from = None
        self.flush()

    def truncate(self, length_bytes: int) -> None:
        """See storage.Writer."""
        self._check()
        kept = bytes(self._waiting[: max(length_bytes - self.durable_offset, 0)])
        file = self._store.of(self._ticket_id, self._token)
        content = file.content[:length_bytes]
        if len(content) < len(file.content):
            file.pieces = [content] if content else []
        self._begin()
        self._waiting += kept
        self.taken_bytes += len(kept)
        self.accounted_bytes = self.taken_bytes

    # --- sending --------------------------------------------------------------------------------------

    def _send(self) -> None:
        if self._sender is None and self._is_alive and self._next_bytes():
            self._sender = self._runtime.spawn(self._run, self._life)

    @property
    def _is_alive(self) -> bool:
        return self._is_open and not self._storage.is_dead

    def _next_bytes(self) -> int:
        """Returns how many bytes the next piece has; 0 while they wait for more."""
        ready_bytes = self._accepted_bytes() - self.durable_offset
        if ready_bytes >= self._store.piece_bytes:
            return self._store.piece_bytes
        return ready_bytes if self._goal_bytes > self.durable_offset else 0

    def _run(self, life: int) -> None:
        try:
            while self._is_alive and life == self._life and (size_bytes := self._next_bytes()):
                if self._error:
                    break
                self._put(life, bytes(self._waiting[:size_bytes]))
        finally:
            self._sender = None
            self._tell()
            if life != self._life:
                self._send()

    def _put(self, life: int, piece: bytes) -> None:
        error: StorageFailed | TakenOver | None = None
        try:
            self._store.receive()
            if life != self._life or not self._is_alive:
                return
            self._store.of(self._ticket_id, self._token).pieces.append(piece)
            del self._waiting[: len(piece)]
            self.durable_offset += len(piece)
        except (StorageFailed, TakenOver) as exc:
            if life != self._life or not self._is_alive:
                return
            error = exc
        self._error = error
        self._tell()
        self._on_durable(error)

    # --- the end --------------------------------------------------------------------------------------

    def finish(self) -> None:
        """See storage.Writer."""
        if not self._is_open:
            return
        life = self._life
        self.flush()
        self._runtime.sleep(self._store.finish_s)
        if life != self._life:
            raise TakenOver
        self._check()
        self._store.of(self._ticket_id, self._token).is_finished = True
        self._is_open = False

    def abort(self) -> None:
        """See storage.Writer."""
        self._is_open = False
        self._life += 1
        self._tell()

    def close(self) -> None:
        """See storage.Writer."""
        if self._is_open:
            try:
                self.flush()
            except IncomingError:
                pass
            finally:
                self.abort()

    def _check(self) -> None:
        if self._error:
            raise self._error
        if not self._is_alive:
            raise StorageFailed

    def _wait(self, is_done: Callable[[], bool]) -> None:
        """Waits until something is so. Raises why it will not be."""
        until_s = self._runtime.now_s() + GIVES_UP_AFTER_S + 1
        while self._is_open and not is_done():
            if self._error:
                raise self._error
            if self._runtime.now_s() >= until_s:
                raise StorageFailed
            changed = self._runtime.signal()
            self._changed.append(changed)
            changed.wait(GIVES_UP_AFTER_S)

    def _tell(self) -> None:
        changed, self._changed = self._changed, []
        for signal in changed:
            signal.set()
