"""What is shipped of the library: its size, its built files, bundles of apps, and the npm package."""

from __future__ import annotations

import gzip
import io
import json
import os
import re
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

from incoming.http import library
from tests.support.server import ROOT

STATIC = ROOT / "static"
BUILD = "scripts/build-library.mjs"
TSC = ROOT / "node_modules" / ".bin" / "tsc"
LINT = "tests/static/lint_package.mjs"
BUDGETS = {
    **dict.fromkeys(["incoming.min.js", "incoming.min.mjs"], 19_200),
    **dict.fromkeys(["texts/de.min.js", "texts/de.min.mjs"], 2_700),
}
"""The most bytes of what the server sends, with gzip. docs/reference/javascript.md tells them."""
DEADLINE_S = 240
SERVER_PAGES = {"status.js"}
"""What is there for pages of the server's own, and no part of the library."""
SHIPPED = ("*.*js", "*.*ts", "*.js", "*.ts", "*.map")


def run(*command: str | Path, cwd: Path = ROOT, tested: Path | None = None) -> str:
    """Runs a command, for a test script with the library that it tests; returns its output."""
    done = attempt(*command, cwd=cwd, tested=tested)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def attempt(
    *command: str | Path, cwd: Path = ROOT, tested: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Runs a command that may fail."""
    environment = {**os.environ, **({"INCOMING_TEST_LIBRARY": str(tested)} if tested else {})}
    words = [str(part) for part in command]
    return subprocess.run(
        words, cwd=cwd, env=environment, capture_output=True, text=True, timeout=DEADLINE_S, check=False
    )


@pytest.mark.parametrize("name", BUDGETS)
def test_what_the_server_sends_of_it_is_small(name: str) -> None:
    compressed = (STATIC / f"{name}.gz").read_bytes()
    assert gzip.decompress(compressed) == (STATIC / name).read_bytes()
    assert len(compressed) < BUDGETS[name]
    assert len((STATIC / f"{name}.br").read_bytes()) < len(compressed)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Returns a copy of what is needed to build the library, to be changed."""
    for folder in ("static", "scripts"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    (tmp_path / "node_modules").symlink_to(ROOT / "node_modules")
    return tmp_path


def test_a_file_that_was_changed_without_a_build_is_noticed(tree: Path) -> None:
    names = ("src/queue/item.js", "incoming.js", "incoming.min.mjs.br")
    for path in (tree / "static" / name for name in names):
        content = path.read_bytes()
        path.write_bytes(content[:-100] if path.suffix == ".br" else content + b"\nglobalThis.changed = 1;\n")
    done = attempt("node", BUILD, "--check", cwd=tree)
    assert done.returncode == 1
    assert len(re.findall(r"\w+\.(?:min\.)?m?js[\w.]*", done.stderr)) == 10 + 1 + 1


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
    for bundle in library.BUNDLES:
        for name in (bundle, re.sub(r"\.(m?js)$", r".min.\1", bundle)):
            assert (STATIC / name).read_text("utf-8").startswith(f"/*! {bundle} {package['version']}: ")
    exported = re.findall(r'"(\./[\w./-]+\.\w+)"[,}]', json.dumps(package["exports"]))
    promised = {package["main"], package["module"], package["types"], *exported, *package["files"]}
    assert {name for name in promised if not (STATIC / name).is_file()} == set()
    for name in package["sideEffects"]:
        assert (STATIC / name).is_file()


def test_the_library_tells_the_version_of_the_package() -> None:
    version = json.loads((STATIC / "package.json").read_text("utf-8"))["version"]
    for name in ("incoming.js", "incoming.mjs", "incoming.min.js", "incoming.min.mjs"):
        assert re.search(rf"""version: ?["']{re.escape(version)}["']""", (STATIC / name).read_text("utf-8"))


@pytest.fixture(scope="module")
def tarball(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns what `npm pack` makes, which is what would be published."""
    folder = tmp_path_factory.mktemp("tarball")
    run("npm", "pack", "--silent", "--pack-destination", folder, cwd=STATIC)
    (archive,) = folder.glob("incoming-uploads-*.tgz")
    return archive


def test_the_tarball_has_everything_that_is_shipped_a_readme_and_the_licence(tarball: Path) -> None:
    with tarfile.open(tarball) as archive:
        names = {name.removeprefix("package/") for name in archive.getnames()}
    globs = [f"{folder}{glob}" for folder in ("", "texts/") for glob in SHIPPED]
    shipped = {str(path.relative_to(STATIC)) for glob in globs for path in STATIC.glob(glob)}
    assert names == shipped - SERVER_PAGES | {"README.md", "LICENSE", "package.json"}
    assert (STATIC / "LICENSE").read_text("utf-8") == (ROOT / "LICENSE").read_text("utf-8")


@pytest.mark.parametrize(
    ("before", "after", "found"),
    [("", "", ""), ("./incoming.d.cts", "./incoming.d.mts", "FalseESM")],
)
def test_publint_and_are_the_types_wrong_find_what_is_wrong_and_nothing_in_the_package(
    tarball: Path, tmp_path: Path, before: str, after: str, found: str
) -> None:
    spoiled = tmp_path / "package.tgz"
    with tarfile.open(tarball) as original, tarfile.open(spoiled, "w:gz") as copy:
        for member in original.getmembers():
            opened = original.extractfile(member)
            assert opened
            content = opened.read()
            if member.name == "package/package.json":
                content = content.replace(before.encode(), after.encode())
            member.size = len(content)
            copy.addfile(member, io.BytesIO(content))
    said = run("node", LINT, spoiled)
    assert found in said
    assert bool(said) == bool(found)


def test_a_package_without_an_address_of_its_source_is_not_published() -> None:
    package = json.loads((STATIC / "package.json").read_text("utf-8"))
    assert package["publishConfig"]["provenance"] is True
    addresses = {"repository", "homepage", "bugs"} & package.keys()
    refused = attempt("npm", "run", "--silent", "prepublishOnly", cwd=STATIC)
    assert (refused.returncode == 0) == (len(addresses) == 3)
    assert addresses or "CONTRIBUTING.md" in refused.stderr


@pytest.fixture(scope="module")
def project(tarball: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns a project with Vite and TypeScript that has installed the package, as npm does it."""
    folder = tmp_path_factory.mktemp("project")
    shutil.copytree(ROOT / "tests" / "static" / "vite_project", folder, dirs_exist_ok=True)
    run("npm", "install", "--silent", "--offline", "--no-audit", "--no-fund", tarball, cwd=folder)
    return folder


PAGE = """
const listen = () => {};
Object.assign(globalThis, { addEventListener: listen, document: { addEventListener: listen } });
if (process.argv[2] === "page") globalThis.window = globalThis;
"""
IMPORT = """
import "./page.mjs";
import { createRequire } from "node:module";
const library = await import("incoming-uploads");
const { Queue } = await import("incoming-uploads/queue");
const required = createRequire(import.meta.url)("incoming-uploads");
console.log(Object.keys(library).sort().join(), library.version, library.default === globalThis.incoming);
console.log(required.version, required === globalThis.incoming, typeof Queue);
library.set_server_hostname("https://files.example.com");
library.set_texts({ paused: "Held" });
library.default.transport = "http";
class Own extends library.Uploader {}
console.log(library.unfinished().length, typeof Own);
"""
NAMES = "Uploader,default,forget,list_folder,matches,set_server_hostname,set_texts,unfinished,version"


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("page", f"{NAMES} 0.3.0 true 0.3.0 true function 0 function"),
        ("server", f"{NAMES} 0.3.0 false undefined false function 0 function"),
    ],
)
def test_the_installed_package_can_be_imported_and_set_up_where_pages_are_shown_and_where_they_are_made(
    project: Path, place: str, said: str
) -> None:
    (project / "page.mjs").write_text(PAGE)
    (project / "main.mjs").write_text(IMPORT)
    assert run("node", "main.mjs", place, cwd=project).split() == said.split()


TS_BLOCK = re.compile(r"^```ts\n(.*?)^```$", re.MULTILINE | re.DOTALL)
REQUIRING = """
import incoming = require("incoming-uploads");
import { Uploader, type UploadError } from "incoming-uploads";
const uploader: incoming.Uploader = new Uploader("id", new Blob([]));
export const failed: Promise<UploadError | incoming.Uploader> = uploader.done;
"""

FIELD = """
import "incoming-uploads/element";
import { Queue, ticket_from } from "incoming-uploads/queue";
const field = document.createElement("incoming-upload");
Object.assign(field, { tickets: "/ticket", multiple: true });
field.max_bytes = 5e9;
field.max_files = field.at_once = 4;
export const limit: string = field.max_bytes;
field.addEventListener("all-finished", ({ detail }) => detail.value.join());
field.addEventListener("upload-refused", ({ detail }) => detail.refused[0]?.message.trim());
field.queue = new Queue({ get_ticket: ticket_from("/ticket") });
field.queue.leave_unfinished();
"""
NOT_SET = """
import { Uploader, unfinished } from "incoming-uploads";
import { Queue, ticket_from } from "incoming-uploads/queue";
import { unfinished as with_handles } from "incoming-uploads/resume";
declare const server: string | undefined, limit: number | undefined;
declare const restart: (() => boolean) | undefined;
const uploader_options = { server, max_bytes_per_s: limit, should_retry: restart };
new Uploader("id", new Blob([]), uploader_options);
const get_ticket = ticket_from("/ticket", { headers: undefined, fields: undefined, credentials: undefined });
const restrictions = { max_bytes: limit, accept: server };
new Queue({ get_ticket, at_once: limit, restrictions, uploader_options });
export const lists = [unfinished({ server }), unfinished({ live: true, server })];
export const kept = with_handles({ server, owner: server });
"""


def test_the_readme_of_the_package_names_all_that_can_be_imported() -> None:
    exports = json.loads((STATIC / "package.json").read_text("utf-8"))["exports"]
    table = (STATIC / "README.md").read_text("utf-8").partition("## What is in the package")[2]
    told = re.findall(r"`(?:incoming-uploads)?(/[\w./-]+)`", table)
    assert set(told) == {name[1:] for name in exports} - {"", "/package.json"}


def test_a_typescript_project_builds_with_the_package_and_what_its_readme_says(project: Path) -> None:
    blocks = TS_BLOCK.findall((STATIC / "README.md").read_text("utf-8"))
    assert len(blocks) == 2
    for number, block in enumerate(blocks):
        (project / "src" / f"readme_{number}.ts").write_text(block)
    (project / "src" / "requiring.cts").write_text(REQUIRING)
    (project / "src" / "field.ts").write_text(FIELD)
    (project / "src" / "not_set.ts").write_text(NOT_SET)  # as if the options were left out
    run(TSC, "-p", project)
    wrong = project / "src" / "wrong.ts"
    wrong.write_text('import { Queue } from "incoming-uploads/queue";\nnew Queue({ at_once: "3" });\n')
    assert attempt(TSC, "-p", project).returncode != 0
    wrong.unlink()
