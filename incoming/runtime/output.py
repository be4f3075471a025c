"""Standard output and standard error that never fail and never block for long.

What a process reports must not decide what becomes of its work. A reader can be gone (EPIPE), slow or stopped
(a full pipe, Ctrl-S, a frozen ssh session), the disk under a redirected file full, the descriptor closed, the
terminal's encoding too small for a file's name. `Output` writes what can be written, counts the lines that
were lost and remembers why. A command whose whole product is its output asks for that (`ensure_complete`).

Descriptors 0 to 2 are occupied first of all (`occupy_standard_descriptors`): else the next file that is
opened, the journal for example, gets the number of a closed one, and error messages are written into it.
"""

from __future__ import annotations

import _socket  # socket.socket as it was before gevent's patches
import contextlib
import errno
import io
import math
import os
import select
import stat
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any, Final, TextIO, cast

WAIT_BUDGET_S: Final = 0.25
"""How long writing may wait for a reader, in each period of WAIT_PERIOD_S."""
WAIT_PERIOD_S: Final = 10.0
PIPE_BYTES: Final = select.PIPE_BUF
"""A pipe that is ready takes this much at once, see pipe(7)."""
PAUSE_S: Final = 0.01
PLAIN: Final = str.maketrans({"…": "~"})
"""How our own typography is written where the encoding lacks it."""

# Later they are gevent's, which can't be called from everywhere.
_poll: Final[Callable[[], Any]] = select.poll
_write: Final = os.write


class Output(io.TextIOBase):
    """A text stream onto a descriptor. No call raises OSError, and lines are written as soon as they end."""

    def __init__(
        self, fd: int, encoding: str, wait_budget_s: float = math.inf, poll: Callable[[], Any] = _poll
    ) -> None:
        """`wait_budget_s`: how long writing may wait, see WAIT_BUDGET_S. `poll` is select.poll."""
        self._fd, self._encoding = fd, encoding
        own_fd = _own_description(fd)
        self._write_some = _writer(own_fd)
        self._poll_factory, self._poll = poll, poll()
        self._poll.register(own_fd, select.POLLOUT)
        self.wait_budget_s = wait_budget_s
        self._left_s, self._period_began_s = wait_budget_s, -math.inf
        self._pending = ""
        self._torn = False
        self.lost_lines = 0
        """How many lines could not be written, all or in part."""
        self.trouble: OSError | None = None
        """Why the last one of them was lost."""

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """See io.TextIOBase."""
        return self._encoding

    @property
    def errors(self) -> str:  # type: ignore[override]
        """What becomes of characters that the encoding lacks; see `codecs`."""
        return "backslashreplace"

    @property
    def buffer(self) -> io.RawIOBase:
        """The same for bytes in UTF-8, which some libraries write."""
        return _Bytes(self)

    def fileno(self) -> int:
        """The descriptor, as it was given."""
        return self._fd

    def isatty(self) -> bool:
        """Whether it is a terminal."""
        return os.isatty(self._fd)

    def writable(self) -> bool:
        """See io.IOBase."""
        return True

    def write(self, text: str) -> int:
        """Writes a text, at the latest when its line ends. Returns its length."""
        self._pending += text
        if "\n" in text:
            self.flush()
        return len(text)

    def flush(self) -> None:
        """Writes what was not written yet, or counts it as lost."""
        text, self._pending = self._pending, ""
        if not text:
            return
        data = self._encoded(f"\n{text}" if self._torn else text)
        written_bytes = self._write_all(data)
        if written_bytes < len(data):
            self.lost_lines += max(text.count("\n"), 1)
        if written_bytes:
            self._torn = written_bytes < len(data)

    def close(self) -> None:
        """Leaves the descriptor open: it is the process's own."""
        self.flush()

    def _encoded(self, text: str) -> bytes:
        try:
            return text.encode(self._encoding)
        except UnicodeEncodeError:
            return text.translate(PLAIN).encode(self._encoding, self.errors)

    def _write_all(self, data: bytes) -> int:
        """Returns how many bytes were written; what went wrong, if not all of them, is in `trouble`."""
        left = memoryview(data)
        try:
            while left:
                self._wait_for_room()
                try:
                    left = left[self._write_some(left[:PIPE_BYTES]) :]
                except BlockingIOError:  # there is some room, but not enough
                    self._spend(lambda: self._poll_nothing(PAUSE_S))
        except OSError as exc:
            self.trouble = exc
        return len(data) - len(left)

    def _wait_for_room(self) -> None:
        """Returns when the descriptor takes something, or has an error to tell. Raises TimeoutError."""
        if not self._poll.poll(0):
            self._spend(lambda: self._poll.poll(None if math.isinf(self._left_s) else self._left_s * 1000))

    def _spend(self, wait: Callable[[], object]) -> None:
        """Waits, at the expense of this period's budget. Raises TimeoutError when that is used up."""
        began_s = time.monotonic()
        if began_s - self._period_began_s > WAIT_PERIOD_S:
            self._left_s, self._period_began_s = self.wait_budget_s, began_s
        if self._left_s <= 0:
            raise TimeoutError(errno.ETIMEDOUT, "the output is blocked")
        wait()
        self._left_s -= time.monotonic() - began_s

    def _poll_nothing(self, duration_s: float) -> None:
        self._poll_factory().poll(duration_s * 1000)


