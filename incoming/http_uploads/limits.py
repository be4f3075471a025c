"""What limits an upload, as clients that ask are told."""

from __future__ import annotations

from contextlib import suppress

from incoming.core.errors import UnknownTicket
from incoming.core.lifecycle import RECEIVING
from incoming.protocol.ietf_draft import Limits
from incoming.uploads.service import Uploads


def limits_of(uploads: Uploads, ticket_id: str) -> Limits:
    """Returns the limits of an upload; those of the server for a ticket that is not known.

    An upload that has arrived is not expired.
    """
    settings = uploads.context.settings
    limit_bytes, age_s = settings.max_upload_bytes or None, int(settings.idle_timeout_s)
    is_receiving = True
    with suppress(UnknownTicket):
        ticket = uploads.ticket(ticket_id)
        limit_bytes, is_receiving = uploads.limit_bytes(ticket), ticket.state in RECEIVING
    return Limits(limit_bytes, age_s if is_receiving else None)
