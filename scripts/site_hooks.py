"""Hooks of MkDocs: they make a page `source/PATH` for each file outside of docs/ that the docs link to.

The links in the docs are relative paths in the repository, so they work on every host of the code. On the
site, a link to a file outside of docs/ would be broken. So each such file becomes a page. Markdown is
rendered, and any other text becomes a block of code.
"""

from __future__ import annotations

import logging
import os
import re
from pathlib import Path
from typing import Any, Final

from mkdocs.structure.files import File, Files

logger = logging.getLogger("mkdocs.plugins.site_hooks")  # in strict mode a warning here fails the build

ROOT: Final = Path(__file__).resolve().parent.parent
DOCS: Final = "docs/"
SOURCE: Final = "source/"
FENCED: Final = re.compile(r"(^```.*?^```$)", re.MULTILINE | re.DOTALL)
LINK: Final = re.compile(r"(\]\()([^)\s]+)(\))")


def on_files(files: Files, config: Any) -> Files:
    """Adds a page for every file that is linked from a page, directly or through another such page."""
    waiting = [DOCS + file.src_uri for file in files if file.src_uri.endswith(".md")]
    seen = set(waiting)
    while waiting:
        for path in sorted(_linked_files(waiting.pop()) - seen):
            seen.add(path)
            files.append(File.generated(config, _uri(path), content=_content(path)))
            if path.endswith(".md"):
                waiting.append(path)
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Changes the links of a page of docs/ so that they lead to these pages."""
    uri = page.file.src_uri
    return markdown if uri.startswith(SOURCE) else _with_links(markdown, DOCS + uri)


def _linked_files(path: str) -> set[str]:
    """Returns the files outside of docs/ that a Markdown file links to, as paths in the repository."""
    text = FENCED.sub("", (ROOT / path).read_text("utf-8"))
    paths = {_target(path, match[2]) for match in LINK.finditer(text)}
    return {found for found in paths if found and not found.startswith(DOCS) and (ROOT / found).is_file()}


def _target(path: str, link: str) -> str:
    """Returns the path in the repository that a link in the file `path` leads to; empty for other links."""
    name = link.partition("#")[0]
    if not name or "://" in name or name.startswith("mailto:"):
        return ""
    return os.path.normpath(Path(path).parent / name)


def _uri(path: str) -> str:
    """Returns where the site has a file of the repository, as MkDocs names its source."""
    if path.startswith(DOCS):
        return path.removeprefix(DOCS)
    return SOURCE + (path if path.endswith(".md") else f"{path}.md")


def _content(path: str) -> str:
    """Returns a file outside of docs/ as a page."""
    text = (ROOT / path).read_text("utf-8")
    if path.endswith(".md"):
        return _with_links(text, path)
    return f"# {path}\n\n```{Path(path).suffix.removeprefix('.')}\n{text}\n```\n"


def _with_links(text: str, path: str) -> str:
    """Returns Markdown of the file `path` with links that lead to the pages of the site."""

    def rewritten(match: re.Match[str]) -> str:
        target = _target(path, match[2])
        if not target:
            return match[0]
        if not (ROOT / target).is_file():
            logger.warning("%s: the link %s does not lead to a file", path, match[2])
            return match[0]
        _, hash_, anchor = match[2].partition("#")
        link = os.path.relpath(_uri(target), Path(_uri(path)).parent)
        return f"{match[1]}{link}{hash_}{anchor}{match[3]}"

    pieces = FENCED.split(text)  # the odd ones are blocks of code
    return "".join(piece if i % 2 else LINK.sub(rewritten, piece) for i, piece in enumerate(pieces))
