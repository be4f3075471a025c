"""The wheel, as a user gets it: built from the source distribution, installed by itself, and started."""

from __future__ import annotations

import email
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
import requests

from incoming.registry import journal
from tests.support.server import ROOT
from tests.support.waiting import wait_until

NOT_SOURCE: Final = shutil.ignore_patterns(
    *(".*", "node_modules", "__pycache__", "build", "dist", "*.egg-info", "incoming-storage", "artifacts")
)
READY: Final = re.compile(r"listens on (http://\S+)")
STATIC_FILES = (
    *("incoming.js", "incoming.mjs", "incoming.d.ts", "incoming.d.mts", "package.json"),
    *(f"incoming.min.{kind}{suffix}" for kind in ("js", "mjs") for suffix in ("", ".map", ".gz", ".br")),
    *("status.html", "status.css", "status.js", "front.html", "front.css", "upload.html", "upload.css"),
)
DEADLINE_S: Final = 30.0


def run(*command: object, cwd: Path) -> None:
    """Runs a command. Raises AssertionError with what it said when it fails."""
    words = [str(word) for word in command]
    done = subprocess.run(words, cwd=cwd, capture_output=True, text=True, check=False)
    assert not done.returncode, f"{' '.join(words)}\n{done.stdout}\n{done.stderr}"


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the tree: building leaves things behind, and somebody may be editing the tree meanwhile."""
    return Path(shutil.copytree(ROOT, tmp_path_factory.mktemp("build") / "source", ignore=NOT_SOURCE))


@pytest.fixture(scope="module")
def wheel(source: Path) -> Path:
    """The wheel, built from a source distribution of the tree; setuptools is that of the tests."""
    folder = source.parent
    build_sdist = "from setuptools import build_meta; build_meta.build_sdist('..')"
    run(sys.executable, "-c", build_sdist, cwd=source)
    (sdist,) = folder.glob("*.tar.gz")
    options = ("--no-deps", "--no-build-isolation", "--wheel-dir", folder)
    run(sys.executable, "-m", "pip", "wheel", *options, sdist, cwd=folder)
    (wheel,) = folder.glob("*.whl")
    return wheel


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The `bin` of an environment with nothing in it but the wheel and what it asks for."""
    venv = tmp_path_factory.mktemp("installed") / "venv"
    run(sys.executable, "-m", "venv", "--without-pip", venv, cwd=ROOT)
    pip = (sys.executable, "-m", "pip", "--python", venv / "bin" / "python")
    options = ("--no-compile", "--constraint", ROOT / "requirements.txt")
    run(*pip, "install", *options, wheel, cwd=ROOT)
    return venv / "bin"


@pytest.fixture
def process(installed: Path, tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """The installed command, started in an empty folder; its output is in `out` there."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("INCOMING_", "PYTHON"))}
    with (tmp_path / "out").open("wb") as out:
        started = subprocess.Popen(
            [installed / "incoming", "--host", "127.0.0.1", "--port", "0"],
            cwd=tmp_path, env=environment, stdout=out, stderr=subprocess.STDOUT,
        )  # fmt: skip
    try:
        yield started
    finally:
        started.kill()
        started.wait(DEADLINE_S)


def address(process: subprocess.Popen[bytes], output: Path) -> str:
    """Returns the server's address when it has said that it listens."""

    def announced() -> str:
        assert process.poll() is None, output.read_text()
        ready = READY.search(output.read_text())
        return ready[1] if ready else ""

    return wait_until(announced, "the installed server listens", DEADLINE_S)


def test_the_installed_command_serves_the_library_gives_a_ticket_and_stops_cleanly(
    process: subprocess.Popen[bytes], source: Path, tmp_path: Path
) -> None:
    url = address(process, tmp_path / "out") + "/incoming"
    library = requests.get(f"{url}/frontend/incoming.js", timeout=10)
    assert library.content == (source / "static" / "incoming.min.js").read_bytes()
    assert library.headers["Content-Encoding"] in {"br", "gzip"}
    finish_url = {"signalFinishURL": "http://localhost:1/arrived"}
    ticket = requests.post(f"{url}/backend/new_upload", finish_url, timeout=10)
    assert re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", ticket.text)
    assert [known.id for known in journal.read(tmp_path / "incoming-storage" / "journal")] == [ticket.text]
    process.terminate()
    assert process.wait(DEADLINE_S) == 0


def test_the_wheel_holds_the_package_and_the_library_and_nothing_else(wheel: Path, source: Path) -> None:
    with zipfile.ZipFile(wheel) as content:
        names = {Path(name) for name in content.namelist()}
    sources = {path.relative_to(source) for path in (source / "incoming").rglob("*.py")}
    static = {Path("incoming/static") / name for name in STATIC_FILES}
    metadata = {name for name in names if name.parts[0].endswith(".dist-info")}
    assert names - metadata == sources | static | {Path("incoming/py.typed")}
    assert "LICENSE" in {name.name for name in metadata}


def test_the_wheel_says_what_it_is(wheel: Path, source: Path) -> None:
    with zipfile.ZipFile(wheel) as content:
        (name,) = (name for name in content.namelist() if name.endswith("/METADATA"))
        metadata = email.message_from_bytes(content.read(name))
    package = (source / "incoming" / "__init__.py").read_text("utf-8")
    version = re.search(r'^__version__ = "(.+)"$', package, re.MULTILINE)
    assert version
    assert (metadata["Name"], metadata["Version"]) == ("incoming-server", version[1])
    assert metadata["Requires-Python"] == ">=3.11"
    description = metadata.get_payload(decode=True)
    assert isinstance(description, bytes)
    assert description.decode() == (source / "README.md").read_text("utf-8")
