"""How a file is divided into the parts of a multipart upload: a function of the part number, and pure.

The ranges are fixed, so a part that is sent again, by whatever process, replaces the same bytes.

The limits are those of S3 ("Amazon S3 multipart upload limits" in its user guide): 10,000 parts, each of
5 MiB to 5 GiB. Only the last part may be smaller.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from incoming.core.units import MIB

MAX_PARTS: Final = 10_000
MIN_PART_BYTES: Final = 5 * MIB
MAX_PART_BYTES: Final = 5 << 30
DOUBLES_EVERY: Final = 1_000
"""Of a file of unknown length. 10,000 parts that begin with 8 MiB hold 7.8 TiB, and none exceeds 4 GiB."""


@dataclass(frozen=True, slots=True)
class PartPlan:
    """The sizes of all parts. The last part of a file ends with the file."""

    part_bytes: int
    """The size of the first part."""
    doubles_every: int = 0
    """After this many parts the size doubles. 0: all parts have the same size."""

    def size_bytes(self, number: int) -> int:
        """Returns the size of a part; the first has the number 1."""
        rounds = (number - 1) // self.doubles_every if self.doubles_every else 0
        return self.part_bytes << rounds

    def start(self, number: int) -> int:
        """Returns the offset of the first byte of a part."""
        before = number - 1
        if not self.doubles_every:
            return before * self.part_bytes
        rounds, remainder = divmod(before, self.doubles_every)
        return self.part_bytes * (self.doubles_every * ((1 << rounds) - 1) + (remainder << rounds))

    @property
    def max_bytes(self) -> int:
        """The length of the longest file."""
        return self.start(MAX_PARTS + 1)


def plan_for(length_bytes: int | None, min_part_bytes: int) -> PartPlan:
    """Returns the plan of a file. `length_bytes` is None while its length is unknown.

    Raises ValueError for a file that is longer than 10,000 parts of 5 GiB.
    """
    if length_bytes is None:
        return PartPlan(min_part_bytes, DOUBLES_EVERY)
    needed_bytes = -(-length_bytes // MAX_PARTS)
    if needed_bytes > MAX_PART_BYTES:
        raise ValueError(f"{length_bytes} bytes are more than {MAX_PARTS} parts of {MAX_PART_BYTES} bytes")
    if needed_bytes <= min_part_bytes:
        return PartPlan(min_part_bytes)
    return PartPlan(-(-needed_bytes // MIB) * MIB)
