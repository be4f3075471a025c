"""Small files: how many uploads a second, from the ticket until the app has the file.

    python -m bench.small --at-once 1,16 --seconds 3 --rounds 3 --storage DIR --only ours,tus-node

An upload to our server has all its steps: a ticket over a kept-alive connection of the backend, a WebSocket
of the page, the bytes, the handover to an app that answers at once, and the result. The others store a file
in one request over a kept-alive connection, without a handover. None of them syncs, so one row of ours does
not sync either. Over HTTP, ours has two requests on one kept-alive connection: the first gets the ticket, the
second brings the file. Its answer says that the app has the file.
"""

from __future__ import annotations

import argparse
import hashlib
import random
import socket
import statistics
import struct
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, ClassVar, Final, Protocol

from crc32c import crc32c

from bench import measure as figures
from bench import settings
from bench.crowd import MASK, handshake, text
from bench.keep_alive import TIMEOUT_S, KeepAliveConnection, new_ticket
from bench.measure import Figure
from bench.quick_app import quick_app
from bench.rivals import theirs
from bench.rivals.base import Rival
from incoming.core.lifecycle import State
from incoming.wire.frames import OP_BINARY, OP_CLOSE, build_frame
from tests.support.client_v2 import CHUNK_HEADER
from tests.support.data import FileBytes
from tests.support.server import RunningServer
from tests.support.waiting import wait_until

SIZE_BYTES: Final = 10_000
CONTENT: Final = FileBytes(SIZE_BYTES).read(0, SIZE_BYTES)
CRC32C: Final = crc32c(CONTENT)
WARM_UP_S: Final = 0.5
BYE: Final = build_frame(OP_CLOSE, struct.pack("!H", 1000), MASK)
CHUNK: Final = build_frame(OP_BINARY, CHUNK_HEADER.pack(0, CRC32C, 0) + CONTENT, MASK)
REST: Final = text("MsgAgree", Crc32c=[]) + CHUNK + text("MsgComplete", Crc32c=CRC32C, Round=0)
RATE_OF: Final = "tus-node"
CPU_OF: Final = "ours"
"""The references of the ratios, which are of one round each."""
TUS: Final = "Tus-Resumable: 1.0.0\r\n"
TUS_LENGTH: Final = f"Upload-Length: {SIZE_BYTES}\r\n"
TUS_BODY: Final = "Content-Type: application/offset+octet-stream\r\n"
TUS_FIELDS: Final = TUS + TUS_LENGTH + TUS_BODY


class Store(Protocol):
    """A server that small files are uploaded to."""

    @property
    def pid(self) -> int:
        """Its process."""

    def upload(self, connection: KeepAliveConnection) -> None:
        """Uploads one file. Raises AssertionError unless it was stored."""

    def check(self, count: int) -> None:
        """Checks what was stored. Raises AssertionError."""


class Ours(RunningServer):
    """Our server. The app accepts each file at once, and the server then removes it."""

    title = "Incoming!!, version 2"
    fsync: ClassVar[str] = "yes"

    def __init__(self, storage_dir: Path, app_url: str) -> None:
        super().__init__(storage_dir, log_level="warning", fsync=self.fsync)
        self._app_url = app_url

    def upload(self, connection: KeepAliveConnection) -> None:
        """See Store."""
        ticket_id = new_ticket(connection, self._app_url)
        with socket.create_connection(("127.0.0.1", self.port), timeout=TIMEOUT_S) as page:
            page.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            page.sendall(handshake("127.0.0.1", self.port))
            _hear(page, b"\r\n\r\n")
            request = {"Version": 2, "Id": ticket_id, "LengthBytes": SIZE_BYTES, "Name": "small.bin"}
            page.sendall(text("MsgUploadReq", **request, LastModifiedMs=1_700_000_000_123))
            _hear(page, b'"MsgUploadConf"')
            page.sendall(REST)
            _hear(page, b'"MsgAllDone"')
            page.sendall(BYE)

    def check(self, count: int) -> None:
        """See Store. The app has accepted all files, so this checks that the server has removed them."""
        finished = [ticket for ticket in self.journaled().values() if ticket.state is State.FINISHED]
        assert len(finished) >= count, f"{count} uploads, {len(finished)} of them finished"
        wait_until(lambda: not self._files(), "the server has removed what the app has")

    def _files(self) -> list[Path]:
        data = self.storage_dir / "data"
        return [file for file in data.rglob("*") if file.is_file() and file.stat().st_size == SIZE_BYTES]


class OursOverHttp(Ours):
    """The ticket and one PUT. Its answer says that the app has the file, and the server has removed it."""

    title = "Incoming!!, one PUT"

    def upload(self, connection: KeepAliveConnection) -> None:
        """See Store."""
        ticket_id = new_ticket(connection, self._app_url)
        self.send(connection, f"/incoming/frontend/uploads/{ticket_id}")

    def send(self, connection: KeepAliveConnection, path: str) -> None:
        """Makes the request that has the file."""
        head, _ = connection.ask(f"PUT {path}", CONTENT)
        assert " 200 " in head.partition("\r\n")[0], head


