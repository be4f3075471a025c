"""What limits an upload, as clients that ask are told."""

from __future__ import annotations

from contextlib import suppress

from incoming.core.errors import UnknownTicket
from incoming.core.lifecycle import RECEIVING
from incoming.protocol.ietf_draft import Limits
from incoming.uploads.context import UploadContext


def limits_of(context: UploadContext, ticket_id: str) -> Limits:
    """Returns the limits of an upload; those of the server for a ticket that is not known.

    An upload that has arrived is not expired.
    """
    settings = context.settings
    sizes_bytes, age_s = [settings.max_upload_bytes], int(settings.idle_timeout_s)
    with suppress(UnknownTicket):
        ticket = context.registry.get(ticket_id)
        sizes_bytes.append(ticket.max_bytes)
        if ticket.state not in RECEIVING:
            return Limits(min(filter(None, sizes_bytes), default=None))
    return Limits(min(filter(None, sizes_bytes), default=None), age_s)
