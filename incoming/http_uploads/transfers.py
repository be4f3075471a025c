"""The requests of HTTP clients for uploads: which of them has an upload, and which offset its client may see.

A client of HTTP makes many short requests for one upload. Any new request takes the upload over at
once, from any other client that holds it: see `transfer`.

"Finished" means that the app has the file. Clients of tus, and of the older IETF drafts, take an offset that
equals the length for it. So the last bytes of a file count as processed (tus 1.0, "PATCH") only when the app
has answered; until then `visible_offset_bytes` is below the length (`protocol.withheld` says how far). A
client sends those bytes again, they are not stored again, and its request is held until the app answers, for
`http_hold_s` at most.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from incoming.core.lifecycle import ENDED, RECEIVING, State
from incoming.core.progress import Progress
from incoming.http_uploads.transfer import (
    UNKNOWN_FILE,
    WATCH_STEP_S,
    FileDescription,
    SessionPosition,
    Transfer,
    TransferContext,
)
from incoming.protocol.withheld import WithheldOffsets
from incoming.runtime.base import Signal
from incoming.runtime.buffer_pool import BufferPool
from incoming.uploads.service import Uploads

PARKED_S: Final = 2.0
"""How long a request waits for the one of its session that sends the bytes before it to begin."""
OUTCOMES: Final = ENDED | {State.FAILED}
"""The states after which no client need wait for another one."""


class Transfers:
    """The uploads of one service, for clients of HTTP."""

    def __init__(self, uploads: Uploads, buffers: BufferPool) -> None:
        self.uploads = uploads
        self.buffers = buffers
        self.withheld = WithheldOffsets()
        self._shared = TransferContext(uploads, buffers, self.withheld)
        self._running: dict[str, Transfer] = {}
        self._parked: dict[str, list[Signal]] = {}
        """What the requests wait for that wait for another one of their session."""

    @contextmanager
    def claim(
        self,
        ticket_id: str,
        file: FileDescription = UNKNOWN_FILE,
        source: str = "",
        position: SessionPosition | None = None,
    ) -> Iterator[Transfer]:
        """Takes an upload over, for one request. Raises what `Uploads.claim` raises.

        `source`: what the client's limits are counted by. A request whose `position` comes after that of one
        that is still running waits for that one instead.
        """
        if position:
            self._await_turn(ticket_id, position)
        transfer = Transfer(self._shared, ticket_id, position)
        transfer.claim(file, source)
        self._running[ticket_id] = transfer
        try:
            yield transfer
        finally:
            try:
                transfer.leave()
            finally:
                if self._running.get(ticket_id) is transfer:
                    del self._running[ticket_id]
                self._wake(ticket_id)

    @contextmanager
    def claim_part(self, part_id: str, source: str = "") -> Iterator[Transfer]:
        """Takes over a part of an upload, for one request. Raises what `PartUploads.claim` raises."""
        transfer = Transfer(self._shared, part_id, of_part=True)
        transfer.claim(UNKNOWN_FILE, source)
        try:
            yield transfer
        finally:
            transfer.leave()

    def _why_no_answer(self, ticket_id: str, progress: Progress) -> str:
        return self.uploads.why_no_answer(ticket_id, progress.state)

    def _await_turn(self, ticket_id: str, position: SessionPosition) -> None:
        """Waits while the bytes before this position are under way in the same session, or may come at once.

        Over a slow link they take as long as they take: the body of their request has its own limits.
        """
        runtime = self.uploads.context.runtime
        until_s = runtime.now_s() + PARKED_S
        signal = runtime.signal()
        while True:
            running = self._running.get(ticket_id)
            left_s = until_s - runtime.now_s()
            if running and not running.precedes(position):
                return
            if not running and (left_s <= 0 or position.offset_bytes <= self.look(ticket_id).offset_bytes):
                return
            signal.clear()
            self._parked.setdefault(ticket_id, []).append(signal)
            signal.wait(WATCH_STEP_S if running else left_s)

    def _wake(self, ticket_id: str) -> None:
        for signal in self._parked.pop(ticket_id, ()):
            signal.set()

    def look(self, ticket_id: str) -> Progress:
        """Returns how far an upload has come. It claims nothing. Raises UnknownTicket, StorageFailed."""
        return self.uploads.look(ticket_id)

    def visible_offset_bytes(self, ticket_id: str, progress: Progress) -> int:
        """Returns the offset that a client may see. It is below the length until the app has the file."""
        return self._shared.visible_offset_bytes(ticket_id, progress)

    def progress_to_resume(self, ticket_id: str, source: str = "") -> Progress:
        """Returns how far an upload has come, for a client that is about to resume.

        A client that is sending bytes loses the upload first, so the next request may start at this offset.
        Raises UnknownTicket and what ends an upload: UploadCancelled, UploadExpired, HandoverFailed.
        """
        ticket = self.uploads.ticket(ticket_id)
        self.uploads.check_resumable(ticket)
        moves = ticket.state is State.UPLOADING or self.uploads.is_in_use(ticket_id)
        if ticket.is_in_parts or ticket.state not in RECEIVING or not moves:
            # Nobody sends, and what a connection that was closed has sent is stored.
            progress = self.look(ticket_id)
            self.uploads.check_resumable(self.uploads.ticket(ticket_id))
            return progress
        with self.claim(ticket_id, source=source) as transfer:
            return transfer.progress

    def watch(self, ticket_id: str, wait_s: float) -> Progress:
        """Returns how far an upload has come, as soon as there is something new or `wait_s` are over.

        That is another state, or another reason why the app has not answered. It claims nothing.

        Raises UnknownTicket, StorageFailed.
        """
        runtime = self.uploads.context.runtime
        progress, has_news = self.look(ticket_id), runtime.signal()
        now_s, until_s = runtime.now_s, runtime.now_s() + wait_s
        with self.uploads.watching(ticket_id, lambda _: has_news.set()):
            before, known = progress.state, self._why_no_answer(ticket_id, progress)
            while (
                progress.state is before
                and before not in OUTCOMES
                and self._why_no_answer(ticket_id, progress) in {known, ""}
                and (left_s := until_s - now_s()) > 0
            ):
                has_news.wait(min(left_s, WATCH_STEP_S))
                has_news.clear()
                progress = self.look(ticket_id)
                if self.uploads.stopping:
                    break
            return progress
