"""Named points in a real server at which a test kills it, lets a call fail, or writes down what it does.

The product knows nothing of this: the launcher (`launcher`) puts these wrappers around the few functions
through which the server reaches the disk, its clients and its apps, in a process that is a test's own.
"""

from __future__ import annotations

import base64
import builtins
import errno
import json
import os
import random
import signal
import stat
import time
from _thread import allocate_lock
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

from gevent.monkey import get_original

from incoming.handover.http_client import CallSlot
from incoming.registry import clock
from incoming.storage.local import posix, probe, writer
from incoming.storage.local.parts import writer as part_writer
from incoming.uploads import housekeeping, overview
from incoming.websocket.writer import FrameWriter

Call = Callable[..., Any]
_real_write: Final = os.write
_real_sleep: Final[Call] = get_original("time", "sleep")
YEAR_S: Final = 365 * 86400.0
PROCESS_HEADER: Final = "x-process"
"""Tells the app which process calls it: a call can come in after its caller has died."""


@dataclass
class Plan:
    """What is to go wrong in one server process; it travels to it as JSON.

    `point` at its `nth` call (1 is the first): the process dies `when` = before or after it, or the call and
    the `times - 1` after it fail with the error named `error`. `seen`: a file that gets a line for each call.
    `trace`: a file that gets everything that the disk was asked to do. `open_files`: as many descriptors the
    process may have. `wild_clock`: each look at the wall clock sees another year. `boot_id`: a file that the
    machine's boot id is read from. `checkpoint_every_s`: how often the journal gets checkpoints, if not 0.
    `read_takes_s`: how long each look at what is stored takes.
    `look_every_s`: how often it looks whether the disks can be written, if not 0.
    """

    point: str = ""
    nth: int = 0
    when: str = "before"
    error: str = ""
    times: int = 1
    seen: str = ""
    trace: str = ""
    open_files: int = 0
    wild_clock: bool = False
    boot_id: str = ""
    checkpoint_every_s: float = 0.0
    read_takes_s: float = 0.0
    look_every_s: float = 0.0


@dataclass
class Points:
    """Counts the calls of this process, and does to them what the plan says."""

    plan: Plan
    counts: Counter[str] = field(default_factory=Counter)
    lock: Any = field(default_factory=allocate_lock)

    def around(
        self, name: str, call: Call, after: Call | None = None, only: Call | None = None,
        failed: Call | None = None,
    ) -> Call:  # fmt: skip
        """Returns `call` as the point `name`; `after(result, *args)` then writes it down, or `failed(*args)`.

        Calls with arguments for which `only` says no are not counted.
        """

        def wrapped(*args: Any, **kwargs: Any) -> Any:
            if only and not only(*args, **kwargs):
                return call(*args, **kwargs)
            due = self._counted(name)
            if due and self.plan.error:
                number = getattr(errno, self.plan.error)
                if failed:
                    failed(*args)
                raise OSError(number, os.strerror(number))
            if due and self.plan.when == "before":
                os.kill(os.getpid(), signal.SIGKILL)
            result = call(*args, **kwargs)
            if due:
                os.kill(os.getpid(), signal.SIGKILL)
            if after:
                after(result, *args, **kwargs)
            return result

        wrapped.__name__ = name
        return wrapped

    def _counted(self, name: str) -> bool:
        """Counts a call, and returns whether it is one that goes wrong."""
        with self.lock:
            self.counts[name] += 1
            number = self.counts[name]
            if self.plan.seen:
                with builtins.open(self.plan.seen, "a", encoding="utf-8") as file:  # noqa: PTH123
                    file.write(f"{name}\n")
        plan = self.plan
        last = plan.nth + (plan.times - 1 if plan.error else 0)
        return name == plan.point and plan.nth <= number <= last


