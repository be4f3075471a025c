"""Requests of the operator's commands to the server, and the tickets in its journal.

A user that may read the journal may also end uploads: the commands read a ticket's secret there. A ticket is
named by its first characters, as in the log.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

from incoming.core.errors import IncomingError, UnknownTicket
from incoming.core.ticket import Ticket
from incoming.http import listeners
from incoming.registry import journal
from incoming.settings.table import Settings

TIMEOUT_S = 30.0
MIN_ID_CHARS = 4


class NotReached(Exception):
    """The server does not answer or refuses the request; the text says which."""


class Unreachable(NotReached):
    """No server listens there."""


@dataclass(frozen=True)
class Remote:
    """The running server with these settings."""

    settings: Settings
    url: str = ""
    """The server's URL if it is not the one of its settings: `http://10.0.0.5:4000`."""

    @property
    def address(self) -> str:
        """The server's URL without a final slash."""
        return self.url.rstrip("/") or listeners.browser_url(self.settings.host, self.settings.port)

    def ask(self, method: str, route: str, **parameters: str) -> requests.Response:
        """Returns the server's response. Raises NotReached with its sentence."""
        token = self.settings.backend_token
        with requests.Session() as session:
            session.trust_env = False  # ignore the proxy of the operator's shell
            try:
                answer = session.request(
                    method,
                    f"{self.address}/incoming/backend/{route}",
                    params=parameters,
                    headers={"Authorization": f"Bearer {token}"} if token else {},
                    timeout=TIMEOUT_S,
                )
            except requests.RequestException as exc:
                raise Unreachable(f"The server at {self.address} does not answer.") from exc
        if not answer.ok:
            raise NotReached(answer.text)
        return answer

    def list_uploads(self, state: str) -> Iterator[dict[str, Any]]:
        """Yields the uploads in a state, or all, as `GET backend/uploads` describes them."""
        start = 0
        while True:
            page = self.ask("GET", "uploads", state=state, start=str(start), limit="500").json()
            yield from page["uploads"]
            start += len(page["uploads"])
            if not page["uploads"] or start >= page["matching"]:
                return

    # --- the journal ---------------------------------------------------------------------------------

    @property
    def _journal(self) -> Path:
        return Path(self.settings.storage_dir) / "journal"

    def ticket(self, id_prefix: str) -> Ticket:
        """Returns the only ticket whose id begins like this. Raises NotReached, UnknownTicket."""
        if len(id_prefix) < MIN_ID_CHARS:
            raise NotReached(f"Give at least {MIN_ID_CHARS} characters of the upload's id.")
        found = [t for t in self.tickets() if t.id.startswith(id_prefix.lower())]
        if not found:
            raise UnknownTicket
        if len(found) > 1:
            raise NotReached(
                f"{len(found)} uploads have an id that begins with {id_prefix}. Give more characters."
            )
        return found[0]

    def tickets(self) -> Iterator[Ticket]:
        """Yields the tickets in the journal. Raises NotReached if it can't be read."""
        try:
            yield from journal.read(self._journal)
        except OSError as exc:
            raise NotReached(f"The journal in {self._journal} can't be read: {exc.strerror}.") from exc


def sentence(exc: IncomingError | NotReached) -> str:
    """Returns the error as a sentence for the operator."""
    if isinstance(exc, UnknownTicket):
        return "No upload has this id. `incoming uploads --all` lists those that the server knows."
    return str(exc)
