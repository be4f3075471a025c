"""The rules of the house, as tests: who may import whom, what is public, what no file may hold."""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterator
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Final

import pytest

from tests.support.server import ROOT

# The architecture: a package imports from lines below its own, never from its own line or above.
LAYERS: Final = """
    __main__
    cli wsgi
    commands
    embedding
    wsgi_servers
    composition
    http
    websocket http_uploads
    uploads
    handover registry storage client
    runtime
    protocol
    wire settings
    core app
""".strip()
LEVELS: Final = {
    name: level for level, names in enumerate(reversed(LAYERS.splitlines())) for name in names.split()
}
PURE_PACKAGES: Final = {"core", "wire", "settings", "protocol"}
ALSO_PURE: Final = {"incoming.handover.answers", "incoming.http.callers", "incoming.client.protocol"}
TRANSPORTS: Final = {"http", "http_uploads", "protocol", "websocket", "wire"}
BELOW_THE_TRANSPORTS: Final = {"core", "registry", "runtime", "storage", "uploads"}

IMPURE: Final = {"os", "socket", "threading", "time", "logging", "gevent", "geventwebsocket", "random"}
MAY_NAME_GEVENT: Final = {"websocket", "http", "http_uploads", "runtime", "cli"}
MAY_NAME_BOTTLE: Final = {"incoming.http.routes"}
MAY_NAME_REDIS: Final = {"incoming.runtime.redis_connection"}

Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


def module_name(path: Path) -> str:
    """Returns `incoming.storage.local` for its path; a package has the name of its folder."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def part(module: str) -> str:
    """Returns the part of the house that a module belongs to: `storage` for `incoming.storage.local`."""
    return ([*module.split("."), ""])[1]


MODULES: Final = {module_name(path): path for path in sorted((ROOT / "incoming").rglob("*.py"))}
PURE: Final = {
    name
    for name in MODULES
    if part(name) in PURE_PACKAGES or any(name == pure or name.startswith(f"{pure}.") for pure in ALSO_PURE)
}
every_module = pytest.mark.parametrize("module", MODULES)


@cache
def tree(module: str) -> ast.Module:
    """Returns the module, parsed."""
    return ast.parse(MODULES[module].read_text("utf-8"))


def imports(module: str) -> set[str]:
    """Returns the full names of the modules that a module imports, wherever in it."""
    found: set[str] = set()
    for node in ast.walk(tree(module)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0 and node.module, f"{module} imports relatively"
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                found.add(inner if inner in MODULES else node.module)
    return found


def public_definitions(parent: ast.Module | ast.ClassDef) -> Iterator[Definition]:
    """Yields what can be named from outside: what is inside a function can't."""
    for node in parent.body:
        if isinstance(node, Definition) and not node.name.startswith("_"):
            yield node
            if isinstance(node, ast.ClassDef):
                yield from public_definitions(node)


def test_every_module_has_its_place_in_the_house() -> None:
    parts = {part(module) for module in MODULES} - {""}
    assert parts == set(LEVELS), "add it to (or remove it from) LAYERS"


@every_module
def test_imports_point_down_only(module: str) -> None:
    for imported in imports(module) & set(MODULES):
        here, there = part(module), part(imported)
        if there and here and here != there:
            assert LEVELS[there] < LEVELS[here], f"{module} imports {imported}"


def child_of(package: str, module: str) -> str | None:
    """Returns which module or package directly inside of `package` has this module; None if none has it."""
    inside = module.removeprefix(f"{package}.")
    return None if inside == module else inside.split(".", maxsplit=1)[0]


PACKAGES: Final = sorted({name.rpartition(".")[0] for name in MODULES if "." in name})


@pytest.mark.parametrize("package", PACKAGES)
def test_what_is_directly_inside_a_package_imports_each_other_in_one_direction_only(package: str) -> None:
    arrows: dict[str, set[str]] = {}
    for module in MODULES:
        if here := child_of(package, module):
            known = {child_of(package, imported) for imported in imports(module) & set(MODULES)}
            arrows.setdefault(here, set()).update(there for there in known if there and there != here)
    assert list(TopologicalSorter(arrows).static_order())


@pytest.mark.parametrize("module", [name for name in MODULES if part(name) in BELOW_THE_TRANSPORTS])
def test_the_service_knows_no_transport(module: str) -> None:
    assert not {part(name) for name in imports(module) & set(MODULES)} & TRANSPORTS