class Trace:
    """Writes down, in a file of lines, what the disk was asked to do and what had been made durable when.

    A line is written when its call is done. One of a sync has the number of lines before it began: a write
    that came later need not be covered by it.
    """

    def __init__(self, file: str) -> None:
        self._fd = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self._lock = allocate_lock()
        self.lines = 0

    def note(self, op: str, **about: object) -> None:
        """Adds a line."""
        with self._lock:
            self.lines += 1
            line = json.dumps({"op": op, "at_s": time.monotonic(), **about})
            _real_write(self._fd, line.encode() + b"\n")

    def synced(self, call: Call) -> Call:
        """Returns a sync that notes what it covers."""

        def sync(fd: int) -> None:
            covers = self.lines
            call(fd)
            status = os.fstat(fd)
            if stat.S_ISDIR(status.st_mode):
                self.note("sync_dir", path=_path_of(fd), covers=covers)
            else:
                self.note("sync", ino=status.st_ino, covers=covers)

        return sync

    def synced_all(self, call: Call) -> Call:
        """Returns a syncfs that notes what it covers: everything."""

        def sync(fd: int) -> None:
            covers = self.lines
            call(fd)
            self.note("sync_all", covers=covers)

        return sync

    def sync_failed(self, fd: int, *_: object) -> None:
        """What was to be written is not, and the system takes it for written."""
        self.note("sync_failed", ino=os.fstat(fd).st_ino)

    def wrote(self, _: object, fd: int, data: Any, position: int) -> None:
        """See os.pwrite."""
        content = base64.b64encode(bytes(data)).decode()
        self.note("write", ino=os.fstat(fd).st_ino, position=position, data=content)

    def truncated(self, _: object, fd: int, size_bytes: int) -> None:
        """See os.ftruncate."""
        self.note("truncate", ino=os.fstat(fd).st_ino, size=size_bytes)

    def opened(self, fd: int, path: Any, flags: int, *_: object, dir_fd: int | None = None) -> None:
        """See os.open. Whether it has made the file is not told: that it was there before is harmless."""
        self.note("link", path=_place(path, dir_fd), ino=os.fstat(fd).st_ino)
        if flags & os.O_TRUNC:
            self.truncated(None, fd, 0)

    def copied(
        self, size_bytes: int, source: int, target: int, _: int, source_at: int, target_at: int
    ) -> None:
        """See os.copy_file_range."""
        self.wrote(None, target, os.pread(source, size_bytes, source_at), target_at)

    def renamed(
        self, _: object, source: Any, target: Any, *, src_dir_fd: int | None = None,
        dst_dir_fd: int | None = None,
    ) -> None:  # fmt: skip
        """See os.replace."""
        self.note("rename", source=_place(source, src_dir_fd), target=_place(target, dst_dir_fd))

    def unlinked(self, _: object, path: Any, *, dir_fd: int | None = None) -> None:
        """See os.unlink."""
        self.note("unlink", path=_place(path, dir_fd))

    def made(self, _: object, path: Any, *_args: object, dir_fd: int | None = None) -> None:
        """See os.mkdir."""
        self.note("mkdir", path=_place(path, dir_fd))

    def removed(self, _: object, path: Any, *, dir_fd: int | None = None) -> None:
        """See os.rmdir."""
        self.note("rmdir", path=_place(path, dir_fd))


def _place(path: Any, dir_fd: int | None) -> str:
    return str(Path(_path_of(dir_fd) if dir_fd is not None else ".") / path)


def _path_of(fd: int) -> str:
    return str(Path(f"/proc/self/fd/{fd}").readlink())


def _creates(path: Any, flags: int, *_: object, **__: object) -> bool:
    """Returns whether an os.open may make a file with a name."""
    return bool(flags & os.O_CREAT) and not flags & (os.O_TMPFILE & ~os.O_DIRECTORY)


def _is_an_upload(fd: int, *_: object) -> bool:
    """Returns whether this is an upload's file, and not the journal's."""
    return "/data/" in _path_of(fd)


