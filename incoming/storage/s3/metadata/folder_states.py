"""What is noted of a folder on its way to S3, and the interface of what keeps it.

The state is small, and is replaced with each change. The pieces that are stored are a list that only grows,
unless the folder is truncated. So a change costs the same for ten files and for a hundred thousand.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, Protocol

import msgspec

from incoming.core.checkpoints import Checkpoint
from incoming.storage.s3.metadata.manifest import Remainder, extended


class StoredPiece(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A piece that the store has answered for, or a part of a file that is left out."""

    size_bytes: int
    crc32c: int
    head_crc32c: int
    """Of its first HEAD_BYTES, or of all of it if it is shorter."""
    after_crc32c: int
    """Of the whole stream up to the end of the piece."""
    etag: str = ""
    """As the store has sent it, with its quotes; empty if the file is left out: then all bytes are zeros."""
    sha256: str = ""
    """Of the file that ends with this piece, in hexadecimal digits, if that is known."""


class FolderState(msgspec.Struct, frozen=True, omit_defaults=True, rename={"remainder": "rest"}):
    """How far a folder is stored. `rest` is what stored states call the remainder."""

    key: str
    """The keys of all files begin with this and a slash."""
    part_bytes: int
    """A file of more bytes than this has several pieces."""
    count: int = 0
    """How many pieces are stored, of the files that were left out too: the first ones."""
    end_bytes: int = 0
    """Where the last of them ends in the stream."""
    crc32c: int = 0
    """Of the stream up to there."""
    head_key: str = ""
    """The object with the head of the stream, once that is stored."""
    head_bytes: int = 0
    """How long the head is, once that is known."""
    remainder: Remainder | None = None
    """The beginning of the piece after the last one."""
    uploads: dict[int, str] = {}
    """The multipart uploads of large files that have no object yet, by the index of their entry."""
    left_out: int = 0
    """How many files are left out."""
    wants_sha256: bool = False
    """Whether the app wants the SHA-256 of each file."""
    files: int = 0
    """How many files the app gets, once the folder is complete."""
    files_bytes: int = 0
    """How many bytes these have."""
    is_complete: bool = False
    """Whether all objects are there, and the list for the app as well."""

    @property
    def size_bytes(self) -> int:
        """How many bytes of the stream are stored."""
        return self.end_bytes + (self.remainder.size_bytes if self.remainder else 0)

    @property
    def checkpoint(self) -> Checkpoint:
        """The length and the CRC-32C of all stored bytes."""
        end = Checkpoint(self.end_bytes, self.crc32c)
        return extended(end, self.remainder.crc32c, self.remainder.size_bytes) if self.remainder else end


class FolderStates(Protocol):
    """What keeps the states and the pieces of folders, by ticket id.

    Every method may raise StorageFailed. Then it is unknown whether anything was changed. Each change may be
    repeated: the second time it changes nothing. A change by another claim than the newest one raises
    TakenOver.
    """

    def read(self, ticket_id: str) -> FolderState | None:
        """Returns the state of a folder; None if there is none."""

    def states(self, ticket_ids: Sequence[str]) -> dict[str, FolderState | None]:
        """Returns the state of each of these folders."""

    def pieces(self, ticket_id: str) -> list[StoredPiece]:
        """Returns all pieces that are stored, in order."""

    def begin(self, ticket_id: str, state: FolderState) -> FolderState:
        """Stores the first state of a folder. The first one counts: returns that."""

    def fence(self, ticket_id: str, token: str) -> FolderState | None:
        """From now on only the claim with this token may change anything. Returns the state."""

    def add(self, ticket_id: str, token: str, state: FolderState, pieces: Sequence[StoredPiece]) -> None:
        """Replaces the state, and appends the pieces that it counts at its end, in one step.

        Raises NotesLost if there would be a gap, or if there is no state.
        """

    def replace(self, ticket_id: str, token: str, state: FolderState, pieces: Sequence[StoredPiece]) -> None:
        """Like `add`, after it has removed all pieces but those that the state counts before these."""

    def forget(self, ticket_id: str) -> None:
        """Removes all of a folder, if there is anything."""


_STATES: Final = msgspec.json.Decoder(FolderState)
_PIECES: Final = msgspec.json.Decoder(StoredPiece)
_ENCODER: Final = msgspec.json.Encoder()


def state_text(state: FolderState) -> str:
    """Returns the state as text, as it is stored."""
    return _ENCODER.encode(state).decode()


def read_state(text: str | bytes) -> FolderState:
    """Returns the state of `state_text`."""
    return _STATES.decode(text)


def piece_lines(pieces: Sequence[StoredPiece]) -> str:
    """Returns pieces as text, as they are stored: a line of JSON for each, with its newline."""
    return _ENCODER.encode_lines(pieces).decode()


def read_pieces(batches: Iterable[str | bytes]) -> list[StoredPiece]:
    """Returns the pieces of all these lines. It takes long for many, so call it in a thread."""
    return [piece for lines in batches for piece in _PIECES.decode_lines(lines)]
