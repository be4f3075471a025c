"""How log lines look: one line an event, for people or for programs.

    2026-01-31 12:00:00,123 INFO    upload 0b8a0f0e: claimed at 0 of 12 bytes
    {"ts": "2026-01-31T12:00:00.123Z", "level": "info", ..., "ticket": "0b8a0f0e", "offset_bytes": 0}

Where several instances share their tickets, each line also has the name of the instance (`name_instance`).

A line about an upload begins with it, and is logged with a dict of what it says (`Ticket.for_log`): that dict
is the fields of the JSON. Names of files and reasons are strangers' texts: whatever would not be printed as
it is, a line's end above all, is escaped, so that nobody writes lines of his own into the log.
"""

from __future__ import annotations

import json
import logging
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, TextIO

from incoming.runtime.output import Output

COLOURS: Final = {"WARNING": "\x1b[33m", "ERROR": "\x1b[31m", "CRITICAL": "\x1b[31m", "DEBUG": "\x1b[2m"}
LOST: Final = "%(lines)d log lines before the previous line were lost: %(reason)s"
END_OF_COLOUR: Final = "\x1b[0m"
INDENT: Final = "    "


def printable(text: str) -> str:
    """Returns `text` with everything escaped that is not printed as it is, as Python escapes it."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


class TextFormatter(logging.Formatter):
    """For people. The lines of a traceback are indented: none of them looks like an event."""

    def __init__(self, *, coloured: bool = False) -> None:
        super().__init__()
        self._coloured = coloured
        self.instance = ""

    def format(self, record: logging.LogRecord) -> str:
        """See logging.Formatter."""
        level = f"{record.levelname:<7}"
        if self._coloured and record.levelname in COLOURS:
            level = f"{COLOURS[record.levelname]}{level}{END_OF_COLOUR}"
        instance = f"[{self.instance}] " if self.instance else ""
        lines = [f"{self.formatTime(record)} {level} {instance}{printable(record.getMessage())}"]
        if record.exc_info:
            lines += [INDENT + printable(x) for x in self.formatException(record.exc_info).splitlines()]
        return "\n".join(lines)


class JsonFormatter(logging.Formatter):
    """For programs: one JSON object a line. `ticket` is the first eight characters of an upload's id."""

    instance = ""

    def format(self, record: logging.LogRecord) -> str:
        """See logging.Formatter."""
        line: dict[str, object] = dict(record.args) if isinstance(record.args, dict) else {}
        line |= {
            "ts": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")[:-6] + "Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if self.instance:
            line["instance"] = self.instance
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        first = ("ts", "level", "logger", "instance", "message", "ticket")
        names = sorted(line, key=lambda name: (first.index(name) if name in first else len(first), name))
        return json.dumps({name: line[name] for name in names}, default=str)


@dataclass(slots=True)
class _Window:
    """One interval of one kind of line."""

    began_s: float = -math.inf
    logged: int = 0
    suppressed: int = 0


class LogRateLimit:
    """Limits how many lines of one kind are logged in an interval. Kinds must be few: each takes memory."""

    def __init__(
        self, interval_s: float, lines: int = 1, now_s: Callable[[], float] = time.monotonic
    ) -> None:  # fmt: skip
        """Allows `lines` lines of each kind in `interval_s` seconds."""
        self._interval_s = interval_s
        self._lines = lines
        self._now_s = now_s
        self._windows: dict[str, _Window] = {}

    def allows(self, kind: str) -> bool:
        """Returns whether a line of this kind may be logged now, and counts it."""
        now_s = self._now_s()
        window = self._windows.setdefault(kind, _Window())
        if now_s - window.began_s >= self._interval_s:
            window.began_s, window.logged = now_s, 0
        if window.logged >= self._lines:
            window.suppressed += 1
            return False
        window.logged += 1
        return True

    def suppress(self, kind: str) -> None:
        """Counts a line of this kind that the caller does not log."""
        self._windows.setdefault(kind, _Window()).suppressed += 1

    def take_suppressed(self, kind: str) -> int:
        """Returns how many lines of this kind were not allowed since the last call."""
        window = self._windows[kind]
        suppressed, window.suppressed = window.suppressed, 0
        return suppressed


class SourceLogLimit:
    """Limits the lines that strangers cause: one of a kind for each source in an interval, and few in all."""

    def __init__(
        self, interval_s: float, lines: int, now_s: Callable[[], float] = time.monotonic
    ) -> None:  # fmt: skip
        """Allows `lines` lines of each kind in `interval_s` seconds, whatever their sources are."""
        self._interval_s = interval_s
        self._now_s = now_s
        self._in_all = LogRateLimit(interval_s, lines, now_s)
        self._logged_at_s: dict[tuple[str, str], float] = {}
        """Of the sources that were logged in the last interval. They are as few as the lines."""

    def allows(self, kind: str, source: str) -> bool:
        """Returns whether a line of this kind may be logged now, and counts it."""
        now_s = self._now_s()
        recent = {key: at_s for key, at_s in self._logged_at_s.items() if now_s - at_s < self._interval_s}
        self._logged_at_s = recent
        if (kind, source) in recent:
            self._in_all.suppress(kind)
            return False
        if not self._in_all.allows(kind):
            return False
        recent[kind, source] = now_s
        return True

    def take_suppressed(self, kind: str) -> int:
        """Returns how many lines of this kind were not allowed since the last call."""
        return self._in_all.take_suppressed(kind)


class Handler(logging.StreamHandler[TextIO]):
    """Writes log lines. Once they are read again after a while, it says how many were lost."""

    _told_lines = 0

    def emit(self, record: logging.LogRecord) -> None:
        """See logging.Handler."""
        stream = self.stream
        lost_lines = stream.lost_lines if isinstance(stream, Output) else 0
        super().emit(record)
        if isinstance(stream, Output) and stream.lost_lines == lost_lines > self._told_lines:
            trouble = stream.trouble
            news = {"lines": lost_lines - self._told_lines, "reason": trouble and trouble.strerror}
            self._told_lines = lost_lines
            super().emit(logging.LogRecord(__name__, logging.WARNING, __file__, 0, LOST, (news,), None))


def to_stream(stream: TextIO, log_format: str, level: str, *, coloured: bool) -> None:
    """Sends every log line of the process to `stream`; `log_format` is text or json."""
    handler = Handler(stream)
    handler.setFormatter(JsonFormatter() if log_format == "json" else TextFormatter(coloured=coloured))
    logging.basicConfig(level=level.upper(), handlers=[handler])
    logging.getLogger("urllib3").setLevel(logging.ERROR)
    logging.getLogger("botocore").setLevel(logging.WARNING)


def name_instance(name: str) -> None:
    """Adds the name of this instance of the service to each log line of the process."""
    for handler in logging.getLogger().handlers:
        if isinstance(handler.formatter, TextFormatter | JsonFormatter):
            handler.formatter.instance = name