class OursOverTus(OursOverHttp):
    """The ticket and a creation of tus that has the file."""

    title = "Incoming!!, one POST of tus"

    def send(self, connection: KeepAliveConnection, path: str) -> None:
        """See OursOverHttp."""
        head, _ = connection.ask(f"POST {path}", CONTENT, TUS_FIELDS)
        assert f"upload-offset: {SIZE_BYTES}" in head.lower(), head


class OursOverHttpWithoutFsync(OursOverHttp):
    """The same with one PUT and without syncs: a power cut may lose uploads of the last seconds."""

    title = "Incoming!!, one PUT, --fsync no"
    fsync = "no"


class OursWithoutFsync(Ours):
    """The same without syncs: a power cut may lose uploads of the last seconds."""

    title = "Incoming!!, version 2, --fsync no"
    fsync = "no"


def _hear(page: socket.socket, what: bytes) -> None:
    data = b""
    while what not in data:
        more = page.recv(1 << 16)
        assert more and b"MsgError" not in more, data + more
        data += more


def _check_files(rival: Rival, count: int) -> None:
    files = [file for file in rival.files.rglob("*") if file.is_file() and file.stat().st_size == SIZE_BYTES]
    assert len(files) >= count, f"{rival.title}: {count} uploads, {len(files)} files"
    expected = hashlib.sha256(CONTENT).hexdigest()
    assert all(figures.sha256(file) == expected for file in files[:500]), f"{rival.title}: other files"


class TusNode(theirs.TusNode):
    """A POST that creates an upload and has all of its bytes."""

    def __init__(self, storage_dir: Path, app_url: str) -> None:
        super().__init__(storage_dir)

    def upload(self, connection: KeepAliveConnection) -> None:  # type: ignore[override]
        """See Store."""
        head, _ = connection.ask(f"POST {self.path}", CONTENT, TUS_FIELDS)
        assert f"upload-offset: {SIZE_BYTES}" in head.lower(), head

    def check(self, count: int) -> None:
        """See Store."""
        _check_files(self, count)


class TusNodePatch(TusNode):
    """A POST that creates an upload, and a PATCH that has all of its bytes."""

    title = "@tus/server (Node.js), POST and PATCH"

    def upload(self, connection: KeepAliveConnection) -> None:  # type: ignore[override]
        """See Store."""
        place = theirs.location(connection.ask(f"POST {self.path}", b"", TUS + TUS_LENGTH)[0])
        head, _ = connection.ask(f"PATCH {place}", CONTENT, f"{TUS}{TUS_BODY}Upload-Offset: 0\r\n")
        assert f"upload-offset: {SIZE_BYTES}" in head.lower(), head


class TusPython(TusNode, theirs.TusPython):
    """The same request."""

    title = theirs.TusPython.title
    path = theirs.TusPython.path
    _command = theirs.TusPython._command


class Copyparty(theirs.Copyparty):
    """One PUT."""

    def __init__(self, storage_dir: Path, app_url: str) -> None:
        super().__init__(storage_dir)

    def upload(self, connection: KeepAliveConnection) -> None:  # type: ignore[override]
        """See Store."""
        connection.ask(f"PUT /file-{next(self._numbers)}{self.query}", CONTENT)

    def check(self, count: int) -> None:
        """See Store."""
        _check_files(self, count)


class CopypartyPlain(Copyparty):
    """Without any checksum."""

    title = theirs.CopypartyPlain.title
    query = theirs.CopypartyPlain.query


STORES: Final[dict[str, Callable[[Path, str], Any]]] = {
    "ours": Ours,
    "ours-put": OursOverHttp,
    "ours-tus": OursOverTus,
    "ours-no-fsync": OursWithoutFsync,
    "ours-put-no-fsync": OursOverHttpWithoutFsync,
    "tus-node": TusNode,
    "tus-node-patch": TusNodePatch,
    "tus-python": TusPython,
    "copyparty": Copyparty,
    "copyparty-plain": CopypartyPlain,
}


class _Uploaders:
    """Threads that upload one file after another until the time is over."""

    def __init__(self, store: Any, at_once: int) -> None:
        self._store = store
        self._over = threading.Event()
        self.took_s: list[float] = []
        self._failed: list[BaseException] = []
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(at_once)]

    def __enter__(self) -> _Uploaders:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()
        if self._failed:
            raise self._failed[0]

    def _run(self) -> None:
        try:
            with KeepAliveConnection(self._store.port) as connection:
                while not self._over.is_set():
                    began_s = time.perf_counter()
                    self._store.upload(connection)
                    self.took_s.append(time.perf_counter() - began_s)
        except BaseException as exc:
            self._failed.append(exc)


