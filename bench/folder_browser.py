"""A folder of many small files, from a browser until the app has it, and how the page fares meanwhile.

python -m bench.folder_browser                       # 10,000 files of 10 KB, five times
python -m bench.folder_browser --files 100000 --size 1000 --rounds 1 --engine firefox

The time begins with the event `change` of the file input. It ends when the app has answered: the server
has then written and synced all files, with their times and checksums. The tree that has arrived is compared
with the one that was sent.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

from bench.browser_cost import cpu_by_thread, cpu_since, resident_mib
from bench.browser_site import Site
from tests.support.app import DONE, Delivery, Reply, ScriptedApp
from tests.support.browser import open_browser
from tests.support.engines import STARTS, Browser
from tests.support.server import RunningServer, new_upload

FILES_PER_FOLDER: Final = 200
DEADLINE_S: Final = 600.0
PAGE: Final = """<!doctype html>
<meta charset="utf-8">
<title>A folder, measured</title>
<input type="file" id="folder" webkitdirectory>
<script src="/incoming.js"></script>
<script>
  incoming.set_server_hostname("INCOMING_HOST");
  window.figures = null;
  const tasks_ms = [];
  let began_ms = 0;
  const note = ({ startTime, duration }) => startTime > began_ms && tasks_ms.push(duration);
  try {
    new PerformanceObserver((list) => list.getEntries().forEach(note)).observe({ type: "longtask" });
  } catch (error) { /* not in this browser */ }
  document.getElementById("folder").onchange = async ({ target }) => {
    began_ms = performance.now(); // the task of this event began before it: the browser makes the list
    const ticket = (await fetch("/ticket", { method: "POST", body: "0" })).text();
    const uploader = incoming.Uploader(await ticket, target.files).start();
    let listed_ms = 0, acked_ms = 0, progress = 0;
    uploader.onprogress = ({ bytes_total, bytes_acked }) => {
      const passed_ms = performance.now() - began_ms;
      progress += 1;
      if (bytes_total) listed_ms = listed_ms || passed_ms;
      if (bytes_total && bytes_acked === bytes_total) acked_ms = acked_ms || passed_ms;
    };
    try {
      await uploader.done;
    } catch (error) {
      window.figures = { error: `${uploader.error_code} ${uploader.error_msg} ${uploader.current_file}` };
      return;
    }
    const took_ms = performance.now() - began_ms;
    await new Promise((resolve) => setTimeout(resolve, 200)); // long tasks are told later
    const tasks = { longest_task_ms: Math.max(0, ...tasks_ms), long_tasks: tasks_ms.length };
    window.figures = { files: uploader.files_acked, took_ms, listed_ms, acked_ms, progress, ...tasks };
  };
</script>
"""


def make_tree(root: Path, files: int, size_bytes: int) -> None:
    """Makes a folder with this many files of random bytes."""
    for number in range(files):
        folder = root / f"{number // FILES_PER_FOLDER:04}"
        if number % FILES_PER_FOLDER == 0:
            folder.mkdir(parents=True)
        (folder / f"{number:06}.bin").write_bytes(os.urandom(size_bytes))


def check(kept: Path, sent: Path) -> None:
    """Compares what has arrived with what was sent: paths, bytes and times. Raises AssertionError."""

    def look(root: Path) -> dict[str, tuple[bytes, int]]:
        paths = (path for path in root.rglob("*") if path.is_file())
        return {
            str(path.relative_to(root)): (path.read_bytes(), path.stat().st_mtime_ns // 10**6)
            for path in paths
        }

    assert look(kept) == look(sent), "the folder is another"


@contextmanager
def stage(root: Path) -> Iterator[tuple[str, Path, int]]:
    """Runs the server, an app and the page. Yields the page's address, the app's folder, the server's pid."""
    kept = root / "kept"
    kept.mkdir()

    def keep(delivery: Delivery) -> Reply:
        Path(delivery.fields["filename"]).rename(kept / delivery.id)
        return DONE

    with ExitStack() as stack:
        app = stack.enter_context(ScriptedApp(keep))
        app.hash_files = False
        server = stack.enter_context(RunningServer(root / "incoming", log_level="warning"))
        page = PAGE.replace("INCOMING_HOST", server.url.removeprefix("http://"))
        library = Path(__file__).parent.parent / "static" / "incoming.js"
        form = {"destType": "folder", "removeFileWhenFinished": "false"}
        site = Site(page, {"/incoming.js": library}, lambda _: new_upload(server, app.url, **form))
        stack.callback(site.shutdown)
        yield f"http://127.0.0.1:{site.server_port}/", kept, server.pid


def measure(driver: Browser, url: str, tree: Path) -> dict[str, Any]:
    """Uploads the folder once. Raises AssertionError if the upload fails."""
    driver.get(url)
    driver.find_element("id", "folder").send_keys(str(tree))
    driver.set_script_timeout(DEADLINE_S)
    figures: dict[str, Any] = driver.execute_async_script(
        """
        const done = arguments[0];
        const ticker = setInterval(() => {
          if (!window.figures) return;
          clearInterval(ticker);
          done(window.figures);
        }, 100);
        """
    )
    assert "error" not in figures, figures
    return figures


def main() -> None:
    """Measures, and prints a line for each round and the median."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--size", type=int, default=10_000, help="bytes of each file")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--engine", choices=list(STARTS), default="chromium")
    parser.add_argument(
        "--storage", type=Path, default=None, help="where the folders are; default: a temporary folder"
    )
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.storage) as name:
        root = Path(name)
        tree = root / "tree"
        make_tree(tree, options.files, options.size)
        rates = []
        with stage(root) as (url, kept, server_pid), open_browser(root / "profile", options.engine) as driver:
            for _ in range(options.rounds):
                service: Any = driver.service
                browser_pid = service.process.pid
                before = {pid: cpu_by_thread(pid) for pid in (browser_pid, server_pid)}
                figures = measure(driver, url, tree)
                for kind, seconds in cpu_since(before[browser_pid], browser_pid).items():
                    figures[f"{kind}_cpu_ms"] = seconds * 1000
                figures["server_cpu_ms"] = sum(cpu_since(before[server_pid], server_pid).values()) * 1000
                figures["browser_mib"] = resident_mib(browser_pid)
                figures["server_mib"] = resident_mib(server_pid)
                # It stays: where many files were just removed, ext4 takes ten times as long to make new ones.
                check(max(kept.iterdir(), key=lambda folder: folder.stat().st_ctime_ns), tree)
                rates.append(options.files / figures["took_ms"] * 1000)
                rounded = {key: round(value) for key, value in figures.items()}
                print(f"{rates[-1]:.0f} files/s", json.dumps(rounded))
        print(f"median: {statistics.median(rates):.0f} files/s")


if __name__ == "__main__":
    main()
