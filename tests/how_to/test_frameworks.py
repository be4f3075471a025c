"""The app of each how-to page, as a reader pastes it, under the real framework."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
import requests

from tests.conftest import StartServer
from tests.support.client_v1 import ClientV1
from tests.support.data import FileBytes
from tests.support.documented import DocumentedApp
from tests.support.server import ROOT, RunningServer, cancel_upload
from tests.support.waiting import wait_until
from tests.test_docs import code_blocks

PAGES: Final = {"flask": "python", "django": "python", "fastapi": "python", "express": "js", "php": "php"}
"""{framework: the language of its code}."""
NEEDS: Final = {"php": "php", "express": "node"}
SIZE_BYTES: Final = 300_000


def documented_app(framework: str, folder: Path, incoming_port: int) -> DocumentedApp:
    """Returns the app of a how-to page with the README's page. Skips the test if its program is missing."""
    program = NEEDS.get(framework)
    if program and not shutil.which(program):
        pytest.skip(f"{program} is not installed")
    if framework == "express" and not (ROOT / "node_modules/express").is_dir():
        pytest.skip("express is not installed: npm ci")
    page = ROOT / f"docs/how-to/{framework}.md"
    code = max(code_blocks(page, PAGES[framework]), key=len)
    name = re.findall(r"as `(\w+\.\w+)`", page.read_text("utf-8"))[0]
    (html,) = code_blocks(ROOT / "README.md", "html")
    if framework == "django":
        (fetch,) = code_blocks(page, "js")
        assert 'const answer = await fetch("/ticket", { method: "POST" });' in html
        html = html.replace('const answer = await fetch("/ticket", { method: "POST" });', fetch)
    (shell,) = code_blocks(page, "sh")
    commands = [line for line in shell.splitlines() if not re.match(r"(pip|npm) install ", line)]
    return DocumentedApp(folder, {name: code, "page.html": html}, commands, incoming_port)


@pytest.fixture
def server(start_server: StartServer) -> RunningServer:
    return start_server()


@pytest.fixture(params=PAGES)
def app(request: pytest.FixtureRequest, server: RunningServer, tmp_path: Path) -> Iterator[DocumentedApp]:
    """The app of each page in turn, running."""
    with documented_app(request.param, tmp_path / "app", server.port).running() as running:
        yield running


def ticket(app: DocumentedApp) -> str:
    """Asks for a ticket as the page does: with the CSRF token, where the page has one."""
    session = requests.Session()
    assert "incoming.js" in session.get(app.url, timeout=10).text
    headers = {"X-CSRFToken": token} if (token := session.cookies.get("csrftoken")) else {}
    answer = session.post(f"{app.url}/ticket", headers=headers, timeout=10)
    assert answer.status_code == 200, answer.text
    return answer.text


def test_the_app_takes_a_file_refuses_strangers_and_keeps_nothing_of_a_cancelled_upload(
    app: DocumentedApp, server: RunningServer
) -> None:
    client = ClientV1(server.url, ticket(app), FileBytes(SIZE_BYTES))
    client.upload()
    (taken,) = app.uploads.iterdir()
    assert taken.name == client.ticket_id
    assert taken.read_bytes() == b"".join(client.data.blocks())

    secret = server.journaled()[client.ticket_id].secret
    news = {"id": client.ticket_id, "filename": str(server.stored_file(client.ticket_id)), "cancelled": "no"}
    again = requests.post(f"{app.url}/arrived", news | {"backendSecret": secret}, timeout=10)
    assert (again.status_code, again.text) == (200, "done"), "a repeated call is answered again"

    victim = app.folder / "victim"
    victim.touch()
    for guess in ("", "guess"):
        stranger = news | {"filename": str(victim), "backendSecret": guess}
        assert requests.post(f"{app.url}/arrived", stranger, timeout=10).status_code == 403
    assert victim.exists()

    other = ClientV1(server.url, ticket(app), FileBytes(SIZE_BYTES)).open()
    assert cancel_upload(server, other.ticket_id).status_code == 403, "without the secret"
    other.cancel()
    wait_until(lambda: server.journaled()[other.ticket_id].app_told, "the app has answered that call, too")
    assert [file.name for file in app.uploads.iterdir()] == [client.ticket_id]


def test_what_a_page_installs_is_what_its_app_imports() -> None:
    for framework in ("flask", "django", "fastapi"):
        page = ROOT / f"docs/how-to/{framework}.md"
        (install,) = re.findall(r"^pip install (.*)$", page.read_text("utf-8"), re.MULTILINE)
        code = max(code_blocks(page, "python"), key=len)
        assert {"requests", framework} <= set(install.split())
        assert re.search(rf"^from {framework}\b", code, re.MULTILINE)
