"""Standard output and standard error that are gone, full, stopped or too small: nothing fails, or waits."""

from __future__ import annotations

import errno
import fcntl
import io
import json
import logging
import os
import pty
import resource
import socket
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO, cast

import pytest

from incoming.runtime import logs, output
from incoming.runtime.output import PIPE_BYTES, Output
from tests.support.server import ROOT
from tests.support.waiting import wait_until

LINE = "a line of the log\n"


@contextmanager
def pipe() -> Iterator[tuple[int, int]]:
    """A pipe's reading and writing end; whoever closes one of them may."""
    ends = os.pipe()
    try:
        yield ends
    finally:
        for end in ends:
            with suppress(OSError):
                os.close(end)


def fill(fd: int) -> int:
    """Writes until a pipe or socket takes no more. Returns how many bytes it took."""
    os.set_blocking(fd, False)
    taken_bytes = 0
    for size in (PIPE_BYTES, 1):
        with suppress(BlockingIOError):
            while True:
                taken_bytes += os.write(fd, b"x" * size)
    os.set_blocking(fd, True)
    return taken_bytes


TERMINAL_BYTES = 4095
"""A terminal holds this much for its reader, see N_TTY_BUF_SIZE in Linux. Behind that is a longer queue."""


def fill_terminal(reader: int, writer: int) -> None:
    """Writes until a terminal takes no more.

    The kernel moves bytes from the queue to the reader's part at a time of its own, which makes room in the
    queue. So both have to be full.
    """
    fill(writer)
    wait_until(lambda: readable_bytes(reader) == TERMINAL_BYTES and fill(writer) == 0, "a full terminal")


def readable_bytes(fd: int) -> int:
    """Returns how much can be read at once."""
    return int.from_bytes(fcntl.ioctl(fd, termios.FIONREAD, bytes(4)), sys.byteorder)


def read_all(fd: int) -> bytes:
    """Reads what is there."""
    os.set_blocking(fd, False)
    found = b""
    try:
        while some := os.read(fd, 65536):
            found += some
    except BlockingIOError:
        pass
    return found


def test_what_is_written_arrives_when_its_line_ends() -> None:
    with pipe() as (reader, writer):
        stream = Output(writer, "utf-8")
        assert stream.write("half of it, ") == 12
        assert read_all(reader) == b""
        print("and the rest: ü…", file=stream)
        assert read_all(reader).decode() == "half of it, and the rest: ü…\n"
    assert (stream.lost_lines, stream.trouble) == (0, None)


@pytest.mark.parametrize(
    ("encoding", "written"), [("latin-1", b"\xfc~ \\u5199 \\udcff\n"), ("ascii", b"\\xfc~ \\u5199 \\udcff\n")]
)
def test_what_an_encoding_lacks_is_escaped(encoding: str, written: bytes) -> None:
    with pipe() as (reader, writer):
        Output(writer, encoding).write("ü… 写 \udcff\n")
        assert read_all(reader) == written


def test_a_reader_that_is_gone_costs_the_lines_and_nothing_else() -> None:
    with pipe() as (reader, writer):
        stream = Output(writer, "utf-8")
        os.close(reader)
        stream.write(LINE * 3)
        assert stream.lost_lines == 3
        assert isinstance(stream.trouble, BrokenPipeError)


def test_a_descriptor_that_is_closed_costs_the_lines_and_nothing_else() -> None:
    with pipe() as (_, writer):
        os.close(writer)
        stream = Output(writer, "utf-8")
        stream.write(LINE)
        assert stream.trouble
        assert (stream.lost_lines, stream.trouble.errno, stream.isatty()) == (1, errno.EBADF, False)


def test_a_full_disk_costs_the_lines_and_nothing_else() -> None:
    fd = os.open("/dev/full", os.O_WRONLY)
    try:
        stream = Output(fd, "utf-8")
        stream.write(LINE)
        assert stream.trouble
        assert (stream.lost_lines, stream.trouble.errno) == (1, errno.ENOSPC)
    finally:
        os.close(fd)


def test_a_line_of_which_a_part_was_written_is_ended_before_the_next_one(tmp_path: Path) -> None:
    file = tmp_path / "log"
    with file.open("wb") as log:
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        stream = Output(log.fileno(), "utf-8")
        resource.setrlimit(resource.RLIMIT_FSIZE, (5, before[1]))
        try:
            stream.write(LINE)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        stream.write("whole\n")
    assert file.read_text() == f"{LINE[:5]}\nwhole\n"
    assert stream.lost_lines == 1


