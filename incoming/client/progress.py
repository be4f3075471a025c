"""The progress as one line of text, for a terminal of any width or for a log."""

from __future__ import annotations

import math
import unicodedata
from collections import deque
from dataclasses import dataclass
from typing import Final

from incoming.client.protocol.events import File, Stage
from incoming.client.protocol.session import Session
from incoming.core.folder_manifest import FolderManifest
from incoming.core.units import readable_size

RATE_OVER_S: Final = 5.0
SAMPLE_EVERY_S: Final = 0.25
MIN_NAME_COLUMNS: Final = 8
MIN_BAR_COLUMNS: Final = 8
MAX_BAR_COLUMNS: Final = 50
USUAL_TAIL_COLUMNS: Final = len("9.99 MB/s, 59:59 left")
"""The space reserved for the tail, so that the bar keeps its width when the tail gets shorter."""
NO_STATUS: Final = ("", "")
_STATUS: Final = {
    Stage.CONNECTING: ("connecting", "connecting"),
    Stage.REQUESTING: ("connecting", "connecting"),
    Stage.PROVING: ("comparing the {} with the stored part", "comparing"),
    Stage.COMPLETING: ("all sent; the server verifies it", "verifying"),
    Stage.AWAITING_APP: ("waiting for the app to take the {}", "waiting for the app"),
    Stage.CANCELLING: ("cancelling", "cancelling"),
    Stage.VERIFYING: ("comparing the {} with that of the app", "comparing"),
}
"""The status, in full and for narrow terminals. What is sent is put into the braces."""
APP_IS_SILENT: Final = ("the app does not answer yet; the server tries again", "the app is silent")
READING: Final = ("reading the part that was sent earlier, for its checksum", "comparing")


class Meter:
    """The rate over the last seconds."""

    def __init__(self) -> None:
        self._samples: deque[tuple[float, int]] = deque()

    def sample(self, stored_bytes: int, now_s: float) -> float:
        """Adds a sample and returns the rate in bytes per second."""
        samples = self._samples
        if not samples or now_s - samples[-1][0] >= SAMPLE_EVERY_S:
            samples.append((now_s, stored_bytes))
        while len(samples) > 2 and samples[1][0] <= now_s - RATE_OVER_S:
            samples.popleft()
        began_s, before_bytes = samples[0]
        return max(stored_bytes - before_bytes, 0) / (now_s - began_s) if now_s > began_s else 0.0

    def restart(self) -> None:
        """Drops all samples: time without a connection says nothing about the rate."""
        self._samples.clear()


@dataclass(frozen=True, slots=True)
class View:
    """What is shown. `status` replaces the rate while no bytes are sent; `wait_s`: until the next attempt."""

    name: str
    length_bytes: int
    stored_bytes: int
    bytes_per_s: float
    status: str = ""
    short_status: str = ""
    wait_s: float = 0.0
    files: int = 0
    """How many files the folder has; 0 if it is a file."""
    stored_files: int = 0

    @property
    def percent(self) -> int:
        """Rounded down: 100 means that all is stored."""
        return self.stored_bytes * 100 // self.length_bytes if self.length_bytes else 100

    @property
    def files_text(self) -> str:
        """How many files of a folder are stored. Empty for a file."""
        return f"{self.stored_files:,}/{self.files:,} files, " if self.files else ""

    @property
    def tails(self) -> tuple[str, str]:
        """The end of the line, in full and for narrow terminals."""
        if self.wait_s:
            retry = f"trying again in {math.ceil(self.wait_s)} s"
            return f"{self.status} {retry.capitalize()}.", retry
        if self.status or not self.bytes_per_s:
            return self.status, self.short_status
        rate = f"{readable_size(self.bytes_per_s)}/s"
        left = duration((self.length_bytes - self.stored_bytes) / self.bytes_per_s)
        return f"{self.files_text}{rate}, {left} left", f"{rate} {left}"


