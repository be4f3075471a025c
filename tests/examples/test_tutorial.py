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

TUTORIAL: Final = (ROOT / "docs" / "tutorial" / "examples.md").read_text("utf-8")
SNIPPET: Final = re.compile(r"(?P<before>[^\n]*)\n```(?P<language>\w+)\n(?P<code>.*?)\n```\n", re.DOTALL)
FILES: Final = sorted(
    str(path.relative_to(ROOT))
    for pattern in ("*/backend.py", "*/frontend_tmpl.html", "*/*.js")
    for path in (ROOT / "examples").glob(pattern)
)
EXAMPLES: Final = ["1-simple", "2-dynamic", "3-dropzone", "5-uppy"]


def snippets() -> list[tuple[str, str]]:
    """Returns the file that each block of code says it is from, and the code."""
    found = []
    for block in SNIPPET.finditer(TUTORIAL):
        if block["language"] == "sh":
            continue
        source = re.fullmatch(r"<!-- (\S+) -->", block["before"])
        assert source, f"it does not say which file this is from:\n{block['code']}"
        found.append((source[1], block["code"]))
    return found


def holds(file: Path, code: str) -> bool:
    """Tells whether the lines stand in the file as they are, indented or not."""
    lines, count = file.read_text("utf-8").splitlines(), len(code.splitlines())
    pieces = ("\n".join(lines[start : start + count]) for start in range(len(lines)))
    return any(textwrap.dedent(piece) == code for piece in pieces)


def test_every_block_of_code_stands_in_the_file_that_it_names() -> None:
    for name, code in snippets():
        assert holds(ROOT / name, code), f"{name} does not hold\n{code}"


def test_a_block_that_differs_would_be_noticed() -> None:
    name, code = snippets()[0]
    assert not holds(ROOT / name, code + "\nx = 1")
    assert not holds(ROOT / name, code.replace("=", "= ", 1))


def test_all_files_are_explained() -> None:
    assert {name for name, _ in snippets()} == set(FILES)
    assert len(FILES) == 2 * (len(EXAMPLES) + 1) + 4  # and example 4, which is no app of these routes


@pytest.mark.parametrize("example", EXAMPLES)
def test_every_option_is_in_the_table_with_its_default(example: str) -> None:
    for option in load(example).main.params:
        assert isinstance(option, click.Option)
        (row,) = [line for line in TUTORIAL.splitlines() if line.startswith(f"| `{option.opts[0]}` |")]
        assert str(option.default).rpartition(":")[2] in row


@pytest.mark.parametrize("example", EXAMPLES)
def test_every_route_is_shown(example: str) -> None:
    backend = (ROOT / "examples" / example / "backend.py").read_text("utf-8")
    routes = re.findall(r"@app\.\w+\(\"(.*?)\"\)", backend)
    assert len(routes) >= 3
    for route in routes:
        assert f'("{route}")' in TUTORIAL
