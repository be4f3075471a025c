"""The interface between the service and what stores the bytes of uploads.

`Storage` and `Writer` are what every storage has. What only some storages can do is a capability: a Protocol
of its own, and an attribute of `Storage` that is None where the capability is missing. `local` is the
implementation in a directory. `tests/storage/contract.py` tests these promises for every implementation.

Every method may raise StorageFull or StorageFailed, and no other error, unless its docstring says so. A
storage that fails changes nothing that was acknowledged. No method blocks the event loop for long.

Several processes may have the same storage. `Writer.fence` says which claim writes to an upload from then on.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Container, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from incoming.core.checkpoints import Checkpoint
from incoming.core.errors import StorageFailed, TakenOver
from incoming.core.folder_arrival import FolderArrival
from incoming.core.folder_manifest import FolderManifest
from incoming.core.object_address import ObjectAddress
from incoming.core.parts import Part
from incoming.core.stats import StoreFigures

OnDurable = Callable[[StorageFailed | TakenOver | None], object]
"""Told when `Writer.durable_offset` has moved without a call of the writer; or why it can't move any more."""


class Writer(Protocol):
    """The open file of one upload. One greenlet calls it at a time; the service ensures that.

    Only `wait_for_capacity`, `flush`, `finish` and `accept_unchecked` may be called while any other call
    runs. They may take long, so they are called without the upload's lock. A killed process loses only bytes
    from `durable_offset` on.

    Once another process has fenced the upload with a newer token, every method but `close`, `abort` and
    `fence` may raise TakenOver. Nothing is stored then.

    Where others can reach the stored bytes, durable ones may be lost: then the same methods may raise
    BytesLost. The next call, or the next writer, begins with what is left.
    """

    @property
    def taken_bytes(self) -> int:
        """How many bytes the storage has received, for flow control. The next chunk goes here."""

    @property
    def durable_offset(self) -> int:
        """How many bytes survive a kill of this process. Only these may be acknowledged.

        It never exceeds `taken_bytes`. In local storage both are equal whenever `write` has returned, except
        for one of `SmallFiles`.
        """

    @property
    def accounted_bytes(self) -> int:
        """The offset up to which `FreeSpace.free_bytes` already excludes this file, stored or reserved.

        It is `taken_bytes` at least.
        """

    def fence(self, token: str) -> None:
        """The claim with this token writes from now on. To be called after each claim, before its first byte.

        Bytes that were not durable are discarded, unchecked ones too. What another process has stored or cut
        off meanwhile counts: each offset may be another one afterwards.
        """

    def wait_for_capacity(self) -> None:
        """Returns when `write` will not wait for the store, in which many bytes are on their way.

        It is called before each `write`. It returns at once when the writer is closed or fenced meanwhile.
        Raises StorageFailed when the store does not answer for too long. Does nothing where each `write`
        stores its chunk.
        """

    def write(self, chunk: memoryview, crc32c: int | None = None) -> None:
        """Appends the whole chunk. After an error `taken_bytes` is what it was, and `write` may be repeated.

        `crc32c` is the chunk's checksum if that is known: a storage that needs it need not compute it again.
        The caller may reuse the chunk's memory when this returns. A storage that collects larger pieces
        stores what it has taken within moments when no more bytes come, and tells `on_durable`.
        """

    def flush(self) -> None:
        """Makes all bytes that are taken now survive a kill of this process: then they are durable.

        More bytes may follow. Returns at once when the writer is closed or fenced meanwhile. Does nothing
        where each `write` has done so, and for unchecked bytes that are kept apart.
        """

    def begin_unchecked(self) -> None:
        """What is written from now on is unchecked: its checksum comes after it.

        A storage that `keeps_unchecked_apart` makes none of it durable: a kill, `close`, `fence` and
        `truncate` discard it. Other storages do nothing, and the ticket has a mark.
        """

    def accept_unchecked(self) -> None:
        """The unchecked bytes are right; those that were kept apart are durable then.

        More bytes may come meanwhile, or a newer claim: then it returns at once. After an error it may be
        repeated. Does nothing when there are none.
        """

    def truncate(self, length_bytes: int) -> None:
        """Discards everything after the first `length_bytes`. The next chunk goes to the new `taken_bytes`.

        What was durable of them stays durable. `taken_bytes` is then `length_bytes`, or less if some of the
        bytes before it were not durable. A storage of parts that can't be read back also discards the
        part in which the cut is: see `Storage.checksums`.
        """

    def finish(self) -> None:
        """Makes the whole file survive a power cut, then closes the writer. No more bytes will come.

        After an error the writer is still open, and `finish` may be repeated. Does nothing on a finished one.
        Raises TakenOver if it was fenced meanwhile: the newer claim has the file as it is.
        """

    def abort(self) -> None:
        """Closes the writer, and stores nothing more. What is durable stays. Does nothing on a closed writer.

        Either the upload was called off, and `Storage.delete` follows; or another process has the upload.
        """

    def close(self) -> None:
        """Closes the writer of an upload that may resume. All taken bytes are stored then.

        A storage beyond this machine tries that for seconds only. If it could not, it raises StorageFailed,
        and the writer is closed all the same.

        It frees what was reserved and not used. Does nothing on a closed writer.
        """


