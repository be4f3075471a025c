"""Who holds which ticket, and its open file: the part of an upload that lives in memory only.

`lock(ticket_id)` guards one upload's file and its holder, so a takeover waits for a write that is under
way, and nobody writes after it. The newest claim wins; one that was lost has the reason in `lost`.
"""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Self

from incoming.core.errors import IncomingError, StorageFailed, StorageFull
from incoming.core.news import News
from incoming.core.rate_limit import Pace
from incoming.core.resume_check import Ranges
from incoming.core.ticket import Ticket
from incoming.runtime.base import Lock, Runtime
from incoming.storage import Writer

NewsListener = Callable[[News], None]
TOKEN_BYTES: Final = 16


def new_token() -> str:
    """Returns a token for a claim. It is random: a counter could repeat after a failover of a registry."""
    return secrets.token_hex(TOKEN_BYTES)


@dataclass(slots=True, eq=False)
class ClaimedUpload:
    """One connection's hold of a ticket: what it found when it came, and whom to tell of news."""

    ticket: Ticket
    offset_bytes: int
    listener: NewsListener
    lost: IncomingError | None = None
    end_bytes: int = 0
    """Up to where bytes were let in: the length, or a part of the file while the length is unknown."""
    pace: Pace = field(default_factory=lambda: Pace(0))
    compare: Ranges = ()
    """What its client has to prove that it has."""
    is_sending: Callable[[], bool] = lambda: False
    """Returns whether a message of its client is on its way in. On a slow line the first chunk takes long."""
    right_bytes: int = 0
    """So many of the stored bytes are surely as they were acknowledged; a power cut may have taken others."""

    def check(self) -> None:
        """Raises the reason when this claim was lost."""
        if self.lost:
            raise self.lost


@dataclass(slots=True, eq=False)
class LiveUpload:
    """What is known of an upload while its lock is held, which it is within a with-block."""

    ticket_id: str
    file_lock: Lock
    all_live: dict[str, LiveUpload]
    users: int = 0
    holder: ClaimedUpload | None = None
    writer: Writer | None = None
    moved_at_s: float | None = None
    """When bytes were last stored."""

    def __enter__(self) -> Self:
        self.users += 1
        try:
            self.file_lock.__enter__()
        except BaseException:  # killed while it waited
            self._leave()
            raise
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.file_lock.__exit__(*exc_info)
        self._leave()

    def _leave(self) -> None:
        self.users -= 1
        if not self.users and self.holder is None and self.writer is None:
            self.all_live.pop(self.ticket_id, None)

    def close(self) -> None:
        """Closes the file, if it is open. An error changes nothing about the stored bytes."""
        writer = self._take_writer()
        if writer:
            with contextlib.suppress(StorageFull, StorageFailed):
                writer.close()

    def abort(self) -> None:
        """Closes the file of an upload that was called off, if it is open; it is deleted next."""
        writer = self._take_writer()
        if writer:
            with contextlib.suppress(StorageFull, StorageFailed):
                writer.abort()

    def _take_writer(self) -> Writer | None:
        writer, self.writer, self.moved_at_s = self.writer, None, None
        return writer


class Claims:
    """The live uploads of this process; one nobody uses or holds takes no memory."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._live: dict[str, LiveUpload] = {}
        self._moved: set[str] = set()

    def lock(self, ticket_id: str) -> LiveUpload:
        """Gives the upload to the caller alone: `with claims.lock(ticket_id) as live`."""
        live = self._live.get(ticket_id)
        if live is None:
            live = self._live[ticket_id] = LiveUpload(ticket_id, self._runtime.lock(), self._live)
        return live

    def hand_to(self, live: LiveUpload, claim: ClaimedUpload | None, news: News | None = None) -> None:
        """Makes `claim` the holder; the one before, if any, has lost the ticket and hears the news."""
        before, live.holder = live.holder, claim
        if before and news:
            # Beside the caller: that connection may be slow or dead.
            before.lost = getattr(news, "error", None)
            self._runtime.spawn(before.listener, news)

    def tell(self, ticket_id: str, news: News) -> None:
        """Passes the news on to the connection that holds the ticket, if there is one."""
        live = self._live.get(ticket_id)
        if live and live.holder:
            self._runtime.spawn(live.holder.listener, news)

    def tell_all(self, news: News) -> None:
        """Passes the news on to every connection that holds a ticket."""
        for ticket_id in list(self._live):
            self.tell(ticket_id, news)

    def end_all(self, news: News) -> None:
        """Takes the ticket from every connection that holds one, and tells it the news."""
        for live in list(self._live.values()):
            self.hand_to(live, None, news)

    def is_held(self, ticket_id: str) -> bool:
        """Returns whether a connection holds the ticket."""
        live = self._live.get(ticket_id)
        return live is not None and live.holder is not None

    def is_sending(self, ticket_id: str) -> bool:
        """Returns whether a message of the client that holds the ticket is on its way in."""
        live = self._live.get(ticket_id)
        return live is not None and live.holder is not None and live.holder.is_sending()

    def moved(self, ticket_id: str, live: LiveUpload, now_s: float) -> None:
        """Bytes of this upload were stored."""
        live.moved_at_s = now_s
        self._moved.add(ticket_id)

    def take_moved(self) -> dict[str, int]:
        """Returns the offset of each upload that has moved since this was last asked, and is still open."""
        moved, self._moved = self._moved, set()
        live = ((ticket_id, self._live.get(ticket_id)) for ticket_id in moved)
        return {ticket_id: one.writer.durable_offset for ticket_id, one in live if one and one.writer}

    def offset(self, ticket_id: str) -> int | None:
        """Returns how many bytes are stored of an upload whose file is open; None for any other one."""
        live = self._live.get(ticket_id)
        return live.writer.durable_offset if live and live.writer else None

    def moved_at_s(self, ticket_id: str) -> float | None:
        """Returns when bytes of an open upload were last stored; None when none were yet."""
        live = self._live.get(ticket_id)
        return live.moved_at_s if live else None

    def offsets(self) -> dict[str, int]:
        """Returns how many bytes are stored of each upload whose file is open."""
        return {key: live.writer.durable_offset for key, live in self._live.items() if live.writer}

    def holders(self) -> list[ClaimedUpload]:
        """Returns the claims that connections hold."""
        return [live.holder for live in self._live.values() if live.holder]

    def count(self) -> int:
        """Returns how many tickets are held by a connection, or have an open file."""
        return len(self._live)