class _Bytes(io.RawIOBase):
    """Writes bytes to a text stream."""

    def __init__(self, stream: Output) -> None:
        self._stream = stream

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._stream.write(bytes(data).decode("utf-8", "replace"))
        return len(data)

    def flush(self) -> None:
        self._stream.flush()


def _own_description(fd: int) -> int:
    """Returns a descriptor of the same pipe or terminal that never blocks; of anything else, the same one.

    O_NONBLOCK belongs to the open file description, which other processes share: the shell, for example. So
    it is not set there. Opening what /proc shows makes a new one, see proc(5). A file keeps its own, and with
    that its position.
    """
    with contextlib.suppress(OSError):
        if stat.S_ISFIFO(os.fstat(fd).st_mode) or os.isatty(fd):
            flags = os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
            return os.open(f"/proc/self/fd/{fd}", flags)
    return fd


def _writer(fd: int) -> Callable[[memoryview], int]:
    """Returns what writes some of a text; it raises OSError. A socket is asked not to block, each time."""
    try:
        is_socket = stat.S_ISSOCK(os.fstat(fd).st_mode)
    except OSError:
        is_socket = False
    if not is_socket:
        return partial(_write, fd)
    connection = _socket.socket(fileno=os.dup(fd))
    return lambda data: connection.send(data, _socket.MSG_DONTWAIT)


def guarded(stream: TextIO, wait_budget_s: float = math.inf, poll: Callable[[], Any] = _poll) -> TextIO:
    """Returns an Output in place of a stream; a stream without a descriptor, in memory say, as it is."""
    if isinstance(stream, Output):
        return stream
    try:
        return cast(TextIO, Output(stream.fileno(), stream.encoding, wait_budget_s, poll))
    except (OSError, ValueError):
        return stream


def occupy_standard_descriptors() -> None:
    """Opens /dev/null as each of the descriptors 0 to 2 that is closed."""
    for fd in range(3):
        try:
            os.fstat(fd)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free, which is this one


def guard() -> None:
    """Replaces sys.stdout and sys.stderr by an Output each. Standard error waits for nobody.

    Streams that somebody has put in their place already, tests for example, stay as they are.
    """
    occupy_standard_descriptors()
    for fd, name, wait_budget_s in ((1, "stdout", math.inf), (2, "stderr", WAIT_BUDGET_S)):
        stream = getattr(sys, name)
        if stream is None:  # it was closed at the start
            closed = Output(fd, "utf-8", wait_budget_s)
            closed.trouble = OSError(errno.EBADF, os.strerror(errno.EBADF))
            setattr(sys, name, closed)
        elif stream is getattr(sys, f"__{name}__"):
            setattr(sys, name, guarded(stream, wait_budget_s))


def wait_for_nobody() -> None:
    """Lets standard output drop what nobody reads, too: for servers."""
    if isinstance(sys.stdout, Output):
        sys.stdout.wait_budget_s = WAIT_BUDGET_S


def ensure_complete() -> None:
    """For a command whose product is its output: exits with 1 when some of it was lost, and says why.

    A reader that has closed its end (`incoming uploads | head`) has what it wanted, and nothing is said.
    """
    trouble = sys.stdout.trouble if isinstance(sys.stdout, Output) else None
    if trouble is None:
        return
    gone = isinstance(trouble, BrokenPipeError)
    sys.exit(1 if gone else f"The output is incomplete: {trouble.strerror}.")