def one_run(store: Any, at_once: int, duration_s: float) -> dict[str, float]:
    """Returns uploads a second, the server's CPU for each in ms, and the median time of one in ms."""
    with _Uploaders(store, at_once) as uploaders:
        time.sleep(WARM_UP_S)
        before, cpu_before_s, began_s = (
            len(uploaders.took_s),
            figures.cpu_s(store.pid),
            time.perf_counter(),
        )
        time.sleep(duration_s)
        count, cpu_s = len(uploaders.took_s) - before, figures.cpu_s(store.pid) - cpu_before_s
        wall_s = time.perf_counter() - began_s
        took_s = sorted(uploaders.took_s[before : before + count])
    store.check(count)
    assert count, "not one upload came through"
    median_ms, p99_ms = (took_s[int(count * share)] * 1000 for share in (0.5, 0.99))
    return {
        "uploads_per_s": count / wall_s,
        "cpu_ms_each": cpu_s / count * 1000,
        "median_ms": median_ms,
        "p99_ms": p99_ms,
    }


def measure(
    names: Sequence[str], at_once: Sequence[int], rounds: int, duration_s: float, storage: Path
) -> dict[str, Any]:
    """Returns plain data: `size_bytes`, and `rows` with `name`, `title`, `at_once`, and figures.

    Each figure is `{"median", "least", "most"}` over the rounds: `uploads_per_s`, the server's `cpu_ms_each`,
    and how long an upload took, `median_ms` and `p99_ms`. Within a round the servers take turns in any order.
    `rate_ratio` and `cpu_ratio` are the medians of the ratios to `RATE_OF` and `CPU_OF` in the same round.
    """
    samples: dict[tuple[str, int], list[dict[str, float]]] = {}
    with ExitStack() as stack:
        app_url = stack.enter_context(quick_app())
        stores = {name: stack.enter_context(STORES[name](storage / name, app_url)) for name in names}
        for number in range(1, rounds + 1):
            for count in at_once:
                for name in random.sample(names, len(names)):
                    settings.progress(f"{name}, {count} at once: round {number} of {rounds}")
                    samples.setdefault((name, count), []).append(one_run(stores[name], count, duration_s))
        rows = [
            {"name": name, "title": stores[name].title, "at_once": count}
            | _row(samples[name, count])
            | _ratio("rate_ratio", "uploads_per_s", samples[name, count], samples.get((RATE_OF, count)))
            | _ratio("cpu_ratio", "cpu_ms_each", samples[name, count], samples.get((CPU_OF, count)))
            for count in at_once
            for name in names
        ]
    return {"size_bytes": SIZE_BYTES, "rows": rows}


def _row(samples: Sequence[Mapping[str, float]]) -> dict[str, Any]:
    found = {key: Figure.of([sample[key] for sample in samples]) for key in samples[0]}
    return {key: {"median": f.median, "least": f.least, "most": f.most} for key, f in found.items()}


def _ratio(
    key: str, figure: str, mine: Sequence[Mapping[str, float]], others: Sequence[Mapping[str, float]] | None
) -> dict[str, float]:
    if not others:
        return {}
    pairs = zip(mine, others, strict=True)
    return {key: statistics.median(one[figure] / other[figure] for one, other in pairs)}


def show(found: Mapping[str, Any]) -> None:
    """Prints the table."""
    line = "{:42} {:>7} {:>20} {:>12} {:>10} {:>8} {:>11} {:>10}\n"
    titles = ["at once", "uploads/s", "CPU ms each", "median ms", "p99 ms", "rate ratio", "CPU ratio"]
    sys.stdout.write(line.format("", *titles))
    for row in found["rows"]:
        rate = row["uploads_per_s"]
        spread = f"{rate['median']:.0f} ({rate['least']:.0f}-{rate['most']:.0f})"
        rest = [f"{row[key]['median']:.2f}" for key in ("cpu_ms_each", "median_ms", "p99_ms")]
        rest += [f"{row[key]:.2f}" if key in row else "" for key in ("rate_ratio", "cpu_ratio")]
        sys.stdout.write(line.format(row["title"], row["at_once"], spread, *rest))


def main() -> None:
    """Reads the options, measures, prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    settings.add_options(parser)
    parser.add_argument("--only", default=",".join(STORES), help="which servers")
    parser.add_argument("--at-once", default="1,16", help="how many uploads at a time (default: 1,16)")
    parser.add_argument("--seconds", type=float, default=3, help="how long each run is (default: 3)")
    options = parser.parse_args()
    at_once = [int(count) for count in options.at_once.split(",")]
    names = options.only.split(",")
    with settings.storage(options.storage) as storage:
        show(measure(names, at_once, options.rounds, options.seconds, storage))


if __name__ == "__main__":
    main()
