"""Which parts of what is stored a client has to prove that it has, before it may go on (docs/protocol.md).

A different file of the same length is to be noticed before a byte of it is stored. The time of the last
change decides how closely to look: samples catch the usual (an edited, re-rendered, re-zipped file differs
nearly everywhere), and a file with another time is compared as a whole. What samples miss, the checksum at
the end finds.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

SAMPLE_BYTES: Final = 64 * 1024
RANDOM_SAMPLES: Final = 3
MAX_PIECES: Final = 16

Ranges = tuple[tuple[int, int], ...]
"""Pairs of offsets in bytes: the first one of a part, and the one behind its last."""


def ranges_to_compare(stored_bytes: int, same_time: bool, chances: Sequence[float]) -> Ranges:
    """Returns the parts of the first `stored_bytes` to compare: all of it, or its ends and some between.

    `chances`: RANDOM_SAMPLES random numbers from 0 to 1.
    """
    if not stored_bytes:
        return ()
    if not same_time or stored_bytes <= (RANDOM_SAMPLES + 2) * SAMPLE_BYTES:
        return ((0, stored_bytes),)
    last = stored_bytes - SAMPLE_BYTES
    starts = {0, last, *(int(chance * last) for chance in chances)}
    return tuple((start, start + SAMPLE_BYTES) for start in sorted(starts))


def pieces(start: int, end: int) -> Ranges:
    """Returns the parts from `start` to `end` that a client is asked for when bytes there may be lost.

    Several, so that those before the first lost byte need not be sent again.
    """
    size_bytes = max(-(-(end - start) // MAX_PIECES), SAMPLE_BYTES)
    return tuple((at, min(at + size_bytes, end)) for at in range(start, end, size_bytes))
