"""The examples where the user, and not the page, chooses the colours."""

from __future__ import annotations

import pytest
from selenium.webdriver.common.by import By

from tests.e2e.stage import Stage
from tests.support.engines import Chromium

ENGINES = ("chromium",)

HALF_A_BAR = """
    const { content } = document.querySelector('template') || { content: document };
    const bar = content.querySelector('progress').cloneNode();
    document.body.replaceChildren(bar);
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


@pytest.mark.parametrize("example", ["simple", "dynamic", "dropzone", "folder"])
@pytest.mark.parametrize("colours", ["none", "active"])
def test_a_progress_bar_can_be_seen_with_the_colours_of_the_page_and_with_forced_ones(
    clean_driver: Chromium, request: pytest.FixtureRequest, example: str, colours: str
) -> None:
    stage: Stage = request.getfixturevalue(example)
    forced = {"features": [{"name": "forced-colors", "value": colours}]}
    clean_driver.execute_cdp_cmd("Emulation.setEmulatedMedia", forced)
    try:
        clean_driver.get(stage.app.url)
        clean_driver.execute_script(HALF_A_BAR)
        picture = clean_driver.find_element(By.TAG_NAME, "progress").screenshot_as_base64
        filled, empty = clean_driver.execute_async_script(COLOURS, picture)
        assert filled != empty
    finally:
        clean_driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
