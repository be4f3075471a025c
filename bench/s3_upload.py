"""How fast one upload goes through a server into S3, until the app has it, to a store that discards.

    python -m bench.s3_upload [SIZE_MIB]     1,024 MiB otherwise

A server with Redis takes a file by a WebSocket (version 2) and by one PUT, in turns. Client, server, Redis
and store share the machine. The CPU time is that of the server. Notes: bench/notes/s3.md.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from bench import load, measure
from bench.quick_app import takes_connections
from tests.support.app import ScriptedApp
from tests.support.cluster import S3BackedServer
from tests.support.data import MIB
from tests.support.ports import free_port
from tests.support.redis_server import RedisServer
from tests.support.server import new_upload
from tests.support.waiting import wait_until

GIB: Final = 1 << 30
ROUNDS: Final = 5


def by_websocket(server: S3BackedServer, ticket_id: str, size_bytes: int) -> load.Upload:
    """An upload by a WebSocket."""
    return load.V2(server.url, ticket_id, size_bytes)


def by_put(server: S3BackedServer, ticket_id: str, size_bytes: int) -> load.Upload:
    """An upload with one PUT. Its answer says that the app has the file."""
    return load.Http(server.port, f"PUT /incoming/frontend/uploads/{ticket_id} HTTP/1.1", size_bytes)


WAYS: Final[dict[str, Callable[[S3BackedServer, str, int], load.Upload]]] = {
    "WebSocket": by_websocket,
    "PUT": by_put,
}


def one_upload(server: S3BackedServer, app_url: str, way: str, size_bytes: int) -> tuple[float, float]:
    """Returns MB/s and the server's CPU seconds for a GiB."""
    upload = WAYS[way](server, new_upload(server, app_url, storage="s3"), size_bytes)
    cpu_s, began_s = measure.cpu_s(server.pid), time.perf_counter()
    for _ in load.flat_out([upload]):
        pass
    if isinstance(upload, load.V2):
        upload.receive_result()
    took_s = time.perf_counter() - began_s
    upload.socket.close()
    return size_bytes / 1e6 / took_s, (measure.cpu_s(server.pid) - cpu_s) * GIB / size_bytes


def main(size_mib: int) -> None:
    """Prints each round, and the medians. The first round warms up."""
    size_bytes = size_mib * MIB
    found: dict[str, list[tuple[float, float]]] = {way: [] for way in WAYS}
    port = free_port()
    sink = subprocess.Popen([sys.executable, "-m", "bench.s3_sink", str(port)])
    try:
        wait_until(lambda: takes_connections(port), "the store listens")
        with (
            tempfile.TemporaryDirectory() as name,
            RedisServer(Path(name) / "redis") as redis,
            ScriptedApp() as app,
        ):
            app.hash_files = False
            settings = {"registry": redis.url, "storage": "s3://discarded/x", "log_level": "warning"}
            place = {"s3_endpoint": f"http://127.0.0.1:{port}", "s3_region": "us-east-1"}
            with S3BackedServer(Path(name) / "server", None, **settings, **place) as server:
                for turn in range(ROUNDS + 1):
                    for way, results in found.items():
                        rate, cpu_s = one_upload(server, app.url, way, size_bytes)
                        print(f"{way:10s} {rate:7.0f} MB/s {cpu_s:6.2f} CPU s/GiB", flush=True)
                        if turn:
                            results.append((rate, cpu_s))
    finally:
        sink.kill()
        sink.wait()
    for way, results in found.items():
        rates, cpus = zip(*results, strict=True)
        print(
            f"median of {way}: {statistics.median(rates):.0f} MB/s, {statistics.median(cpus):.2f} CPU s/GiB"
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument(
        "size_mib", nargs="?", type=int, default=1024, help="how large the file is (default: 1024)"
    )
    main(parser.parse_args().size_mib)
