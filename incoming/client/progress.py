"""What a person sees of an upload: one line, for a terminal of any width or for a log."""

from __future__ import annotations

import math
import unicodedata
from collections import deque
from dataclasses import dataclass
from typing import Final

from incoming.client.protocol.events import Stage
from incoming.client.protocol.session import Session

RATE_OVER_S: Final = 5.0
SAMPLE_EVERY_S: Final = 0.25
MIN_NAME_COLUMNS: Final = 8
MIN_BAR_COLUMNS: Final = 8
MAX_BAR_COLUMNS: Final = 50
USUAL_TAIL_COLUMNS: Final = len("9.99 MB/s, 59:59 left")
"""So much is kept free for the tail, so that the bar stands still when it gets shorter."""
NO_WORDS: Final = ("", "")
_WORDS: Final = {
    Stage.DIALING: ("connecting", "connecting"),
    Stage.ASKING: ("connecting", "connecting"),
    Stage.PROVING: ("comparing it with what is stored", "comparing"),
    Stage.COMPLETING: ("all is sent; the server checks it", "checking"),
    Stage.ARRIVED: ("waiting for the app to take it", "waiting for the app"),
    Stage.CANCELLING: ("cancelling", "cancelling"),
    Stage.CHECKING: ("comparing it with what the app has", "comparing"),
}
"""What goes on, in full and where there is little room."""
APP_IS_SILENT: Final = ("the app does not answer yet; it is asked again", "the app is silent")
READING: Final = ("reading what was sent earlier, for its checksum", "comparing")


class Meter:
    """Bytes a second over the last seconds."""

    def __init__(self) -> None:
        self._samples: deque[tuple[float, int]] = deque()

    def look(self, stored_bytes: int, now_s: float) -> float:
        """Returns the rate in bytes a second, now that so many are stored."""
        samples = self._samples
        if not samples or now_s - samples[-1][0] >= SAMPLE_EVERY_S:
            samples.append((now_s, stored_bytes))
        while len(samples) > 2 and samples[1][0] <= now_s - RATE_OVER_S:
            samples.popleft()
        began_s, before_bytes = samples[0]
        return max(stored_bytes - before_bytes, 0) / (now_s - began_s) if now_s > began_s else 0.0

    def restart(self) -> None:
        """Forgets what was: the time without a connection says nothing about the speed."""
        self._samples.clear()


@dataclass(frozen=True, slots=True)
class View:
    """What is shown. `words` say what goes on instead of the upload; `wait_s`: until the next attempt."""

    name: str
    length_bytes: int
    stored_bytes: int
    bytes_per_s: float
    words: str = ""
    short_words: str = ""
    wait_s: float = 0.0

    @property
    def percent(self) -> int:
        """Rounded down: 100 means all of it."""
        return self.stored_bytes * 100 // self.length_bytes if self.length_bytes else 100

    @property
    def tails(self) -> tuple[str, str]:
        """What else there is to say, in full and where there is little room."""
        if self.wait_s:
            again = f"rying again in {math.ceil(self.wait_s)} s"
            return f"{self.words} T{again}.", f"t{again}"
        if self.words or not self.bytes_per_s:
            return self.words, self.short_words
        rate = f"{size(self.bytes_per_s)}/s"
        left = duration((self.length_bytes - self.stored_bytes) / self.bytes_per_s)
        return f"{rate}, {left} left", f"{rate} {left}"


def view(session: Session, name: str, meter: Meter, now_s: float) -> View:
    """Returns what is to be seen of a session now."""
    transfer, stage = session.transfer, session.stage
    words, wait_s, bytes_per_s = _WORDS.get(stage, NO_WORDS), 0.0, 0.0
    if stage is Stage.WAITING:
        words, wait_s = (session.note, ""), max(session.retry_at_s - now_s, 0.01)
    elif stage is Stage.ARRIVED and session.app_is_silent:
        why = session.app_trouble
        words = (f"{why}; it is asked again", APP_IS_SILENT[1]) if why else APP_IS_SILENT
    elif stage is Stage.SENDING and transfer.stored_bytes == transfer.length_bytes:
        words = READING
    if stage is Stage.SENDING:
        bytes_per_s = meter.look(transfer.stored_bytes, now_s)
    else:
        meter.restart()
    words = (plain(words[0]), words[1])
    return View(plain(name), transfer.length_bytes, transfer.stored_bytes, bytes_per_s, *words, wait_s)


# --- lines -----------------------------------------------------------------------------------------


def log_line(seen: View) -> str:
    """Returns a line for a log."""
    how_far = f"{seen.percent} % of {size(seen.length_bytes)}"
    return ", ".join(part for part in (f"{seen.name}: {how_far}", seen.tails[0]) if part)


def bar_line(seen: View, columns: int, full: str = "#", empty: str = "-") -> str:
    """Returns a line of fewer than so many columns: name, percent, a bar if there is room, and the rest."""
    room = columns - 1 - len("100%") - 4
    tail, short_tail = seen.tails
    if columns_of(tail) > room - MIN_NAME_COLUMNS:
        tail = shortened(short_tail, max(room - MIN_NAME_COLUMNS, 0))
    room -= max(columns_of(tail), USUAL_TAIL_COLUMNS if room > 2 * USUAL_TAIL_COLUMNS else 0)
    name = shortened(seen.name, max(MIN_NAME_COLUMNS, room // 3 if room >= 3 * MIN_BAR_COLUMNS else room))
    bar_columns = min(room - columns_of(name) - 2, MAX_BAR_COLUMNS)
    parts = [name, f"{seen.percent:3d}%", tail]
    if bar_columns >= MIN_BAR_COLUMNS:
        done = bar_columns * seen.stored_bytes // seen.length_bytes if seen.length_bytes else bar_columns
        parts.insert(2, full * done + empty * (bar_columns - done))
    return "  ".join(parts).rstrip()


def plain(text: str) -> str:
    """Returns a text without what moves a terminal's cursor, or the direction of its writing."""
    return "".join("?" if unicodedata.category(c)[0] == "C" else c for c in text)


def columns_of(text: str) -> int:
    """Returns how many columns of a terminal a text takes."""
    wide = sum(unicodedata.east_asian_width(c) in "WF" for c in text)
    return len(text) + wide - sum(unicodedata.combining(c) > 0 for c in text)


def shortened(text: str, columns: int) -> str:
    """Returns the text in at most so many columns: what is missing is missing in the middle."""
    if columns_of(text) <= columns:
        return text
    head, tail = text[: len(text) // 2], text[len(text) // 2 :]
    while head and columns_of(head) + columns_of(tail) + 1 > columns:
        head, tail = (head[:-1], tail) if len(head) >= len(tail) else (head, tail[1:])
    return f"{head}…{tail}" if columns > 0 else ""


def size(size_bytes: float) -> str:
    """Returns 999 as `999 B` and 1234567 as `1.23 MB`: three digits that count."""
    unit = 0
    while size_bytes >= 999.5 and unit < 5:
        size_bytes, unit = size_bytes / 1000, unit + 1
    digits = 0 if not unit or size_bytes >= 99.95 else 1 if size_bytes >= 9.995 else 2
    return f"{size_bytes:.{digits}f} {('B', 'kB', 'MB', 'GB', 'TB', 'PB')[unit]}"


def duration(duration_s: float) -> str:
    """Returns 31 as `0:31`, 3723 as `1:02:03`; days where there are some."""
    seconds = math.ceil(duration_s)
    if seconds >= 48 * 3600:
        return f"{seconds // 86400} days"
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes}:{seconds:02d}"
