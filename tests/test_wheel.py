"""What is published: the source distribution, and the wheel that is built from it, installed and started."""

from __future__ import annotations

import email.message
import os
import re
import shutil
import subprocess
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
import requests

from incoming.http import library
from incoming.registry import journal
from tests.support.installed import BUILT_AT_S, NOT_SOURCE, Installed, build
from tests.support.server import ROOT
from tests.support.waiting import wait_until
from tests.test_house import tracked_files

COMMAND: Final = re.compile(r"^    pip install \. && incoming (\S+) ", re.MULTILINE)
"""How the README starts what pip has installed."""
READY: Final = re.compile(r"listens on (http://\S+)")
MINIFIED: Final = [source for source, kind in library.SOURCES.values() if kind == library.SCRIPT]
STATIC_FILES = (
    *library.BUNDLES,
    *(f"{name}{suffix}" for name in MINIFIED for suffix in ("", ".map", ".gz", ".br")),
    *(path.name for path in (ROOT / "static").glob("*.d.*ts")),
    *(f"texts/{path.name}" for path in (ROOT / "static/texts").glob("*.d.*ts")),
    *("incoming.cjs", "app.mjs", "package.json"),
    *("status.html", "status.css", "status.js", "front.html", "front.css", "upload.html", "upload.css"),
)
DEADLINE_S: Final = 60.0
OPTIONS: Final = ("--host", "127.0.0.1", "--port", "0", "--examples-ports", "0,0,0,0,0")
EXAMPLES: Final = ("1-simple", "2-dynamic", "3-dropzone", "5-uppy", "6-folder")


@pytest.fixture
def process(installed: Installed, tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """The installed command with the examples, started in an empty folder; its output is in `out` there."""
    (option,) = COMMAND.findall((ROOT / "README.md").read_text("utf-8"))
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("INCOMING_", "PYTHON"))}
    with (tmp_path / "out").open("wb") as out:
        started = subprocess.Popen(
            [installed.bin / "incoming", option, *OPTIONS],
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


def check_examples(url: str, output: Path) -> None:
    """Checks that all examples run, and keep their uploads below the folder of the command."""
    wait_until(lambda: "Ctrl-C" in output.read_text(), "all examples run", DEADLINE_S)
    pages = re.findall(r"Example .* (http://\S+)", output.read_text())
    assert len(pages) == len(EXAMPLES)
    front = requests.get(url, timeout=60).text
    for page in pages:
        assert f'href="{page}/"' in front
        assert requests.get(page, timeout=60).ok
    made = {path.name for path in (output.parent / "incoming-examples").iterdir()}
    assert made == set(EXAMPLES)


def test_the_installed_command_serves_library_and_examples_gives_a_ticket_and_stops_cleanly(
    process: subprocess.Popen[bytes], installed: Installed, tmp_path: Path
) -> None:
    url = address(process, tmp_path / "out") + "/incoming"
    script = requests.get(f"{url}/frontend/incoming.js", timeout=60)
    assert script.content == (installed.source / "static" / "incoming.min.js").read_bytes()
    assert script.headers["Content-Encoding"] in {"br", "gzip"}
    finish_url = {"signalFinishURL": "http://localhost:1/arrived"}
    ticket = requests.post(f"{url}/backend/new_upload", finish_url, timeout=60)
    assert re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", ticket.text)
    assert [known.id for known in journal.read(tmp_path / "incoming-storage" / "journal")] == [ticket.text]
    check_examples(url.removesuffix("/incoming"), tmp_path / "out")
    process.terminate()
    assert process.wait(DEADLINE_S) == 0


def test_the_wheel_holds_the_package_the_library_the_examples_and_nothing_else(installed: Installed) -> None:
    with zipfile.ZipFile(installed.wheel) as content:
        names = {Path(name) for name in content.namelist()}
    sources = {path.relative_to(installed.source) for path in (installed.source / "incoming").rglob("*.py")}
    static = {Path("incoming/static") / name for name in STATIC_FILES}
    examples = {
        Path("incoming/examples") / name / path.name
        for name in EXAMPLES
        for path in (ROOT / "examples" / name).iterdir()
        if path.is_file()
    }
    metadata = {name for name in names if name.parts[0].endswith(".dist-info")}
    assert names - metadata == sources | static | examples | {Path("incoming/py.typed")}
    assert "LICENSE" in {name.name for name in metadata}


def metadata_of(wheel: Path) -> email.message.Message:
    """Returns what the wheel says about itself."""
    with zipfile.ZipFile(wheel) as content:
        (name,) = (name for name in content.namelist() if name.endswith("/METADATA"))
        return email.message_from_bytes(content.read(name))


def test_the_wheel_says_what_it_is(installed: Installed) -> None:
    metadata = metadata_of(installed.wheel)
    package = (installed.source / "incoming" / "__init__.py").read_text("utf-8")
    version = re.search(r'^__version__ = "(.+)"$', package, re.MULTILINE)
    assert version
    assert (metadata["Name"], metadata["Version"]) == ("incoming-server", version[1])
    assert metadata["Requires-Python"] == ">=3.11"
    assert set(metadata.get_all("Provides-Extra", [])) == {"gunicorn", "redis", "s3", "uwsgi"}


def test_the_page_of_the_package_is_the_readme_without_links_into_the_tree(installed: Installed) -> None:
    description = metadata_of(installed.wheel).get_payload(decode=True)
    assert isinstance(description, bytes)
    text = description.decode()
    assert text.startswith("# Incoming!!\n")
    targets = [target for _, target in re.findall(r"\[([^\]\n]*)\]\(([^)\s]+)\)", text)]
    assert all("://" in target for target in targets), targets
    readme = (installed.source / "README.md").read_text("utf-8")
    assert len(text.splitlines()) == len(readme.splitlines())
    assert re.findall(r"^#.*", text, re.MULTILINE) == re.findall(r"^#.*", readme, re.MULTILINE)


def test_the_same_tree_gives_the_same_bytes_wherever_it_is_built_and_when(
    installed: Installed, tmp_path: Path
) -> None:
    source = Path(shutil.copytree(installed.source, tmp_path / "another-folder", ignore=NOT_SOURCE))
    for path in source.rglob("*"):
        path.chmod(0o700 if path.is_dir() or path.stat().st_mode & 0o100 else 0o600)
        os.utime(path, (1, 1_600_000_000))
    (tmp_path / "dist").mkdir()
    sdist, wheel = build(source, tmp_path / "dist")
    assert sdist.read_bytes() == installed.sdist.read_bytes()
    assert wheel.read_bytes() == installed.wheel.read_bytes()


def test_the_source_distribution_has_what_the_repository_has(installed: Installed) -> None:
    with tarfile.open(installed.sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
        assert {(entry.uid, entry.uname, entry.mtime) for entry in archive} == {(0, "", BUILT_AT_S)}
    assert {"README.md", "tests/conftest.py", "docs/index.md", "setup.py"} <= names
    tracked = {str(path.relative_to(ROOT)) for path in tracked_files()}
    assert {name for name in tracked if not name.startswith(".")} <= names
    assert not {name for name in names if re.match(r"tests/artifacts/|examples/[^/]+/uploads/", name)}
