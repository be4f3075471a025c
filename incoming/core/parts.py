"""The parts of an upload whose client sends several pieces of one file at the same time.

A part has a number, in the order of creation. A part whose length is known has its place in the file behind
the parts before it, so a file whose parts are listed in the order of creation needs no copy. A part whose
length is not known yet has no place: nothing could be placed behind it.

The assembly says which parts make the file, in which order. A part may be in it twice, or not at all.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Final, NamedTuple

MAX_PARTS: Final = 1000
"""How many parts a ticket may ever have. Each change of a ticket writes all of them into the journal, about
20 bytes each. Clients that upload in parts use ten at most."""
MAX_PARTS_METADATA_BYTES: Final = 16 * 1024
"""What clients may say of all parts of a ticket together, for the same reason."""
MAX_END_BYTES: Final = 2**53 - 1
"""Where the last part may end: beyond it JavaScript and file systems count no more."""
MAX_ADDRESS_BYTES: Final = 1024


class Part(NamedTuple):
    """One part of an upload. A number is never given to another part.

    `start_bytes`: where the part begins in the file; None if it was created without a length. `length_bytes`
    is None while it is unknown. `upload_metadata`: what a client of tus says of the part, as it came.
    """

    number: int
    start_bytes: int | None
    length_bytes: int | None
    upload_metadata: str = ""


class Assembly(NamedTuple):
    """Which parts make the file.

    `address`: what stands before the number in the client's address of each part; empty if they differ.
    `is_done`: the parts have become the file.
    """

    order: tuple[int, ...]
    address: str = ""
    is_done: bool = False


def find(parts: Iterable[Part], number: int) -> Part | None:
    """Returns the part with this number; None if there is none."""
    return next((part for part in parts if part.number == number), None)


def in_order(parts: Iterable[Part], assembly: Assembly) -> tuple[Part, ...]:
    """Returns the parts of an assembly, in its order. Each of them has to be there."""
    by_number = {part.number: part for part in parts}
    return tuple(by_number[number] for number in assembly.order)


def next_start_bytes(parts: Iterable[Part]) -> int:
    """Returns where a new part of known length begins: behind all others."""
    ends = (part.start_bytes + (part.length_bytes or 0) for part in parts if part.start_bytes is not None)
    return max(ends, default=0)


def total_bytes(parts: Iterable[Part]) -> int | None:
    """Returns the length of all parts together; None while one of them is unknown."""
    lengths = [part.length_bytes for part in parts]
    return None if None in lengths else sum(length or 0 for length in lengths)


def are_adjacent(parts: Sequence[Part]) -> bool:
    """Returns whether the parts stand in this order at the beginning of the file, without a gap."""
    at = 0
    for part in parts:
        if part.length_bytes == 0:
            continue
        if part.length_bytes is None or part.start_bytes != at:
            return False
        at += part.length_bytes
    return True


# --- the id of a part ------------------------------------------------------------------------------------

_PART_ID: Final = re.compile(r"([^/]+)/parts/([1-9][0-9]{0,8})")


def part_id(ticket_id: str, number: int) -> str:
    """Returns the id of a part: claims, leases and reservations know a part by it, as they know uploads."""
    return f"{ticket_id}/parts/{number}"


def split_part_id(upload_id: str) -> tuple[str, int] | None:
    """Returns the ticket's id and the part's number; None if this is not the id of a part."""
    found = _PART_ID.fullmatch(upload_id)
    return (found[1], int(found[2])) if found else None


# --- in the journal --------------------------------------------------------------------------------------


def check(parts: tuple[Part, ...], assembly: Assembly | None) -> None:
    """Raises ValueError where no ticket has these parts and this assembly."""
    for one, after in pairwise((Part(0, 0, 0), *parts)):
        sizes = (after.start_bytes or 0, after.length_bytes or 0)
        if after.number <= one.number or min(sizes) < 0 or sum(sizes) > MAX_END_BYTES:
            raise ValueError(f"{after!r} is not a part behind the last one")
    if assembly and not (assembly.order and {part.number for part in parts}.issuperset(assembly.order)):
        raise ValueError("its assembly has parts that are not there")


def read_parts(value: object) -> tuple[Part, ...]:
    """Returns the parts that stand as lists in a journal. Raises ValueError."""
    found: list[Part] = []
    for one in value if isinstance(value, list) else [None]:
        match one:
            case [int(number), int() | None as start, int() | None as length, str(metadata)]:
                found.append(Part(number, start, length, metadata))
            case _:
                raise ValueError(f"{one!r} is not a part")
    return tuple(found)


def read_assembly(value: object) -> Assembly | None:
    """Returns the assembly that stands as a list in a journal. Raises ValueError."""
    match value:
        case None:
            return None
        case [[*order], str(address), bool(is_done)]:
            numbers = tuple(number for number in order if isinstance(number, int))
            if len(numbers) == len(order):
                return Assembly(numbers, address, is_done)
    raise ValueError(f"{value!r} is not an assembly")