TRANSPORTS_OF_UPLOADS: Final = {"http_uploads", "websocket"}
PARTS_FOR_TRANSPORTS: Final = {"assemblies", "context", "parts", "refusals"}
"""What a transport may use of the parts that the service consists of, besides its methods."""
CONTEXT_FOR_TRANSPORTS: Final = {"counters", "runtime", "settings"}


def last_name(node: ast.expr) -> str:
    """Returns `uploads` for `uploads`, `self.uploads` and `self._transfers._uploads`."""
    name = node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
    return name.strip("_")


def attributes_of(module: str, *owners: str) -> set[str]:
    """Returns which attributes of what has one of these names a module uses."""
    nodes = [node for node in ast.walk(tree(module)) if isinstance(node, ast.Attribute)]
    return {node.attr for node in nodes if last_name(node.value) in owners}


def parts_of_the_service() -> set[str]:
    """Returns the public attributes of `Uploads`, without its methods."""
    nodes = [node for node in ast.walk(tree("incoming.uploads.service")) if isinstance(node, ast.Assign)]
    targets = [target for node in nodes for target in node.targets if isinstance(target, ast.Attribute)]
    return {target.attr for target in targets if last_name(target.value) == "self"}


@pytest.mark.parametrize("module", [name for name in MODULES if part(name) in TRANSPORTS_OF_UPLOADS])
def test_a_transport_calls_the_service_and_nothing_inside_it(module: str) -> None:
    inside = {name for name in parts_of_the_service() if not name.startswith("_")} - PARTS_FOR_TRANSPORTS
    assert {"admission", "claims", "outbox"} <= inside
    assert not attributes_of(module, "uploads", "parts", "assemblies") & inside
    assert attributes_of(module, "context") <= CONTEXT_FOR_TRANSPORTS


@pytest.mark.parametrize("module", sorted(PURE))
def test_a_pure_module_knows_neither_the_clock_nor_the_world(module: str) -> None:
    assert not {name.split(".")[0] for name in imports(module)} & IMPURE


@pytest.mark.parametrize("module", sorted(PURE))
def test_a_pure_module_imports_pure_modules_only(module: str) -> None:
    assert imports(module) & set(MODULES) - {"incoming"} <= PURE


@every_module
def test_gevent_bottle_and_redis_are_named_where_they_belong_only(module: str) -> None:
    named = {name.split(".")[0] for name in imports(module)}
    if part(module) not in MAY_NAME_GEVENT:
        assert not named & {"gevent", "geventwebsocket"}
    if module not in MAY_NAME_BOTTLE:
        assert "bottle" not in named
    if module not in MAY_NAME_REDIS:
        assert "redis" not in named


@every_module
def test_whatever_is_public_has_a_docstring(module: str) -> None:
    assert ast.get_docstring(tree(module)), "the module itself"
    assert not [node.name for node in public_definitions(tree(module)) if not ast.get_docstring(node)]


# --- what is installed ---------------------------------------------------------------------------------


def pins(file_name: str) -> dict[str, str]:
    """Returns {package: version} of a requirements file, of its own lines."""
    text = (ROOT / file_name).read_text("utf-8")
    return dict(re.findall(r"^([A-Za-z0-9_-]+)==([\w.]+)", text, re.MULTILINE))


def lower_bounds() -> dict[str, str]:
    """Returns {package: version} of setup.py's install_requires."""
    setup = ast.parse((ROOT / "setup.py").read_text("utf-8"))
    keywords = [node for node in ast.walk(setup) if isinstance(node, ast.keyword)]
    value = next(node.value for node in keywords if node.arg == "install_requires")
    return dict(requirement.split(">=") for requirement in ast.literal_eval(value))


def version(text: str) -> list[int]:
    """Returns a version number as something that can be compared."""
    return [int(number) for number in text.split(".") if number.isdigit()]


IMPORTED_AS: Final = {"gevent-websocket": "geventwebsocket", "python-multipart": "python_multipart"}


def test_what_is_pinned_is_what_the_package_asks_for() -> None:
    bounds, pinned = lower_bounds(), pins("requirements.txt")
    imported = {name.split(".")[0] for module in MODULES for name in imports(module)}
    assert {IMPORTED_AS.get(name, name.replace("-", "_")) for name in bounds} <= imported
    for name, lowest in bounds.items():
        assert version(pinned[name]) >= version(lowest), name


