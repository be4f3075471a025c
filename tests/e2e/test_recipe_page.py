"""The page of a recipe in a browser: that of Django, which sends a CSRF token for each ticket."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import StartServer
from tests.e2e.test_readme import choose, shown
from tests.recipes.hosting import RecipeApp
from tests.support.browser import picture
from tests.support.data import FileBytes
from tests.support.engines import Browser
from tests.support.waiting import wait_until

SIZE_BYTES = 3_000_000


@pytest.fixture
def app(start_server: StartServer, tmp_path: Path) -> Iterator[RecipeApp]:
    app = RecipeApp("django", tmp_path / "django", incoming_port=start_server().port)
    app.start()
    yield app
    app.kill()


def test_a_file_that_is_chosen_on_the_page_is_on_its_list_when_it_has_arrived(
    app: RecipeApp, clean_driver: Browser, tmp_path: Path
) -> None:
    content = FileBytes(SIZE_BYTES).read(0, SIZE_BYTES)
    (tmp_path / "holiday.mov").write_bytes(content)
    clean_driver.get(app.url)
    choose(clean_driver, tmp_path / "holiday.mov")
    files = "return document.querySelector('ul')?.innerText"
    wait_until(lambda: "holiday.mov" in (clean_driver.execute_script(files) or ""), "it is listed")
    assert list(app.stored().values()) == [content]
    assert shown(clean_driver) == "", "the list of uploads begins anew"
    picture(clean_driver, "recipe")
