"""The ranges of the stored part that a client has to prove that it has: the resume check of version 2.

A different file of the same length should be detected before a byte of it is stored. Most changed files (an
edited, re-rendered or re-packed one) differ nearly everywhere, so samples find them. A file with another
modification time is compared as a whole. What samples miss, the checksum of the whole file finds at the end.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

SAMPLE_BYTES: Final = 64 * 1024
RANDOM_SAMPLES: Final = 3
MAX_RANGES: Final = 16
MAX_SAMPLED_BYTES: Final = (RANDOM_SAMPLES + 2) * SAMPLE_BYTES

Ranges = tuple[tuple[int, int], ...]
"""Pairs of offsets in bytes: the first byte of a range, and the byte after its last."""


def ranges_to_compare(stored_bytes: int, same_time: bool, random_units: Sequence[float]) -> Ranges:
    """Returns the ranges to compare: all of the stored part, or samples at its ends and in between.

    They are in order. Samples that overlap become one range, so no byte is in two ranges.

    `same_time`: the file has the modification time that the upload began with. `random_units`: RANDOM_SAMPLES
    random numbers from 0 to 1.
    """
    if not stored_bytes:
        return ()
    if not same_time or stored_bytes <= MAX_SAMPLED_BYTES:
        return ((0, stored_bytes),)
    last = stored_bytes - SAMPLE_BYTES
    ranges: list[tuple[int, int]] = []
    for start in sorted({0, last, *(int(unit * last) for unit in random_units)}):
        overlaps = bool(ranges) and start < ranges[-1][1]
        begin = ranges.pop()[0] if overlaps else start
        ranges.append((begin, start + SAMPLE_BYTES))
    return tuple(ranges)


def known_ranges_to_compare(known: Sequence[tuple[int, int]], random_units: Sequence[float]) -> Ranges:
    """Returns some of the ranges whose checksums are known: the first one, the last one, and some in between.

    `known` is in order. `random_units`: see `ranges_to_compare`.
    """
    last = len(known) - 1
    if last < 0:
        return ()
    return tuple(known[number] for number in sorted({0, last, *(int(unit * last) for unit in random_units)}))


def split_range(start: int, end: int) -> Ranges:
    """Splits the range from `start` to `end`, in which bytes may be lost.

    Only the ranges from the first lost byte on have to be sent again.
    """
    size_bytes = max(-(-(end - start) // MAX_RANGES), SAMPLE_BYTES)
    return tuple((at, min(at + size_bytes, end)) for at in range(start, end, size_bytes))
