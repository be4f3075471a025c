"""The page of example 4: a name that carries a script is shown as it is, and runs nowhere."""

from __future__ import annotations

from pathlib import Path

from selenium.webdriver.common.by import By

from tests.hosts.test_docs import ExampleApp
from tests.support.data import MIB
from tests.support.engines import Browser
from tests.support.tally import tally
from tests.support.waiting import wait_until

NASTY_NAME = "'it\"s' <img src=x onerror=window.hacked=1> {{2*3}} \u202egpj & 🎉.mov"


def test_a_name_that_carries_a_script_is_shown_as_text(clean_driver: Browser, tmp_path: Path) -> None:
    (tmp_path / NASTY_NAME).write_bytes(bytes(MIB))
    with ExampleApp(tmp_path / "storage") as host:
        clean_driver.get(host.url)
        clean_driver.find_element(By.ID, "file").send_keys(str(tmp_path / NASTY_NAME))
        text = clean_driver.find_element(By.ID, "text")
        wait_until(lambda: "finished" in text.text, "it has arrived")
        assert text.text.startswith(NASTY_NAME)
        assert clean_driver.execute_script("return document.querySelector('img')") is None
    tally("attack", "a name that carries a script, in the page of example 4", 1, "shown as text")