def view(session: Session, file: File, meter: Meter, now_s: float) -> View:
    """Returns what to show of a session now."""
    transfer, stage = session.transfer, session.stage
    status, wait_s, bytes_per_s = _STATUS.get(stage, NO_STATUS), 0.0, 0.0
    status = (status[0].format(file.what), status[1])
    if stage is Stage.BACKING_OFF:
        status, wait_s = (session.note, ""), max(session.retry_at_s - now_s, 0.01)
    elif stage is Stage.AWAITING_APP and session.app_is_silent:
        why = session.app_problem
        status = (f"{why}; the server tries again", APP_IS_SILENT[1]) if why else APP_IS_SILENT
    elif stage is Stage.SENDING and transfer.stored_bytes == transfer.length_bytes:
        status = READING
    if stage is Stage.SENDING:
        bytes_per_s = meter.sample(transfer.stored_bytes, now_s)
    else:
        meter.restart()
    status = (printable(status[0]), status[1])
    length_bytes, stored_bytes = transfer.length_bytes, transfer.stored_bytes
    files, stored_files = _files(file.manifest, stored_bytes)
    return View(
        printable(file.name), length_bytes, stored_bytes, bytes_per_s, *status, wait_s, files, stored_files
    )


def _files(manifest: FolderManifest | None, stored_bytes: int) -> tuple[int, int]:
    """Returns how many files a folder has, and how many of them are stored.

    Meanwhile, empty folders count as stored files. There are few of them.
    """
    return (manifest.files, min(manifest.index_at(stored_bytes), manifest.files)) if manifest else (0, 0)


# --- lines -----------------------------------------------------------------------------------------


def log_line(shown: View) -> str:
    """Returns a line for a log."""
    how_far = f"{shown.percent} % of {readable_size(shown.length_bytes)}"
    return ", ".join(part for part in (f"{shown.name}: {how_far}", shown.tails[0]) if part)


def bar_line(shown: View, columns: int, full: str = "#", empty: str = "-") -> str:
    """Returns a line of fewer than this many columns: name, percent, a bar if it fits, and the tail."""
    room = columns - 1 - len("100%") - 4
    tail, short_tail = shown.tails
    if column_count(tail) > room - MIN_NAME_COLUMNS:
        tail = shortened(short_tail, max(room - MIN_NAME_COLUMNS, 0))
    usual_columns = USUAL_TAIL_COLUMNS + (
        len(f"{shown.files:,}/{shown.files:,} files, ") if shown.files else 0
    )
    room -= max(column_count(tail), usual_columns if room > 2 * usual_columns else 0)
    name = shortened(shown.name, max(MIN_NAME_COLUMNS, room // 3 if room >= 3 * MIN_BAR_COLUMNS else room))
    bar_columns = min(room - column_count(name) - 2, MAX_BAR_COLUMNS)
    parts = [name, f"{shown.percent:3d}%", tail]
    if bar_columns >= MIN_BAR_COLUMNS:
        done = bar_columns * shown.stored_bytes // shown.length_bytes if shown.length_bytes else bar_columns
        parts.insert(2, full * done + empty * (bar_columns - done))
    return "  ".join(parts).rstrip()


def printable(text: str) -> str:
    """Returns the text with '?' for each character that controls a terminal or the text direction."""
    return "".join("?" if unicodedata.category(c)[0] == "C" else c for c in text)


def column_count(text: str) -> int:
    """Returns how many terminal columns a text takes."""
    wide = sum(unicodedata.east_asian_width(c) in "WF" for c in text)
    return len(text) + wide - sum(unicodedata.combining(c) > 0 for c in text)


def shortened(text: str, columns: int) -> str:
    """Returns the text in at most this many columns, shortened in the middle."""
    if column_count(text) <= columns:
        return text
    head, tail = text[: len(text) // 2], text[len(text) // 2 :]
    while head and column_count(head) + column_count(tail) + 1 > columns:
        head, tail = (head[:-1], tail) if len(head) >= len(tail) else (head, tail[1:])
    return f"{head}…{tail}" if columns > 0 else ""


def duration(duration_s: float) -> str:
    """Returns 31 as `0:31`, 3723 as `1:02:03`, and long times in days."""
    seconds = math.ceil(duration_s)
    if seconds >= 48 * 3600:
        return f"{seconds // 86400} days"
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes}:{seconds:02d}"
