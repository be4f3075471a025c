"""Where the bytes are: the seam between the service and a place that keeps files.

`local` keeps them in a directory. Another place (S3) comes behind the same few methods.
"""

from __future__ import annotations

from collections.abc import Callable, Container
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Strays:
    """What belongs to no ticket."""

    names: tuple[str, ...]
    """In order."""
    size_bytes: int


class Writer(Protocol):
    """The open file of one upload. One greenlet writes at a time; the service sees to that.

    Every method may raise StorageFull or StorageFailed.
    """

    offset_bytes: int
    """How many bytes are stored: what may be acknowledged."""
    allocated_bytes: int
    """Up to where the place counts the file's space as used already."""

    def write(self, chunk: memoryview) -> None:
        """Appends the whole chunk, or nothing of it counts."""

    def sync(self) -> None:
        """Returns when the stored bytes survive a power cut, and closes the file, since no more will come."""

    def cut(self, length_bytes: int) -> None:
        """Throws away all that is stored behind the first so many bytes."""

    def close(self) -> None:
        """Gives back what was reserved and not used. Does nothing when called again."""


class Storage(Protocol):
    """All files of this server, by ticket id."""

    def path(self, ticket_id: str) -> str:
        """Returns the absolute path of the file, the same as long as the ticket lives (CONTRACT 3)."""

    def open(
        self, ticket_id: str, length_bytes: int, reserved: Callable[[int], object] = lambda _: None
    ) -> Writer:
        """Opens the file for going on at its end; creates it when there is none.

        `reserved` hears the writer's `allocated_bytes` whenever it grows without a write.
        """

    def stored_bytes(self, ticket_id: str) -> int | None:
        """Returns the length of the file; None when there is none."""

    def give_back(self, ticket_id: str) -> int:
        """Gives back what is still reserved of a file that nobody has open: its writer was killed, say.

        Returns up to where the place counts the file's space as used after that; 0 when there is no file.
        Raises StorageFailed.
        """

    def drop_lost(self, ticket_id: str) -> int:
        """After a power cut: cuts a file without checkpoints off at its first hole, where bytes may be lost.

        Returns how many bytes that were.
        """

    def read(self, ticket_id: str, start: int, end: int, take: Callable[[memoryview], None]) -> None:
        """Passes the stored bytes from `start` to `end` to `take`, piece by piece, in a thread."""

    def names(self) -> frozenset[str]:
        """Returns the ids of all tickets of which something is there, and other names, in a thread."""

    def strays(self, known: Callable[[], Container[str]]) -> Strays:
        """Returns what is there beside the files of the tickets that `known` returns, in a thread.

        `known` is called once the files have been listed, so that no new ticket is missing.
        """

    def free_bytes(self) -> int:
        """Returns how much more can be stored."""

    def check(self) -> None:
        """Raises StorageFull, StorageFailed where no new upload could be stored. In a thread."""

    def give_to(self, ticket_id: str, owner_uid: int) -> None:
        """Makes the file the property of this user id, which can reach it and move it away from then on."""

    def can_give_to(self, owner_uid: int) -> bool:
        """Returns whether `give_to` would work. Raises StorageFull, StorageFailed."""

    def remove(self, ticket_id: str) -> None:
        """Removes the file; already gone is fine."""

    def tidy(self, ticket_id: str) -> None:
        """Removes what is left once the app has moved the file away; the file itself is not touched."""
