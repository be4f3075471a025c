"""What it costs to send bytes to S3: the writer of an upload, compared with the client alone.

    python -m bench.s3                       to a store that discards
    python -m bench.s3 http://127.0.0.1:8333 to a store with the bucket `uploads`, keys as botocore finds them

Both take turns, in one process that gevent has patched. A timer tells how late the event loop is.
Notes: bench/notes/s3.md.
"""

from __future__ import annotations

import gevent.monkey

gevent.monkey.patch_all()

# ruff: noqa: E402 - gevent patches first
import argparse
import os
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Final

import gevent
import gevent.pool

from incoming.core.checksum import checksum
from incoming.runtime.gevent_runtime import GeventRuntime
from incoming.storage.s3.keys import BucketAddress
from incoming.storage.s3.memory_budget import MemoryBudget
from incoming.storage.s3.metadata.sqlite_file import SqliteFile
from incoming.storage.s3.metadata.sqlite_metadata import metadata_in_sqlite
from incoming.storage.s3.part_buffer import PartBody, PartBuffer
from incoming.storage.s3.storage import S3Options, S3Storage
from incoming.storage.s3.store.client import BucketConfig, S3Client
from tests.support.ports import free_port
from tests.support.waiting import wait_until

MIB: Final = 1 << 20
PART_BYTES: Final = 8 * MIB
PARALLEL: Final = 4
CHUNK_BYTES: Final = MIB
TICK_S: Final = 0.004
ROUNDS: Final = 3


class Lateness:
    """A timer that runs during the work: how much later than asked for the event loop runs it."""

    def __init__(self) -> None:
        self.late_s: list[float] = []
        self._task = gevent.spawn(self._run)

    def _run(self) -> None:
        before_s = time.perf_counter()
        while True:
            gevent.sleep(TICK_S)
            now_s = time.perf_counter()
            self.late_s.append(now_s - before_s - TICK_S)
            before_s = now_s

    def stop(self) -> str:
        """Ends it, and returns its percentiles."""
        self._task.kill()
        found = sorted(self.late_s)
        p50, p99 = (found[int(len(found) * share)] * 1e3 for share in (0.5, 0.99))
        return f"loop late p50 {p50:5.1f}, p99 {p99:6.1f}, max {found[-1] * 1e3:6.1f} ms"


def measure(name: str, work: Callable[[int], None], size_bytes: int) -> None:
    """Prints what it costs to send this many bytes."""
    lateness = Lateness()
    began_s, cpu_s = time.perf_counter(), time.process_time()
    work(size_bytes)
    took_s, cpu_s = time.perf_counter() - began_s, time.process_time() - cpu_s
    rate, cost = size_bytes / 1e6 / took_s, cpu_s / (size_bytes / (1 << 30))
    print(f"{name:20s} {rate:7.0f} MB/s  {cost:5.2f} CPU s/GiB  {lateness.stop()}", flush=True)


class Bench:
    """The client and the writer, to one store."""

    def __init__(self, endpoint_url: str, folder: Path, is_sink: bool) -> None:
        keys = ("test", "secret") if is_sink else ("", "")
        self._runtime = GeventRuntime()
        self._client = S3Client(BucketConfig("uploads", endpoint_url, "us-east-1", *keys), self._runtime)
        metadata = metadata_in_sqlite(SqliteFile(folder / "manifests.sqlite", self._runtime))
        options = S3Options(PART_BYTES, PARALLEL)
        address = BucketAddress("uploads", "bench/")
        self._storage = S3Storage(self._client, metadata, address, self._runtime, options)
        self._data = memoryview(os.urandom(PART_BYTES))
        self._crc = checksum(self._data[:CHUNK_BYTES])

    def client(self, size_bytes: int) -> None:
        """Sends parts that are in memory, several at a time."""
        key = f"bench/{uuid.uuid4()}"
        upload_id = self._client.create(key, "bench")
        buffer = PartBuffer(1, PART_BYTES, MemoryBudget(PART_BYTES, self._runtime))
        buffer.append(self._data)

        def put(number: int) -> None:
            with buffer.lent(PART_BYTES) as segments:
                body = PartBody(segments, PART_BYTES, self._runtime.yield_if_due)
                self._client.put_part(key, upload_id, number, body, buffer.extent.crc32c)

        gevent.pool.Pool(PARALLEL).map(put, range(1, size_bytes // PART_BYTES + 1))
        self._client.abort(key, upload_id)

    def writer(self, size_bytes: int) -> None:
        """Writes an upload in chunks whose checksums are known, and flushes."""
        ticket_id = str(uuid.uuid4())
        writer = self._storage.open(ticket_id, size_bytes)
        for _ in range(size_bytes // CHUNK_BYTES):
            writer.wait_for_capacity()
            writer.write(self._data[:CHUNK_BYTES], self._crc)
            self._runtime.yield_if_due()
        writer.flush()
        writer.abort()
        self._client.abort(f"bench/{ticket_id}", writer.upload_id)


def read_endpoint_url(about: str | None, default: str) -> str:
    """Reads the only option of a benchmark: the address of a store. Empty for the default store."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawTextHelpFormatter)
    said = f"a store with the bucket `uploads` (default: {default})"
    parser.add_argument("endpoint_url", nargs="?", default="", help=said)
    return str(parser.parse_args().endpoint_url)


def main(endpoint_url: str) -> None:
    """Measures both in turns, and prints a line for each."""
    with tempfile.TemporaryDirectory() as folder:
        port = free_port()
        sink = None
        if not endpoint_url:
            sink = subprocess.Popen([sys.executable, "-m", "bench.s3_sink", str(port)])
        try:
            bench = Bench(endpoint_url or f"http://127.0.0.1:{port}", Path(folder), bool(sink))
            size_bytes = (2048 if sink else 256) * MIB
            wait_until(lambda: bench_is_ready(bench), "the store answers")
            for _ in range(ROUNDS):
                measure("the client alone", bench.client, size_bytes)
                measure("the writer", bench.writer, size_bytes)
        finally:
            if sink:
                sink.kill()
                sink.wait()


def bench_is_ready(bench: Bench) -> bool:
    """Returns whether the store answers."""
    try:
        bench.client(PART_BYTES)
    except Exception as exc:
        print(f"not yet: {exc}", file=sys.stderr)
        return False
    return True


if __name__ == "__main__":
    main(read_endpoint_url(__doc__, "one that discards"))
