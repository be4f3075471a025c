"""How long a client waits for the offset while a dead connection still holds its upload.

    python -m bench.takeover --takeovers 200 --storage DIR

A client sends a part of a file and dies in one of these ways, which the server can't see:

- half-open: nothing that is sent to it arrives any more, as after a lost radio link;
- frozen: its process is stopped (SIGSTOP) while it sends;
- does not read: a WebSocket that neither sends nor reads any more.

Then another client asks for the offset, on a new connection: HEAD of tus, and of the IETF's draft.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import signal
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

from bench import settings
from tests.support.client_v2 import ClientV2
from tests.support.data import MIB, FileBytes
from tests.support.halfopen import vanish
from tests.support.http_upload import HttpUpload
from tests.support.ietf import VERSIONS, IetfClient
from tests.support.server import RunningServer, new_upload
from tests.support.tus import TusUpload
from tests.support.waiting import wait_until

TAKEOVERS: Final = 200
LENGTH_BYTES: Final = 16 * MIB
SENT_BYTES: Final = 1 * MIB
APP_URL: Final = "http://127.0.0.1:9/"
"""Nobody is told anything here."""
IN_A_NEW_PROCESS: Final = multiprocessing.get_context("fork")


def _send_begin(upload: HttpUpload, data: FileBytes) -> Any:
    request = upload.open("PUT", {"Content-Length": LENGTH_BYTES})
    request.send(data.read(0, SENT_BYTES))
    return request


@contextmanager
def _half_open(server: RunningServer, ticket_id: str, data: FileBytes) -> Iterator[None]:
    with _send_begin(HttpUpload(server.url, ticket_id), data) as request:
        _await_stored(server, ticket_id)
        vanish(request.socket)
        yield


@contextmanager
def _frozen(server: RunningServer, ticket_id: str, data: FileBytes) -> Iterator[None]:
    def send_slowly() -> None:
        request = _send_begin(HttpUpload(server.url, ticket_id), data)
        for at in range(SENT_BYTES, LENGTH_BYTES, 1000):
            request.send(data.read(at, 1000))
            time.sleep(0.001)

    process = IN_A_NEW_PROCESS.Process(target=send_slowly)
    process.start()
    try:
        _await_stored(server, ticket_id)
        os.kill(process.pid or 0, signal.SIGSTOP)
        yield
    finally:
        process.kill()
        process.join()


@contextmanager
def _does_not_read(server: RunningServer, ticket_id: str, data: FileBytes) -> Iterator[None]:
    client = ClientV2(server.url, ticket_id, data).open()
    for _ in range(SENT_BYTES // client.chunk_size_bytes):
        client.send_chunk()
    _await_stored(server, ticket_id)
    try:
        yield
    finally:
        client.drop()


def _await_stored(server: RunningServer, ticket_id: str) -> None:
    file = server.stored_file(ticket_id)
    wait_until(lambda: file.exists() and file.stat().st_size > 0, "the beginning is stored")


DEATHS: Final = {"half-open": _half_open, "frozen": _frozen, "does not read": _does_not_read}
HEADS: Final[dict[str, Callable[[str, str], int]]] = {
    "tus": lambda url, ticket_id: TusUpload(url, ticket_id).head().offset_bytes,
    "IETF": lambda url, ticket_id: IetfClient(HttpUpload(url, ticket_id), VERSIONS[-1]).head().offset_bytes,
}


def percentiles(times_ms: Sequence[float]) -> dict[str, float]:
    """Returns `p50_ms` and `p99_ms`."""
    p99_ms = statistics.quantiles(times_ms, n=100, method="inclusive")[98]
    return {"p50_ms": statistics.median(times_ms), "p99_ms": p99_ms}


def add_option(parser: argparse.ArgumentParser, what: str) -> None:
    """Adds the number of takeovers. `what` is for the help."""
    parser.add_argument("--takeovers", type=int, default=TAKEOVERS, help=f"{what} (default: %(default)s)")


def measure(takeovers: int, storage: Path) -> dict[str, Any]:
    """Returns plain data: `takeovers` of each kind; `rows` with `death`, `head`, `p50_ms` and `p99_ms`."""
    data = FileBytes(LENGTH_BYTES, 1)
    took_ms: dict[tuple[str, str], list[float]] = {(death, head): [] for death in DEATHS for head in HEADS}
    with ExitStack() as stack:
        server = stack.enter_context(RunningServer(storage / "takeover", log_level="warning"))
        for number in range(takeovers):
            settings.progress(f"takeover {number + 1} of {takeovers}")
            for (death, head), times in took_ms.items():
                ticket_id = new_upload(server, APP_URL)
                with DEATHS[death](server, ticket_id, data):
                    began_s = time.perf_counter()
                    offset_bytes = HEADS[head](server.url, ticket_id)
                    times.append((time.perf_counter() - began_s) * 1000)
                    assert offset_bytes > 0
    return {
        "takeovers": takeovers,
        "rows": [
            {
                "death": death,
                "head": head,
                **percentiles(times),
            }
            for (death, head), times in took_ms.items()
        ],
    }


def show(found: dict[str, Any]) -> None:
    """Prints the table."""
    sys.stdout.write(f"{found['takeovers']} takeovers of each kind\n")
    for row in found["rows"]:
        about = f"{row['death']:>14} {row['head']:>5}"
        sys.stdout.write(f"{about}: p50 {row['p50_ms']:.1f} ms, p99 {row['p99_ms']:.1f} ms\n")


def main() -> None:
    """Reads the options, measures, prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    settings.add_options(parser)
    add_option(parser, "of each kind")
    options = parser.parse_args()
    with settings.storage(options.storage) as storage:
        show(measure(options.takeovers, storage))


if __name__ == "__main__":
    main()