class PartWriter(Writer, Protocol):
    """The open file of one part. Its offsets count from the beginning of the part.

    Unchecked bytes are always kept apart: the ticket has no mark for a part.
    """


class FolderWriter(Writer, Protocol):
    """The open stream of an upload that is a folder. See FolderStorage.

    `write` raises BadFolder once the head is complete and is wrong: the storage can't keep such a folder.
    No byte of a file is stored then.

    `accounted_bytes` may be less than `taken_bytes`, and below 0. Files to come take more space than they
    have bytes, since a file takes whole blocks. `on_reserve` is told that.
    """

    @property
    def left_out(self) -> tuple[int, ...]:
        """The indices of the entries that are left out, in order."""

    def want_sha256(self) -> None:
        """The app wants the SHA-256 of each file. To be called before the first byte is written."""

    def set_length(self, length_bytes: int) -> None:
        """The stream has this length, which was not known when it was opened.

        Raises BadFolder if the list of its files says another one, or ends later. Nothing changes then.
        """

    def leave_out(self, index: int) -> None:
        """Discards what is stored of the entry `index`. From now on its whole range counts as zeros.

        `taken_bytes` and `durable_offset` are then the end of its range. This survives a kill and a power
        cut when it returns. Only the file is left out that has the next byte, that has just ended, or that
        is empty and between these. Raises BadParameter otherwise. Does nothing on an entry that is left out
        already and ends at `taken_bytes`.
        """


