"""What the journal knows of the bytes of an unfinished upload: checksums of its beginning.

A checkpoint says what was acknowledged, not what is on the disk: nothing is synced for one. After a power
cut the file is read and compared. Bytes that agree are right, whether or not the file system keeps zeros as
holes.

The last few checkpoints stay as they are, since what was written last is what a power cut takes. Older ones
are thinned, so that a ticket's line in the journal stays short, however large its file is.
"""

from __future__ import annotations

from typing import Final, NamedTuple

MAX_CHECKPOINTS: Final = 16
RECENT: Final = 8
"""How many of the newest checkpoints are never thinned out."""
_CRC_BITS: Final = 32


class Checkpoint(NamedTuple):
    """The first `end_bytes` bytes of a file, as they were acknowledged, have this CRC-32C."""

    end_bytes: int
    crc32c: int


Checkpoints = tuple[Checkpoint, ...]
"""In the order of their ends. No two have the same end."""
START: Final = Checkpoint(0, 0)
"""What holds of every file."""


def up_to(checkpoints: Checkpoints, end_bytes: int) -> Checkpoints:
    """Returns the checkpoints within the first `end_bytes` bytes."""
    return tuple(one for one in checkpoints if one.end_bytes <= end_bytes)


def last(checkpoints: Checkpoints) -> Checkpoint:
    """Returns the last one, or that of an empty file."""
    return checkpoints[-1] if checkpoints else START


def added(checkpoints: Checkpoints, new: Checkpoint) -> Checkpoints:
    """Returns the checkpoints with a new last one. Those with a later end are dropped."""
    kept = up_to(checkpoints, new.end_bytes - 1)
    return _thinned((*kept, new)) if new.end_bytes else ()


def _thinned(checkpoints: Checkpoints) -> Checkpoints:
    """Returns at most MAX_CHECKPOINTS: the one between the two shortest of the older ranges may go."""
    if len(checkpoints) <= MAX_CHECKPOINTS:
        return checkpoints
    ends = (0, *(one.end_bytes for one in checkpoints))
    dropped = min(range(len(checkpoints) - RECENT), key=lambda number: ends[number + 2] - ends[number])
    return checkpoints[:dropped] + checkpoints[dropped + 1 :]


def check(checkpoints: Checkpoints) -> None:
    """Raises ValueError if no file can have these checkpoints."""
    before_bytes = 0
    for one in checkpoints:
        if one.end_bytes <= before_bytes or not 0 <= one.crc32c < 1 << _CRC_BITS:
            raise _not_a_checkpoint(one)
        before_bytes = one.end_bytes


def read(value: object) -> Checkpoints:
    """Returns the checkpoints from their form in the journal, lists of two integers. Raises ValueError."""
    checkpoints = tuple(map(_read_one, value if isinstance(value, list) else [value]))
    check(checkpoints)
    return checkpoints


def _read_one(value: object) -> Checkpoint:
    match value:
        case [int(end_bytes), int(crc32c)]:
            return Checkpoint(end_bytes, crc32c)
        case _:
            raise _not_a_checkpoint(value)


def _not_a_checkpoint(value: object) -> ValueError:
    return ValueError(f"{value!r} is not an offset after the last one, with a CRC-32C")
