"""The seam between the service and the place that stores the bytes of uploads.

`Storage` and `Writer` are what every storage has. What only some storages can do is a capability: a Protocol
of its own, and an attribute of `Storage` that is None where the capability is missing. `local` is the
implementation in a directory. `tests/storage/contract.py` tests these promises for every implementation.

Every method may raise StorageFull or StorageFailed, and no other error, unless its docstring says so. A
storage that fails changes nothing that was acknowledged. No method blocks the event loop for long.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass
from typing import Protocol

from incoming.core.checkpoints import Checkpoint
from incoming.core.parts import Part


class Writer(Protocol):
    """The open file of one upload. One greenlet calls it at a time; the service ensures that.

    A killed process loses only bytes from `durable_offset` on.
    """

    taken_bytes: int
    """How many bytes the storage has received, for flow control. The next chunk goes here."""
    durable_offset: int
    """How many bytes survive a kill of this process. Only these may be acknowledged.

    It never exceeds `taken_bytes`. In local storage both are equal whenever `write` has returned.
    """
    accounted_bytes: int
    """The offset up to which `Room.free_bytes` already excludes this file, stored or reserved.

    It is `taken_bytes` at least.
    """

    def write(self, chunk: memoryview) -> None:
        """Appends the whole chunk. After an error `taken_bytes` is what it was, and `write` may be repeated.

        The caller may reuse the chunk's memory when this returns.
        """

    def flush(self) -> None:
        """Makes all taken bytes survive a kill of this process: `durable_offset` is then `taken_bytes`.

        More bytes may follow. Does nothing where each `write` has done so.
        """

    def truncate(self, length_bytes: int) -> None:
        """Discards everything after the first `length_bytes`. The next chunk goes to the new `taken_bytes`.

        What was durable of them stays durable. `taken_bytes` is then `length_bytes`, or less if some of the
        bytes in front of it were not durable.
        """

    def finish(self) -> None:
        """Makes the whole file survive a power cut, then closes the writer. No more bytes will come.

        After an error the writer is still open, and `finish` may be repeated.
        """

    def abort(self) -> None:
        """Closes the writer of an upload that was called off, and keeps none of its bytes on purpose.

        `Storage.delete` has to follow. Does nothing on a closed writer.
        """

    def close(self) -> None:
        """Closes the writer of an upload that may resume. All taken bytes are stored then.

        It frees what was reserved and not used. Does nothing on a closed writer.
        """


class PartWriter(Writer, Protocol):
    """The open file of one part. Its offsets count from the beginning of the part."""

    def begin_unchecked(self) -> None:
        """What is written from now on does not become durable: a kill, `close` and `truncate` discard it.

        `flush` does nothing until `accept_unchecked`.
        """

    def accept_unchecked(self) -> None:
        """Makes all that was written durable. After an error it may be repeated."""


class Storage(Protocol):
    """The files of all uploads, by ticket id."""

    @property
    def ownership(self) -> Ownership | None:
        """Gives files to other users of the machine; None where files have no owners."""

    @property
    def pickup(self) -> Pickup | None:
        """Tells which files their apps have taken; None where apps can't take files."""

    @property
    def recovery(self) -> Recovery | None:
        """Finds what a power cut took; None where a stored byte survives it."""

    @property
    def room(self) -> Room | None:
        """Tells how much space is left; None where space is not limited."""

    @property
    def inventory(self) -> Inventory | None:
        """Lists what is stored; None where that can't be listed."""

    @property
    def parts(self) -> Parts | None:
        """Takes a file in parts; None where only whole files can be stored."""

    def location(self, ticket_id: str) -> str:
        """Returns where the file is, as the app is told. It is the same for the whole life of the ticket.

        It raises nothing and looks at nothing: there may be no file yet.
        """

    def open(
        self, ticket_id: str, length_bytes: int | None, on_reserve: Callable[[int], object] = lambda _: None
    ) -> Writer:
        """Opens the file to append at its end; creates it if there is none.

        `length_bytes` is the final length if it is known: a storage may reserve space for it, and no more.
        `on_reserve` is called with the writer's `accounted_bytes` when that has grown without a write.
        """

    def size(self, ticket_id: str) -> int | None:
        """Returns how many bytes survive a kill of this process; None if there is no file.

        It may be called in any thread.
        """

    def read(self, ticket_id: str, start: int, end: int, take: Callable[[memoryview], None]) -> None:
        """Passes the stored bytes from `start` to `end` to `take`, piece by piece, in a thread.

        A piece is valid only until `take` returns. Raises StorageFailed if some of the bytes are missing.
        """

    def delete(self, ticket_id: str) -> None:
        """Deletes the file and everything that the storage keeps for it. A missing file is no error."""

    def check(self) -> None:
        """Raises StorageFull, StorageFailed if no new upload could be stored at the moment."""