class Storage(Protocol):
    """The files of all uploads, by ticket id."""

    @property
    def name(self) -> str:
        """What settings, tickets and apps call it: a key of `core.storage_kinds.KINDS`."""

    @property
    def window_bytes(self) -> int:
        """How many bytes a client has to send without an acknowledgement, for the storage to keep pace.

        A client that may send less gets its acknowledgements later. 0 where each `write` stores its chunk.
        """

    @property
    def stores_later(self) -> bool:
        """Whether a `write` only takes its chunk, which is stored later, perhaps beyond this machine.

        Then `wait_for_capacity`, `flush` and `finish` may take long, and clients are told what was taken.
        """

    @property
    def survives_power_cuts(self) -> bool:
        """Whether every durable byte survives a power cut of this machine, also of an unfinished file."""

    @property
    def keeps_unchecked_apart(self) -> bool:
        """Whether unchecked bytes do not become durable: see `Writer.begin_unchecked`."""

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
    def free_space(self) -> FreeSpace | None:
        """Tells how much space is left; None where space is not limited."""

    @property
    def inventory(self) -> Inventory | None:
        """Lists what is stored; None where that can't be listed."""

    @property
    def parts(self) -> PartStorage | None:
        """Takes a file in parts; None where only whole files can be stored."""

    @property
    def folders(self) -> FolderStorage | None:
        """Takes folders as one upload each; None where only files can be stored."""

    @property
    def small_files(self) -> SmallFiles | None:
        """Takes a small file in one step; None where that would save nothing."""

    @property
    def checksums(self) -> KnownChecksums | None:
        """Knows checksums of unfinished files, which can't be read; None where `read` reads every file."""

    @property
    def objects(self) -> Objects | None:
        """Gives apps URLs from which they load their files; None where a file has a path."""

    def location(self, ticket_id: str, destination: str = "") -> str:
        """Returns where the file is, as the app is told. It is the same for the whole life of the ticket.

        `destination` is the key that the app has named, see Objects; empty if it has named none. It raises
        nothing and looks at nothing: there may be no file yet.
        """

    def open(
        self, ticket_id: str, length_bytes: int | None, on_reserve: Callable[[int], object] = lambda _: None,
        on_durable: OnDurable = lambda _: None, destination: str = "",
    ) -> Writer:  # fmt: skip
        """Opens the file to append at its end; creates it if there is none. `destination`: see `location`.

        `length_bytes` is the final length if it is known: a storage may reserve space for it, and no more.
        `on_reserve` is called with the writer's `accounted_bytes` when that has grown without a write.
        `on_durable` is called, from another greenlet, when the storage has stored more by itself. It is
        called with an error when the storage has given up on taken bytes, which `flush` then raises, too.
        Neither raises anything or waits.
        """

    def size(self, ticket_id: str) -> int | None:
        """Returns how many bytes survive a kill of this process; None if there is no file."""

    def sizes(self, ticket_ids: Sequence[str]) -> dict[str, int | None]:
        """Returns `size` of each of these uploads. A slow disk does not block the event loop meanwhile."""

    def read(self, ticket_id: str, start: int, end: int, take: Callable[[memoryview], None]) -> None:
        """Passes the stored bytes from `start` to `end` to `take`, piece by piece.

        It does so in a thread, or lets other greenlets run between pieces of at most 1 MiB. A piece is valid
        only until `take` returns. Raises StorageFailed if some of the bytes are missing, or can't be read
        before the file is finished: see `checksums`.
        """

    def delete(self, ticket_id: str, destination: str = "") -> None:
        """Deletes the file and everything that the storage keeps for it. A missing file is not an error.

        `destination`: see `open`. A second call deletes what a process has stored too late.
        """

    def check(self) -> None:
        """Raises StorageFull, StorageFailed if no new upload could be stored at the moment."""


class RemoteStorage(Storage, Protocol):
    """A storage beyond this machine."""

    def figures(self) -> StoreFigures:
        """Returns how the store answers, for the metrics and the status page. It waits for nothing."""


class FolderStorage(Storage, Protocol):
    """Capability: the storage takes folders, each as one upload.

    It is a Storage itself. `open`, `size`, `read`, and all offsets are about the stream of the folder, as
    `core.folder_manifest` has it: the head, then the bytes of all files. The range of a file that was left
    out reads as zeros. A truncation into the range of such a file cuts at its beginning, and the file is not
    left out any more. `location` is the folder.

    `free_space` counts blocks: what a file takes beyond its bytes. `pickup` tells whether the folder was
    taken.
    """

    def open(
        self, ticket_id: str, length_bytes: int | None, on_reserve: Callable[[int], object] = lambda _: None,
        on_durable: OnDurable = lambda _: None, destination: str = "",
    ) -> FolderWriter:  # fmt: skip
        """See Storage.open."""

    def left_out(self, ticket_id: str) -> tuple[int, ...]:
        """Returns the indices of the entries that are left out, in order."""

    def manifest_of(self, ticket_id: str) -> FolderManifest | None:
        """Returns the manifest as the client has sent it; None until the head is complete."""

    def arrival(self, ticket_id: str, destination: str = "") -> FolderArrival:
        """Returns what the app is told of a folder that has arrived. It makes what is missing for that."""


class Ownership(Protocol):
    """Capability: a file can belong to another user of the machine."""

    def can_give_to(self, owner_uid: int) -> bool:
        """Returns whether `give_to` works for this user, and the server can still delete the file."""

    def give_to(self, ticket_id: str, owner_uid: int) -> None:
        """Makes the file the property of this user, who can then read it and move it away.

        The change survives a power cut.
        """


