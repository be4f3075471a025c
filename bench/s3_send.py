"""How fast `incoming send` stores a file in S3, through a server, compared with the S3 client alone.

    python -m bench.s3_send [SIZE_MB]        files of 200 MB otherwise

Three take turns: the client alone, which puts parts that are in memory; the command to a server that tells
what it has taken; and the command to one that only tells what is stored, as before. A real SeaweedFS is the
store. The time of the command is what it tells: from its first connection to the app's answer, so with the
object that is made of the parts, but without the start of Python. Notes: bench/notes/s3.md.
"""

from __future__ import annotations

from bench.s3 import Bench, bench_is_ready  # isort: skip - gevent patches first

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from tests.support.app import ScriptedApp
from tests.support.cluster import CREDENTIALS, S3BackedServer, s3_settings
from tests.support.s3_place import BUCKET
from tests.support.s3_server import S3Server
from tests.support.sending import PATCHED, Sending
from tests.support.server import new_upload
from tests.support.waiting import wait_until

ROUNDS: Final = 5
DEADLINE_S: Final = 600.0


class OlderServer(S3BackedServer):
    """A server whose messages lack the members that came later."""

    def _command(self) -> list[str]:
        return [sys.executable, "-m", "tests.support.older_server", *self._place()]


def main(size_mb: int) -> None:
    """Prints the rate of each in MB/s, round after round."""
    size_bytes = size_mb * 1_000_000
    os.environ.update(CREDENTIALS)
    with tempfile.TemporaryDirectory() as name, S3Server(Path(name) / "s3") as s3, ScriptedApp() as app:
        folder = Path(name)
        s3.create_bucket(BUCKET)
        file = folder / "file"
        file.write_bytes(os.urandom(size_bytes))
        bench = Bench(s3.url, folder, is_sink=False)
        wait_until(lambda: bench_is_ready(bench), "the store answers")
        settings = s3_settings(s3, "bench")
        with (
            S3BackedServer(folder / "now", None, **settings) as now,
            OlderServer(folder / "older", None, **settings) as older,
        ):

            def send(server: S3BackedServer) -> float:
                ticket_id = new_upload(server, app.url, storage="s3")
                options = ("--ticket", ticket_id, "--server", server.url)
                with Sending(file, *options, command=PATCHED) as sending:
                    assert sending.ends(DEADLINE_S).exit_code == 0, sending.said
                    return float(sending.result["seconds"])

            def client_alone() -> float:
                began_s = time.perf_counter()
                bench.client(size_bytes)
                return time.perf_counter() - began_s

            works: dict[str, Callable[[], float]] = {
                "the client alone": client_alone,
                "send, taken is told": lambda: send(now),
                "send, only stored": lambda: send(older),
            }
            for _ in range(ROUNDS):
                for label, work in works.items():
                    print(f"{label:20s} {size_bytes / 1e6 / work():7.1f} MB/s", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument(
        "size_mb", nargs="?", type=int, default=200, help="how large the file is (default: 200)"
    )
    main(parser.parse_args().size_mb)