def _is_no_upload(fd: int, *_: object) -> bool:
    return not _is_an_upload(fd)


def install(plan: Plan) -> None:
    """Puts the points into this process."""
    vars(probe)["os"] = SimpleNamespace(**vars(os))  # the trial at the start is not what plans mean
    points = Points(plan)
    trace = Trace(plan.trace) if plan.trace else None
    notes: dict[str, Call] = {}
    if trace:
        os.fsync, os.fdatasync = trace.synced(os.fsync), trace.synced(os.fdatasync)
        notes = {
            "pwrite": trace.wrote, "ftruncate": trace.truncated, "open": trace.opened,
            "replace": trace.renamed, "unlink": trace.unlinked, "mkdir": trace.made, "rmdir": trace.removed,
        }  # fmt: skip
        vars(posix)["syncfs"] = trace.synced_all(posix.syncfs)
    failed = trace.sync_failed if trace else None
    vars(posix)["syncfs"] = points.around("syncfs", posix.syncfs)
    os.fdatasync = points.around("fdatasync", os.fdatasync, failed=failed)
    os.fdatasync = points.around("data_sync", os.fdatasync, only=_is_an_upload, failed=failed)
    os.pwrite = points.around("journal_write", os.pwrite, notes.get("pwrite"), _is_no_upload)
    os.pwrite = points.around("pwrite", os.pwrite, notes.get("pwrite"), _is_an_upload)
    for name in ("ftruncate", "replace", "unlink", "mkdir", "rmdir", "fsync"):
        setattr(os, name, points.around(name, getattr(os, name), notes.get(name)))
    os.open = points.around("open", os.open, notes.get("open"), _creates)
    copied = trace.copied if trace else None
    os.copy_file_range = points.around("copy_file_range", os.copy_file_range, copied)
    vars(writer)["fallocate"] = _told(points.around("fallocate", posix.fallocate))
    vars(writer)["BEHIND_BYTES"] = writer.SLICE_BYTES  # uploads here are short
    writes_out = points.around("sync_file_range", posix.sync_file_range, failed=failed)
    vars(posix)["sync_file_range"] = _told(writes_out)
    _wrap_the_others(points)
    if plan.boot_id:
        vars(clock)["BOOT_ID"] = Path(plan.boot_id)
    if plan.checkpoint_every_s:
        vars(housekeeping)["CHECKPOINT_INTERVAL_S"] = plan.checkpoint_every_s
        vars(part_writer)["CHECKPOINT_INTERVAL_S"] = plan.checkpoint_every_s
    if plan.read_takes_s:
        os.preadv = _slow(os.preadv, plan.read_takes_s)
    if plan.look_every_s:
        vars(overview)["CHECK_DISK_EVERY_S"] = plan.look_every_s
    if plan.wild_clock:
        real_time = time.time
        chance = random.Random(1)
        time.time = lambda: real_time() + chance.uniform(-YEAR_S, YEAR_S)


def _slow(call: Call, takes_s: float) -> Call:
    """Returns a call that takes so long, in a thread of its own."""

    def slowly(*args: Any) -> Any:
        _real_sleep(takes_s)
        return call(*args)

    return slowly


def _told(point: Call) -> Callable[..., int]:
    """Returns the point of a call that does not raise its error, but returns its number."""

    def called(*args: Any) -> int:
        try:
            return int(point(*args))
        except OSError as exc:
            return exc.errno or errno.EIO

    return called


def _wrap_the_others(points: Points) -> None:
    FrameWriter._send_all = points.around("ack", FrameWriter._send_all)  # type: ignore[method-assign]
    post = points.around("post", CallSlot.post)

    def signed_post(self: CallSlot, *args: Any) -> Any:
        self._client._headers[PROCESS_HEADER] = str(os.getpid())
        return post(self, *args)

    CallSlot.post = signed_post  # type: ignore[assignment,method-assign]
