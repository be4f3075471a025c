"""docs/tutorial/examples.md can't drift: its code is the examples' code, and it names all that they have."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path
from typing import Final

import click
import pytest

from tests.examples.hosting import load
from tests.support.server import ROOT
from tests.support.snippets import code_of

TUTORIAL: Final = ROOT / "docs" / "tutorial" / "examples.md"
QUOTING: Final = [TUTORIAL, *(ROOT / "docs" / "how-to" / f"{name}.md" for name in ("react", "vue", "svelte"))]
"""The pages with code of the examples."""
FILES: Final = sorted(
    str(path.relative_to(ROOT))
    for pattern in ("*/backend.py", "*/frontend_tmpl.html", "*/*.js")
    for path in (ROOT / "examples").glob(pattern)
)
EXAMPLES: Final = ["1-simple", "2-dynamic", "3-dropzone", "5-uppy", "6-folder"]


def snippets(page: Path = TUTORIAL) -> list[tuple[str, str]]:
    """Returns the file that each block of code says it is from, and the code."""
    return [(block.source, block.code) for block in code_of(page) if block.source]


def holds(file: Path, code: str) -> bool:
    """Tells whether the lines stand in the file as they are, indented or not."""
    lines, count = file.read_text("utf-8").splitlines(), len(code.splitlines())
    pieces = ("\n".join(lines[start : start + count]) for start in range(len(lines)))
    return any(textwrap.dedent(piece) == code for piece in pieces)


@pytest.mark.parametrize("page", QUOTING, ids=lambda page: page.stem)
def test_every_block_of_code_stands_in_the_file_that_it_names(page: Path) -> None:
    assert len(snippets(page)) >= 4
    for name, code in snippets(page):
        assert holds(ROOT / name, code), f"{name} does not hold\n{code}"


def test_every_block_of_the_tutorial_says_which_file_it_is_from() -> None:
    assert [block.code for block in code_of(TUTORIAL) if not block.source] == []


def test_a_block_of_code_that_differs_from_the_example_is_noticed() -> None:
    name, code = snippets()[0]
    assert not holds(ROOT / name, code + "\nx = 1")
    assert not holds(ROOT / name, code.replace("=", "= ", 1))


def test_the_tutorial_explains_all_files_of_the_examples() -> None:
    assert {name for name, _ in snippets()} == set(FILES)
    assert len(FILES) == 2 * (len(EXAMPLES) + 1) + 5  # and example 4, which is no app of these routes


@pytest.mark.parametrize("example", EXAMPLES)
def test_every_option_is_in_the_table_with_its_default(example: str) -> None:
    for option in load(example).main.params:
        assert isinstance(option, click.Option)
        lines = TUTORIAL.read_text("utf-8").splitlines()
        (row,) = [line for line in lines if line.startswith(f"| `{option.opts[0]}` |")]
        default = str(option.default).removeprefix(f"{ROOT / 'examples' / example}/")
        assert default.rpartition(":")[2] in row


@pytest.mark.parametrize("example", EXAMPLES)
def test_every_route_is_shown(example: str) -> None:
    backend = (ROOT / "examples" / example / "backend.py").read_text("utf-8")
    routes = re.findall(r"@app\.\w+\(\"(.*?)\"\)", backend)
    assert len(routes) >= 3
    for route in routes:
        assert f'("{route}")' in TUTORIAL.read_text("utf-8")
