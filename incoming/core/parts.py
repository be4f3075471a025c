"""The parts of an upload whose client sends several pieces of one file at the same time.

A part has a number, in the order of creation. A part whose length is known begins in the file where the part
before it ends. So a file whose parts are listed in the order of creation needs no copy. A part that was
created without a length has no such offset, because no other part could come after it.

The assembly says which parts make the file, in which order. A part may be in it twice, or not at all.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Final, NamedTuple, Self

from incoming.core.bounds import MAX_UPLOAD_METADATA_BYTES
from incoming.core.errors import (
    BadAssembly,
    ExpectedFile,
    LengthMismatch,
    TooManyParts,
    UnknownPart,
    WrongState,
)

MAX_PARTS: Final = 1000
"""How many parts a ticket may ever have. Each change of a ticket writes all of them into the journal, about
20 bytes each. Clients that upload in parts use ten at most."""
MAX_METADATA_BYTES: Final = 4 * MAX_UPLOAD_METADATA_BYTES
"""What clients may say of all parts of a ticket together, for the same reason."""
MAX_END_BYTES: Final = 2**53 - 1
"""Where the last part may end: beyond it JavaScript and file systems count no more."""
MAX_ADDRESS_BYTES: Final = 1024
"""A client's address of its parts that is longer is not kept."""


class Part(NamedTuple):
    """One part of an upload. A number is never given to another part.

    `start_bytes`: where the part begins in the file; None if it was created without a length. `length_bytes`
    is None while it is unknown. `upload_metadata`: what a client of tus says of the part, unchanged.
    """

    number: int
    start_bytes: int | None
    length_bytes: int | None
    upload_metadata: str = ""


class Assembly(NamedTuple):
    """Which parts make the file.

    `address`: what comes before the number in the client's address of each part; empty if they differ.
    `is_done`: the parts have become the file.
    """

    order: tuple[int, ...]
    address: str = ""
    is_done: bool = False


class UploadParts(NamedTuple):
    """All parts of an upload, by their numbers; how many were ever created; and what they become.

    The methods return how it is after a change, or raise an error.
    """

    present: tuple[Part, ...]
    created: int
    assembly: Assembly | None

    def get(self, number: int) -> Part:
        """Returns a part. Raises UnknownPart."""
        found = next((part for part in self.present if part.number == number), None)
        if found is None:
            raise UnknownPart
        return found

    @property
    def may_grow(self) -> bool:
        """Whether bytes may come in parts only."""
        return bool(self.present) and not self.is_done

    @property
    def is_done(self) -> bool:
        """Whether the parts have become the file."""
        return self.assembly is not None and self.assembly.is_done

    @property
    def listed(self) -> tuple[Part, ...]:
        """The parts that make the file, in its order; none while its client has not said that."""
        by_number = {part.number: part for part in self.present}
        return tuple(by_number[number] for number in self.assembly.order) if self.assembly else ()

    @property
    def length_bytes(self) -> int | None:
        """The length of the file, or of all parts while it is not known which of them make the file.

        None while the length of one of them is unknown.
        """
        return total_bytes(self.listed or self.present)

    def add(self, length_bytes: int | None, upload_metadata: str) -> Self:
        """Adds a part. Raises TooManyParts."""
        start_bytes = None if length_bytes is None else next_start_bytes(self.present)
        part = Part(self.created + 1, start_bytes, length_bytes, upload_metadata)
        present = (*self.present, part)
        metadata_bytes = sum(len(one.upload_metadata.encode("utf-8", "replace")) for one in present)
        end_bytes = (start_bytes or 0) + (length_bytes or 0)
        if part.number > MAX_PARTS or end_bytes > MAX_END_BYTES or metadata_bytes > MAX_METADATA_BYTES:
            raise TooManyParts
        return self._replace(present=present, created=part.number)

    def measure(self, number: int, length_bytes: int, stored_bytes: int) -> Self:
        """Sets the length of a part that has `stored_bytes` already. Raises UnknownPart, LengthMismatch."""
        part = self.get(number)
        if part.length_bytes not in (None, length_bytes) or length_bytes < stored_bytes:
            raise LengthMismatch(ExpectedFile("", part.length_bytes, 0, stored_bytes), length_bytes)
        measured = part._replace(length_bytes=length_bytes)
        return self._replace(present=tuple(measured if one == part else one for one in self.present))

    def remove(self, number: int) -> Self:
        """Removes a part. Raises UnknownPart, WrongState if the file is to be made of it."""
        part = self.get(number)
        if part in self.listed:
            raise WrongState("The file is made of this part. To discard it, cancel the whole upload.")
        return self._replace(present=tuple(one for one in self.present if one != part))

    def plan(self, order: tuple[int, ...], address: str) -> Self:
        """Says which parts make the file, instead of what was said before. Raises BadAssembly."""
        if not order or len(order) > MAX_PARTS:
            raise BadAssembly(f"The file is made of 1 to {MAX_PARTS} parts.")
        if not {part.number for part in self.present}.issuperset(order):
            raise BadAssembly("The file can't be made of these parts: this upload does not have all of them.")
        is_short = len(address.encode("utf-8", "replace")) <= MAX_ADDRESS_BYTES
        return self._replace(assembly=Assembly(order, address if is_short else ""))

    def finish(self) -> Self:
        """The parts have become the file."""
        return self._replace(assembly=self.assembly._replace(is_done=True)) if self.assembly else self


