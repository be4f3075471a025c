"""Shows the progress: on a terminal one line that is redrawn, elsewhere a log line from time to time."""

from __future__ import annotations

import os
from typing import Final, TextIO

from incoming.client import progress
from incoming.client.progress import Meter, View
from incoming.client.protocol.events import File
from incoming.client.protocol.session import Session

REDRAW_EVERY_S: Final = 0.1
LOG_EVERY_S: Final = 5.0
LOG_UNCHANGED_S: Final = 60.0
ERASE_REST: Final = "\x1b[K"


class Display:
    """Writes to `stream`. If `quiet`, it writes errors only."""

    def __init__(self, stream: TextIO, *, quiet: bool = False) -> None:
        self._stream, self._quiet = stream, quiet
        self._terminal = stream.isatty() and os.environ.get("TERM") != "dumb"
        self._meter = Meter()
        self._next_s = 0.0
        self._is_waiting = False
        self._shown = ("", 0)
        self._drawn = False
        try:
            "█░".encode(stream.encoding or "ascii")
            self._bar = ("█", "░")
        except UnicodeEncodeError:
            self._bar = ("#", "-")

    def update(self, session: Session, file: File, now_s: float) -> None:
        """Shows the progress, unless it did a moment ago."""
        seen = progress.view(session, file, self._meter, now_s)
        if self._quiet:
            return
        if self._terminal:
            if now_s >= self._next_s:
                self._next_s = now_s + REDRAW_EVERY_S
                self._draw(progress.bar_line(seen, self._columns(), *self._bar))
        else:
            self._log(seen, now_s)

    def _log(self, seen: View, now_s: float) -> None:
        """Writes a line every few seconds while something changes, and when a backoff begins."""
        state = (seen.status, seen.stored_bytes)
        backoff_begins = bool(seen.wait_s) and not self._is_waiting
        self._is_waiting = bool(seen.wait_s)
        self._next_s = self._next_s or now_s + LOG_EVERY_S
        due_s = self._next_s if state != self._shown else self._next_s + LOG_UNCHANGED_S
        if backoff_begins or now_s >= due_s:
            self._write(progress.log_line(seen) + "\n")
            self._next_s, self._shown = now_s + LOG_EVERY_S, state

    def print(self, sentence: str, *, important: bool = False) -> None:
        """Writes a sentence. It may hold foreign text."""
        if self._quiet and not important:
            return
        self.end()
        self._write(progress.printable(sentence) + "\n")

    def end(self) -> None:
        """Erases the line that is redrawn."""
        if self._drawn:
            self._drawn = False
            self._write(f"\r{ERASE_REST}")

    def _draw(self, line: str) -> None:
        self._drawn = True
        self._write(f"\r{line}{ERASE_REST}")

    def _write(self, text: str) -> None:
        # A file name may have characters that this encoding lacks.
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