class Ownership(Protocol):
    """Capability: a file can belong to another user of the machine."""

    def can_give_to(self, owner_uid: int) -> bool:
        """Returns whether `give_to` works for this user, and the server can still delete the file."""

    def give_to(self, ticket_id: str, owner_uid: int) -> None:
        """Makes the file the property of this user, who can then read it and move it away.

        The change survives a power cut.
        """


class Pickup(Protocol):
    """Capability: an app takes its file out of the storage without a word to the server."""

    def is_taken(self, ticket_id: str) -> bool:
        """Returns whether the app has taken the file of an upload that had arrived."""

    def clean_up(self, ticket_id: str) -> None:
        """Deletes what the storage keeps beside the file. The file itself stays."""


class Recovery(Protocol):
    """Capability: the storage finds bytes that a power cut took."""

    def discard_lost(self, ticket_id: str) -> int:
        """Truncates a file without checkpoints at the first byte that was surely lost. No writer is open.

        Returns how many bytes were discarded; 0 where nothing is known to be lost.
        """


class Room(Protocol):
    """Capability: the space of the storage is limited, and the storage tells what is left of it."""

    def free_bytes(self) -> int:
        """Returns how many more bytes can be stored. It may be called in any thread."""

    def accounted_bytes(self, ticket_id: str) -> int:
        """Returns what `Writer.accounted_bytes` would be for a file that no writer has open.

        First it frees what a killed writer had reserved. Returns 0 if there is no file.
        """

    def settle(self) -> bool:
        """Has everything counted as free that was freed before. Returns False where it always is."""


class Parts(Protocol):
    """Capability: the storage takes a file in parts, several at a time, and makes the file of them.

    While an upload comes in parts, `Storage` has no file of it. `Storage.delete` deletes its parts, too.
    """

    def open(
        self, ticket_id: str, part: Part, on_reserve: Callable[[int], object] = lambda _: None
    ) -> PartWriter:
        """Opens a part to append at its end; creates it if there is none. See `Storage.open`.

        A part has one writer at a time. After a power cut it is read first, which takes long.
        """

    def sizes(self, ticket_id: str, parts: Sequence[Part]) -> tuple[int, ...]:
        """Returns how many bytes of each of these parts survive a kill of this process.

        After a power cut they are read first, and only bytes count that are as they were acknowledged.
        """

    def accounted_bytes(self, ticket_id: str, part: Part) -> int:
        """Returns what `Writer.accounted_bytes` would be for a part that no writer has open.

        First it frees what a killed writer had reserved.
        """

    def delete(self, ticket_id: str, part: Part) -> None:
        """Deletes the bytes of a part that no writer has open. A part without any is no error."""

    def needs_copy(self, parts: Sequence[Part]) -> bool:
        """Returns whether `assemble` takes as much space as these parts have bytes."""

    def assemble(
        self, ticket_id: str, parts: Sequence[Part], is_wanted: Callable[[], bool],
        on_reserve: Callable[[int], object] = lambda _: None,
    ) -> Checkpoint | None:  # fmt: skip
        """Makes the upload's file of these parts, which are complete, in this order.

        A part may be in the list twice. No part has a writer. After an error or a kill all parts are as they
        were, or the file is there: then a call with the same list changes nothing. It survives a power cut if
        the storage syncs. `on_reserve` is called with the bytes that a copy takes, once they are not free any
        more.

        Returns the length and the CRC-32C of the file; None if `is_wanted` has returned False meanwhile.
        """

    def clean_up(self, ticket_id: str) -> None:
        """Deletes everything that is left of the parts. The upload's file stays."""


class Inventory(Protocol):
    """Capability: the storage lists what it has."""

    def names(self) -> frozenset[str]:
        """Returns the ids of all tickets that have something in the storage, and other names."""

    def strays(self, known: Callable[[], Container[str]]) -> Strays:
        """Returns what belongs to none of the tickets that `known` returns.

        `known` is called in a thread, after the storage was listed: so no new ticket is missing from it.
        """


@dataclass(frozen=True, slots=True)
class Strays:
    """What is in the storage and belongs to no ticket."""

    names: tuple[str, ...]
    """In order."""
    size_bytes: int
