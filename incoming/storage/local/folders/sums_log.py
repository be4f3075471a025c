"""What is noted of the files of a folder while they come in: `ID.sums`, a log of records of 48 bytes.

    0    the kind (4 bytes), the index of an entry (4), a CRC-32C (4), 32 bytes
    44   CRC-32C of these 44 bytes (4)

Numbers are little-endian. A record counts until a later one contradicts it. What follows a damaged record
does not count: a power cut may have taken it. Digests are only noted to save reading a file again, so
nothing waits for them to be durable. That a file was left out is synced.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final

import msgspec

from incoming.core.checksum import checksum
from incoming.core.folder_names import KEEPS_ALL, NameRules
from incoming.storage.local.boot_mark import MARK_BYTES

_RECORD: Final = struct.Struct("<III32s")
_CRC: Final = struct.Struct("<I")
RECORD_BYTES: Final = _RECORD.size + _CRC.size
_FOLDS, _WANTS_SHA256 = 1, 2


class Kind(IntEnum):
    """What a record says of its entry."""

    BEGUN = 1
    """Nothing: it has the rules for names (flags and a length), and whether SHA-256 is wanted."""
    STARTED = 2
    """Nothing: it has the mark of the start of the machine that has looked at every file."""
    COMPLETE = 3
    """It has all its bytes, and this CRC-32C."""
    COMPLETE_SHA256 = 4
    """The same, and this SHA-256."""
    LEFT_OUT = 5
    """It is left out."""
    CUT = 6
    """Earlier records of this entry and of all later entries do not count."""


class Digests(msgspec.Struct, frozen=True, gc=False):
    """The digests of a file. `sha256` is empty where it is not known.

    There may be 100,000 of them. Python's search for garbage does not look at these.
    """

    crc32c: int
    sha256: bytes = b""


@dataclass(slots=True)
class Log:
    """What a log says. `size_bytes`: how much of it counts. `digests`: none unless they were asked for."""

    rules: NameRules | None = None
    wants_sha256: bool = False
    mark: bytes = b""
    left_out: set[int] = field(default_factory=set)
    digests: dict[int, Digests] = field(default_factory=dict)
    untimed: set[int] = field(default_factory=set)
    """Entries whose files may have lost their times in a power cut."""
    size_bytes: int = 0


def encode(kind: Kind, index: int = 0, crc32c: int = 0, content: bytes = b"") -> bytes:
    """Returns a record."""
    packed = _RECORD.pack(kind, index, crc32c, content)
    return packed + _CRC.pack(checksum(packed))


def begun(rules: NameRules, wants_sha256: bool) -> bytes:
    """Returns the record with which a log begins."""
    flags = _FOLDS * rules.folds | _WANTS_SHA256 * wants_sha256
    return encode(Kind.BEGUN, flags, rules.max_name_bytes)


def complete(index: int, digests: Digests) -> bytes:
    """Returns the record of a file that has all its bytes."""
    kind = Kind.COMPLETE_SHA256 if digests.sha256 else Kind.COMPLETE
    return encode(kind, index, digests.crc32c, digests.sha256)


def read(fd: int, with_digests: bool = False) -> Log:
    """Returns what a log says. Blocks on the disk. Raises OSError."""
    log = Log()
    for kind, index, crc, content in _records(os.pread(fd, os.fstat(fd).st_size, 0)):
        log.size_bytes += RECORD_BYTES
        if kind in (Kind.COMPLETE, Kind.COMPLETE_SHA256):
            if with_digests:
                log.digests[index] = Digests(crc, content if kind == Kind.COMPLETE_SHA256 else b"")
                log.untimed.discard(index)
        elif kind == Kind.LEFT_OUT:
            log.left_out.add(index)
            log.digests.pop(index, None)
        elif kind == Kind.CUT:
            log.left_out = {one for one in log.left_out if one < index}
            log.digests = {one: digests for one, digests in log.digests.items() if one < index}
        elif kind == Kind.STARTED:
            log.mark = content[:MARK_BYTES]
            log.untimed = set(log.digests)
        elif kind == Kind.BEGUN:
            log.rules = KEEPS_ALL._replace(folds=bool(index & _FOLDS), max_name_bytes=crc)
            log.wants_sha256 = bool(index & _WANTS_SHA256)
    return log


def _records(content: bytes) -> Iterator[tuple[int, int, int, bytes]]:
    view = memoryview(content)
    for at in range(0, len(content) - RECORD_BYTES + 1, RECORD_BYTES):
        packed = view[at : at + _RECORD.size]
        if _CRC.unpack_from(view, at + _RECORD.size)[0] != checksum(packed):
            return
        yield _RECORD.unpack(packed)