@contextmanager
def stopped(kind: str) -> Iterator[tuple[int, int]]:
    """Yields the reading and writing end of something that takes nothing, in each way there is."""
    if kind.startswith("pipe"):
        with pipe() as (reader, writer):
            fill(writer)
            os.set_blocking(writer, kind == "pipe")
            yield reader, writer
    elif kind == "socket":
        ends = socket.socketpair()
        with ends[0], ends[1]:
            fill(ends[1].fileno())
            yield ends[0].fileno(), ends[1].fileno()
    else:
        reader, writer = pty.openpty()
        try:
            if kind == "terminal":
                fill_terminal(reader, writer)
            else:
                termios.tcflow(writer, termios.TCOOFF)  # Ctrl-S
            yield reader, writer
        finally:
            os.close(reader)
            os.close(writer)


@pytest.mark.parametrize("kind", ["pipe", "pipe that does not block", "socket", "terminal", "Ctrl-S"])
def test_a_stopped_reader_delays_the_output_only_briefly(kind: str) -> None:
    with stopped(kind) as (_, writer):
        stream = Output(writer, "utf-8", wait_budget_s=0.1)
        began_s = time.monotonic()
        for _ in range(1000):
            stream.write(LINE)
        assert time.monotonic() - began_s < 30, "and not for 0.1 s a line"
        assert stream.lost_lines == 1000
        assert isinstance(stream.trouble, TimeoutError)
        assert stream.trouble.strerror == "the output is blocked"


def test_a_terminal_that_is_almost_full_does_not_block_in_the_middle_of_a_line() -> None:
    reader, writer = pty.openpty()
    try:
        fill_terminal(reader, writer)
        assert os.read(reader, 40)
        stream = Output(writer, "utf-8", wait_budget_s=0.1)
        began_s = time.monotonic()
        stream.write("x" * 100_000 + "\n")
        assert time.monotonic() - began_s < 30
        assert stream.lost_lines == 1
    finally:
        os.close(reader)
        os.close(writer)


def test_an_output_that_other_processes_share_stays_blocking() -> None:
    with pipe() as (_, writer):
        Output(writer, "utf-8").write(LINE)
        assert os.get_blocking(writer)


@pytest.mark.parametrize("blocking", [True, False])
def test_an_output_without_a_limit_waits_for_a_slow_reader(blocking: bool) -> None:
    text = LINE * 50_000
    with pipe() as (reader, writer):
        os.set_blocking(writer, blocking)
        got = bytearray()

        def read_slowly() -> None:
            while len(got) < len(text):
                time.sleep(0.001)
                got.extend(os.read(reader, 30_000))

        thread = threading.Thread(target=read_slowly, daemon=True)
        thread.start()
        stream = Output(writer, "utf-8")
        stream.write(text)
        thread.join(60)
        assert (bytes(got).decode(), stream.trouble) == (text, None)


# --- the log -------------------------------------------------------------------------------------------


def test_the_log_says_how_many_lines_were_lost_once_it_is_read_again() -> None:
    with pipe() as (reader, writer):
        handler = logs.Handler(cast(TextIO, Output(writer, "utf-8", wait_budget_s=0.0)))
        handler.setFormatter(logs.JsonFormatter())
        record = logging.LogRecord("incoming", logging.INFO, "", 0, "sent", None, None)
        fill(writer)
        for _ in range(7):
            handler.handle(record)
        read_all(reader)
        for _ in range(2):
            handler.handle(record)
        first, news, second = read_all(reader).decode().splitlines()
    assert '"message": "sent"' in first
    assert "7 log lines before the previous line were lost: the output is blocked" in news
    assert '"message": "sent"' in second


# --- a process -----------------------------------------------------------------------------------------


def test_a_stream_without_a_descriptor_stays_as_it_is() -> None:
    stream = io.StringIO()
    assert output.guarded(stream) is stream


SCRIPT = """
import json, os, sys
from incoming.runtime import output
output.guard()
print("to stdout"); print("to stderr", file=sys.stderr)
names = [os.readlink(f"/proc/self/fd/{fd}") for fd in range(3)]
open(sys.argv[1], "w").write(json.dumps(names))
"""


@pytest.mark.parametrize("closed", ["0<&-", "1>&-", "2>&-", "0<&- 1>&- 2>&-"])
def test_the_number_of_a_closed_stream_is_given_to_no_other_file(closed: str, tmp_path: Path) -> None:
    names = tmp_path / "names"
    words = ["sh", "-c", f'exec "$0" "$@" {closed}', sys.executable, "-c", SCRIPT, str(names)]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr.replace("to stderr\n", "")) == (0, "")
    found = json.loads(names.read_text())
    for fd in range(3):
        assert (found[fd] == "/dev/null") >= (f"{fd}" in closed)


@pytest.mark.parametrize("gone", ["1>/dev/full", "2>/dev/full", "1>/dev/full 2>/dev/full"])
def test_a_process_ends_well_whatever_becomes_of_its_output(gone: str, tmp_path: Path) -> None:
    words = ["sh", "-c", f'exec "$0" "$@" {gone}', sys.executable, "-c", SCRIPT, str(tmp_path / "names")]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, timeout=60, check=False)
    assert done.returncode == 0, "without a guard it is 120: Python can't flush"
