"""Sends a file or a folder: drives the session with the connection and the file until it ends.

One thread and one poll serve the connection, the file and the screen, so there are no locks. While the file
is read, the kernel's send buffer keeps the connection busy. Only the small files of a folder are read in
threads of their own (`read_ahead`).
"""

from __future__ import annotations

import random
import ssl
import time
from dataclasses import dataclass
from typing import Final

from incoming.client.address import Address
from incoming.client.connect import ConnectAborted, ConnectFailed, connect
from incoming.client.display import Display
from incoming.client.protocol import events, outcomes, server_messages
from incoming.client.protocol.events import (
    Actions,
    CloseConnection,
    Ending,
    Options,
    Outcome,
    ReadAsZeros,
    ReadSegment,
    SendMessage,
    Stage,
    Work,
)
from incoming.client.protocol.session import READ_BYTES, Session
from incoming.client.protocol.stored_prefix import Segment
from incoming.client.source import FileChanged, FileUnreadable, Source
from incoming.client.websocket import WebSocket
from incoming.core.checksum import checksum
from incoming.core.errors import BadMessage
from incoming.protocol import messages

TICK_S: Final = 0.1


@dataclass(frozen=True, slots=True)
class Server:
    """The server's address, and the certificates to trust."""

    address: Address
    context: ssl.SSLContext


class Sender:
    """The upload of `source` with a ticket."""

    def __init__(
        self, source: Source, ticket_id: str, server: Server, options: Options, display: Display
    ) -> None:
        self.session = Session(ticket_id, source.file, options, random.random, time.monotonic())
        self._source, self._server, self._display = source, server, display
        self._websocket: WebSocket | None = None
        self._scratch = bytearray()
        self._stop: events.Stop | None = None

    def run(self) -> Outcome:
        """Returns the outcome, however long that takes."""
        while self.session.outcome is None:
            self._step()
        return self._with_file_checked(self.session.outcome)

    def _with_file_checked(self, outcome: Outcome) -> Outcome:
        """Returns the outcome after a last check of the file: a script may delete it next."""
        try:
            if outcome.ending is Ending.FINISHED:
                self._source.check()
        except FileChanged as exc:
            return outcomes.changed_since(self._source.file, str(exc))
        except OSError:
            pass  # an unreadable file says nothing about what was sent
        return outcome

    def stop(self, stop: events.Stop) -> None:
        """Ends the upload soon. Safe to call from a signal handler."""
        self._stop = stop

    def _step(self) -> None:
        """Does what is due in this stage. Takes at most a tick, or the time to connect."""
        if self._stop:
            stop, self._stop = self._stop, None
            self._handle(stop)
        if self.session.stage is Stage.CONNECTING:
            self._show()
            self._connect()
        elif self._websocket:
            self._serve(self._websocket)
        elif self.session.stage is Stage.VERIFYING:
            self._work(room=False)
        elif self.session.stage is Stage.BACKING_OFF:
            time.sleep(TICK_S)
        self._handle(events.Tick())
        self._show()

    def _show(self) -> None:
        self._display.update(self.session, self._source.file, time.monotonic())

    # --- the connection ------------------------------------------------------------------------------

    def _connect(self) -> None:
        """Connects, and opens the file again: its drive may have come back."""
        try:
            self._source.open()
        except FileChanged as exc:
            self._handle(events.FileChanged(str(exc), exc.entry))
        except FileUnreadable as exc:
            self._handle(events.FileUnreadable(str(exc), exc.entry))
        if self.session.stage is not Stage.CONNECTING:
            return
        try:
            sock, ahead = connect(
                self._server.address,
                self._server.context,
                lambda: self._stop is not None,
                self.session.patience_s(time.monotonic()),
            )
        except ConnectAborted:
            return
        except ConnectFailed as exc:
            self._handle(events.Unreachable(str(exc), exc.lasting, exc.retry_after_s))
        else:
            self._websocket = WebSocket(sock, ahead)
            self._handle(events.ConnectionOpened())

    def _serve(self, websocket: WebSocket) -> None:
        """Works, reads and writes once. The session may close the connection at any point."""
        timeout_s = 0.0 if self._work(websocket.has_room) else self._wait_s()
        if self._websocket:
            websocket.wait(timeout_s)
        for received in websocket.receive() if self._websocket else ():
            if self._websocket:
                self._receive(received)
        if self._websocket:
            websocket.flush()

    def _wait_s(self) -> float:
        """Returns how long to wait for input."""
        until_chunk_s = self.session.transfer.next_send_s - time.monotonic()
        return min(until_chunk_s, TICK_S) if until_chunk_s > 0 else TICK_S

    def _receive(self, received: str | events.PeerActive | events.ConnectionClosed) -> None:
        if not isinstance(received, str):
            return self._handle(received)
        try:
            message = server_messages.parse(received)
        except BadMessage:
            return self._handle(events.ConnectionClosed())  # damaged in transit
        return self._handle(message or events.PeerActive())

    def _handle(self, event: events.Event) -> None:
        self._carry_out(self.session.handle(event, time.monotonic()))

    def _carry_out(self, actions: Actions) -> None:
        for action in actions:
            match action:
                case SendMessage(message):
                    if self._websocket:
                        self._websocket.send_text(messages.encode(message))
                case CloseConnection():
                    websocket, self._websocket = self._websocket, None
                    if websocket:
                        websocket.close()
                case ReadAsZeros(entries, why):
                    self._source.leave_out(entries)
                    if why:
                        self._display.print(f"{why} It is left out.")

    # --- the file --------------------------------------------------------------------------------------

    def _work(self, room: bool) -> bool:
        """Does the session's next read of the file. Returns whether there was one."""
        work = self.session.work(time.monotonic(), room)
        if work is None:
            return False
        try:
            self._handle(self._carry_out_work(work))
        except FileChanged as exc:
            self._handle(events.FileChanged(str(exc), exc.entry))
        except FileUnreadable as exc:
            self._handle(events.FileUnreadable(str(exc), exc.entry))
        return True

    def _carry_out_work(self, work: Work) -> events.Event:
        """Does the work and returns its event. Raises FileChanged, FileUnreadable."""
        segment = work.segment
        if isinstance(work, ReadSegment) or not self._websocket:
            return events.SegmentRead(Segment(segment.start, segment.end, self._checksum(segment)))
        crc32c = self._websocket.send_chunk(self._source, segment, work.round)
        return events.ChunkSent(Segment(segment.start, segment.end, crc32c))

    def _checksum(self, segment: Segment) -> int:
        if not self._scratch:
            self._scratch = bytearray(READ_BYTES)
        part = memoryview(self._scratch)[: segment.end - segment.start]
        self._source.read_into(part, segment.start)
        return checksum(part)
