"""What the operator does to an upload that a list shows: cancels it, or has its handover tried again.

The operator has the token of the server. So no secret of the upload is asked for, and its id may be the short
one, which is all that lists show.
"""

from __future__ import annotations

import logging
import re
from typing import Final

from incoming.core.errors import BadParameter, UnknownTicket, WrongState
from incoming.core.ticket import SHORT_ID_CHARS, Ticket
from incoming.uploads.listing import look
from incoming.uploads.service import Uploads

log = logging.getLogger(__name__)

_SHORT_ID: Final = re.compile(rf"[0-9a-f]{{{SHORT_ID_CHARS}}}")


class Operator:
    """Acts on the uploads of a service, whichever process has their clients."""

    def __init__(self, uploads: Uploads) -> None:
        self._uploads = uploads

    def cancel(self, short_id: str, who: str) -> None:
        """Cancels the upload; its app is called. `who` is for the log.

        Raises BadParameter, UnknownTicket; WrongState once the handover has begun, or if several uploads have
        this short id; StorageFull, StorageFailed.
        """
        ticket = self._ticket(short_id)
        self._uploads.cancel_by_operator(ticket.id, ticket.secret)
        log.info("upload %(ticket)s: cancelled on the status page by %(who)s", ticket.for_log(who=who))

    def retry(self, short_id: str, who: str) -> None:
        """Tries a failed handover again. Raises as `cancel`; WrongState unless the handover has failed."""
        ticket = self._ticket(short_id)
        self._uploads.retry(ticket.id, ticket.secret)
        log.info("upload %(ticket)s: tried again on the status page by %(who)s", ticket.for_log(who=who))

    def _ticket(self, short_id: str) -> Ticket:
        if not _SHORT_ID.fullmatch(short_id):
            raise BadParameter("id", f"must be the first {SHORT_ID_CHARS} characters of an upload's id")
        context = self._uploads.context
        found = look(context.registry, context.runtime).starting_with(short_id)
        if not found:
            raise UnknownTicket
        if len(found) > 1:
            raise WrongState(
                f"{len(found)} uploads have an id that begins with {short_id}. Use the commands "
                "incoming cancel and incoming retry, which take more characters of it."
            )
        return found[0]
