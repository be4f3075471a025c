"""The recipes of examples/recipes, each in an empty folder and run with the commands of its README."""

from __future__ import annotations

import html
import io
import re
import shutil
import threading
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import pytest
import requests

from incoming.client import address
from incoming.client.connect import tls_context
from incoming.client.display import Display
from incoming.client.file import FileSource
from incoming.client.loop import Sender, Server
from incoming.client.protocol.events import Options, Outcome
from tests.support.documented import DocumentedApp
from tests.support.server import ROOT
from tests.test_docs import code_blocks

RECIPES: Final = ROOT / "examples" / "recipes"
BESIDE: Final = ("flask", "django", "fastapi", "starlette", "express", "php")
EMBEDDED: Final = ("embedded-flask", "embedded-bottle")
NEEDS: Final = {"php": "php", "express": "node"}
INSTALLS: Final = re.compile(r"python3 -m venv |\S*pip install |npm install ")
SERVES: Final = re.compile(r"\S*\bincoming$")
"""The line that starts the upload server."""


def files_of(recipe: str) -> dict[str, str]:
    """Returns the files of a recipe, by their paths in its folder, without what a run leaves behind."""
    folder = RECIPES / recipe
    left = {"README.md", "upload-secret", "uploads", "uploads-under-way", "__pycache__", "node_modules"}
    paths = [path for path in folder.rglob("*") if path.is_file()]
    found = {path.relative_to(folder): path for path in paths}
    return {str(name): path.read_text("utf-8") for name, path in found.items() if not left & set(name.parts)}


def commands_of(page: Path) -> list[str]:
    """Returns the lines for a shell on a page."""
    return "".join(code_blocks(page, "sh")).splitlines()


class RecipeApp:
    """A recipe in a folder. It can be killed and started again; its address stays the same.

    `app_url`: where the server calls it, if that is not its own address. `incoming_port`: that of the server.
    """

    def __init__(self, recipe: str, folder: Path, app_url: str = "", incoming_port: int = 0) -> None:
        if (program := NEEDS.get(recipe)) and not shutil.which(program):
            pytest.skip(f"{program} is not installed")
        lines = commands_of(RECIPES / recipe / "README.md")
        run = [line for line in lines if not INSTALLS.match(line) and not SERVES.match(line)]
        self.recipe = recipe
        beside = f"APP_URL={app_url or 'http://localhost:8080'} UPLOAD_SERVER=http://127.0.0.1:4000"
        setting = f"export {beside} PORT=8080 PYTHONPATH={ROOT}"
        self._app = DocumentedApp(folder, {}, [setting, run[-1]], incoming_port)
        self._once = run[:-1]
        self.folder, self.url, self.port = self._app.folder, self._app.url, self._app.port
        self.uploads = folder / "uploads"
        for name, text in files_of(recipe).items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text, "utf-8")
        if recipe == "express":
            modules = folder / "node_modules"
            modules.mkdir()
            (modules / "incoming-uploads").symlink_to(ROOT / "static")
            (modules / "express").symlink_to(ROOT / "node_modules/express")
        self._running = ExitStack()

    def start(self, *first: str) -> None:
        """Starts it, after these commands, and returns when it answers."""
        self._running.enter_context(self._app.running(*self._once, *first))
        self._once = []

    def kill(self) -> None:
        """Ends all its processes (SIGKILL)."""
        self._running.close()

    def ticket(self) -> str:
        """Returns a ticket, got as its page does: with the CSRF token, where the page has one."""
        session = requests.Session()
        token = re.search(r'"X-CSRFToken": "(\w+)"', session.get(self.url, timeout=60).text)
        answer = session.post(
            f"{self.url}/ticket", headers={"X-CSRFToken": token[1]} if token else {}, timeout=60
        )
        assert answer.status_code == 200, answer.text
        return answer.text

    def listed(self) -> list[str]:
        """Returns the names of the files on its page."""
        page = requests.get(self.url, timeout=60).text
        lines = re.findall(r"<li>([^<]*), [^,<]*</li>", page)
        return [html.unescape(line) for line in lines]

    def stored(self) -> dict[str, bytes]:
        """Returns the files that it has taken, by the ids of their tickets; what is not complete, too."""
        files = [file for file in self.uploads.glob("*/*") if file.is_file()]
        return {file.parent.name: file.read_bytes() for file in files}


class Sending:
    """An upload by the terminal client, in a thread of its own."""

    def __init__(self, url: str, ticket_id: str, file: Path) -> None:
        server = Server(address.parse(url), tls_context(None))
        source, options = FileSource(file), Options(0, 0.0)
        self._sender = Sender(source, ticket_id, server, options, Display(io.StringIO(), quiet=True))
        self._outcome: list[Outcome] = []
        self._thread = threading.Thread(target=lambda: self._outcome.append(self._sender.run()), daemon=True)
        self._thread.start()

    def outcome(self) -> Outcome:
        """Returns how it has ended, as soon as it has."""
        self._thread.join(120)
        assert self._outcome, "the upload has not ended"
        return self._outcome[0]


def send(url: str, ticket_id: str, file: Path) -> Outcome:
    """Uploads a file, and returns when the app has taken or refused it."""
    return Sending(url, ticket_id, file).outcome()
