"""A page uploads through each web server, in a real browser."""

from __future__ import annotations

from pathlib import Path

import pytest
from selenium.webdriver.common.by import By

from tests.support.app import ScriptedApp
from tests.support.data import MIB, FileBytes
from tests.support.engines import Browser
from tests.support.hosts import HOSTS, CohostedServer, HostedServer
from tests.support.site import serve_page
from tests.support.waiting import wait_until

PAGE = (Path(__file__).parent / "page.html").read_text("utf-8")
DATA = FileBytes(24 * MIB, 31)


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("films") / "film.bin"
    with path.open("wb") as file:
        file.writelines(DATA.blocks())
    return path


def upload(driver: Browser, url: str, film: Path) -> None:
    """Opens the page, chooses the file, and returns when it reads "finished"."""
    driver.get(url)
    driver.find_element(By.ID, "file").send_keys(str(film))
    state = driver.find_element(By.ID, "state")
    wait_until(lambda: state.text.startswith(("finished", "error")), "the end of the upload", 60)
    assert state.text.startswith("finished"), state.text


@pytest.mark.parametrize("kind", HOSTS, ids=lambda host: host.title)
def test_a_page_uploads(
    kind: type[HostedServer], tmp_path: Path, driver: Browser, film: Path, app: ScriptedApp
) -> None:
    with kind(tmp_path / "storage") as host:
        if isinstance(host, CohostedServer):
            upload(driver, host.url, film)
            assert host.told()[0]["sha256"] == DATA.sha256
            return
        elsewhere = (
            PAGE.replace('src="', f'src="{host.url}')
            .replace("await (await fetch('/ticket/taken', { method: 'POST' })).text()", "'TICKET'")
            .replace("TICKET", host.new_ticket(app.url))
            .replace("const state", f"incoming.set_server_hostname('127.0.0.1:{host.port}'); const state")
        )
        with serve_page(elsewhere) as url:
            upload(driver, url, film)
        assert app.wait_for(1)[0].sha256 == DATA.sha256
