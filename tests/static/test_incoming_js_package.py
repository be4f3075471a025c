"""What is shipped: how large the library is, and what the npm package says about it."""

from __future__ import annotations

import gzip
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.server import ROOT

STATIC = ROOT / "static"
TERSER = ROOT / "node_modules" / ".bin" / "terser"
MAX_BYTES = 12_000
DEADLINE_S = 120


SERVER_PAGES = {"status.js"}
"""What is there for pages of the server's own, and no part of the library."""


def run(*command: str | Path, cwd: Path = ROOT) -> str:
    """Runs a command; returns what it has written."""
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_minified_and_compressed_it_is_small() -> None:
    assert TERSER.exists(), "terser is not installed: run `npm ci`, or `make test`"
    minified = run(TERSER, STATIC / "incoming.js", "--compress", "--mangle")
    assert "incoming" in minified
    assert len(gzip.compress(minified.encode())) < MAX_BYTES


def test_minified_it_still_passes_its_tests(tmp_path: Path) -> None:
    """The worker is made from the source of two functions: they must not be torn from what they need."""
    shutil.copytree(ROOT / "tests" / "static", tmp_path / "tests" / "static")
    (tmp_path / "static").mkdir()
    minified = tmp_path / "static" / "incoming.js"
    run(TERSER, STATIC / "incoming.js", "--compress", "--mangle", "--output", minified)
    run("node", "--test", "tests/static/upload.test.mjs", "tests/static/integrity.test.mjs", cwd=tmp_path)


def test_the_package_has_the_version_and_the_files_that_it_promises() -> None:
    package = json.loads((STATIC / "package.json").read_text("utf-8"))
    source = (STATIC / "incoming.js").read_text("utf-8")
    assert f"const VERSION = '{package['version']}';" in source
    assert f" * incoming.js {package['version']}:" in source
    exported = re.findall(r'"(\./[\w.]+)"', json.dumps(package["exports"]))
    promised = {package["main"], package["module"], package["types"], *exported, *package["files"]}
    assert {name for name in promised if not (STATIC / name).is_file()} == set()
    sources = {path.name for path in STATIC.iterdir() if path.suffix in {".js", ".mjs", ".ts", ".mts"}}
    assert set(package["files"]) == sources - SERVER_PAGES


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """Returns a project that has installed the package, as npm does it."""
    run("npm", "pack", "--silent", "--pack-destination", tmp_path, cwd=STATIC)
    (tmp_path / "package.json").write_text('{"name": "app", "private": true}')
    (archive,) = tmp_path.glob("incoming-uploads-*.tgz")
    run("npm", "install", "--silent", "--offline", "--no-audit", "--no-fund", archive, cwd=tmp_path)
    return tmp_path


PAGE = """
const listen = () => {};
Object.assign(globalThis, { addEventListener: listen, document: { addEventListener: listen } });
if (process.argv[2] === "page") globalThis.window = globalThis;
"""
IMPORT = """
import "./page.mjs";
const library = await import("incoming-uploads");
console.log(Object.keys(library).sort().join(), library.version, library.default === globalThis.incoming);
"""
NAMES = "Uploader,default,forget,matches,set_server_hostname,unfinished,version"


@pytest.mark.parametrize(("place", "version"), [("page", "0.3.0"), ("server", "undefined")])
def test_the_installed_module_can_be_imported_where_pages_are_shown_and_where_they_are_made(
    installed: Path, place: str, version: str
) -> None:
    (installed / "page.mjs").write_text(PAGE)
    (installed / "main.mjs").write_text(IMPORT)
    assert run("node", "main.mjs", place, cwd=installed).split() == [NAMES, version, "true"]
    run("node", "--eval", 'require("incoming-uploads")', cwd=installed)
