"""How much of each part is stored: a small file next to the parts, with a slot of 256 bytes for each.

The length of a file in which several parts are written at once does not tell how far each has come.

    0    the record: offset (8 bytes), CRC-32C of the part up to there (4), mark (8), CRC-32C of all this (4)
    32   the checkpoints: up to 16 times an offset (8) and a CRC-32C (4); then their CRC-32C (4)

Numbers are little-endian. The part N has the slot N. The mark is that of a start of the machine.

The record is written after each write of the part: first the bytes, then the offset. So an offset never
counts bytes that are not in the file. A killed process leaves the page cache as it was, and the kernel copies
a record into it as a whole: it checks for signals between pages, and a slot is within one.

After a power cut the record is worth nothing by itself, because the disk may have it without the bytes. The
mark tells that there was one. Then the part is read, and the last checkpoint counts that agrees with it.
Checkpoints are written and synced every few seconds of a transfer.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Sequence
from typing import Final, NamedTuple

from incoming.core.checkpoints import MAX_CHECKPOINTS, Checkpoint, Checkpoints
from incoming.core.checksum import checksum
from incoming.storage.local.boot_mark import MARK_BYTES
from incoming.storage.local.posix import write_all

SLOT_BYTES: Final = 256
CHECKPOINTS_AT: Final = 32
_RECORD: Final = struct.Struct(f"<QI{MARK_BYTES}s")
_CHECKPOINT: Final = struct.Struct("<QI")
_CRC: Final = struct.Struct("<I")
_RECORD_BYTES: Final = _RECORD.size + _CRC.size
_CHECKPOINTS_BYTES: Final = MAX_CHECKPOINTS * _CHECKPOINT.size + _CRC.size


class Record(NamedTuple):
    """How much of a part is stored, as the start of the machine with this mark has left it."""

    stored: Checkpoint
    mark: bytes


class Slot(NamedTuple):
    """What is known of one part. `record` is None if there is none, or it is damaged."""

    record: Record | None = None
    checkpoints: Checkpoints = ()


EMPTY: Final = Slot()
NONE: Final[Checkpoints] = ()


def record_at(number: int) -> int:
    """Returns where the record of a part is in the file."""
    return number * SLOT_BYTES


def encode_record(number: int, record: Record) -> bytes:
    """Returns the record of the part with this number. Its checksum covers the number."""
    return _with_crc(number, _RECORD.pack(*record.stored, record.mark))


def encode_checkpoints(number: int, checkpoints: Checkpoints) -> bytes:
    """Returns the checkpoints of the part with this number."""
    packed = b"".join(_CHECKPOINT.pack(*one) for one in checkpoints)
    return _with_crc(number, packed.ljust(MAX_CHECKPOINTS * _CHECKPOINT.size, b"\0"))


def decode_record(number: int, slot: bytes) -> Record | None:
    """Returns the record in the slot of a part; None if there is none, or it is damaged."""
    packed = _checked(number, slot[:_RECORD_BYTES])
    if not packed:
        return None
    end_bytes, crc, mark = _RECORD.unpack(packed)
    return Record(Checkpoint(end_bytes, crc), mark)


def decode(number: int, slot: bytes) -> Slot:
    """Returns what the slot of a part says. What is damaged says nothing."""
    record, checkpoints = decode_record(number, slot), NONE
    packed = _checked(number, slot[CHECKPOINTS_AT : CHECKPOINTS_AT + _CHECKPOINTS_BYTES])
    if packed:
        found = (Checkpoint(*one) for one in _CHECKPOINT.iter_unpack(packed))
        checkpoints = tuple(one for one in found if one.end_bytes)
    return Slot(record, checkpoints)


def _with_crc(number: int, packed: bytes) -> bytes:
    return packed + _CRC.pack(checksum(packed, number))


def _checked(number: int, packed: bytes) -> bytes:
    """Returns what stands before the checksum; nothing if they do not agree, or nothing was ever written."""
    content = packed[: -_CRC.size]
    return content if content.strip(b"\0") and _with_crc(number, content) == packed else b""


class OffsetsFile:
    """The open file of offsets. Every method blocks on the disk and raises OSError."""

    def __init__(self, fd: int) -> None:
        self.fd = fd

    def slot(self, number: int) -> Slot:
        """Returns what is known of a part."""
        return decode(number, os.pread(self.fd, SLOT_BYTES, record_at(number)))

    def raw_slots(self, numbers: Sequence[int]) -> list[bytes]:
        """Returns the slots of these parts as they are in the file, which may end before."""
        content = os.pread(self.fd, record_at(max(numbers, default=0) + 1), 0)
        return [content[record_at(number) : record_at(number + 1)] for number in numbers]

    def put_record(self, number: int, record: Record) -> None:
        """Says how much of a part is stored."""
        write_all(self.fd, encode_record(number, record), record_at(number))

    def put_checkpoints(self, number: int, checkpoints: Checkpoints) -> None:
        """Replaces the checkpoints of a part."""
        write_all(self.fd, encode_checkpoints(number, checkpoints), record_at(number) + CHECKPOINTS_AT)