class Objects(Protocol):
    """Capability: files are objects, which their apps load from the store."""

    def check_destination(self, key: str) -> None:
        """Raises BadParameter unless an app may have its object under this key."""

    def address(self, ticket_id: str, destination: str = "") -> ObjectAddress:
        """Returns where the object of an upload that has arrived is, with a new URL for it."""

    def is_there(self, ticket_id: str, destination: str = "") -> bool:
        """Returns whether the store has the object of this upload, which was made of all its bytes.

        Raises StorageFailed.
        """


class Pickup(Protocol):
    """Capability: an app takes its file out of the storage without a word to the server."""

    def is_taken(self, ticket_id: str) -> bool:
        """Returns whether the app has taken the file of an upload that had arrived."""

    def may_be_taken(self, ticket_id: str) -> bool:
        """Returns the same where a power cut may have taken it instead, as far as that can be told."""

    def clean_up(self, ticket_id: str) -> None:
        """Deletes what the storage keeps for the file. The file itself stays."""


class Recovery(Protocol):
    """Capability: the storage finds bytes that a power cut took."""

    def discard_lost(self, ticket_id: str) -> int:
        """Truncates a file without checkpoints at the first byte that was surely lost. No writer is open.

        Returns how many bytes were discarded; 0 where nothing is known to be lost.
        """


class FreeSpace(Protocol):
    """Capability: the space of the storage is limited, and the storage tells how much is free."""

    def free_bytes(self) -> int:
        """Returns how many more bytes can be stored. It may be called in any thread."""

    def accounted_bytes(self, ticket_id: str) -> int:
        """Returns what `Writer.accounted_bytes` would be for a file that no writer has open.

        First it frees what a killed writer had reserved. Returns 0 if there is no file.
        """

    def reclaim(self) -> bool:
        """Makes all space that was freed before count as free. Returns False where it always does."""


class SmallFiles(Protocol):
    """Capability: a small file that comes as one chunk, and is finished next, is stored in one step.

    Such a storage stores all other bytes in `write`, so `finish` never waits for another machine.
    """

    @property
    def max_bytes(self) -> int:
        """The size of the largest of these files."""

    def open(
        self, ticket_id: str, length_bytes: int, on_reserve: Callable[[int], object] = lambda _: None,
        on_durable: OnDurable = lambda _: None,
    ) -> Writer:  # fmt: skip
        """Opens a file that does not exist yet; see Storage.open. A later call creates it.

        A chunk that is the whole file is not durable before `flush`, `finish` or `close`. If none of them
        comes within moments, the storage stores it, and tells `on_durable`.
        """


class PartStorage(Protocol):
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
        """Deletes the bytes of a part that no writer has open. A part without any is not an error."""

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


class KnownChecksums(Protocol):
    """Capability: unfinished files can't be read, and the storage knows checksums of what it has stored."""

    def stored(self, ticket_id: str) -> Checkpoint:
        """Returns how many bytes of a file are durable, and the CRC-32C of all of them."""

    def samples(self, ticket_id: str) -> Sequence[Sample]:
        """Returns what is known of some short ranges of the durable bytes, in order. None overlap."""


class Sample(NamedTuple):
    """The bytes of a file from `start` to `end` have this CRC-32C."""

    start: int
    end: int
    crc32c: int


class Inventory(Protocol):
    """Capability: the storage lists what it has."""

    def names(self) -> frozenset[str]:
        """Returns the ids of all tickets that have something in the storage, and other names."""

    def strays(self, known: Callable[[Collection[str]], Container[str]]) -> Strays:
        """Returns what belongs to none of the tickets that `known` finds among the names of what is stored.

        `known` is called in the caller's greenlet, after the storage was listed: so no new ticket is missing
        from it.
        """


@dataclass(frozen=True, slots=True)
class Strays:
    """What is in the storage and belongs to no ticket."""

    names: tuple[str, ...]
    """In order."""
    size_bytes: int
