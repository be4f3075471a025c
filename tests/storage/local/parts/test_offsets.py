"""The slots of a file of offsets: what is written is read, and what is damaged says nothing."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from incoming.core.checkpoints import MAX_CHECKPOINTS, Checkpoint
from incoming.storage.local.boot_mark import MARK_BYTES
from incoming.storage.local.parts.offsets import (
    CHECKPOINTS_AT,
    EMPTY,
    SLOT_BYTES,
    OffsetsFile,
    Record,
    Slot,
    decode,
    encode_checkpoints,
    encode_record,
)

MARK = b"12345678"
RECORD = Record(Checkpoint(1 << 40, 0xFFFFFFFF), MARK)
known = st.builds(Checkpoint, st.integers(1, 2**53), st.integers(0, 2**32 - 1))


@given(
    st.integers(1, 1000),
    known,
    st.binary(min_size=MARK_BYTES, max_size=MARK_BYTES),
    st.lists(known, max_size=16),
)
def test_a_slot_is_read_as_it_was_written(
    number: int, stored: Checkpoint, mark: bytes, checkpoints: list[Checkpoint]
) -> None:
    record = Record(stored, mark)
    slot = encode_record(number, record).ljust(CHECKPOINTS_AT, b"\0")
    slot += encode_checkpoints(number, tuple(checkpoints))
    assert len(slot) <= SLOT_BYTES
    assert decode(number, slot) == Slot(record, tuple(checkpoints))
    assert decode(number + 1, slot) == EMPTY, "it is that of one part only"


@pytest.mark.parametrize("slot", [b"", bytes(SLOT_BYTES), b"\xff" * SLOT_BYTES, b"x" * 10])
def test_a_slot_that_was_never_written_is_empty(slot: bytes) -> None:
    assert decode(1, slot) == EMPTY


def test_any_flipped_bit_makes_a_record_worthless() -> None:
    record = encode_record(3, RECORD)
    for bit in range(8 * len(record)):
        flipped = bytearray(record)
        flipped[bit // 8] ^= 1 << bit % 8
        assert decode(3, bytes(flipped)).record is None


def test_each_part_has_a_slot_of_its_own(tmp_path: Path) -> None:
    fd = os.open(tmp_path / "offsets", os.O_RDWR | os.O_CREAT)
    offsets = OffsetsFile(fd)
    checkpoints = tuple(Checkpoint(number, number) for number in range(1, MAX_CHECKPOINTS + 1))
    offsets.put_record(7, RECORD)
    offsets.put_checkpoints(2, checkpoints)
    offsets.put_record(1, RECORD)
    slots = [decode(number, slot) for number, slot in enumerate(offsets.raw_slots(range(9)))]
    assert [number for number, slot in enumerate(slots) if slot != EMPTY] == [1, 2, 7]
    assert offsets.raw_slots([]) == []
    assert offsets.slot(7) == Slot(RECORD)
    assert offsets.slot(2) == Slot(None, checkpoints)
    assert offsets.slot(999) == EMPTY
    os.close(fd)
