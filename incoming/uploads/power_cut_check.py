"""Finds out which stored bytes are still right after a power cut.

The machine has started again since the bytes were written, so some of them may be lost. When a client claims
the upload, its file is read and compared with the ticket's checkpoints. What agrees stays. The bytes after
the last checkpoint that agrees were acknowledged at most a few seconds before the power cut. A client of
protocol version 2 is asked for their checksums. A client of version 1 can't be asked, so it sends them again.

The check is finished when the journal has the machine's new boot id for the ticket. After a kill before that,
the next process checks again.
"""

from __future__ import annotations

import logging
from typing import Final, NamedTuple

from incoming.core.errors import StorageFailed
from incoming.core.ticket import Ticket
from incoming.runtime.keyed_locks import KeyedLocks
from incoming.storage import Writer
from incoming.uploads.context import UploadContext
from incoming.uploads.integrity import Integrity, stored_checksum

log = logging.getLogger(__name__)


POWER_CUT_DESTROYED: Final = "upload %(ticket)s: a power cut destroyed %(lost_bytes)d bytes"


class _Found(NamedTuple):
    """How many bytes a file had when it was read, and how many of them were right."""

    stored_bytes: int
    right_bytes: int


class PowerCutCheck:
    """Checks the unfinished uploads that may have lost bytes in a power cut."""

    def __init__(self, context: UploadContext, integrity: Integrity) -> None:
        self._storages = context.storages
        self._required: set[str] = set()
        self._integrity = integrity
        self._found: dict[str, _Found] = {}
        self._locks = KeyedLocks[str](context.runtime.lock)

    def require(self, ticket_id: str) -> None:
        """Has an upload checked: some of its stored bytes may be wrong."""
        self._required.add(ticket_id)

    def run(self, ticket: Ticket) -> None:
        """Finds out how many bytes are right, if a check is required. It reads the whole file.

        Call it without the upload's lock. Raises StorageFailed.
        """
        if not self.is_required(ticket.id):
            return
        with self._locks.of(ticket.id):
            stored_bytes = ticket.acknowledged_bytes(self._storages.of(ticket).size(ticket.id) or 0)
            found = self._found.get(ticket.id)
            if not self.is_required(ticket.id) or (found and found.stored_bytes == stored_bytes):
                return
            right_bytes = self._integrity.agreeing_bytes(ticket, stored_bytes)
            self._found[ticket.id] = _Found(stored_bytes, right_bytes)
            about = ticket.for_log(right_bytes=right_bytes, stored_bytes=stored_bytes)
            log.info(
                "upload %(ticket)s: checked after a reboot: %(right_bytes)d of %(stored_bytes)d bytes "
                "match the acknowledged checksums",
                about,
            )

    def right_bytes(self, ticket_id: str, stored_bytes: int) -> int:
        """Returns how many of the stored bytes are right, as far as `run` has found out."""
        found = self._found.get(ticket_id) if self.is_required(ticket_id) else None
        return min(found.right_bytes, stored_bytes) if found else stored_bytes

    def apply(self, ticket: Ticket, writer: Writer, proves: bool) -> int:
        """Returns how many of the stored bytes are right. Cuts off the others, unless its client `proves`.

        Call it with the upload's lock, after `run`. Raises StorageFailed.
        """
        if not self.is_required(ticket.id):
            return writer.durable_offset
        found = self._found.get(ticket.id)
        if found is None or found.stored_bytes != writer.durable_offset:
            raise StorageFailed  # what was read is another file than this: its disk was away, say
        if found.right_bytes == found.stored_bytes:
            self.finish(ticket.id)
        elif not proves:
            self.cut(ticket, writer, found.right_bytes)
        return found.right_bytes

    def cut(self, ticket: Ticket, writer: Writer, right_bytes: int) -> None:
        """Finishes the check: cuts off what is not right, or not known to be right. Raises StorageFailed."""
        lost_bytes = writer.durable_offset - right_bytes
        writer.truncate(right_bytes)
        self.finish(ticket.id)
        log.warning(POWER_CUT_DESTROYED, ticket.for_log(lost_bytes=lost_bytes))

    def finish(self, ticket_id: str) -> None:
        """Ends the check of an upload: all stored bytes are right, or of no interest any more."""
        self._required.discard(ticket_id)
        self._found.pop(ticket_id, None)

    def is_required(self, ticket_id: str) -> bool:
        """Returns whether some of the stored bytes may be wrong, so that the file has to be read."""
        return ticket_id in self._required


class UnsyncedFiles:
    """The files of uploads that had arrived before a power cut, and were not synced."""

    def __init__(self, context: UploadContext) -> None:
        self._storages = context.storages
        self._ids: set[str] = set()

    def add(self, ticket_id: str) -> None:
        """The power cut may have taken bytes of this file, or its name."""
        self._ids.add(ticket_id)

    def discard(self, ticket_id: str) -> None:
        """The file is sound, or of no interest any more."""
        self._ids.discard(ticket_id)

    def __contains__(self, ticket_id: str) -> bool:
        """Returns whether the power cut may have taken bytes of this file, or its name."""
        return ticket_id in self._ids

    def is_damaged(self, ticket: Ticket) -> bool:
        """Returns whether one of these files has lost bytes. Reads it, and discards it if it is sound.

        A missing file is not damaged if its app may have moved it away. Raises StorageFailed.
        """
        if ticket.id not in self._ids:
            return False
        storage = self._storages.of(ticket)
        stored_bytes = storage.size(ticket.id)
        if not ticket.remove_file_when_finished and storage.pickup and storage.pickup.may_be_taken(ticket.id):
            return False
        crc = stored_checksum(storage, ticket.id, 0, stored_bytes or 0)
        if (stored_bytes, crc) != (ticket.length_bytes, ticket.crc32c):
            return True
        self.discard(ticket.id)
        return False
