"""<incoming-upload> without a browser: *.test.mjs in Node, its size, and what its docs promise."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.server import ROOT

HERE = Path(__file__).parent
SOURCES = ROOT / "static" / "src" / "element"
DEADLINE_S = 240
MAX_BYTES = {"element.min.mjs": 12_288, "incoming-upload.min.js": 19_600}
"""With gzip: 12 KiB beside the library, the queue and resume.mjs; and together with the last two."""


@pytest.mark.parametrize("script", sorted(HERE.glob("*.test.mjs")), ids=lambda script: script.name)
def test_the_element_behaves_as_this_script_says(script: Path) -> None:
    node = shutil.which("node")
    assert node, "the tests of the library need Node 20 or newer"
    command = [node, "--test", "--test-reporter=tap", str(script)]
    run = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE_S, check=False)
    assert run.returncode == 0, f"\n{run.stdout}{run.stderr}"
    assert int(re.findall(r"^# pass (\d+)$", run.stdout, re.MULTILINE)[0]) > 0


@pytest.mark.parametrize("name", MAX_BYTES)
def test_it_is_small(name: str) -> None:
    assert len((ROOT / "static" / f"{name}.gz").read_bytes()) < MAX_BYTES[name]


def source(name: str) -> str:
    """Returns the text of a file of the element."""
    return (SOURCES / name).read_text("utf-8")


def documented(heading: str) -> set[str]:
    """Returns the names in the first column of the table below a heading of the docs."""
    docs = (ROOT / "docs" / "reference" / "element.md").read_text("utf-8")
    section = docs.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    return {
        name
        for row in re.findall(r"^\| (`[^|]+) \|", section, re.MULTILINE)
        for name in re.findall(r"`([\w-]+)", row)
    }


def test_the_docs_tell_all_attributes_properties_and_events() -> None:
    code = source("incoming_upload.js")
    lists = re.findall(r"const (?:VALUES|FLAGS) = \[(.*)\]", code)
    assert documented("Attributes") == {
        name for each in lists for name in re.findall(r"'([\w-]+)'", each)
    } | {"lang"}
    assert documented("Events") == set(re.findall(r"this\.tell\('([\w-]+)'", code))
    fields = set(re.findall(r"'(\w+)'", re.findall(r"for \(const name of \[('form'.*?)\]", code)[0]))
    assert documented("Properties") == fields | {"get_ticket", "queue", "value", "texts"}


def test_the_docs_tell_all_custom_properties_with_their_values_and_only_parts_that_exist() -> None:
    styles = source("style.css")
    names = set(re.findall(r"var\((--incoming-[\w-]+)", styles))
    assert documented("Looks") == names
    docs = (ROOT / "docs" / "reference" / "element.md").read_text("utf-8")
    for name, light, dark in re.findall(r"var\((--incoming-[\w-]+), light-dark\((\S+), (\S+)\)\)", styles):
        assert f"| `{name}` | `{light}`, `{dark}` |" in docs
    (told,) = re.findall(r"^Parts, for (.*?)\n\n", docs, re.MULTILINE | re.DOTALL)
    parts = set(re.findall(r"`([a-z]+)`", told))
    made = {
        name
        for file in SOURCES.glob("*.js")
        for name in re.findall(r"h\('\w+\.([a-z]+)'", file.read_text("utf-8"))
    }
    assert len(parts) > 15
    assert parts - made == {"badge"}, "an icon, which has a class and a part of its own"


def test_the_types_tell_every_text() -> None:
    types = (
        (ROOT / "static" / "element.d.mts")
        .read_text("utf-8")
        .partition("interface ElementTexts {")[2]
        .partition("\n}")[0]
    )
    assert re.findall(r"^  (\w+):", types, re.MULTILINE) == re.findall(
        r"^  (\w+):", source("texts.js"), re.MULTILINE
    )
