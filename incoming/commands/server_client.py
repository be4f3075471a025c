"""How the operator's commands reach the server, and a ticket's secret.

Whoever may read the journal may end uploads: the secret that a route asks for is read from there, by a
ticket's first characters, as they stand in the log.
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
    """The server does not answer, or it refuses; the text says which, for people."""


class Unreachable(NotReached):
    """Nobody listens there."""


@dataclass(frozen=True)
class Remote:
    """The running server that these settings belong to."""

    settings: Settings
    url: str = ""
    """Of the server, if it is not reached where its settings say: `http://10.0.0.5:4000`."""

    @property
    def address(self) -> str:
        """The URL of the server, without a slash at its end."""
        return self.url.rstrip("/") or listeners.browser_url(self.settings.host, self.settings.port)

    def ask(self, method: str, route: str, **parameters: str) -> requests.Response:
        """Returns the server's answer to a request. Raises NotReached with its sentence."""
        token = self.settings.backend_token
        with requests.Session() as session:
            session.trust_env = False  # no proxy of the operator's own shell
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
        """Yields all uploads, or those in a state, as `GET backend/uploads` describes them."""
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

    def ticket(self, beginning: str) -> Ticket:
        """Returns the one ticket whose id begins so. Raises NotReached, UnknownTicket."""
        if len(beginning) < MIN_ID_CHARS:
            raise NotReached(f"Give at least {MIN_ID_CHARS} characters of the upload's id.")
        found = [t for t in self.tickets() if t.id.startswith(beginning.lower())]
        if not found:
            raise UnknownTicket
        if len(found) > 1:
            raise NotReached(f"{len(found)} uploads begin with {beginning}; give more characters.")
        return found[0]

    def tickets(self) -> Iterator[Ticket]:
        """Yields what the journal says of each upload. Raises NotReached where it can't be read."""
        try:
            yield from journal.read(self._journal)
        except OSError as exc:
            raise NotReached(f"The journal in {self._journal} can't be read: {exc.strerror}.") from exc


def sentence(exc: IncomingError | NotReached) -> str:
    """Returns what a person is told of it."""
    if isinstance(exc, UnknownTicket):
        return "There is no such upload. `incoming uploads --all` lists those that the server remembers."
    return str(exc)
