"""Processes that send a file or a folder to S3 and are killed at a call: each is forked from a ready one.

`python -m tests.support.s3_errand URL FOLDER` reads a line of JSON for each upload, and answers with a line:
the exit code, and the last offset that a client would have heard of.
"""

from __future__ import annotations

import gevent.monkey

if __name__ == "__main__":
    gevent.monkey.patch_all()

import json
import os
import random
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, NoReturn, Self

from incoming.runtime.gevent_runtime import GeventRuntime, close_descriptor
from incoming.storage.s3.folders.writer import S3FolderWriter
from incoming.storage.s3.keys import BucketAddress
from incoming.storage.s3.metadata.sqlite_file import SqliteFile
from incoming.storage.s3.metadata.sqlite_metadata import metadata_in_sqlite
from incoming.storage.s3.storage import S3Options, S3Storage
from incoming.storage.s3.store.client import BucketConfig, S3Client
from tests.support.folder_data import FolderData
from tests.support.server import ROOT

PART_BYTES: Final = 1000
CONTENT: Final = random.Random(7).randbytes(4_700)
FOLDER: Final = FolderData((
    *(("a.txt", 300), ("empty/", 0), ("b/nothing", 0), ("b/large", 3_300), ("c", 900)),
    *(("gone", 2_100), ("d", 40), ("nothing", 0)),
))  # fmt: skip
GONE: Final = 5
"""The file of the folder that is left out when parts of it are stored."""
ADDRESS: Final = BucketAddress("uploads", "in/")


@dataclass(frozen=True, slots=True)
class Errand:
    """What a process does: it sends the upload, and dies before or after its nth call to a store."""

    ticket_id: str
    nth: int = 0
    """0: it is not killed."""
    when: str = "before"
    length_bytes: int | None = None
    sends_bytes: int = len(CONTENT)
    is_folder: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """How it went."""

    was_killed: bool
    acknowledged_bytes: int


class Errands:
    """The process from which those are forked that send. A context manager."""

    def __init__(self, url: str, folder: Path) -> None:
        command = [sys.executable, "-m", "tests.support.s3_errand", url, str(folder)]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        self._process = subprocess.Popen(command, cwd=ROOT, text=True, bufsize=1, **pipes)  # type: ignore[call-overload]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._process.kill()
        self._process.communicate()

    def run(self, errand: Errand) -> Outcome:
        """Has one process do it, and waits for its end."""
        self._process.stdin.write(json.dumps(asdict(errand)) + "\n")
        exit_code, acknowledged_bytes = json.loads(self._process.stdout.readline())
        assert exit_code in (0, -signal.SIGKILL), exit_code
        return Outcome(exit_code != 0, acknowledged_bytes)


def _dies_at(errand: Errand, call: Callable[..., Any], counted: list[int]) -> Callable[..., Any]:
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        counted[0] += 1
        is_due = counted[0] == errand.nth
        if is_due and errand.when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        result = call(*args, **kwargs)
        if is_due:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    return wrapped


def _send(errand: Errand, client: S3Client, folder: Path, acknowledge: Callable[[int], object]) -> None:
    runtime = GeventRuntime()
    file = SqliteFile(folder / "manifests.sqlite", runtime)
    counted = [0]
    for owner, name in ((client, "_call"), (file, "_in_transaction")):
        setattr(owner, name, _dies_at(errand, getattr(owner, name), counted))
    storage = S3Storage(client, metadata_in_sqlite(file), ADDRESS, runtime, S3Options(PART_BYTES))
    place = storage.folders if errand.is_folder else storage
    content = FOLDER.stream if errand.is_folder else CONTENT
    sends_bytes = len(content) if errand.is_folder else errand.sends_bytes
    writer = place.open(errand.ticket_id, errand.length_bytes)
    writer.fence(str(os.getpid()))

    def write(up_to: int) -> None:
        while writer.taken_bytes < min(up_to, sends_bytes):
            at = writer.taken_bytes
            writer.wait_for_capacity()
            writer.write(memoryview(content)[at : min(at + 170, up_to, sends_bytes)])
            acknowledge(writer.durable_offset)
            runtime.sleep(0)

    write(1_300)
    writer.flush()
    acknowledge(writer.durable_offset)
    write(2_500)
    writer.begin_unchecked()
    write(3_800)
    writer.accept_unchecked()
    acknowledge(writer.durable_offset)
    if isinstance(writer, S3FolderWriter) and GONE not in writer.left_out:
        write(FOLDER.manifest.range_of(GONE)[0] + 1_200)
        writer.flush()
        writer.leave_out(GONE)
        acknowledge(writer.durable_offset)
    write(len(content))
    if sends_bytes == len(content):
        writer.finish()
    else:
        writer.close()


def _send_and_exit(errand: Errand, client: S3Client, folder: Path, told: int) -> NoReturn:
    exit_code = 1
    try:
        _send(errand, client, folder, lambda offset: os.write(told, f"{offset}\n".encode()))
        exit_code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(exit_code)


def main(url: str, folder: str) -> None:
    """Forks a process for each line of stdin."""
    client = S3Client(BucketConfig("uploads", url, "us-east-1", "test", "secret"), GeventRuntime())
    for line in sys.stdin:
        errand = Errand(**json.loads(line))
        reading, writing = os.pipe()
        pid = os.fork()
        if not pid:
            _send_and_exit(errand, client, Path(folder), writing)
        close_descriptor(writing)
        with os.fdopen(reading) as told:
            acknowledged_bytes = max(map(int, told.read().split()), default=0)
        _, status = os.waitpid(pid, 0)
        print(json.dumps([os.waitstatus_to_exitcode(status), acknowledged_bytes]), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
