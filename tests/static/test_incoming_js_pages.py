"""Pages as they are, in a real Chromium: with and without a worker, reloaded, left, given the wrong file."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By

from tests.conftest import StartServer
from tests.support.app import ScriptedApp
from tests.support.relay import Relay
from tests.support.server import RunningServer, new_upload
from tests.support.waiting import wait_until

MIB: Final = 1 << 20
SIZE_BYTES: Final = 12 * MIB
SLOW_BYTES_PER_S: Final = 4 * MIB
SCRIPT: Final = """
  incoming.set_server_hostname("{network}");
  window.begin = (ticket) => {{
    window.ending = null;
    window.uploader = incoming.Uploader(ticket, document.getElementById("file").files[0]);
    for (const name of ["onfinished", "oncancelled", "onerror"]) uploader[name] = () => {{ ending = name; }};
    uploader.start();
  }};
  window.workers = 0;
  const Old = Worker;
  window.Worker = class extends Old {{
    constructor(url) {{
      super(url);
      this.addEventListener("message", () => {{ window.workers += 1; }}, {{ once: true }});
    }}
  }};
"""
PAGE: Final = """<!doctype html><meta charset="utf-8"><title>Upload</title><input type="file" id="file">
<script src="{server}/incoming/frontend/incoming.js"></script>
<script nonce="ours">{script}</script>"""
STRICT: Final = "default-src 'none'; connect-src ws://{network}; script-src {server} 'nonce-ours'"
WORKERS: Final = "; worker-src blob:"


class PageServer:
    """The server of an app: one page at every address, with the Content Security Policy that is set."""

    def __init__(self) -> None:
        self.page = ""
        self.policy = ""
        handler = type("Handler", (_PageHandler,), {"site": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/"

    def __enter__(self) -> PageServer:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._server.shutdown()
        self._server.server_close()


class _PageHandler(BaseHTTPRequestHandler):
    site: PageServer

    def do_GET(self) -> None:
        body = self.site.page.encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        if self.site.policy:
            self.send_header("Content-Security-Policy", self.site.policy)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        """Says nothing."""


@dataclass
class Stage:
    """An app's page in a browser, a network, the server and the app's backend."""

    driver: webdriver.Chrome
    site: PageServer
    server: RunningServer
    network: Relay
    app: ScriptedApp
    folder: Path

    def open(self, policy: str = "") -> None:
        """Opens the page, as a new visit."""
        self.site.policy = policy.format(server=self.server.url, network=self.network.host)
        self.driver.get(self.site.url)

    def file(self, name: str, content: bytes | None = None) -> Path:
        """Makes a file."""
        path = self.folder / name
        path.write_bytes(os.urandom(SIZE_BYTES) if content is None else content)
        return path

    def ticket(self) -> str:
        """Returns a new ticket."""
        return new_upload(self.server, self.app.url)

    def begin(self, file: Path, ticket_id: str) -> None:
        """Chooses the file and starts the upload."""
        self.driver.find_element(By.ID, "file").send_keys(str(file))
        self.driver.execute_script("begin(arguments[0])", ticket_id)

    def run(self, script: str, *arguments: object) -> Any:
        """Runs a script in the page and returns what it returns."""
        return self.driver.execute_script(script, *arguments)

    def property(self, name: str) -> Any:
        """Returns a property of the uploader."""
        return self.run(f"return uploader.{name}")

    def ending(self) -> str:
        """Waits for the end; returns the name of the callback that told it."""
        ending: str = wait_until(lambda: self.run("return ending"), "an ending")
        return ending

    def arrived_sha256(self) -> str:
        """Waits for the app to have a file; returns its digest."""
        return self.app.wait_for(1)[0].sha256


@pytest.fixture
def stage(
    driver: webdriver.Chrome, start_server: StartServer, app: ScriptedApp, tmp_path: Path
) -> Iterator[Stage]:
    """A page that is not opened yet, and all that is behind it."""
    with ExitStack() as stack:
        server = start_server(connection_timeout_s=120)
        network = stack.enter_context(Relay(server.port))
        network.max_bytes = SIZE_BYTES // 2  # so it does not end while a test looks at it
        site = stack.enter_context(PageServer())
        script = SCRIPT.format(network=network.host)
        site.page = PAGE.format(server=server.url, script=script)
        yield Stage(driver, site, server, network, app, tmp_path)
        driver.get("about:blank")


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize(
    ("policy", "workers"),
    [("", 1), (STRICT + " 'wasm-unsafe-eval'" + WORKERS, 1), (STRICT + WORKERS, 1), (STRICT, 0)],
)
def test_uploads_are_the_same_whether_the_page_s_policy_allows_a_worker_and_webassembly_or_not(
    stage: Stage, policy: str, workers: int
) -> None:
    stage.open(policy)
    file = stage.file("film.bin")
    stage.begin(file, stage.ticket())
    assert stage.ending() == "onfinished"
    assert stage.arrived_sha256() == sha256(file)
    assert stage.run("return workers") == workers


def test_after_a_reload_the_page_lists_what_was_begun_and_continues_with_the_same_file(stage: Stage) -> None:
    stage.network.bytes_per_s = SLOW_BYTES_PER_S
    stage.open()
    file = stage.file("film.bin")
    ticket_id = stage.ticket()
    stage.begin(file, ticket_id)
    wait_until(lambda: stage.property("frac_complete") > 0.3, "a third of the upload")
    remembered = "return JSON.parse(localStorage[localStorage.key(0)] || '{}').bytes_acked || 0"
    wait_until(lambda: stage.run(remembered) > 0, "it is written down, which is done once a second")
    assert stage.run("return incoming.unfinished()") == [], "it is live"
    stage.open()
    (begun,) = stage.run("return incoming.unfinished()")
    expected = {"upload_id": ticket_id, "filename": "film.bin", "bytes_total": SIZE_BYTES}
    assert expected.items() <= begun.items()
    stage.driver.find_element(By.ID, "file").send_keys(str(file))
    matches = "return incoming.matches(arguments[0], document.getElementById('file').files[0])"
    assert stage.run(matches, begun) is True
    stage.begin(file, ticket_id)
    least = wait_until(lambda: stage.property("bytes_acked"), "it goes on")
    assert least >= begun["bytes_acked"] > 0
    stage.network.bytes_per_s = 0
    assert stage.ending() == "onfinished"
    assert stage.arrived_sha256() == sha256(file)
    assert stage.run("return incoming.unfinished()") == []


def test_another_file_for_an_upload_that_was_begun_is_refused_and_the_user_hears_which_is_meant(
    stage: Stage,
) -> None:
    stage.network.bytes_per_s = SLOW_BYTES_PER_S
    stage.open()
    ticket_id = stage.ticket()
    right = stage.file("film & co.bin")
    stage.begin(right, ticket_id)
    wait_until(lambda: stage.property("frac_complete") > 0.3, "a third of the upload")
    for name, content in (("other.bin", None), ("shorter.bin", b"short")):
        stage.open()
        stage.begin(stage.file(name, content), ticket_id)
        assert stage.ending() == "onerror"
        assert '"\u2068film + co.bin\u2069" (12.6 MB, last changed ' in stage.property("error_msg")
        assert len(stage.run("return incoming.unfinished()")) == 1
    stage.network.bytes_per_s = 0
    stage.open()
    stage.begin(right, ticket_id)
    assert stage.ending() == "onfinished"
    assert stage.arrived_sha256() == sha256(right)


def test_leaving_the_page_asks_the_user_only_while_a_guarded_upload_would_stop(stage: Stage) -> None:
    stage.network.bytes_per_s = SLOW_BYTES_PER_S
    stage.open()
    stage.begin(stage.file("film.bin"), stage.ticket())
    leave = """
        const event = new Event("beforeunload", { cancelable: true });
        window.dispatchEvent(event);
        return event.defaultPrevented;
    """
    assert stage.run(leave) is False
    wait_until(lambda: stage.property("connected"), "the uploader has the lock of its ticket")
    stage.run("uploader.warn_before_unload = true")
    assert stage.run(leave) is True
    stage.network.bytes_per_s = 0
    assert stage.ending() == "onfinished"
    assert stage.run(leave) is False


def test_a_limit_of_the_page_is_kept_over_a_real_connection(stage: Stage) -> None:
    stage.open()
    stage.driver.find_element(By.ID, "file").send_keys(str(stage.file("film.bin")))
    limit = 2 * MIB
    begin_at_a_limit = """
        const [ticket, limit] = arguments;
        window.began_ms = performance.now();
        begin(ticket);
        uploader.max_bytes_per_s = limit;
    """
    stage.run(begin_at_a_limit, stage.ticket(), limit)
    # That it is not slower is in pace.test.mjs: a busy machine may be.
    measure = "return [uploader.bytes_acked, (performance.now() - began_ms) / 1000]"
    for min_bytes in (MIB, 3 * MIB, 5 * MIB):
        wait_until(partial(stage.run, f"return uploader.bytes_acked >= {min_bytes}"), "the upload runs")
        acked_bytes, seconds = stage.run(measure)
        assert acked_bytes <= 1.05 * limit * seconds + MIB // 4, f"{acked_bytes} bytes in {seconds} s"
    stage.run("uploader.max_bytes_per_s = 0")
    assert stage.ending() == "onfinished"


MOUNT_TWICE: Final = """
  const [ticket, base, done] = arguments;
  const file = document.getElementById("file").files[0];
  const first = incoming.Uploader(ticket, file).start();
  let after = 0, frames = 0;
  const poll = setInterval(() => {
    if (first.frac_complete < 0.2) return;
    clearInterval(poll);
    const acked = first.bytes_acked;
    first.subscribe(() => { after += 1; });
    first.onprogress = first.onerror = first.oncancelled = () => { after += 1; };
    first.dispose();
    const since = performance.now();
    window.begin(ticket);
    window.disposed = { first, state: first.state, after: () => after };
    const script = document.createElement("script");
    script.src = base + "/incoming/frontend/texts/de.js";
    document.head.append(script);
    const end = uploader.subscribe(() => {
      frames += 1;
      if (uploader.state !== "uploading" || uploader.state_msg !== "Wird hochgeladen.") return;
      end();
      const { bytes_acked } = uploader;
      done({ ms: performance.now() - since, acked, resumed: bytes_acked, state: first.state, frames });
    }, { per_frame: true });
  }, 20);
"""


def test_a_component_that_is_mounted_again_resumes_its_upload_at_once_and_speaks_german(stage: Stage) -> None:
    stage.network.bytes_per_s = SLOW_BYTES_PER_S
    stage.open()
    file = stage.file("film.bin")
    stage.driver.find_element(By.ID, "file").send_keys(str(file))
    seen = stage.driver.execute_async_script(MOUNT_TWICE, stage.ticket(), stage.server.url)
    assert seen["state"] == "disposed"
    assert seen["resumed"] >= seen["acked"] > 0
    assert seen["frames"] > 0
    stage.network.bytes_per_s = 0
    assert stage.ending() == "onfinished"
    assert stage.arrived_sha256() == sha256(file)
    assert stage.property("state_msg") == "Fertig."
    assert stage.run("return window.disposed.after()") == 0
    assert stage.run("return window.disposed.first.done.catch((error) => error.reason)") == "disposed"
