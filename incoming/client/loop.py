"""Sends one file: carries out what the session says, until it has ended.

One thread and one poll serve the connection, the file and the screen, so nothing here has a lock. Meanwhile
the kernel's send buffer keeps the connection busy.
"""

from __future__ import annotations

import random
import ssl
import time
from dataclasses import dataclass
from typing import Final

from incoming.client.address import Address
from incoming.client.connect import BrokenOff, DialFailed, dial
from incoming.client.display import Display
from incoming.client.file import Source, Spoiled, Unreadable
from incoming.client.protocol import events, outcomes, server_messages
from incoming.client.protocol.events import (
    Actions,
    Ending,
    HangUp,
    Options,
    Outcome,
    ReadPiece,
    Say,
    Stage,
    Work,
)
from incoming.client.protocol.session import READ_BYTES, Session
from incoming.client.protocol.stored_prefix import Piece
from incoming.client.websocket import WebSocket
from incoming.core.checksum import checksum
from incoming.core.errors import BadMessage
from incoming.protocol import messages

TICK_S: Final = 0.1


@dataclass(frozen=True, slots=True)
class Server:
    """Where the server is, and by what it proves who it is."""

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
        """Returns how it has ended, however long that takes."""
        while self.session.outcome is None:
            self._go_on()
        return self._looked_at_again(self.session.outcome)

    def _looked_at_again(self, outcome: Outcome) -> Outcome:
        """Returns the outcome as it is with the file as it is now: a script may delete that next."""
        try:
            if outcome.ending is Ending.FINISHED:
                self._source.check()
        except Spoiled as exc:
            return outcomes.changed_since(str(exc))
        except OSError:
            pass  # it can't be read any more, which says nothing of what was sent
        return outcome

    def stop(self, stop: events.Stop) -> None:
        """For a signal's handler: ends the upload soon."""
        self._stop = stop

    def _go_on(self) -> None:
        """Does what is due in this stage; takes no longer than a tick, or a connection."""
        if self._stop:
            stop, self._stop = self._stop, None
            self._tell(stop)
        if self.session.stage is Stage.DIALING:
            self._show()
            self._dial()
        elif self._websocket:
            self._converse(self._websocket)
        elif self.session.stage is Stage.CHECKING:
            self._work(room=False)
        elif self.session.stage is Stage.WAITING:
            time.sleep(TICK_S)
        self._tell(events.Tick())
        self._show()

    def _show(self) -> None:
        self._display.update(self.session, self._source.file.name, time.monotonic())

    # --- the connection ------------------------------------------------------------------------------

    def _dial(self) -> None:
        """Opens the file again, too: its drive may have gone and come back."""
        try:
            self._source.open()
            sock, ahead = dial(self._server.address, self._server.context, lambda: self._stop is not None)
        except Spoiled as exc:
            self._tell(events.FileSpoiled(str(exc)))
        except Unreadable as exc:
            self._tell(events.FileUnreadable(str(exc)))
        except BrokenOff:
            return
        except DialFailed as exc:
            self._tell(events.Unreachable(str(exc), exc.lasting, exc.retry_after_s))
        else:
            self._websocket = WebSocket(sock, ahead)
            self._tell(events.ConnectionOpened())

    def _converse(self, websocket: WebSocket) -> None:
        """Does some work, and whatever the connection is ready for; the session may end it at any point."""
        timeout_s = 0.0 if self._work(websocket.has_room) else self._nap_s()
        if self._websocket:
            websocket.wait(timeout_s)
        for came in websocket.receive() if self._websocket else ():
            if self._websocket:
                self._hear(came)
        if self._websocket:
            websocket.flush()

    def _nap_s(self) -> float:
        """Returns how long there is nothing to do unless something comes."""
        until_chunk_s = self.session.transfer.may_send_s - time.monotonic()
        return min(until_chunk_s, TICK_S) if until_chunk_s > 0 else TICK_S

    def _hear(self, came: str | events.Heard | events.Closed) -> None:
        if not isinstance(came, str):
            return self._tell(came)
        try:
            message = server_messages.parse(came)
        except BadMessage:
            return self._tell(events.Closed())  # spoilt on its way: another connection may do better
        return self._tell(message or events.Heard())

    def _tell(self, event: events.Event) -> None:
        self._do(self.session.handle(event, time.monotonic()))

    def _do(self, actions: Actions) -> None:
        for action in actions:
            match action:
                case Say(message):
                    if self._websocket:
                        self._websocket.send_text(messages.encode(message))
                case HangUp():
                    websocket, self._websocket = self._websocket, None
                    if websocket:
                        websocket.close()

    # --- the file --------------------------------------------------------------------------------------

    def _work(self, room: bool) -> bool:
        """Reads what is wanted next. Returns whether there was anything."""
        work = self.session.work(time.monotonic(), room)
        if work is None:
            return False
        try:
            self._tell(self._done(work))
        except Spoiled as exc:
            self._tell(events.FileSpoiled(str(exc)))
        except Unreadable as exc:
            self._tell(events.FileUnreadable(str(exc)))
        return True

    def _done(self, work: Work) -> events.Event:
        """Does it, and returns what to tell about it. Raises Spoiled, Unreadable."""
        piece = work.piece
        if isinstance(work, ReadPiece) or not self._websocket:
            return events.PieceRead(Piece(piece.start, piece.end, self._checksum(piece)))
        crc32c = self._websocket.send_chunk(self._source, piece, work.round)
        return events.ChunkSent(Piece(piece.start, piece.end, crc32c))

    def _checksum(self, piece: Piece) -> int:
        if not self._scratch:
            self._scratch = bytearray(READ_BYTES)
        part = memoryview(self._scratch)[: piece.end - piece.start]
        self._source.read_into(part, piece.start)
        return checksum(part)