PINNED: Final = (
    *("requirements.txt", "requirements-test.txt", "requirements-dev.txt", "requirements-servers.txt"),
    "requirements-release.txt",
)


@pytest.mark.parametrize("file_name", PINNED)
def test_every_requirement_is_pinned(file_name: str) -> None:
    lines = (ROOT / file_name).read_text("utf-8").splitlines()
    asked_for = [line for line in lines if line.strip() and not line.startswith(("#", "-r "))]
    assert len(asked_for) == len(pins(file_name)) > 0


# --- what no file may hold -----------------------------------------------------------------------------

HOMES: Final = ("root", "work", "Users", "home/[a-z]+", "tmp")
MACHINE_PATH: Final = re.compile(rf"(?<![\w.$}}*-])/({'|'.join(HOMES)})/\w")


def tracked_files() -> list[Path]:
    """Returns the files of the repository. Skips the test where there is none."""
    git = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=False)
    if git.returncode:
        pytest.skip("not a git repository")
    paths = [ROOT / name for name in git.stdout.decode().split("\0") if name]
    return [path for path in paths if path.is_file()]


def test_no_file_holds_a_path_of_somebodys_machine() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path in tracked_files()
        for number, line in enumerate(path.read_text("utf-8", "replace").splitlines(), 1)
        if MACHINE_PATH.search(line)
    ]
    assert not found


@pytest.mark.parametrize("text", ["/{}/x", "see /{}/main", '"/{}/a/b"', "file:///{}/x"])
@pytest.mark.parametrize("home", ["root", "work", "tmp", "home/ann", "Users"])
def test_a_path_of_a_machine_is_found_where_there_is_one(home: str, text: str) -> None:
    assert MACHINE_PATH.search(text.format(home))  # put together: this file holds none either
    assert not MACHINE_PATH.search(f"docs/{home}/x and ${{HOME}}/{home}/x")


# --- names ---------------------------------------------------------------------------------------------

PRIVATE_WORDS: Final = frozenset((
    *("vigil", "steps", "heads", "sameness", "together", "patience", "kept", "turns", "breathe"),
    *("go_on", "life_sign", "said", "heard", "surroundings", "doubts", "rests_as", "at_rest", "hold_rest"),
))  # fmt: skip
"""Words that only this project used. The field has a standard term for each."""


@every_module
def test_no_module_class_or_function_has_a_private_word_as_its_name(module: str) -> None:
    nodes = [node for node in ast.walk(tree(module)) if isinstance(node, Definition)]
    names = {module.rsplit(".", maxsplit=1)[-1], *(node.name.strip("_").lower() for node in nodes)}
    assert not names & PRIVATE_WORDS


SUPERLATIVES: Final = re.compile("_?(?:MOST|LEAST|LONGEST|SHORTEST|LARGEST|SMALLEST|HIGHEST|LOWEST)_")


def superlatives(module: ast.Module) -> list[str]:
    """Returns the constants of a module that are limits, and do not begin with MAX or MIN."""
    targets = [node.target for node in module.body if isinstance(node, ast.AnnAssign)]
    return [one.id for one in targets if isinstance(one, ast.Name) and SUPERLATIVES.match(one.id)]


def test_the_name_of_a_limit_begins_with_max_or_min() -> None:
    assert superlatives(ast.parse("MOST_BYTES: Final = 1\nMAX_BYTES: Final = 1")) == ["MOST_BYTES"]
    assert not {name: found for name in MODULES if (found := superlatives(tree(name)))}


SOURCE_FOLDERS: Final = {"incoming", "static", "examples", "tests", "bench"}


def test_no_source_file_cites_a_document_that_no_reader_has() -> None:
    documents = re.compile(r"\b(?:CONTRACT|DESIGN)(?: \d|\.md|'s\b)")
    sources = [p for p in tracked_files() if p.relative_to(ROOT).parts[0] in SOURCE_FOLDERS]
    found = [
        f"{path.relative_to(ROOT)}: {line.strip()}"
        for path in sources
        for line in path.read_text("utf-8", "replace").splitlines()
        if documents.search(line)
    ]
    assert not found
