"""What is shown while a file is sent: on a terminal one line, rewritten; elsewhere a line now and then."""

from __future__ import annotations

import os
from typing import Final, TextIO

from incoming.client import progress
from incoming.client.progress import Meter, View
from incoming.client.protocol.session import Session

REDRAW_EVERY_S: Final = 0.1
LOG_EVERY_S: Final = 5.0
LOG_SAME_S: Final = 60.0
ERASE_REST: Final = "\x1b[K"


class Display:
    """Shows to `stream`; a quiet one shows the last sentence only, and that only of what went wrong."""

    def __init__(self, stream: TextIO, *, quiet: bool = False) -> None:
        self._stream, self._quiet = stream, quiet
        self._terminal = stream.isatty() and os.environ.get("TERM") != "dumb"
        self._meter = Meter()
        self._next_s = 0.0
        self._waits = False
        self._news = ("", 0)
        self._drawn = False
        try:
            "█░".encode(stream.encoding or "ascii")
            self._bar = ("█", "░")
        except UnicodeEncodeError:
            self._bar = ("#", "-")

    def update(self, session: Session, name: str, now_s: float) -> None:
        """Shows how far it is, if that was not done a moment ago."""
        seen = progress.view(session, name, self._meter, now_s)
        if self._quiet:
            return
        if self._terminal:
            if now_s >= self._next_s:
                self._next_s = now_s + REDRAW_EVERY_S
                self._draw(progress.bar_line(seen, self._columns(), *self._bar))
        else:
            self._log(seen, now_s)

    def _log(self, seen: View, now_s: float) -> None:
        """Writes a line every few seconds while there is something new, and when it has to wait."""
        news = (seen.words, seen.stored_bytes)
        begins_to_wait = bool(seen.wait_s) and not self._waits
        self._waits = bool(seen.wait_s)
        self._next_s = self._next_s or now_s + LOG_EVERY_S
        due_s = self._next_s if news != self._news else self._next_s + LOG_SAME_S
        if begins_to_wait or now_s >= due_s:
            self._write(progress.log_line(seen) + "\n")
            self._next_s, self._news = now_s + LOG_EVERY_S, news

    def say(self, sentence: str, *, important: bool = False) -> None:
        """Writes a sentence; it may come from outside."""
        if self._quiet and not important:
            return
        self.end()
        self._write(progress.plain(sentence) + "\n")

    def end(self) -> None:
        """Leaves the line that was rewritten."""
        if self._drawn:
            self._drawn = False
            self._write(f"\r{ERASE_REST}")

    def _draw(self, line: str) -> None:
        self._drawn = True
        self._write(f"\r{line}{ERASE_REST}")

    def _write(self, text: str) -> None:
        # A name may have what this terminal's encoding has not.
        encoding = self._stream.encoding or "ascii"
        if self._bar[0] == "#":
            text = text.replace("…", "~")
        self._stream.write(text.encode(encoding, "replace").decode(encoding))
        self._stream.flush()

    def _columns(self) -> int:
        try:
            return os.get_terminal_size(self._stream.fileno()).columns or 80
        except OSError:
            return 80
