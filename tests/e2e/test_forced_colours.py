"""The pages where the user, and not the page, chooses the colours."""

from __future__ import annotations

import pytest
from selenium.webdriver.common.by import By

from tests.e2e.stage import Stage
from tests.support.engines import Chromium
from tests.support.server import RunningServer, new_upload

ENGINES = ("chromium",)

HALF_A_BAR = """
    const { content } = document.querySelector('template') || { content: document };
    const bar = content.querySelector('progress')?.cloneNode() || document.createElement('progress');
    document.body.prepend(bar); // what the script of the page needs stays
    bar.value = 0.5;
"""
COLOURS = """
    const [base64, done] = arguments;
    const bytes = Uint8Array.from(atob(base64), (char) => char.charCodeAt(0));
    createImageBitmap(new Blob([bytes], { type: 'image/png' })).then((bitmap) => {
      const { width, height } = bitmap;
      const context = new OffscreenCanvas(width, height).getContext('2d');
      context.drawImage(bitmap, 0, 0);
      done([0.25, 0.75].map((at) => context.getImageData(at * width, height / 2, 1, 1).data.join()));
    });
"""


@pytest.fixture
def address(request: pytest.FixtureRequest) -> str:
    """The address of a page: of the server's status, of an upload, or of an example."""
    if request.param in {"status", "upload"}:
        server: RunningServer = request.getfixturevalue("start_server")()
        if request.param == "status":
            return f"{server.url}/incoming/status"
        return f"{server.url}/incoming/frontend/uploads/{new_upload(server, 'http://localhost:1/')}"
    stage: Stage = request.getfixturevalue(request.param)
    return stage.app.url


@pytest.mark.parametrize(
    "address", ["simple", "dynamic", "dropzone", "folder", "status", "upload"], indirect=True
)
@pytest.mark.parametrize("colours", ["none", "active"])
def test_a_progress_bar_can_be_seen_with_the_colours_of_the_page_and_with_forced_ones(
    clean_driver: Chromium, address: str, colours: str
) -> None:
    forced = {"features": [{"name": "forced-colors", "value": colours}]}
    clean_driver.execute_cdp_cmd("Emulation.setEmulatedMedia", forced)
    try:
        clean_driver.get(address)
        clean_driver.execute_script(HALF_A_BAR)
        picture = clean_driver.find_element(By.TAG_NAME, "progress").screenshot_as_base64
        filled, empty = clean_driver.execute_async_script(COLOURS, picture)
        assert filled != empty
    finally:
        clean_driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
