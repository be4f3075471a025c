"""Lets parts of uploads in: by the rules for whole uploads, with the limit of the ticket for all its parts.

A part counts against that limit from its first byte on, or while a client holds it. A part whose creation
was answered, but whose answer was lost, never gets a byte. If it counted, the client's second try could fail.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from incoming.core.errors import NotInParts, UnknownPart, UploadTooLarge
from incoming.core.parts import Part, part_id, split_part_id
from incoming.core.ticket import Ticket
from incoming.storage import PartStorage, PartWriter
from incoming.uploads.admission import RESERVATION_STEP_BYTES, Admission
from incoming.uploads.claims import Claims
from incoming.uploads.context import UploadContext

COPY: Final = "copy"
"""Stands for a number in the name by which the disk budget knows the copy of an assembly."""


class PartAdmission(Admission):
    """To it, a part is an upload whose id is that of the part: see `Ticket.of_part`."""

    def __init__(self, context: UploadContext, whole: Admission, claims: Claims) -> None:
        """`whole`: lets whole uploads in. Parts share the space on the disk with them."""
        super().__init__(context, claims.is_sending, whole.budgets)
        self._whole = whole
        self._claims = claims

    def let_new_part_in(self, upload: Ticket, source: str) -> None:
        """Reserves space for a new part, which has no byte yet. Raises as `let_in`, and UploadTooLarge."""
        length_bytes = upload.length_bytes
        limit_bytes = self.limit_bytes(upload)
        if (length_bytes or 0) > limit_bytes:
            raise UploadTooLarge(length_bytes or 0, limit_bytes)
        self.let_in(
            upload, RESERVATION_STEP_BYTES if length_bytes is None else length_bytes, source, begun=False
        )

    def let_copy_in(self, ticket: Ticket, size_bytes: int) -> Callable[[int], None]:
        """Reserves space for a copy of all parts. Raises StorageFull.

        Returns a function to call with the number of bytes that are no longer free space.
        """
        copy_id = f"{ticket.id}/{COPY}"
        self._ensure_space(ticket, size_bytes)
        budget = self.budget_of(ticket)
        budget.reserve(copy_id, size_bytes, self._clock.now_s(), begun=True)
        return lambda accounted_bytes: budget.resize(copy_id, size_bytes - accounted_bytes)

    def release_copy(self, ticket_id: str) -> None:
        """Ends the reservation for a copy."""
        self.budgets.release(f"{ticket_id}/{COPY}")

    def limit_bytes(self, ticket: Ticket) -> int:
        """Returns how large a part may be: what the other parts leave of the ticket's limit."""
        ticket_id, own_number = split_part_id(ticket.id)
        whole = self._registry.get(ticket_id)
        others = [part for part in whole.parts.present if part.number != own_number] if whole.parts else []
        counted_bytes = 0
        for part, stored_bytes in zip(others, self.sizes(whole, others), strict=True):
            if stored_bytes or self._claims.is_held(part_id(ticket_id, part.number)):
                counted_bytes += part.length_bytes or stored_bytes
        return max(self._whole.limit_bytes(whole) - counted_bytes, 0)

    def sizes(self, whole: Ticket, parts: list[Part] | tuple[Part, ...]) -> tuple[int, ...]:
        """Returns how many bytes of each part are stored and count. Raises StorageFailed."""
        if not parts:
            return ()
        stored = self._parts(whole).sizes(whole.id, parts)
        opened = self._claims.offsets_of(part_id(whole.id, part.number) for part in parts)
        return tuple(  # more may have come meanwhile
            closed if size is None else size for closed, size in zip(stored, opened, strict=True)
        )

    def _parts(self, ticket: Ticket) -> PartStorage:
        parts = self._storages.of(ticket).parts
        if parts is None:
            raise NotInParts
        return parts

    # --- where its bytes are -------------------------------------------------------------------------------

    def _size_bytes(self, ticket: Ticket) -> int:
        (size_bytes,) = self._parts(ticket).sizes(*self._whole_and_part(ticket.id))
        return size_bytes

    def _open_file(
        self, ticket: Ticket, length_bytes: int | None, on_reserve: Callable[[int], object]
    ) -> PartWriter:
        whole_id, (part,) = self._whole_and_part(ticket.id)
        return self._parts(ticket).open(whole_id, part, on_reserve)

    def _accounted_bytes(self, ticket: Ticket, size_bytes: int | None = None) -> int:
        whole_id, (part,) = self._whole_and_part(ticket.id)
        return self._parts(ticket).accounted_bytes(whole_id, part)

    def _whole_and_part(self, upload_id: str) -> tuple[str, tuple[Part]]:
        ticket_id, number = split_part_id(upload_id)
        parts = self._registry.get(ticket_id).parts
        if parts is None:
            raise UnknownPart
        return ticket_id, (parts.get(number),)
