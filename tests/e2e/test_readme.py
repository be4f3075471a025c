"""The code of the README, as it stands there: an app's backend and its page, with a real browser."""

from __future__ import annotations

import importlib.util
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from socketserver import ThreadingMixIn
from typing import Any, Final
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

import pytest
import requests
from selenium.webdriver.common.by import By

from tests.conftest import StartServer
from tests.support.client import OldClient
from tests.support.data import FileBytes
from tests.support.engines import Browser
from tests.support.server import ROOT, RunningServer, cancel_upload
from tests.support.waiting import wait_until
from tests.test_docs import code_blocks

README: Final = ROOT / "README.md"
SECRET: Final = "only the two of us know"


class _Server(ThreadingMixIn, WSGIServer):
    """Browsers open connections ahead of need; one must not make the others wait."""

    daemon_threads = True


class _Quiet(WSGIRequestHandler):
    def log_message(self, *args: object) -> None:
        """Requests are not worth a line here."""


def _the_only(language: str) -> str:
    (code,) = code_blocks(README, language)
    return code


def _load(code: str, folder: Path) -> Any:
    """Returns the app that the README's Python makes."""
    file = folder / "readme_app.py"
    file.write_text(code, "utf-8")
    spec = importlib.util.spec_from_file_location("readme_app", file)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.app


@contextmanager
def _running(server: RunningServer, folder: Path) -> Iterator[str]:
    """Runs the README's app, with its page at /, on a free port; yields its address."""
    http = _Server(("127.0.0.1", 0), _Quiet)
    hosts = {"localhost:4000": f"127.0.0.1:{server.port}", "localhost:8080": f"127.0.0.1:{http.server_port}"}
    python, html = _the_only("python"), _the_only("html")
    for documented, real in hosts.items():
        assert documented in python
        python, html = python.replace(documented, real), html.replace(documented, real)
    app = _load(python, folder)
    app.get("/", callback=lambda: f"<!DOCTYPE html>{html}")
    http.set_app(app)
    threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{http.server_port}"
    finally:
        http.shutdown()
        http.server_close()


@pytest.fixture
def readme_app(
    start_server: StartServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[RunningServer, str]]:
    """The server, and the address of the README's app, which runs in `tmp_path`."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("UPLOAD_SECRET", SECRET)
    (tmp_path / "uploads").mkdir()
    server = start_server()
    with _running(server, tmp_path) as url:
        yield server, url


def test_the_page_of_the_readme_uploads_a_file_into_the_app_of_the_readme(
    readme_app: tuple[RunningServer, str], clean_driver: Browser, tmp_path: Path
) -> None:
    _, url = readme_app
    content = FileBytes(3_000_000).read(0, 3_000_000)
    (tmp_path / "holiday.mov").write_bytes(content)
    clean_driver.get(url)
    clean_driver.find_element(By.ID, "file").send_keys(str(tmp_path / "holiday.mov"))
    state = clean_driver.find_element(By.ID, "state")
    wait_until(lambda: state.text.startswith("Finished"), "the page says that it is finished")
    assert clean_driver.find_element(By.ID, "bar").get_property("value") == 1
    (stored,) = (tmp_path / "uploads").iterdir()
    assert stored.read_bytes() == content


def test_the_app_of_the_readme_keeps_nothing_of_a_cancelled_upload(
    readme_app: tuple[RunningServer, str], tmp_path: Path
) -> None:
    server, url = readme_app
    ticket_id = requests.post(f"{url}/ticket", timeout=10).text
    client = OldClient(server.url, ticket_id, FileBytes(1000)).open()
    client.cancel()
    wait_until(lambda: "told the app" in server.log_text(), "the app is told")
    assert not list((tmp_path / "uploads").iterdir())


def test_the_app_of_the_readme_takes_repeated_news_and_refuses_strangers(
    readme_app: tuple[RunningServer, str], tmp_path: Path
) -> None:
    server, url = readme_app
    ticket_id = requests.post(f"{url}/ticket", timeout=10).text
    OldClient(server.url, ticket_id, FileBytes(1000)).upload()
    news = {"id": ticket_id, "filename": str(server.stored_file(ticket_id)), "cancelled": "no"}
    again = requests.post(f"{url}/arrived", news | {"backendSecret": SECRET}, timeout=10)
    assert (again.status_code, again.text) == (200, "done")
    victim = tmp_path / "victim"
    victim.touch()
    stranger = requests.post(f"{url}/arrived", news | {"filename": str(victim)}, timeout=10)
    assert stranger.status_code == 403
    assert victim.exists()
    assert cancel_upload(server, ticket_id).status_code == 403
