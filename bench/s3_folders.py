"""How many small files a second get into S3: a folder by its writer, compared with the client alone.

    python -m bench.s3_folders                       to SeaweedFS, which it starts, with its files in memory
    python -m bench.s3_folders http://127.0.0.1:8333 to a store with the bucket `uploads`

Both take turns, in one process that gevent has patched. The writer's time ends when the list of the files is
stored: then the app could have the folder. Notes: bench/notes/s3.md.
"""

from __future__ import annotations

import gevent.monkey

gevent.monkey.patch_all()

# ruff: noqa: E402 - gevent patches first
import contextlib
import os
import tempfile
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Final

import gevent.pool

from bench.s3 import CHUNK_BYTES, Lateness, read_endpoint_url
from incoming.core.checksum import checksum
from incoming.core.folder_manifest import Entry, encode_head
from incoming.runtime.gevent_runtime import GeventRuntime
from incoming.storage.s3.folders.context import MAX_CALLS
from incoming.storage.s3.keys import BucketAddress
from incoming.storage.s3.memory_budget import MemoryBudget
from incoming.storage.s3.metadata.sqlite_file import SqliteFile
from incoming.storage.s3.metadata.sqlite_metadata import metadata_in_sqlite
from incoming.storage.s3.part_buffer import PartBody, PartBuffer
from incoming.storage.s3.storage import S3Storage
from incoming.storage.s3.store.client import BucketConfig, S3Client
from tests.support.s3_place import BUCKET
from tests.support.s3_server import S3Server

FILES: Final = 10_000
FILE_BYTES: Final = 10_000
ROUNDS: Final = 2
MEMORY: Final = Path("/dev/shm")


class Bench:
    """The client and the writer, to one store."""

    def __init__(self, place: BucketConfig, folder: Path) -> None:
        self._runtime = GeventRuntime()
        self._client = S3Client(place, self._runtime)
        metadata = metadata_in_sqlite(SqliteFile(folder / "manifests.sqlite", self._runtime))
        self._storage = S3Storage(self._client, metadata, BucketAddress(BUCKET, "bench/"), self._runtime)
        entries = [Entry(f"{number // 100}/{number}", FILE_BYTES, 1) for number in range(FILES)]
        self._stream = memoryview(encode_head(entries) + os.urandom(FILES * FILE_BYTES))

    def client(self) -> None:
        """Puts files that are in memory, several at a time."""
        key = f"bench/{uuid.uuid4()}"
        buffer = PartBuffer(1, FILE_BYTES, MemoryBudget(FILE_BYTES, self._runtime))
        buffer.append(self._stream[-FILE_BYTES:])

        def put(number: int) -> None:
            with buffer.lent(FILE_BYTES) as segments:
                body = PartBody(segments, FILE_BYTES, self._runtime.yield_if_due)
                self._client.put(f"{key}/{number}", body, buffer.extent.crc32c, "bench")

        gevent.pool.Pool(MAX_CALLS).map(put, range(FILES))

    def writer(self) -> None:
        """Writes a folder in chunks whose checksums are known, until the app could have it."""
        writer = self._storage.folders.open(str(uuid.uuid4()), len(self._stream))
        for at in range(0, len(self._stream), CHUNK_BYTES):
            chunk = self._stream[at : at + CHUNK_BYTES]
            writer.wait_for_capacity()
            writer.write(chunk, checksum(chunk))
            self._runtime.yield_if_due()
        writer.finish()


def measure(name: str, work: Callable[[], None]) -> None:
    """Prints what it costs to store all files once."""
    lateness = Lateness()
    began_s, cpu_s = time.perf_counter(), time.process_time()
    work()
    took_s, cpu_s = time.perf_counter() - began_s, time.process_time() - cpu_s
    rate, cost = FILES / took_s, cpu_s / FILES * 1e3
    print(f"{name:20s} {rate:6.0f} files/s  {cost:5.2f} CPU ms a file  {lateness.stop()}", flush=True)


def main(endpoint_url: str) -> None:
    """Measures both in turns, and prints a line for each."""
    with contextlib.ExitStack() as stack:
        in_memory = MEMORY if MEMORY.is_dir() else None
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=in_memory)))
        place = BucketConfig(BUCKET, endpoint_url, "us-east-1")
        if not endpoint_url:
            store = stack.enter_context(S3Server(folder / "s3"))
            store.create_bucket(BUCKET)
            place = store.place(BUCKET)
        bench = Bench(place, Path(stack.enter_context(tempfile.TemporaryDirectory())))
        for _ in range(ROUNDS):
            measure("the client alone", bench.client)
            measure("the folder", bench.writer)


if __name__ == "__main__":
    main(read_endpoint_url(__doc__, "SeaweedFS in memory"))
