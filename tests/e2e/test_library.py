"""The JavaScript library in pages that use it in their own way, in each engine."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import pytest
from selenium.webdriver.common.by import By

from tests.conftest import StartServer
from tests.support.app import ScriptedApp
from tests.support.data import MIB
from tests.support.engines import Browser, Chromium
from tests.support.server import new_upload
from tests.support.site import serve_page
from tests.support.waiting import wait_until

SIZE_BYTES: Final = 24 * MIB
FILE_UNREADABLE: Final = 100
PAGE: Final = """<!doctype html><meta charset="utf-8"><title>Upload</title><input type="file" id="file">
<script>
  const WholeBlob = Blob;
  Blob = class extends WholeBlob {{ // which puts something in front of the worker's script
    constructor(parts, options = {{}}) {{
      super(options.type === "text/javascript" ? [window.beforeWorker || "", ...parts] : parts, options);
    }}
  }};
</script>
<script src="{server}/incoming/frontend/incoming.js"></script>
<script>
  incoming.set_server_hostname("{host}");
  window.file = () => document.getElementById("file").files[0];
</script>"""
LITTLE_MEMORY: Final = """{
  const AnyBuffer = ArrayBuffer;
  self.ArrayBuffer = class extends AnyBuffer {
    constructor(bytes) {
      if (bytes > 300000) throw new RangeError("Array buffer allocation failed");
      super(bytes);
    }
  };
}"""
CLASS: Final = """
  window.Card = class extends incoming.Uploader {
    onprogress() { this.seen = Math.max(this.seen || 0, this.percent()); }
    onfinished() { this.ending = "finished"; }
    percent() { return 100 * this.frac_complete; }
    start() { this.has_begun = true; return super.start(); }
  };
  window.uploader = new Card(arguments[0], file()).start();
"""
Begin = Callable[[str], None]


@pytest.fixture
def begin(driver: Browser, start_server: StartServer, app: ScriptedApp, tmp_path: Path) -> Iterator[Begin]:
    """Runs a script in a page that has a file; its argument is a ticket. Its `uploader` has to finish."""
    with ExitStack() as stack:
        server = start_server()
        page = PAGE.format(server=server.url, host=server.url.partition("//")[2])
        driver.get(stack.enter_context(serve_page(page)))
        file = tmp_path / "film.bin"
        file.write_bytes(os.urandom(SIZE_BYTES))
        driver.find_element(By.ID, "file").send_keys(str(file))

        def run(script: str) -> None:
            driver.execute_script(script, new_upload(server, app.url))
            wait_until(lambda: driver.execute_script("return uploader.finished"), "the upload finishes")
            assert app.wait_for(1)[-1].sha256 == hashlib.sha256(file.read_bytes()).hexdigest()

        yield run
        driver.get("about:blank")


def test_a_class_of_the_page_extends_an_uploader(begin: Begin, driver: Browser) -> None:
    begin(CLASS)
    what = "return [uploader instanceof Card, uploader.has_begun, uploader.seen, uploader.ending]"
    assert driver.execute_script(what) == [True, True, 100, "finished"]


def test_an_upload_continues_in_a_page_that_loads_the_script_again(begin: Begin, driver: Browser) -> None:
    begin("""
        window.first = incoming;
        window.uploader = incoming.Uploader(arguments[0], file()).start();
        const { src } = document.querySelector("script[src]");
        const onload = () => { window.loaded = true; };
        document.head.append(Object.assign(document.createElement("script"), { src, onload }));
    """)
    wait_until(lambda: driver.execute_script("return window.loaded"), "it is loaded")
    assert driver.execute_script("return incoming === first && uploader instanceof incoming.Uploader") is True


def test_a_worker_without_memory_for_large_chunks_reads_smaller_ones(begin: Begin, driver: Browser) -> None:
    driver.execute_script("window.beforeWorker = arguments[0]", LITTLE_MEMORY)
    begin("window.uploader = incoming.Uploader(arguments[0], file()).start()")


@pytest.mark.engines("chromium")  # whose driver drops a folder
def test_a_folder_in_a_plain_file_input_is_named_as_one(driver: Chromium, tmp_path: Path) -> None:
    (tmp_path / "holidays").mkdir()
    script = (Path(__file__).parents[2] / "static" / "incoming.js").read_text("utf-8")
    with serve_page(f"<!doctype html><input type='file' id='file'><script>{script}</script>") as url:
        driver.get(url)
        root = driver.execute_cdp_cmd("DOM.getDocument", {})["root"]["nodeId"]
        node = driver.execute_cdp_cmd("DOM.querySelector", {"nodeId": root, "selector": "#file"})
        dropped = {"files": [str(tmp_path / "holidays")], "nodeId": node["nodeId"]}
        driver.execute_cdp_cmd("DOM.setFileInputFiles", dropped)  # as a drop onto it does
        driver.execute_script("window.uploader = incoming.Uploader('t', file.files[0]).start()")
        wait_until(lambda: driver.execute_script("return uploader.error_code") == FILE_UNREADABLE, "an error")
        assert "it is a folder, or" in driver.execute_script("return uploader.error_msg")
        driver.get("about:blank")
