"""What is shipped of the library: its size, its built files, bundles of apps, and the npm package."""

from __future__ import annotations

import gzip
import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.server import ROOT

STATIC = ROOT / "static"
BUILD = "scripts/build-library.mjs"
TERSER = ROOT / "node_modules" / ".bin" / "terser"
ESBUILD = ROOT / "node_modules" / ".bin" / "esbuild"
MAX_BYTES = 14_000
DEADLINE_S = 120
SERVER_PAGES = {"status.js"}
"""What is there for pages of the server's own, and no part of the library."""
SHIPPED = ("*.js", "*.mjs", "*.ts", "*.mts", "*.map")


def run(*command: str | Path, cwd: Path = ROOT, library: Path | None = None) -> str:
    """Runs a command, for a test script with the library that it tests; returns its output."""
    done = attempt(*command, cwd=cwd, library=library)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def attempt(
    *command: str | Path, cwd: Path = ROOT, library: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Runs a command that may fail."""
    environment = {**os.environ, **({"INCOMING_TEST_LIBRARY": str(library)} if library else {})}
    words = [str(part) for part in command]
    return subprocess.run(
        words, cwd=cwd, env=environment, capture_output=True, text=True, timeout=DEADLINE_S, check=False
    )


@pytest.mark.parametrize("name", ["incoming.min.js", "incoming.min.mjs"])
def test_what_the_server_sends_of_it_is_small(name: str) -> None:
    compressed = (STATIC / f"{name}.gz").read_bytes()
    assert gzip.decompress(compressed) == (STATIC / name).read_bytes()
    assert len(compressed) < MAX_BYTES
    assert len((STATIC / f"{name}.br").read_bytes()) < len(compressed)


def test_the_built_files_are_what_the_sources_build() -> None:
    run("node", BUILD, "--check")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Returns a copy of what is needed to build the library, to be changed."""
    for folder in ("static", "scripts"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    (tmp_path / "node_modules").symlink_to(ROOT / "node_modules")
    return tmp_path


@pytest.mark.parametrize(
    ("name", "stale"),
    [("src/worker/main.js", 10), ("src/module.js", 5), ("incoming.js", 1), ("incoming.min.mjs.br", 1)],
)
def test_a_file_that_was_changed_without_a_build_is_noticed(tree: Path, name: str, stale: int) -> None:
    path = tree / "static" / name
    content = path.read_bytes()
    path.write_bytes(content[:-100] if path.suffix == ".br" else content + b"\nglobalThis.changed = 1;\n")
    done = attempt("node", BUILD, "--check", cwd=tree)
    assert done.returncode == 1
    assert len(re.findall(r"incoming\.[\w.]+", done.stderr)) == stale


TESTS_OF_THE_WORKER = ["tests/static/upload.test.mjs", "tests/static/worker.test.mjs"]


@pytest.mark.parametrize(
    ("source", "options"),
    [
        ("incoming.js", ["--keep-names"]),
        ("incoming.mjs", ["--target=es2016"]),
        ("incoming.mjs", ["--minify", "--keep-names", "--target=es2016"]),
        ("incoming.min.mjs", ["--keep-names"]),
    ],
)
def test_it_works_in_the_bundle_of_an_app_with_any_options(
    tmp_path: Path, source: str, options: list[str]
) -> None:
    """The worker is a string in the library, so a bundler can't separate it from what it needs."""
    entry, bundle = tmp_path / "app.js", tmp_path / "bundle.js"
    entry.write_text(f'import "{STATIC / source}";')
    run(ESBUILD, entry, "--bundle", "--format=iife", f"--outfile={bundle}", "--log-level=error", *options)
    run("node", "--test", *TESTS_OF_THE_WORKER, library=bundle)


def test_it_works_when_an_app_minifies_it_with_terser(tmp_path: Path) -> None:
    minified = tmp_path / "incoming.js"
    run(TERSER, STATIC / "incoming.js", "--compress", "--mangle", "--output", minified)
    run("node", "--test", *TESTS_OF_THE_WORKER, library=minified)


def test_the_source_map_leads_from_the_minified_file_to_the_sources() -> None:
    for name in ("incoming.min.js", "incoming.min.mjs"):
        text = (STATIC / name).read_text("utf-8")
        assert text.endswith(f"\n//# sourceMappingURL={name}.map\n")
        content = json.loads((STATIC / f"{name}.map").read_text("utf-8"))
        assert "src/upload.js" in content["sources"]
        for source, source_text in zip(content["sources"], content["sourcesContent"], strict=True):
            assert (STATIC / source).read_text("utf-8") == source_text


def test_the_package_has_the_version_and_the_files_that_it_promises() -> None:
    package = json.loads((STATIC / "package.json").read_text("utf-8"))
    for name in ("incoming.js", "incoming.mjs", "incoming.min.js", "incoming.min.mjs"):
        source = (STATIC / name).read_text("utf-8")
        assert source.startswith(f"/*! {name.replace('.min', '')} {package['version']}: ")
        assert re.search(rf"""version: ?["']{re.escape(package["version"])}["']""", source)
    exported = re.findall(r'"(\./[\w.]+)"', json.dumps(package["exports"]))
    promised = {package["main"], package["module"], package["types"], *exported, *package["files"]}
    assert {name for name in promised if not (STATIC / name).is_file()} == set()
    assert set(package["files"]) == {p.name for glob in SHIPPED for p in STATIC.glob(glob)} - SERVER_PAGES


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
