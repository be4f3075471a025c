"""What is shown while a file is sent: on a terminal one line, rewritten; elsewhere a line now and then."""

from __future__ import annotations

import os
from typing import TextIO

from incoming.sending import progress
from incoming.sending.progress import Meter
from incoming.sending.session import Session

REDRAW_EVERY_S = 0.1
LOG_EVERY_S = 5.0
ERASE_REST = "\x1b[K"


class Display:
    """Shows to `stream`; a quiet one shows the last sentence only, and that only of what went wrong."""

    def __init__(self, stream: TextIO, *, quiet: bool = False) -> None:
        self._stream, self._quiet = stream, quiet
        self._terminal = stream.isatty() and os.environ.get("TERM") != "dumb"
        self._meter = Meter()
        self._next_s = 0.0
        self._words = ""
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
        elif now_s >= self._next_s or seen.words != self._words:
            if self._next_s:  # the first moments are no news
                self._write(progress.log_line(seen) + "\n")
            self._next_s, self._words = now_s + LOG_EVERY_S, seen.words

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
        self._stream.write(text.encode(encoding, "replace").decode(encoding))
        self._stream.flush()

    def _columns(self) -> int:
        try:
            return os.get_terminal_size(self._stream.fileno()).columns or 80
        except OSError:
            return 80
