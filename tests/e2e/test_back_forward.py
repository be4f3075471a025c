"""A page that the browser keeps when it is left, and shows again as it was: its uploads go on."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Final

import pytest

from tests.conftest import StartServer
from tests.support.app import ScriptedApp
from tests.support.data import MIB, FileBytes
from tests.support.engines import Chromium
from tests.support.relay import Relay
from tests.support.server import new_upload
from tests.support.site import serve_page
from tests.support.waiting import wait_until

PAGE: Final = """<!doctype html><meta charset="utf-8"><title>Film</title>
<input type="file" id="file">
<script src="{server}/incoming/frontend/incoming.js"></script>
<script>
  incoming.set_server_hostname("{network}");
  window.shows = [];
  addEventListener("pageshow", ({{ persisted }}) => shows.push(persisted));
  document.getElementById("file").onchange = ({{ target }}) => {{
    window.uploader = incoming.Uploader("{ticket}", target.files[0]).start();
  }};
</script>"""
SLOW_BYTES_PER_S: Final = MIB
REASONS: Final = """
const [{ notRestoredReasons }] = performance.getEntriesByType("navigation");
return notRestoredReasons.reasons.map(({ reason }) => reason);"""
"""Why the browser did not keep the page."""
ENGINES = ("chromium",)
"""Firefox kept no page that was uploading, and WebKit's driver keeps none at all."""


def is_kept(driver: Chromium) -> bool:
    """Leaves the page, and returns to it. Tells whether it is shown as it was."""
    driver.execute_script("window.shows = []; window.is_old = true")
    driver.get("data:text/html,<title>elsewhere</title>")
    driver.back()
    # A page that was kept hears that it is shown. Another one is a new page.
    shown = "return location.protocol === 'http:' && (!window.is_old || shows.length > 0)"
    wait_until(lambda: driver.execute_script(shown), "it is shown again")
    return bool(driver.execute_script("return window.is_old"))


@pytest.mark.parametrize("is_paused", [True, False], ids=["paused", "running"])
def test_an_upload_resumes_on_a_page_that_back_shows_again(
    clean_driver: Chromium, start_server: StartServer, tmp_path: Path, is_paused: bool
) -> None:
    path = tmp_path / "film.mov"
    path.write_bytes(b"".join(FileBytes(8 * MIB, 1).blocks()))
    look = clean_driver.execute_script
    choose = clean_driver.find_element
    with ExitStack() as stack:
        app = stack.enter_context(ScriptedApp())
        server = start_server(chunk_size_kib=64)
        network = stack.enter_context(Relay(server.port))
        network.bytes_per_s, network.max_bytes = SLOW_BYTES_PER_S, MIB
        ticket = new_upload(server, app.url)
        page = PAGE.format(server=server.url, network=network.host, ticket=ticket)
        clean_driver.get(stack.enter_context(serve_page(page)))
        if not is_kept(clean_driver):
            pytest.skip("this browser keeps no page at all, as on a machine with little memory")
        choose("id", "file").send_keys(str(path))
        wait_until(lambda: look("return window.uploader && uploader.bytes_acked > 0"), "a part is there")
        if is_paused:
            look("uploader.pause()")
            wait_until(lambda: "paused" in server.log_text(), "the connection is closed")
        was_kept = is_kept(clean_driver)
        reasons = [] if was_kept else look(REASONS)
        network.bytes_per_s = 0
        if was_kept:
            look("uploader.pause('unpause')")
        else:
            # The goodbye of a WebSocket takes a round trip, and the browser does not wait for it.
            assert reasons == ["websocket"] and not is_paused
            assert look("return incoming.unfinished().map(({ upload_id }) => upload_id)") == [ticket]
            look(
                "document.getElementById('file').value = ''"
            )  # the browser has chosen it again, without an event
            choose("id", "file").send_keys(str(path))
        wait_until(lambda: look("return window.uploader && uploader.state") == "finished", "it is uploaded")
    first, *others = [line for line in server.log_text().splitlines() if ": claimed at " in line]
    assert "claimed at 0 of" in first
    assert others and "claimed at 0 of" not in "".join(others), "it did not begin anew"
