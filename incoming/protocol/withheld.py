"""Which offset clients are told while all bytes are stored, and the app does not have the file yet.

A client treats an offset that equals the length as success, so the last bytes are withheld: they count as
processed only when the app has the file. The client sends them again, and its request waits for the app.

A client is told all but the last byte. Some tus clients treat an answer without progress as an error
(TUSKit). So WITHHELD_BYTES are withheld once such a client has sent the end of the file, and each of its
requests that has waited without an answer is told one byte more. That is enough for hours.

What was told is kept in memory, for the uploads that were told last.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

WITHHELD_BYTES: Final = 1024
MAX_UPLOADS: Final = 10_000


class WithheldOffsets:
    """The offsets that clients of complete uploads were told. Each is larger than the one before."""

    def __init__(self) -> None:
        self._told: OrderedDict[str, int] = OrderedDict()

    def visible_bytes(self, ticket_id: str, length_bytes: int) -> int:
        """Returns the offset that the client of a complete upload may see."""
        return self._told.get(ticket_id, max(length_bytes - 1, 0))

    def admits(self, offset_bytes: int, length_bytes: int) -> bool:
        """Returns whether a client may resume a complete upload here: it may have been told this offset."""
        return max(length_bytes - WITHHELD_BYTES, 0) <= offset_bytes <= length_bytes

    def received(self, ticket_id: str, from_bytes: int, length_bytes: int) -> None:
        """A tus request has brought bytes from here up to the end. Its answer is a larger offset."""
        told_bytes = max(from_bytes + 1, length_bytes - WITHHELD_BYTES, self._told.get(ticket_id, 0))
        self._told[ticket_id] = max(min(told_bytes, length_bytes - 1), 0)
        self._told.move_to_end(ticket_id)
        if len(self._told) > MAX_UPLOADS:
            self._told.popitem(last=False)

    def forget(self, ticket_id: str) -> None:
        """The app has the file, or the upload has ended."""
        self._told.pop(ticket_id, None)