NO_PARTS: Final = UploadParts((), 0, None)


def next_start_bytes(parts: Iterable[Part]) -> int:
    """Returns where a new part of known length begins: after all others."""
    ends = (part.start_bytes + (part.length_bytes or 0) for part in parts if part.start_bytes is not None)
    return max(ends, default=0)


def total_bytes(parts: Iterable[Part]) -> int | None:
    """Returns the length of all parts together; None while one of them is unknown."""
    lengths = [part.length_bytes for part in parts]
    return None if None in lengths else sum(length or 0 for length in lengths)


def are_adjacent(parts: Sequence[Part]) -> bool:
    """Returns whether the file begins with these parts, in this order and without a gap."""
    at = 0
    for part in parts:
        if part.length_bytes == 0:
            continue
        if part.length_bytes is None or part.start_bytes != at:
            return False
        at += part.length_bytes
    return True


# --- the id of a part ------------------------------------------------------------------------------------

PARTS: Final = "parts"
"""It is before the number, in the id of a part and in its address: TICKET/parts/1 and so on."""
_NUMBER: Final = re.compile(r"[1-9][0-9]{0,8}")


def part_id(ticket_id: str, number: int) -> str:
    """Returns the id of a part: claims, leases and reservations know a part by it, as they know uploads."""
    return f"{ticket_id}/{PARTS}/{number}"


def part_number(text: str) -> int | None:
    """Returns the number of a part, as it is in its id and its address; None if this is not one."""
    return int(text) if _NUMBER.fullmatch(text) else None


def is_part_id(upload_id: str) -> bool:
    """Returns whether this is the id of a part, and not that of a ticket."""
    return _split(upload_id) is not None


def split_part_id(upload_id: str) -> tuple[str, int]:
    """Returns the ticket's id and the part's number. Raises UnknownPart if this is not the id of a part."""
    found = _split(upload_id)
    if found is None:
        raise UnknownPart
    return found


def _split(upload_id: str) -> tuple[str, int] | None:
    match upload_id.split("/"):
        case [ticket_id, parts, text] if ticket_id and parts == PARTS:
            number = part_number(text)
            return None if number is None else (ticket_id, number)
    return None


# --- in the journal --------------------------------------------------------------------------------------


def check(parts: UploadParts) -> None:
    """Raises ValueError where no ticket has these parts."""
    for one, after in pairwise((Part(0, 0, 0), *parts.present)):
        sizes = (after.start_bytes or 0, after.length_bytes or 0)
        if after.number <= one.number or min(sizes) < 0 or sum(sizes) > MAX_END_BYTES:
            raise ValueError(f"{after!r} is not a part after the last one")
    numbers = [part.number for part in parts.present]
    if parts.created < max(numbers, default=0):
        raise ValueError("it has more parts than were created")
    if parts.assembly and not (parts.assembly.order and set(numbers).issuperset(parts.assembly.order)):
        raise ValueError("its assembly has parts that are not there")


def read(value: object) -> UploadParts | None:
    """Returns the parts from their form in the journal, lists. Raises ValueError."""
    match value:
        case None:
            return None
        case [[*present], int(created), assembly]:
            parts = UploadParts(tuple(map(_read_part, present)), created, _read_assembly(assembly))
        case _:
            raise ValueError(f"{value!r} is not a list of parts")
    check(parts)
    return parts


def _read_part(value: object) -> Part:
    match value:
        case [int(number), int() | None as start, int() | None as length, str(metadata)]:
            return Part(number, start, length, metadata)
    raise ValueError(f"{value!r} is not a part")


def _read_assembly(value: object) -> Assembly | None:
    match value:
        case None:
            return None
        case [[*order], str(address), bool(is_done)]:
            numbers = tuple(number for number in order if isinstance(number, int))
            if len(numbers) == len(order):
                return Assembly(numbers, address, is_done)
    raise ValueError(f"{value!r} is not an assembly")
