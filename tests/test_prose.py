"""The docs are plain English: short sentences, and none of the old phrases."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import pytest

from tests.support.server import ROOT
from tests.test_house import tracked_files

MAX_WORDS: Final = 35
PAGES: Final = sorted([*(ROOT / "docs").rglob("*.md"), *ROOT.glob("*.md")])
every_page = pytest.mark.parametrize("page", PAGES, ids=[str(page.relative_to(ROOT)) for page in PAGES])

OLD_PHRASES: Final = re.compile(
    r"\b(?:(?:goes|go|going|went|gone) on\b(?! a\b)|whoever|whosoever"
    r"|(?:that|what|which) is none|is no (?:integer|number|string|text)"
    r"|stands in your app's way|takes up (?:an?|the|\d+)|comes by itself|as ever|beside|anew"
    r"|behind (?:its first|the (?:end|last|file|entry))|(?:in front of|behind) the (?:lost|first|mark)"
    r"|so (?:many|much) bytes|also (?:if|when)|the same, but)\b",
    re.IGNORECASE,
)
UNKNOWN_DOCUMENTS: Final = re.compile(r"\b(?:CONTRACT|DESIGN)(?: \d|\.md)|\b(?:CONTRACT|DESIGN)'s\b")

NOT_PROSE: Final = re.compile(r"^```.*?^```|<!--.*?-->|^ {4}.*?$", re.MULTILINE | re.DOTALL)
CODE: Final = re.compile(r"`[^`\n]*`")
LINK_TARGET: Final = re.compile(r"\]\([^)]*\)")
BLOCK_END: Final = re.compile(r"\n\s*\n|\n(?=\s*(?:[-*|#]|\d+\. ))")
SENTENCE_END: Final = re.compile(r"(?<=[.!?])[)\"'*]*\s+")


def sentences(text: str) -> list[str]:
    """Returns the sentences of a page in Markdown: of its paragraphs, list items and cells of tables."""
    prose = LINK_TARGET.sub("]", CODE.sub("CODE", NOT_PROSE.sub("", text)))
    blocks = [cell for block in BLOCK_END.split(prose) for cell in _cells(block.strip())]
    return [
        sentence for block in blocks for sentence in SENTENCE_END.split(" ".join(block.split())) if sentence
    ]


def _cells(block: str) -> list[str]:
    return block.split("|") if block.startswith("|") else re.split(r" · ", block)


def words(sentence: str) -> int:
    """Returns the number of words of a sentence."""
    return sum(bool(re.search(r"\w", word)) for word in sentence.split())


@every_page
def test_no_sentence_is_longer_than_35_words(page: Path) -> None:
    assert not [s for s in sentences(page.read_text("utf-8")) if words(s) > MAX_WORDS]


@every_page
def test_no_page_has_a_phrase_that_was_replaced(page: Path) -> None:
    text = CODE.sub("CODE", NOT_PROSE.sub("", page.read_text("utf-8")))
    assert not [text[max(0, m.start() - 40) : m.end() + 20] for m in OLD_PHRASES.finditer(text)]


@pytest.mark.parametrize(
    "phrase",
    [
        *("it goes on by itself", "Whoever has a ticket", "a head that is none", "an id that is no string"),
        *("a copy beside it", "after so many bytes", "it resumes behind the last byte", "made anew"),
    ],
)
def test_the_check_finds_each_phrase_that_was_replaced(phrase: str) -> None:
    assert OLD_PHRASES.search(phrase)


def test_a_long_sentence_is_found_in_a_paragraph_an_item_and_a_cell() -> None:
    long = " ".join(["word"] * (MAX_WORDS + 1))
    for text in (f"Short. {long}. Short.", f"- short\n- {long}", f"| short | {long} |", f"Short\n{long}"):
        assert max(map(words, sentences(text))) > MAX_WORDS
    for text in (f"```\n{long}\n```", f"    {long}", f"`{long}`", f"<!-- {long} -->", "word. " * 40):
        assert max([0, *map(words, sentences(text))]) <= MAX_WORDS


def of_the_docs() -> list[Path]:
    """Returns the tracked files of docs/, deploy/ and bench/, and the pages at the top."""
    folders = [ROOT / name for name in ("docs", "deploy", "bench")]
    return [
        path for path in tracked_files() if path.parent == ROOT or any(f in path.parents for f in folders)
    ]


def test_no_page_cites_a_document_that_readers_do_not_have() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in of_the_docs()
        for number, line in enumerate(path.read_text("utf-8", "replace").splitlines(), 1)
        if UNKNOWN_DOCUMENTS.search(line)
    ]
    assert not found


def test_every_page_that_the_docs_name_is_there() -> None:
    named = re.compile(r"(?<![\w/.-])docs/[\w./-]+\.(?:md|yaml|json)\b")
    found = [
        f"{path.relative_to(ROOT)}: {name}"
        for path in of_the_docs()
        for name in named.findall(path.read_text("utf-8", "replace"))
        if not (ROOT / name).is_file()
    ]
    assert not found
