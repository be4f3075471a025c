"""The library in the bundles of apps: its worker is a text, and no bundler or minifier may spoil it.

`make test` runs one case of each kind, `make bundlers` all of them, and each bundler in a browser.
"""

from __future__ import annotations

import hashlib
import json
import os
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from tests.conftest import StartServer
from tests.static.test_incoming_js_package import STATIC, attempt, run
from tests.support.app import ScriptedApp
from tests.support.engines import Browser
from tests.support.server import ROOT, new_upload
from tests.support.site import serve_page
from tests.support.waiting import wait_until

HERE: Final = Path(__file__).parent
BIN: Final = ROOT / "node_modules" / ".bin"
ALL: Final = os.environ.get("INCOMING_TEST_BUNDLERS") == "all"
APPS: Final = {
    "import": 'import { Queue } from "incoming-uploads/queue"; window.Queue = Queue;\n',
    "script": 'import "incoming-uploads/incoming.js";\n',
    "require": 'window.library = require("incoming-uploads");\n',
    "minified": 'import "./node_modules/incoming-uploads/incoming.min.mjs";\n',
}
TERSER: Final[dict[str, Any]] = {"compress": {"passes": 2}, "mangle": {"toplevel": True}}
KEEP: Final = {**TERSER, "keep_classnames": True, "keep_fnames": True}
CASES: Final[list[tuple[str, str, dict[str, Any]]]] = [
    ("esbuild", "import", {"minify": True, "keepNames": True, "target": "es2016"}),
    ("esbuild", "import", {}),
    ("esbuild", "import", {"minify": True}),
    ("esbuild", "import", {"keepNames": True}),
    ("esbuild", "import", {"target": "es2016"}),
    ("esbuild", "import", {"target": "es2018", "minify": True}),
    ("esbuild", "import", {"minify": True, "mangleProps": "^_"}),
    ("esbuild", "import", {"minify": True, "sourcemap": "inline", "charset": "utf8"}),
    ("esbuild", "script", {"keepNames": True}),
    ("esbuild", "require", {"minify": True}),
    ("esbuild", "minified", {"keepNames": True}),
    ("webpack", "import", {}),
    ("webpack", "import", {"mode": "development"}),
    ("webpack", "import", {"mode": "development", "devtool": "source-map"}),
    ("webpack", "import", {"target": ["web", "es5"]}),
    ("webpack", "import", {"terser": KEEP}),
    ("webpack", "import", {"optimization": {"minimize": False, "concatenateModules": False}}),
    ("webpack", "script", {}),
    ("webpack", "require", {}),
    ("webpack", "minified", {}),
    ("rollup", "import", {}),
    ("rollup", "import", {"terser": TERSER}),
    ("rollup", "import", {"terser": KEEP}),
    ("rollup", "import", {"terser": {**TERSER, "ecma": 2016, "safari10": True}}),
    ("rollup", "import", {"terser": {"mangle": {"toplevel": True, "properties": {"regex": "^_"}}}}),
    ("rollup", "minified", {"terser": TERSER}),
    ("vite", "import", {}),
    ("vite", "import", {"minify": False}),
    ("vite", "import", {"minify": "terser", "terserOptions": {"keep_fnames": True}}),
    ("vite", "import", {"minify": "esbuild"}),
    ("vite", "import", {"target": "es2018"}),
    ("vite", "import", {"target": "es2016", "minify": "terser"}),
    ("vite", "minified", {"sourcemap": "inline"}),
]


def name_of(case: object) -> str:
    """Returns a case as a person reads it."""
    return case if isinstance(case, str) else json.dumps(case)


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns the folder of the package, unpacked as npm does it."""
    folder = tmp_path_factory.mktemp("app")
    run("npm", "pack", "--silent", "--pack-destination", folder, cwd=STATIC)
    with tarfile.open(next(folder.glob("*.tgz"))) as archive:
        archive.extractall(folder / "node_modules", filter="data")
    return (folder / "node_modules" / "package").rename(folder / "node_modules" / "incoming-uploads")


def bundle_with(tool: str, app: Path, bundle: Path, options: dict[str, Any]) -> None:
    """Bundles an app, which has the package beside it."""
    run("node", HERE / "bundle_with.mjs", tool, app, bundle, json.dumps(options))


@pytest.mark.parametrize(("tool", "app", "options"), CASES if ALL else CASES[:1], ids=name_of)
def test_the_worker_survives(
    package: Path, tmp_path: Path, tool: str, app: str, options: dict[str, Any]
) -> None:
    script, bundle = package.parent.parent / f"{app}.js", tmp_path / "bundle.js"
    script.write_text(APPS[app])
    bundle_with(tool, script, bundle, options)
    assert int(run("node", HERE / "survives.mjs", tested=bundle)) >= 10


def test_a_spoiled_worker_is_noticed(tmp_path: Path) -> None:
    text = (STATIC / "incoming.js").read_text("utf-8")
    spoiled = tmp_path / "spoiled.js"
    spoiled.write_text(text.replace("onmessage =", "onmassage ="))
    assert spoiled.read_text() != text
    assert attempt("node", HERE / "survives.mjs", tested=spoiled).returncode != 0


WATCH: Final = """<script>
  window.heard = 0;
  const TrueWorker = Worker;
  Worker = class extends TrueWorker {
    constructor(...given) { super(...given); this.addEventListener("message", () => { heard += 1; }); }
  };
</script>
"""
BYTES: Final = 3 << 20
IN_BROWSERS: Final[dict[str, dict[str, Any]]] = {
    "vite": {},
    "esbuild": {"minify": True, "keepNames": True},
    "webpack": {},
    "rollup": {"terser": TERSER},
}


@pytest.fixture(params=IN_BROWSERS if ALL else ["vite"])
def page(request: pytest.FixtureRequest, package: Path, tmp_path: Path) -> Iterator[str]:
    """Serves the page of an app that was written in TypeScript and built; yields its address."""
    script, bundle = package.parent.parent / "main.js", tmp_path / "bundle.js"
    source = HERE / "vite_project" / "src" / "main.ts"
    run(BIN / "esbuild", source, f"--outfile={script}", "--log-level=error")
    bundle_with(request.param, script, bundle, IN_BROWSERS[request.param])
    code = bundle.read_text("utf-8").replace("</script", "<\\/script")
    head = "<!doctype html><meta charset='utf-8'><title>App</title><p id='state'></p>"
    with serve_page(f"{head}{WATCH}<script>{code}</script>") as url:
        yield url


def test_an_app_uploads_in_a_browser_and_its_worker_does_the_work(
    browsers: Callable[[str], Browser], start_server: StartServer, app: ScriptedApp, page: str
) -> None:
    server, driver = start_server(), browsers("chromium")
    tickets = [new_upload(server, app.url) for _ in range(3)]
    driver.get(page)
    host = server.url.removeprefix("http://")
    driver.execute_script(f"begin({host!r}, {tickets}, {BYTES})")
    finished = "return shown.totals.finished === 3"
    wait_until(lambda: driver.execute_script(finished), "all have arrived")
    heard = driver.execute_script("return heard")
    driver.get("about:blank")
    assert not driver.errors
    assert heard >= 3
    content = bytes((at * 31 + (at >> 8) * 7) & 255 for at in range(BYTES))
    assert {upload.sha256 for upload in app.wait_for(3)} == {hashlib.sha256(content).hexdigest()}
