"""Uploads from real browsers: incoming.js to this server, and tus-js-client to @tus/server, in turn.

    (cd bench/rivals && npm install)
    python -m bench.browser --size-mib 1024 --rounds 3
    python -m bench.browser --size-mib 20480 --once incoming --engines chromium   # does the memory stay flat?

Both libraries send the same file from the same page, as their documentation says. See README.md for what the
figures mean.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final

from selenium.webdriver.common.by import By

from tests.support.app import ScriptedApp
from tests.support.browser import open_browser
from tests.support.data import MIB
from tests.support.engines import Browser, chosen_engines
from tests.support.flood import warm_up
from tests.support.server import RunningServer, new_upload

HERE: Final = Path(__file__).parent
TUS: Final = HERE / "rivals"
LIBRARIES: Final = ("incoming", "tus")
MB: Final = 1e6
PAGE_KIB: Final = 4
MEASURE: Final = """
    window.outcome = null;
    const tell = (outcome) => { window.outcome = outcome; };
    measure(arguments[0]).then(tell, (error) => tell({ error: String(error) }));
"""


@dataclass(frozen=True)
class Sample:
    """One upload: the time from `start` to the end, and what it did to the page and to the browser."""

    engine: str
    library: str
    mb_per_s: float
    gap_p99_ms: float
    gap_max_ms: float
    memory_grown_mib: float


class Site(ThreadingHTTPServer):
    """Where the page, the tus client and the tickets come from."""

    daemon_threads = True

    def __init__(self, page: str, ticket: Callable[[], str]) -> None:
        self.page = page.encode()
        self.ticket = ticket
        super().__init__(("127.0.0.1", 0), _Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()


class _Handler(BaseHTTPRequestHandler):
    server: Site

    def do_GET(self) -> None:
        if self.path == "/tus.js":
            script = TUS / "node_modules" / "tus-js-client" / "dist" / "tus.min.js"
            self._send("text/javascript", script.read_bytes())
        else:
            self._send("text/html", self.server.page)

    def do_POST(self) -> None:
        self._send("text/plain", self.server.ticket().encode())

    def _send(self, kind: str, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        """The figures are the record."""


def family(pid: int) -> Iterator[int]:
    """Yields a process and all that it has started."""
    yield pid
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in task.read_text().split():
            yield from family(int(child))


def resident_mib(pid: int) -> float:
    """Returns the memory that a browser's processes have to themselves and share, counted once (PSS)."""
    total_kib = 0
    for member in family(pid):
        try:
            rollup = Path(f"/proc/{member}/smaps_rollup").read_text()
        except OSError:
            continue  # it has ended meanwhile
        total_kib += next(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:"))
    return total_kib / 1024


class PeakMemory:
    """Looks at the browser's memory four times a second, from another thread."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._over = threading.Event()
        self.before_mib = self.peak_mib = resident_mib(pid)
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> PeakMemory:
        self._thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(0.25):
            self.peak_mib = max(self.peak_mib, resident_mib(self._pid))


@contextmanager
def tus_server(directory: Path) -> Iterator[str]:
    """Runs @tus/server; gives its URL."""
    command = ["node", str(TUS / "tus_node.mjs"), str(directory)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.terminate()


def upload(driver: Browser, library: str, size_bytes: int) -> Sample:
    """Uploads the chosen file once. Raises AssertionError with what the page says went wrong."""
    with PeakMemory(driver.service.process.pid) as memory:
        driver.execute_script(MEASURE, library)
        result: dict[str, Any] | None = None
        while not result:  # no call to a driver may last longer than two minutes
            time.sleep(0.5)
            result = driver.execute_script("return window.outcome")
    assert "error" not in result, result
    grown_mib = memory.peak_mib - memory.before_mib
    rate = size_bytes / MB / result["wall_s"]
    return Sample(driver.engine, library, rate, result["gap_p99_ms"], result["gap_max_ms"], grown_mib)


@dataclass(frozen=True)
class Task:
    """What is uploaded from where; `storages` has each library's folder on the server's disk."""

    url: str
    file: Path
    storages: dict[str, Path]


def measure(driver: Browser, task: Task, rounds: int, once: str) -> list[Sample]:
    """Uploads the file by both libraries in turn. The first round warms up everything, and is thrown away.

    With `once` that library sends it a single time, and nothing is warmed up.
    """
    samples: list[Sample] = []
    size_bytes = task.file.stat().st_size
    for number in range(1 if once else 1 + rounds):
        for library in [once] if once else LIBRARIES:
            driver.get(task.url)
            driver.find_element(By.ID, "file").send_keys(str(task.file))
            if not once:
                warm_up(task.storages[library], int(size_bytes * 1.25))
            sample = upload(driver, library, size_bytes)
            samples += [sample] * bool(number or once)
            for stored in task.storages["tus"].iterdir():
                stored.unlink()
    return samples


def show(samples: list[Sample]) -> None:
    """Prints the table: medians, and the spread of the speed."""
    sys.stdout.write(f"{'':22} MB/s (min-max)     timer gap p99, max     memory grown\n")
    for engine in dict.fromkeys(s.engine for s in samples):
        for library in LIBRARIES:
            mine = [s for s in samples if (s.engine, s.library) == (engine, library)]
            if not mine:
                continue
            rates = [s.mb_per_s for s in mine]
            p99_ms = statistics.median(s.gap_p99_ms for s in mine)
            max_ms = statistics.median(s.gap_max_ms for s in mine)
            memory_mib = statistics.median(s.memory_grown_mib for s in mine)
            spread = f"({min(rates):.0f}-{max(rates):.0f})"
            sys.stdout.write(
                f"{engine:10} {library:10} {statistics.median(rates):5.0f} {spread:12}"
                f" {p99_ms:7.0f} ms {max_ms:7.0f} ms {memory_mib:9.0f} MiB\n"
            )


def main() -> None:
    """Reads the options, starts the servers and the browsers, measures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--size-mib", type=int, default=1024, help="size of the file (default 1024)")
    parser.add_argument("--rounds", type=int, default=3, help="how many rounds are measured (default 3)")
    parser.add_argument("--engines", default=",".join(chosen_engines()), help="default: all three")
    parser.add_argument("--once", choices=LIBRARIES, help="one upload of a sparse file by this library")
    parser.add_argument("--json", type=Path, help="also write all samples to this file")
    options = parser.parse_args()
    samples: list[Sample] = []
    with ExitStack() as stack:
        root = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="incoming-bench-")))
        (root / "tus").mkdir()
        file = root / "file.bin"
        with file.open("wb") as out:
            out.truncate(options.size_mib * MIB)
            block = bytes(range(256)) * 4096
            for _ in range(0 if options.once else options.size_mib * MIB // len(block)):
                out.write(block)
        app = stack.enter_context(ScriptedApp())
        app.hash_files = False
        server = stack.enter_context(RunningServer(root / "incoming", log_level="warning", fsync="no"))
        tus_url = stack.enter_context(tus_server(root / "tus"))
        page = (HERE / "browser_page.html").read_text("utf-8")
        page = page.replace("INCOMING_URL", server.url).replace("TUS_URL", tus_url)
        page = page.replace("INCOMING_HOST", server.url.removeprefix("http://"))
        site = Site(page, lambda: new_upload(server, app.url))
        storages = {"incoming": server.storage_dir, "tus": root / "tus"}
        task = Task(f"http://127.0.0.1:{site.server_port}/", file, storages)
        for engine in options.engines.split(","):
            profile = root / engine
            profile.mkdir()
            with open_browser(profile, engine) as driver:
                samples += measure(driver, task, options.rounds, options.once)
            time.sleep(1)
    show(samples)
    if options.json:
        options.json.write_text(json.dumps([asdict(s) for s in samples], indent=1))


if __name__ == "__main__":
    main()
