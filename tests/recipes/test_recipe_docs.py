"""The docs have the code of the recipes as it is, say what to install, and name all that the helper has."""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path
from typing import Final

import pytest

from tests.recipes.hosting import BESIDE, EMBEDDED, RECIPES, commands_of, files_of
from tests.support.server import ROOT
from tests.support.snippets import code_of

MAX_LINES: Final = 80
MODULES: Final = {"gevent": "incoming", "bottle": "incoming"}
"""What comes with a package of another name."""
HELPER: Final = ROOT / "docs/reference/app-helper.md"


@pytest.mark.parametrize("recipe", BESIDE)
def test_the_page_of_a_recipe_has_all_its_code_and_its_commands(recipe: str) -> None:
    page = ROOT / f"docs/how-to/{recipe}.md"
    shown = {block.source: block.code for block in code_of(page)}
    files = {f"examples/recipes/{recipe}/{name}": text.rstrip() for name, text in files_of(recipe).items()}
    assert shown == {name: text for name, text in files.items() if text}
    assert commands_of(page) == commands_of(RECIPES / recipe / "README.md")
    for name in files_of(recipe):
        assert f"as `{name}`" in page.read_text("utf-8") or f"`{Path(name).name}`" in page.read_text("utf-8")


@pytest.mark.parametrize("recipe", [*BESIDE, *EMBEDDED])
def test_a_recipe_is_short_and_its_readme_says_what_to_copy(recipe: str) -> None:
    for name, text in files_of(recipe).items():
        assert len(text.splitlines()) < MAX_LINES, name
    readme = (RECIPES / recipe / "README.md").read_text("utf-8")
    assert "**What to copy:**" in readme
    assert "http://localhost:8080" in readme


@pytest.mark.parametrize("recipe", [*BESIDE, *EMBEDDED])
def test_a_recipe_installs_what_it_imports(recipe: str) -> None:
    lines = commands_of(RECIPES / recipe / "README.md")
    installed = {Path(word).name for line in lines if " install " in line for word in line.split()[2:]}
    imported = set()
    for name, text in files_of(recipe).items():
        if name.endswith(".py"):
            imported |= set(re.findall(r"^(?:from|import) (\w+)", text, re.MULTILINE))
        if name.endswith(".mjs"):
            imported |= set(re.findall(r'from "(?!node:)([\w-]+)', text))
    assert not installed & {"requests"}
    needed = {MODULES.get(name, name) for name in imported - sys.stdlib_module_names - {"uploader"}}
    names = {"clone": "incoming", "static": "incoming-uploads"}
    assert needed <= {names.get(word, word) for word in installed}


@pytest.mark.parametrize("recipe", BESIDE)
def test_a_page_installs_the_upload_server_before_it_starts_it(recipe: str) -> None:
    page = (ROOT / f"docs/how-to/{recipe}.md").read_text("utf-8")
    installed = re.search(r"^\S*pip install .*/path/to/the/clone$", page, re.MULTILINE)
    starts = re.search(r"^\.venv/bin/incoming$|`\. \.venv/bin/activate && incoming`", page, re.MULTILINE)
    assert installed and starts
    assert page.index("python3 -m venv .venv") < installed.start() < starts.start()
    assert "command `incoming`" not in page[: installed.start()]


def test_the_page_of_the_helper_names_all_that_it_has() -> None:
    page = HELPER.read_text("utf-8")
    tree = ast.parse((ROOT / "incoming/app.py").read_text("utf-8"))
    public = [node for node in tree.body if isinstance(node, ast.ClassDef | ast.FunctionDef)]
    names = {node.name for node in public if not node.name.startswith("_")}
    (server,) = [node for node in public if node.name == "IncomingServer"]
    names |= {node.name for node in server.body if isinstance(node, ast.FunctionDef) and node.name[0] != "_"}
    assert len(names) > 20
    assert {name for name in names if not re.search(rf"\b{name}\b", page)} == set()
    fields = next(node for node in public if node.name == "Upload").body
    for field in fields:
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
            assert f"`{field.target.id}`" in page, field.target.id


def test_the_helper_for_node_exports_what_that_for_python_has_and_its_types_say_so() -> None:
    exports = r"^export (?:async )?(?:class|function|const) (\w+)"
    code = set(re.findall(exports, (ROOT / "static/app.mjs").read_text("utf-8"), re.MULTILINE))
    types = set(re.findall(exports, (ROOT / "static/app.d.mts").read_text("utf-8"), re.MULTILINE))
    tree = ast.parse((ROOT / "incoming/app.py").read_text("utf-8"))
    public = [node.name for node in tree.body if isinstance(node, ast.ClassDef | ast.FunctionDef)]
    assert code == types
    plain_objects = {"Answer", "Upload", "Ticket"}
    assert {name for name in public if name[0] != "_"} - code == plain_objects
