"""The blocks of code on a page of the docs, and the files that they say they are from."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

BLOCK: Final = re.compile(r"(?P<before>[^\n]*)\n```(?P<language>\w+)\n(?P<code>.*?)\n```\n", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Snippet:
    """A block of code."""

    language: str
    code: str
    source: str
    """The file that the page says it is from, from the tree's root; "" if it says nothing."""


def code_of(page: Path) -> list[Snippet]:
    """Returns the blocks of a page in their order, without the commands for a shell."""
    found = []
    for block in BLOCK.finditer(page.read_text("utf-8")):
        source = re.fullmatch(r"<!-- (\S+) -->", block["before"])
        if block["language"] != "sh":
            found.append(Snippet(block["language"], block["code"], source[1] if source else ""))
    return found
