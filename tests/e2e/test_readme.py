"""The code of the README, as it stands there, in an empty folder with nothing added: an app and its page."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
import requests

from tests.conftest import StartServer
from tests.support.client_v1 import ClientV1
from tests.support.data import FileBytes
from tests.support.documented import DocumentedApp
from tests.support.engines import Browser
from tests.support.server import ROOT, RunningServer, cancel_upload
from tests.support.waiting import wait_until
from tests.test_docs import code_blocks

README: Final = ROOT / "README.md"


def the_block(language: str, holds: str) -> str:
    """Returns the README's one block in this language with this text in it."""
    (code,) = [code for code in code_blocks(README, language) if holds in code]
    return code


class ReadmeApp(DocumentedApp):
    """The README's app."""

    def __init__(self, folder: Path, incoming_port: int) -> None:
        files = {"app.py": the_block("python", "app"), "page.html": the_block("html", "file")}
        install, *start = the_block("sh", "app.py").splitlines()
        assert install.startswith("pip install ")
        super().__init__(folder, files, start, incoming_port)


@pytest.fixture
def server(start_server: StartServer) -> RunningServer:
    return start_server()


@pytest.fixture
def readme_app(server: RunningServer, tmp_path: Path) -> Iterator[ReadmeApp]:
    """The README's app, which runs."""
    folder = tmp_path / "empty"
    folder.mkdir()
    with ReadmeApp(folder, server.port).running() as app:
        yield app


def choose(page: Browser, file: Path) -> None:
    field = "return document.querySelector('incoming-upload').shadowRoot.querySelector('[part=input]')"
    page.execute_script(field).send_keys(str(file))


def shown(page: Browser) -> str:
    """Returns what the page tells of its file."""
    field = "document.querySelector('incoming-upload:defined')"
    wait_until(lambda: page.execute_script(f"return !!{field}"), "the field is there")
    text: str = page.execute_script(f"return {field}.shadowRoot.querySelector('.row')?.innerText")
    return text or ""


def test_what_it_imports_is_what_it_has_installed() -> None:
    install = the_block("sh", "app.py").splitlines()[0].split()[2:]
    code = the_block("python", "app")
    imported = set(re.findall(r"^(?:from|import) (\w+)", code, re.MULTILINE)) - sys.stdlib_module_names
    server = re.findall(r'server="(\w+)"', code)
    assert sorted(install) == sorted([*imported, *server])


def test_the_page_of_the_readme_uploads_a_file_into_the_app_of_the_readme(
    readme_app: ReadmeApp, clean_driver: Browser, tmp_path: Path
) -> None:
    content = FileBytes(3_000_000).read(0, 3_000_000)
    (tmp_path / "holiday.mov").write_bytes(content)
    clean_driver.get(readme_app.url)
    choose(clean_driver, tmp_path / "holiday.mov")
    wait_until(lambda: "Uploaded" in shown(clean_driver), "the page says that it is uploaded")
    (stored,) = readme_app.uploads.iterdir()
    assert stored.read_bytes() == content


def test_the_page_of_the_readme_says_when_there_is_no_ticket(
    readme_app: ReadmeApp, server: RunningServer, clean_driver: Browser, tmp_path: Path
) -> None:
    (tmp_path / "holiday.mov").write_bytes(b"content")
    clean_driver.get(readme_app.url)
    server.kill()
    choose(clean_driver, tmp_path / "holiday.mov")
    wait_until(lambda: "The upload could not start yet." in shown(clean_driver), "the page says so")


def test_the_app_of_the_readme_keeps_nothing_of_a_cancelled_upload(
    readme_app: ReadmeApp, server: RunningServer
) -> None:
    ticket_id = requests.post(f"{readme_app.url}/ticket", timeout=60).text
    client = ClientV1(server.url, ticket_id, FileBytes(1000)).open()
    client.cancel()
    wait_until(lambda: "notified the app" in server.log_text(), "the app is told")
    assert not list(readme_app.uploads.iterdir())


def test_the_app_of_the_readme_takes_repeated_news_and_refuses_strangers(
    readme_app: ReadmeApp, server: RunningServer, tmp_path: Path
) -> None:
    ticket_id = requests.post(f"{readme_app.url}/ticket", timeout=60).text
    ClientV1(server.url, ticket_id, FileBytes(1000)).upload()
    secret = server.journaled()[ticket_id].secret
    assert len(secret) == 64
    news = {"id": ticket_id, "filename": str(server.stored_file(ticket_id)), "cancelled": "no"}
    again = requests.post(f"{readme_app.url}/arrived", news | {"backendSecret": secret}, timeout=60)
    assert (again.status_code, again.text) == (200, "done")
    victim = tmp_path / "victim"
    victim.touch()
    for guess in ({}, {"backendSecret": ""}, {"backendSecret": "guess"}):
        stranger = requests.post(
            f"{readme_app.url}/arrived", news | {"filename": str(victim)} | guess, timeout=60
        )
        assert stranger.status_code == 403
    assert victim.exists()
    assert cancel_upload(server, ticket_id).status_code == 403


def test_the_app_of_the_readme_is_called_again_if_it_can_not_see_its_file(
    readme_app: ReadmeApp, server: RunningServer, tmp_path: Path
) -> None:
    ticket_id = requests.post(f"{readme_app.url}/ticket", timeout=60).text
    news = {"id": ticket_id, "filename": str(tmp_path / "elsewhere"), "cancelled": "no"}
    secret = {"backendSecret": server.journaled()[ticket_id].secret}
    assert requests.post(f"{readme_app.url}/arrived", news | secret, timeout=60).status_code == 500


def test_the_app_of_the_readme_does_not_start_with_an_empty_secret(tmp_path: Path) -> None:
    ReadmeApp(tmp_path, 4000)
    done = subprocess.run(
        [sys.executable, "app.py"], cwd=tmp_path, env=os.environ | {"UPLOAD_SECRET": ""},
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert "UPLOAD_SECRET is empty" in done.stderr
