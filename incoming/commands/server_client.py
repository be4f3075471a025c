"""Requests of the operator's commands to the server, and the tickets in its journal or its Redis.

A user that may read them may also end uploads: the commands read a ticket's secret there. A ticket is named
by its first characters, as in the log.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import requests

from incoming.client.request_failure import why
from incoming.core.errors import IncomingError, StorageFailed, UnknownTicket
from incoming.core.storage_kinds import LOCAL, S3
from incoming.core.ticket import Ticket
from incoming.http import listeners
from incoming.registry import journal
from incoming.settings.table import Settings
from incoming.storage.local.paths import upload_file

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
                others = " --server can name another one." if self.settings.registry else ""
                raise Unreachable(
                    f"The server at {self.address} does not answer: {why(exc)}.{others}"
                ) from exc
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

    # --- where the tickets are -------------------------------------------------------------------------

    @property
    def _journal(self) -> Path:
        return Path(self.settings.storage_dir) / "journal"

    @property
    def source(self) -> str:
        """Where the tickets are, for people."""
        return "Redis" if self.settings.registry else "Its journal"

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
        """Yields all tickets. Raises NotReached if they can't be read, BadSetting."""
        if self.settings.registry:
            try:
                yield from redis_reading().read_tickets(self.settings)
            except StorageFailed as exc:
                raise NotReached(with_period(f"Redis can't be read: {exc.__cause__ or exc}")) from exc
            return
        try:
            yield from journal.read(self._journal)
        except OSError as exc:
            raise NotReached(f"The journal in {self._journal} can't be read: {exc.strerror}.") from exc

    def stored_bytes(self, tickets: Sequence[Ticket]) -> dict[str, int | None]:
        """Returns how many bytes are stored of each upload, as far as this machine can tell without a server.

        The parts of files in S3 are noted in Redis, if that has the tickets. Raises StorageFailed.
        """
        default = LOCAL if len(self.settings.storages) > 1 else self.settings.storages[0]
        names = {one.id: one.storage or default for one in tickets}
        found = {one: self._file_size(one) if name == LOCAL else None for one, name in names.items()}
        in_s3 = [one for one, name in names.items() if name == S3]
        if self.settings.registry and in_s3:
            found |= redis_reading().stored_bytes(self.settings, in_s3)
        return found

    def _file_size(self, ticket_id: str) -> int | None:
        try:
            return upload_file(Path(self.settings.storage_dir) / "data", ticket_id).stat().st_size
        except OSError:
            return None


def redis_reading() -> Any:
    """Returns the module that reads tickets in Redis, which needs an extra. Raises BadSetting."""
    return import_module("incoming.composition.redis_reading")


def with_period(text: str) -> str:
    """Returns the text with one period at its end; an empty one stays empty."""
    return f"{text.rstrip('.')}." if text else ""


def sentence(exc: IncomingError | NotReached) -> str:
    """Returns the error as a sentence for the operator."""
    if isinstance(exc, UnknownTicket):
        return "No upload has this id. `incoming uploads --all` lists those that the server knows."
    return str(exc)
