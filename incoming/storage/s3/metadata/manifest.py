"""What is known of an unfinished upload in S3: its manifest, and the interface of what keeps manifests.

S3 can't read the parts of an unfinished upload back. So the manifest has a checksum of each part, and one of
its beginning, against which a client that resumes can be checked.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, Protocol

from incoming.core.checkpoints import START, Checkpoint
from incoming.core.checksum import combine
from incoming.storage import Sample
from incoming.storage.s3.part_plan import PartPlan

HEAD_BYTES: Final = 64 * 1024
"""The beginning of a part that has a checksum of its own. A client can be asked for it."""


@dataclass(frozen=True, slots=True)
class StoredPart:
    """A part that the store has answered for."""

    number: int
    etag: str
    """As the store has sent it, with its quotes."""
    size_bytes: int
    crc32c: int
    head_crc32c: int
    """Of its first HEAD_BYTES, or of all of it if it is shorter."""

    def to_text(self) -> str:
        """Returns the part as text, as it is stored."""
        return json.dumps([self.number, self.etag, self.size_bytes, self.crc32c, self.head_crc32c])

    @classmethod
    def from_text(cls, text: str | bytes) -> StoredPart:
        """Returns the part of `to_text`."""
        number, etag, size_bytes, crc32c, head_crc32c = json.loads(text)
        return cls(number, etag, size_bytes, crc32c, head_crc32c)


@dataclass(frozen=True, slots=True)
class Remainder:
    """The beginning of the part after the last one, in an object of its own."""

    key: str
    number: int
    """The number of the part."""
    size_bytes: int
    """How many bytes at the beginning of the object count. The object may have more."""
    crc32c: int
    head_crc32c: int

    def to_text(self) -> str:
        """Returns the remainder as text, as it is stored."""
        return json.dumps([self.key, self.number, self.size_bytes, self.crc32c, self.head_crc32c])

    @classmethod
    def from_text(cls, text: str | bytes) -> Remainder:
        """Returns the remainder of `to_text`."""
        key, number, size_bytes, crc32c, head_crc32c = json.loads(text)
        return cls(key, number, size_bytes, crc32c, head_crc32c)


@dataclass(frozen=True, slots=True)
class Manifest:
    """All that is stored of an upload."""

    key: str
    plan: PartPlan
    upload_id: str = ""
    """The multipart upload; empty until its first part is stored."""
    parts: tuple[StoredPart, ...] = ()
    """In order, from number 1 on, without a gap."""
    remainder: Remainder | None = None
    is_complete: bool = False
    """Whether the object has its name, and nothing is missing from it."""

    @property
    def pieces(self) -> tuple[StoredPart | Remainder, ...]:
        """The parts, and then the remainder, if there is one."""
        return (*self.parts, self.remainder) if self.remainder else self.parts

    @property
    def size_bytes(self) -> int:
        """How many bytes are stored."""
        return sum(piece.size_bytes for piece in self.pieces)

    @property
    def checkpoint(self) -> Checkpoint:
        """The length and the CRC-32C of all stored bytes."""
        whole = START
        for piece in self.pieces:
            whole = extended(whole, piece.crc32c, piece.size_bytes)
        return whole

    @property
    def samples(self) -> list[Sample]:
        """The beginnings of all pieces."""
        found: list[Sample] = []
        start = 0
        for piece in self.pieces:
            if piece.size_bytes:
                found.append(Sample(start, start + min(piece.size_bytes, HEAD_BYTES), piece.head_crc32c))
            start += piece.size_bytes
        return found

    def cut(self, part_count: int, remainder: Remainder | None) -> Manifest:
        """Returns the manifest with its first `part_count` parts only, and with this remainder."""
        return replace(self, parts=self.parts[:part_count], remainder=remainder)


def extended(before: Checkpoint, crc32c: int, size_bytes: int) -> Checkpoint:
    """Returns the checkpoint after `size_bytes` more bytes, which have this CRC-32C."""
    whole_crc = combine(before.crc32c, crc32c, size_bytes) if before.end_bytes else crc32c
    return Checkpoint(before.end_bytes + size_bytes, whole_crc)


class Manifests(Protocol):
    """What keeps manifests, by ticket id.

    Every method may raise StorageFailed. Then it is unknown whether the manifest was changed. Each change may
    be repeated: the second time it changes nothing.

    A change by another claim than the newest one raises TakenOver.
    """

    def read(self, ticket_id: str) -> Manifest | None:
        """Returns the manifest of an upload; None if there is none."""

    def sizes(self, ticket_ids: Sequence[str]) -> dict[str, int | None]:
        """Returns how many bytes are stored of each of these uploads; None where there is no manifest.

        It costs about the same for one as for a hundred.
        """

    def begin(self, ticket_id: str, manifest: Manifest) -> Manifest:
        """Stores the first manifest of an upload. The first one counts: returns that."""

    def fence(self, ticket_id: str, token: str) -> Manifest | None:
        """From now on only the claim with this token may change the manifest. Returns what is there."""

    def add(
        self, ticket_id: str, token: str, parts: Sequence[StoredPart], remainder: Remainder | None
    ) -> None:
        """Appends parts, and replaces the remainder, in one step. Parts that are there already are skipped.

        Raises NotesLost if there would be a gap, or if there is no manifest.
        """

    def cut(self, ticket_id: str, token: str, part_count: int, remainder: Remainder | None) -> None:
        """Removes all parts but the first `part_count`, and replaces the remainder, in one step."""

    def replace(self, ticket_id: str, token: str, manifest: Manifest) -> None:
        """Replaces the whole manifest in one step. Raises NotesLost if there is no manifest."""

    def set_complete(self, ticket_id: str, token: str) -> None:
        """The object has its name. It has no remainder any more."""

    def forget(self, ticket_id: str) -> None:
        """Removes the manifest, if there is one."""
