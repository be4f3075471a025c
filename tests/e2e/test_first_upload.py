"""docs/tutorial/first-upload.md, step by step: each step works with the code that the reader has by then."""

from __future__ import annotations

import re
import uuid
from pathlib import Path
from typing import Final

import pytest
import requests
from selenium.webdriver.common.by import By

from tests.conftest import StartServer
from tests.support.data import FileBytes
from tests.support.documented import DocumentedApp
from tests.support.engines import Browser
from tests.support.server import ROOT, RunningServer
from tests.support.waiting import wait_until

TUTORIAL: Final = (ROOT / "docs/tutorial/first-upload.md").read_text("utf-8")
STEPS: Final = dict(re.findall(r"^## (\d)\. .*?\n(.*?)(?=^## |\Z)", TUTORIAL, re.MULTILINE | re.DOTALL))
FILE_BLOCK: Final = re.compile(r"<!-- (\S+) -->\n```\w+\n(.*?)```", re.DOTALL)
SIZE_BYTES: Final = 3_000_000


def files_after(step: int) -> dict[str, str]:
    """Returns the files as they are after a step: each block is added to the file that it names."""
    files: dict[str, str] = {}
    for number, text in STEPS.items():
        for name, code in FILE_BLOCK.findall(text) if int(number) <= step else ():
            files[name] = f"{files[name]}\n\n{code}" if name in files else code
    return files


def app_after(step: int, folder: Path, server: RunningServer) -> DocumentedApp:
    """Returns the reader's app after a step, with the commands of step 2."""
    *_, start = re.findall(r"```sh\n(.*?)```", STEPS["2"], re.DOTALL)
    return DocumentedApp(folder, files_after(step), start.splitlines(), server.port)


@pytest.fixture
def server(start_server: StartServer) -> RunningServer:
    return start_server()


def test_every_block_of_code_belongs_to_a_file() -> None:
    blocks = re.findall(r"^```(?:python|html)$", TUTORIAL, re.MULTILINE)
    assert len(blocks) == len(FILE_BLOCK.findall(TUTORIAL)) == 6
    assert list(STEPS) == ["1", "2", "3", "4", "5", "6", "7"]


def test_the_page_of_step_2_is_served(server: RunningServer, tmp_path: Path) -> None:
    with app_after(2, tmp_path / "app", server).running() as app:
        assert 'type="file"' in requests.get(app.url, timeout=60).text


def test_the_app_of_step_3_answers_with_the_id_of_a_ticket(server: RunningServer, tmp_path: Path) -> None:
    with app_after(3, tmp_path / "app", server).running() as app:
        answer = requests.post(f"{app.url}/ticket", timeout=60)
        assert uuid.UUID(answer.text).version == 4
        assert answer.text in server.journaled()


def send_slowly(page: Browser, app: DocumentedApp, file: Path, bytes_per_s: int) -> None:
    """Chooses a file on the app's page, and waits until bytes of it are stored. More are to come."""
    page.get(app.url)
    page.execute_script(
        "const made = incoming.Uploader;"
        "incoming.Uploader = (...of) => Object.assign(made(...of), { max_bytes_per_s: arguments[0] });",
        bytes_per_s,
    )
    page.find_element(By.ID, "file").send_keys(str(file))
    bar = page.find_element(By.ID, "bar")
    wait_until(lambda: bar.get_property("value") not in (0, None), "bytes are stored")


@pytest.mark.parametrize("step", [5, 7])
def test_the_page_sends_a_file_although_the_server_is_killed_in_the_middle(
    step: int, server: RunningServer, tmp_path: Path, clean_driver: Browser
) -> None:
    content = FileBytes(SIZE_BYTES).read(0, SIZE_BYTES)
    (tmp_path / "holiday.mov").write_bytes(content)
    with app_after(step, tmp_path / "app", server).running() as app:
        send_slowly(clean_driver, app, tmp_path / "holiday.mov", 500_000)
        server.restart()
        state = clean_driver.find_element(By.ID, "state")
        wait_until(lambda: state.text.startswith("Finished"), "the page says that it is finished")
        (stored,) = app.uploads.iterdir()
        assert stored.read_bytes() == content


def test_the_buttons_of_step_7_pause_resume_and_cancel(
    server: RunningServer, tmp_path: Path, clean_driver: Browser
) -> None:
    (tmp_path / "holiday.mov").write_bytes(bytes(SIZE_BYTES))
    with app_after(7, tmp_path / "app", server).running() as app:
        send_slowly(clean_driver, app, tmp_path / "holiday.mov", 30_000)
        state, pause = (clean_driver.find_element(By.ID, name) for name in ("state", "pause"))
        pause.click()
        assert pause.text == "Resume"
        wait_until(lambda: "aused" in state.text, "the page says that it is paused")
        pause.click()
        assert pause.text == "Pause"
        clean_driver.find_element(By.ID, "cancel").click()
        wait_until(lambda: "ancelled" in state.text, "the page says that it is cancelled")
        (ticket_id,) = server.journaled()
        assert server.journaled_state(ticket_id) == "cancelled"
        assert not list(app.uploads.iterdir())
